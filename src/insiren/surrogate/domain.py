"""Where a surrogate learns and may be asked: a box, folded by the symmetry of the spectrum itself."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from insiren.errors import OutsideDomain, SurrogateError
from insiren.forward import Parameter, Parameters, Points, complete
from insiren.instrument.exact import Exact
from insiren.model.crystal import lattice
from insiren.surrogate.known import Known, learnt
from insiren.surrogate.region import Region

_TRIALS = 6  # random wavevectors, energies and parameters at which a symmetry must hold
_FRACTION = 0.3178  # of a period, no simple one: only a spectrum that ignores an axis is the same there
_PERIODS = (1, 2, 3, 4, 6)  # r.l.u. that are tried; sites on halves, thirds, quarters and sixths of the cell have these
_DRAWN = 20_000  # wavevectors that show how far a region reaches
_THIN = 1e-3  # r.l.u.: half-width of an axis along which a region does not reach
_SAME = 1e-6  # relative: a symmetry holds to rounding, a broken one is far off
_EDGE = 1e-9  # of a range: rounding
Trial = tuple[dict[str, float], np.ndarray, np.ndarray]
# Any direction inside no mirror plane picks one image of a wavevector; irrational ratios lie in none.
_PICK = np.array([1.0, 0.7320508, 0.4142136])


@dataclasses.dataclass(frozen=True)
class Domain:
    """The inputs of a surrogate and their ranges.

    Attributes:
        axes: which of h, k, l the spectrum depends on.
        period: with which it repeats along each of them, r.l.u.; 0 where it does not.
        operations: point operations that leave it unchanged, integer matrices on those axes.
        q_range: (lower, upper) of each after folding, r.l.u.
        omega: (lower, upper) of the energy transfer, meV.
        inputs: the parameters that are inputs, their bounds being the box.
        fixed: (name, value) of the model's other parameters.
        region: the part of reciprocal space that it is restricted to; None for all of the box.
    """

    axes: tuple[int, ...]
    period: tuple[int, ...]
    operations: tuple[tuple[tuple[int, ...], ...], ...]
    q_range: tuple[tuple[float, float], ...]
    omega: tuple[float, float]
    inputs: tuple[Parameter, ...]
    fixed: tuple[tuple[str, float], ...]
    region: Region | None = None

    @property
    def lower(self) -> np.ndarray:
        """Lower corner in (Q, ω, parameters), shape (i,)."""
        return np.array([*(r[0] for r in self.q_range), self.omega[0], *(p.min for p in self.inputs)])

    @property
    def upper(self) -> np.ndarray:
        """Upper corner in (Q, ω, parameters), shape (i,)."""
        return np.array([*(r[1] for r in self.q_range), self.omega[1], *(p.max for p in self.inputs)])

    def fold(self, hkl: Float[Array, "q 3"]) -> Float[Array, "q a"]:
        """The one image of each wavevector, under the symmetry, that the surrogate has learnt."""
        Q = hkl[:, np.array(self.axes)]
        period = np.array(self.period, float)
        images = jnp.einsum("nab,qb->nqa", np.array(self.operations, float), Q)
        images = images - period * jnp.round(images / np.where(period > 0, period, 1.0))
        best = jnp.argmax(images @ _PICK[: len(self.axes)], axis=0)
        return jnp.take_along_axis(images, best[None, :, None], 0)[0]

    def draw(self, key: PRNGKeyArray, many: int) -> Float[Array, "q 3"]:
        """Random wavevectors of the whole cell, box or region, in r.l.u.; axes that do not matter are 0. Traceable."""
        if self.region is not None:
            place = self.region.draw(key, many, self.axes)
        else:
            sides = [(-p / 2, p / 2) if p else s for p, s in zip(self.period, self.q_range, strict=True)]
            low, high = np.array(sides).T
            place = low + (high - low) * jax.random.uniform(key, (many, len(self.axes)), float)
        return jnp.zeros((many, 3)).at[:, np.array(self.axes)].set(place)

    def _outside(self, hkl: Float[Array, "q 3"]) -> np.ndarray:
        """Wavevectors whose images all lie outside the region, shape (n, 3)."""
        if self.region is None:
            return np.zeros((0, 3))
        Q = np.asarray(hkl)
        period, operations = np.array(self.period, float), np.array(self.operations, float)
        return Q[~self.region.holds(Q[:, list(self.axes)], self.axes, period, operations)]

    def scaled(self, folded: Array, omega: Array, theta: Array) -> Array:
        """Inputs in [−1, 1] from folded Q (…, a), ω (…,) and parameters (…, p)."""
        x = jnp.concatenate([folded, omega[..., None], theta], -1)
        return 2 * (x - self.lower) / (self.upper - self.lower) - 1

    def holds(self, params: Parameters) -> Array:
        """Whether parameters lie in the box; traceable, a boolean scalar."""
        inside = jnp.asarray(True)
        for p in self.inputs:
            value, edge = jnp.asarray(params[p.name]), _EDGE * (p.max - p.min)
            inside = inside & (value >= p.min - edge) & (value <= p.max + edge)
        return inside

    def refuse_outside(self, params: dict[str, float], points: Points | None = None) -> None:
        """Raises where parameters, or points if there are any, lie outside.

        Raises:
            OutsideDomain: names what lies outside and the remedy.
        """
        checks = [(p.name, np.asarray(params[p.name], float), p.min, p.max, p.unit) for p in self.inputs]
        if points is not None:
            if points.Q_abs is not None:
                raise OutsideDomain("This surrogate learnt a single crystal, not a powder; use the exact simulator.")
            checks.append(("ω", np.asarray(points.omega), *self.omega, "meV"))
            if len(outside := self._outside(points.hkl)):
                first = ", ".join(f"{x:g}" for x in outside[0])
                raise OutsideDomain(
                    f"{len(outside)} of {len(points.hkl)} wavevectors, ({first}) r.l.u. the first, lie with all their "
                    "images outside the region that this surrogate learnt. Stay within, use the exact simulator, or "
                    "train a surrogate on a larger region."
                )
            if self.region is None:
                folded = np.asarray(self.fold(points.hkl))
                checks += [("hkl"[a], folded[:, n], *self.q_range[n], "r.l.u.") for n, a in enumerate(self.axes)]
        for name, value, low, high, unit in checks:
            span = _EDGE * (high - low)
            if np.any(value < low - span) or np.any(value > high + span):
                worst = float(np.max(value)) if np.any(value > high + span) else float(np.min(value))
                raise OutsideDomain(
                    f"{name} = {worst:.6g} lies outside what this surrogate learnt, {low:g} … {high:g} {unit}. "
                    "Stay within, use the exact simulator, or train a surrogate on a larger range."
                )


def find_domain(
    exact: Exact,
    omega: tuple[float, float],
    region: Region | Mapping[str, tuple[float, float]] | None = None,
    seed: int = 0,
    parameters: tuple[Parameter, ...] | None = None,
    known: Known | None = None,
) -> Domain:
    """The domain of a model: its symmetry is found by asking the simulator.

    Args:
        exact: the simulator.
        omega: range of the energy transfer in meV.
        region: a part of reciprocal space, or ranges in r.l.u. of the axes ("h", "k", "l"). By default, and along
            axes without a range, all of the cell where the spectrum repeats, and −1 … 1 where it does not.
        seed: of the trial points.
        parameters: those with `free` set are inputs; by default the model's own, see `chosen_inputs`.
        known: what is not learnt, so that only the symmetry of the rest counts.
    """
    parameters = parameters or exact.parameters
    inputs = tuple(p for p in parameters if p.free)
    fixed = tuple((p.name, p.value) for p in parameters if not p.free)
    probe = _Probe(exact.given(dict(fixed)), known, trials(parameters, omega, seed))
    basis = np.eye(3)
    axes = tuple(a for a in range(3) if not probe.same(lambda Q, a=a: Q + _FRACTION * basis[a]))
    period = tuple(next((n for n in _PERIODS if probe.same(lambda Q, a=a, n=n: Q + n * basis[a])), 0) for a in axes)
    operations = tuple(
        tuple(tuple(int(x) for x in row) for row in R[np.ix_(axes, axes)])
        for R in _point_operations(exact, axes)
        if _keeps(R[np.ix_(axes, axes)], period) and probe.same(lambda Q, R=R: Q @ R.T)
    )
    domain = Domain(axes, period, operations or _identity(len(axes)), (), omega, inputs, fixed)
    if not isinstance(region, Region):
        region, ranges = _volume(domain, region or {}), region or {}
        if region is None:
            return dataclasses.replace(domain, q_range=_folded_range(domain, ranges))
    domain = dataclasses.replace(domain, region=region)
    return dataclasses.replace(domain, q_range=_drawn_range(domain, seed))


def _keeps(R: np.ndarray, period: tuple[int, ...]) -> bool:
    """Whether an operation maps the lattice of the periods onto itself, so that both can be folded by."""
    sides = np.array([p or 1 for p in period])
    shifted = R @ np.diag([p for p in period])
    return not np.any(shifted % sides[:, None])


def _volume(domain: Domain, ranges: Mapping[str, tuple[float, float]]) -> Region | None:
    """The volume that ranges of axes ask for; None where they do no more than bound axes without periodicity."""
    if unknown := sorted(set(ranges) - {"hkl"[a] for a in domain.axes}):
        if set(unknown) <= set("hkl"):
            raise SurrogateError(f"The spectrum does not depend on {', '.join(unknown)}; leave its range out.")
        raise SurrogateError(f"A range is of h, k or l, not of {', '.join(unknown)}.")
    if not any(p and "hkl"[a] in ranges for a, p in zip(domain.axes, domain.period, strict=True)):
        return None
    low, high = np.zeros(3), np.zeros(3)
    for a, p in zip(domain.axes, domain.period, strict=True):
        low[a], high[a] = ranges.get("hkl"[a], (-p / 2, p / 2) if p else (-1.0, 1.0))
    return Region.box(low.tolist(), high.tolist())


def _drawn_range(domain: Domain, seed: int) -> tuple[tuple[float, float], ...]:
    """The box that holds the folded wavevectors of a region, by drawing many."""
    folded = np.asarray(domain.fold(domain.draw(jax.random.key(seed), _DRAWN)))
    low, high = folded.min(0), folded.max(0)
    still = _THIN * (high - low < 2 * _THIN)  # scaling wants a width
    return tuple((float(a), float(b)) for a, b in zip(low - still, high + still, strict=True))


def _identity(n: int) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return (tuple(tuple(int(i == j) for j in range(n)) for i in range(n)),)


def trials(parameters: tuple[Parameter, ...], omega: tuple[float, float], seed: int = 0) -> list[Trial]:
    """Random parameters near their defaults, each with a random wavevector (1, 3) and energies (w,)."""
    rng, found = np.random.default_rng(seed), []
    near = 0.05  # of each bound around the default: surely in the stable phase with it
    for _ in range(_TRIALS):
        drawn = {p.name: p.value for p in parameters}
        for p in (p for p in parameters if p.free):
            drawn[p.name] = float(np.clip(p.value + near * rng.uniform(-0.5, 0.5) * (p.max - p.min), p.min, p.max))
        found.append((drawn, rng.uniform(0.1, 0.9, (1, 3)), np.linspace(*omega, 40)))
    return found


class _Probe:
    """Compares spectra at transformed wavevectors."""

    def __init__(self, exact: Exact, known: Known | None, trials: list[Trial]):
        self.exact, self.known, self.trials = exact, known, trials

    def same(self, transform: Callable[[np.ndarray], np.ndarray]) -> bool:
        """Whether the spectrum is the same at every trial wavevector and its image."""
        for params, Q, energies in self.trials:
            places = (Points.table(x, energies) for x in (Q, transform(Q)))
            here, there = (_probe_spectrum(self.exact, self.known, params, points) for points in places)
            if not float(jnp.max(jnp.abs(here - there))) <= _SAME * float(jnp.max(jnp.abs(here))):
                return False
        return True


@eqx.filter_jit
def _probe_spectrum(exact: Exact, known: Known | None, params: dict[str, float], points: Points) -> Array:
    return learnt(exact.draft, known, complete(exact.parameters, params), points)


def _point_operations(exact: Exact, axes: tuple[int, ...]) -> list[np.ndarray]:
    """Integer matrices that keep lengths in the reciprocal lattice and leave other axes alone."""
    B = lattice(exact.model).reciprocal
    metric, found = B @ B.T, []
    for entries in itertools.product((-1, 0, 1), repeat=len(axes) ** 2):
        R = np.eye(3, dtype=int)
        R[np.ix_(axes, axes)] = np.array(entries).reshape(len(axes), len(axes))
        if abs(round(np.linalg.det(R))) == 1 and np.allclose(R.T @ metric @ R, metric, rtol=1e-9):
            found.append(R)
    return found


def _folded_range(domain: Domain, region: Mapping[str, tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The box that holds all folded wavevectors."""
    ranges = [
        (-p / 2, p / 2) if p else region.get("hkl"[a], (-1.0, 1.0))
        for a, p in zip(domain.axes, domain.period, strict=True)
    ]
    # Corners of a folded zone are special points: fractions of 2 and 3 of the full one.
    mesh = np.array(list(itertools.product(np.arange(13) / 12, repeat=len(ranges))))
    low, high = np.array(ranges).T
    points = np.zeros((len(mesh), 3))
    points[:, list(domain.axes)] = low + mesh * (high - low)
    folded = np.asarray(jax.jit(domain.fold)(jnp.asarray(points)))
    return tuple((float(a), float(b)) for a, b in zip(folded.min(0), folded.max(0), strict=True))
