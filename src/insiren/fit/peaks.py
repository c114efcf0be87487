"""Lists of peaks as a fit sees them: mode energies that were observed, beside those of a model.

The residual of a peak is (observed − calculated)/σ of its energy, the calculated one that of the mode it is
assigned to. While the assignment stands the residual is smooth. Where it changes, the objective has a kink, and
by the rule "nearest" no jump, since it is the least over all assignments.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipp as sc
from jaxtyping import Array, Bool, Float, Int

from insiren.data.adopt import CRYSTAL
from insiren.errors import FitError
from insiren.fit.assignment import LEVEL, Rule, assigned
from insiren.fit.objective import Kind
from insiren.fit.problem import Choice, Normal, Problem
from insiren.forward import Bands, Forward

INSTRUMENT = ("width", "q_fwhm")  # parameters that move no mode


class PeakSet(NamedTuple):
    """A list of peaks as plain arrays.

    Attributes:
        name: of the list.
        hkl: distinct wavevectors in r.l.u., shape (q, 3).
        at: the wavevector of each peak, shape (p,).
        energy: in meV, shape (p,).
        sigma: standard deviations in meV, shape (p,).
        window: least and largest energy in meV that was looked at, shape (p, 2).
    """

    name: str
    hkl: Float[np.ndarray, "q 3"]
    at: Int[np.ndarray, " p"]
    energy: Float[np.ndarray, " p"]
    sigma: Float[np.ndarray, " p"]
    window: Float[np.ndarray, "p 2"]


def peak_set(data: sc.DataArray) -> PeakSet:
    """The plain arrays of a list of peaks as `data.peaks.peak_list` makes it."""
    place = np.stack([data.coords[c].values for c in CRYSTAL], 1)
    hkl, at = np.unique(place, axis=0, return_inverse=True)
    window = np.stack([data.coords[f"energy_{end}"].values for end in ("low", "high")], 1)
    return PeakSet(data.name, hkl, at.reshape(-1), data.values, np.sqrt(data.variances), window)


class PeakProblem(eqx.Module):
    """A Forward that knows its modes, lists of peaks and a choice of parameters: residuals as a function of θ.

    Attributes:
        forward: what calculates the modes.
        bands: the same, seen through the seam of mode energies.
        sets: lists of peaks.
        choice: free, fixed and tied parameters.
        rule: how peaks find their modes.
    """

    forward: Forward
    bands: Bands
    sets: tuple[PeakSet, ...]
    choice: Choice = eqx.field(static=True)
    rule: Rule = eqx.field(static=True, default="nearest")

    @property
    def data(self) -> tuple[()]:
        """There is no map."""
        return ()

    @property
    def kind(self) -> Kind:
        """Of the objective: peaks have a σ each."""
        return "gaussian"

    @property
    def sources(self) -> tuple[Forward, ...]:
        """What calculates the modes."""
        return (self.forward,)

    @property
    def n_peaks(self) -> int:
        """How many peaks there are: all residuals are theirs."""
        return sum(len(one.at) for one in self.sets)

    def near(self, theta: np.ndarray) -> PeakProblem:
        """The same: modes need no preparation."""
        return self

    def covers(self, theta: np.ndarray) -> bool:
        """Whether θ is near enough: modes need no preparation."""
        return True

    def check(self, theta: np.ndarray) -> None:
        """Raises the error that explains why θ has no answer, if it has none."""
        values = self.choice.values(theta)
        self.forward.check({p.name: float(values[p.name]) for p in self.forward.parameters})

    @property
    def _hkl(self) -> Array:
        return jnp.asarray(np.concatenate([one.hkl for one in self.sets]))

    def whole(self) -> PeakSet:
        """All lists as one."""
        first = np.cumsum([0, *(len(one.hkl) for one in self.sets[:-1])])
        at = np.concatenate([one.at + n for one, n in zip(self.sets, first, strict=True)])
        rest = [np.concatenate([getattr(one, name) for one in self.sets]) for name in ("energy", "sigma", "window")]
        return PeakSet("", np.asarray(self._hkl), at, *rest)

    def modes(self, theta: np.ndarray) -> Int[np.ndarray, " p"]:
        """The mode of each peak at θ, (p,), numbered as the Forward does."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return self._matched(E, I)

    def _matched(self, E: np.ndarray, I: np.ndarray) -> np.ndarray:
        peaks = self.whole()
        return assigned(E, I, peaks.at, peaks.energy, peaks.sigma, peaks.window, self.rule)

    def energies(self, theta: np.ndarray) -> Float[np.ndarray, " p"]:
        """The calculated energy of each peak in meV, (p,)."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return E[self.whole().at, self._matched(E, I)]

    def _residual(self, E: np.ndarray, I: np.ndarray) -> np.ndarray:
        peaks = self.whole()
        if not np.all(np.isfinite(E)):
            return np.full(len(peaks.at), np.nan)
        return (peaks.energy - E[peaks.at, self._matched(E, I)]) / peaks.sigma

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """(observed − calculated)/σ of every peak, (p,); NaN where the structure is unstable."""
        E, I = (np.asarray(x) for x in _bands(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        return self._residual(E, I)

    def objective(self, theta: np.ndarray) -> float:
        """χ² at θ; infinite where the structure is unstable."""
        value = float(np.sum(self.residual(theta) ** 2))
        return value if np.isfinite(value) else np.inf

    def many_bands(self, thetas: Float[np.ndarray, "t p"]) -> tuple[np.ndarray, np.ndarray]:
        """Energies in meV and weights of the modes at all wavevectors, both (t, q, n)."""
        E, I = _many_bands(self.bands, self.choice, jnp.asarray(thetas), self._hkl)
        return np.asarray(E), np.asarray(I)

    def objectives(self, thetas: Float[np.ndarray, "t p"]) -> Float[np.ndarray, " t"]:
        """χ² at many θ at once."""
        E, I = self.many_bands(thetas)
        values = np.array([np.sum(self._residual(e, i) ** 2) for e, i in zip(E, I, strict=True)])
        return np.where(np.isfinite(values), values, np.inf)

    costs = objectives  # as the search and a landscape of maps ask for them

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residual and its derivatives (peaks, p) at θ, the assignment held; NaN where unstable."""
        E, I, dE = (np.asarray(x) for x in _slopes(self.bands, self.choice, jnp.asarray(theta), self._hkl))
        peaks = self.whole()
        if not np.all(np.isfinite(E)):
            return self._residual(E, I), np.full((len(peaks.at), len(theta)), np.nan)
        modes = self._matched(E, I)
        return self._residual(E, I), -dE[peaks.at, modes] / peaks.sigma[:, None]


class JointProblem(Problem):
    """Maps and lists of peaks under one choice of parameters.

    The residuals are those of the pixels, then those of the penalties of backgrounds, then those of the peaks.

    Attributes:
        peaks: the problem of the lists.
    """

    peaks: PeakProblem = eqx.field(kw_only=True)

    @property
    def n_peaks(self) -> int:
        return self.peaks.n_peaks

    @property
    def maps(self) -> Problem:
        """The same without the lists of peaks."""
        return Problem(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Problem)})

    def besides(self, theta: np.ndarray) -> float:
        return self.peaks.objective(theta)

    def chosen(self, choice: Choice) -> JointProblem:
        peaks = dataclasses.replace(self.peaks, choice=_completed(choice, self.peaks.bands))  # type: ignore[arg-type]
        return dataclasses.replace(self, choice=choice, peaks=peaks)

    def check(self, theta: np.ndarray) -> None:
        super().check(theta)
        self.peaks.check(theta)

    def objective(self, theta: np.ndarray) -> float:
        return super().objective(theta) + self.besides(theta)

    def residual_of(self, spectra: tuple[Array, ...], theta: np.ndarray) -> np.ndarray:
        return np.concatenate([super().residual_of(spectra, theta), self.peaks.residual(theta)])

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = (super().jacobian(theta), self.peaks.jacobian(theta))
        r, J = (np.concatenate(both) for both in zip(*parts, strict=True))
        return r, J

    def costs(self, thetas: Float[np.ndarray, "s p"]) -> Float[np.ndarray, " s"]:
        return super().costs(thetas) + self.peaks.costs(thetas)

    def normal(self, thetas: Float[np.ndarray, "s p"], active: Bool[np.ndarray, " s"] | None = None) -> Normal:
        found = super().normal(thetas, active)
        for n in range(len(thetas)) if active is None else np.flatnonzero(active):
            r, J = self.peaks.jacobian(thetas[n])
            sound = np.isfinite(found.cost[n]) and np.isfinite(r).all() and np.isfinite(J).all()
            found.cost[n] = found.cost[n] + r @ r if sound else np.inf
            found.gradient[n] += J.T @ r
            found.gram[n] += J.T @ J
        return found


def joined(
    problem: Problem, sets: tuple[PeakSet, ...], rule: Rule = "nearest", forward: Forward | None = None
) -> JointProblem:
    """A problem of maps with lists of peaks besides.

    Args:
        problem: of the maps.
        sets: lists of peaks.
        rule: how peaks find their modes.
        forward: what knows the modes; by default what simulates the maps.

    Raises:
        FitError: the objective has no σ to weigh peaks against, the Forward does not know its modes, or its
            parameters are none, or several, of the maps.
    """
    if problem.kind == "pearson":
        raise FitError("The Pearson objective has no σ to weigh peaks against; fit them by --objective gaussian.")
    forward = forward or problem.forward
    moving = {p.name for p in forward.parameters} - {*INSTRUMENT}
    if several := [name for name in problem.choice.each if name in moving]:
        raise FitError(
            f"Each data set has its own {', '.join(several)}, and a list of peaks cannot say whose its modes are; give "
            "the data sets one each only of what moves no mode, such as width."
        )
    known = {p.name for one in problem.sources for p in one.parameters}
    if strange := sorted(moving - known):
        raise FitError(f"The modes depend on {', '.join(strange)}, which no Forward of a spectrum knows; rename them.")
    peaks = _peak_problem(forward, sets, problem.choice, rule)
    parts = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    return JointProblem(**parts, peaks=peaks)


def peak_problem(forward: Forward, sets: tuple[PeakSet, ...], choice: Choice, rule: Rule = "nearest") -> PeakProblem:
    """The problem of lists of peaks alone.

    Raises:
        FitError: the Forward does not know its modes, or a free parameter moves none.
    """
    problem = _peak_problem(forward, sets, choice, rule)
    known = {p.name for p in problem.bands.parameters}  # type: ignore[attr-defined]
    if idle := [name for name in choice.names if name not in known]:
        raise FitError(f"{', '.join(idle)} has no effect on mode energies; fix it with --fix NAME=VALUE.")
    return problem


def _peak_problem(forward: Forward, sets: tuple[PeakSet, ...], choice: Choice, rule: Rule) -> PeakProblem:
    for source in (forward, forward.exact):
        if isinstance(source, Bands):
            return PeakProblem(forward, source, sets, _completed(choice, source), rule)
    raise FitError(
        "Peaks are compared with the energies of modes, and this Forward gives spectra alone. Fit them with the "
        "exact simulator of a model."
    )


def _completed(choice: Choice, source: Forward) -> Choice:
    """The choice with the defaults of what it does not name, such as a width of which each map has its own."""
    given = {*choice.names, *dict(choice.fixed), *dict(choice.ties)}
    rest = tuple((p.name, p.value) for p in source.parameters if p.name not in given)
    return dataclasses.replace(choice, fixed=(*choice.fixed, *rest))


@eqx.filter_jit
def _bands(source: Bands, choice: Choice, theta: Float[Array, " p"], hkl: Float[Array, "q 3"]):
    return source.bands(choice.values(theta), hkl)


@eqx.filter_jit
def _many_bands(source: Bands, choice: Choice, thetas: Float[Array, "t p"], hkl: Float[Array, "q 3"]):
    return jax.lax.map(lambda theta: source.bands(choice.values(theta), hkl), thetas)


@eqx.filter_jit
def _slopes(source: Bands, choice: Choice, theta: Float[Array, " p"], hkl: Float[Array, "q 3"]):
    """Energies (q, n), weights (q, n), and derivatives of the energies (q, n, p).

    Within a level the derivative of one mode depends on how the level splits; that of the middle of what is seen of
    it does not, and is the same for all its modes.
    """

    def along(direction: Array):
        return jax.jvp(lambda t: source.bands(choice.values(t), hkl), (theta,), (direction,))

    (E, I), (dE, _) = jax.vmap(along, out_axes=((None, None), 0))(jnp.eye(theta.shape[0]))
    same = jnp.abs(E[:, :, None] - E[:, None, :]) < LEVEL * jnp.max(E, axis=1)[:, None, None]
    share = jnp.where(same, I[:, None, :], 0)
    share = share / jnp.maximum(share.sum(-1, keepdims=True), jnp.finfo(float).tiny)
    return E, I, jnp.einsum("qnm,pqm->qnp", share, dE)
