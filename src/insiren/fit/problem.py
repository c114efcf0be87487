"""A fit as a function of the free parameters alone: data, Forwards, and what they evaluate to."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from insiren.fit.choice import Choice, Names, choose
from insiren.fit.objective import Kind, Target, cost, residual, residual_jacobian
from insiren.forward import Forward, Points, on_device
from insiren.simulate.chunks import in_chunks

__all__ = ["Choice", "Normal", "Problem", "choose"]

_AT_ONCE = 2**14  # pixels, and derivatives of them, of a Forward that evaluates several θ at once


class Normal(NamedTuple):
    """The objective at several θ, to second order as Gauss and Newton have it.

    Attributes:
        cost: Σ r² or deviance, infinite where there is no spectrum, shape (s,).
        gradient: Jᵀr, shape (s, p).
        gram: JᵀJ, shape (s, p, p).
    """

    cost: np.ndarray
    gradient: np.ndarray
    gram: np.ndarray


class Together(NamedTuple):
    """Data sets whose spectra are evaluated as one.

    Attributes:
        sets: their numbers, counted from 0.
        points: of all of them, one after the other.
        ends: where the spectrum of each but the last ends.
    """

    sets: tuple[int, ...]
    points: Points
    ends: tuple[int, ...]


class Problem(eqx.Module):
    """Forwards, data sets and a choice of parameters: residuals as a function of θ.

    Spectra are evaluated a data set at a time, so that data sets of one shape share one compiled function, in this fit
    and the next; the cuts of a path, whose lengths differ, are evaluated as one.

    Attributes:
        forward: what simulates; the first where data sets have different ones.
        prepared: what simulates each data set, prepared for its points.
        points: where each data set was measured.
        data: what was measured there.
        choice: free, fixed and tied parameters.
        kind: of the objective.
        forwards: what simulates each data set, not prepared, where they differ; else empty.
        widen: factor on the variance of the parameters that the weights of a robust fit ask for.
    """

    forward: Forward
    prepared: tuple[Forward, ...]
    points: tuple[Points, ...]
    data: tuple[Target, ...]
    choice: Choice = eqx.field(static=True)
    kind: Kind = eqx.field(static=True)
    forwards: tuple[Forward, ...] = ()
    widen: float = 1.0
    together: tuple[Together, ...] = ()  # follows from the rest

    def __post_init__(self) -> None:
        self.together = _together(self)

    @property
    def sources(self) -> tuple[Forward, ...]:
        """What simulates each data set, not prepared."""
        return self.forwards or (self.forward,) * len(self.points)

    def values(self, theta: np.ndarray | Array, which: int) -> dict[str, Array]:
        """Every parameter of the Forward of a data set, counted from 0, by the name it has there."""
        part = self.choice.part(which, self.sources[which])
        return part.names.values(theta[part.index], part.constant)

    @property
    def n_peaks(self) -> int:
        """Residuals besides those of the maps; they are the last."""
        return 0

    def observed(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residuals, or rows of their derivatives, of pixels and those of peaks, without those of penalties."""
        return rows[: sum(t.pixels for t in self.data)], rows[len(rows) - self.n_peaks :]

    def besides(self, theta: np.ndarray) -> float:
        """Σ r² at θ of what is no map."""
        return 0.0

    def chosen(self, choice: Choice) -> Problem:
        """The same problem with another choice of parameters."""
        return dataclasses.replace(self, choice=choice)

    def near(self, theta: np.ndarray) -> Problem:
        """The same problem with the Forwards prepared for their points at parameters near θ."""
        prepared = list(self.sources)
        for one in self.together:
            first = one.sets[0]
            ready = self.sources[first].at(one.points, self.values(theta, first))
            for n in one.sets:
                prepared[n] = ready
        return dataclasses.replace(self, prepared=tuple(prepared))

    def covers(self, theta: np.ndarray) -> bool:
        """Whether θ is near enough to what the Forwards were prepared for."""
        return all(forward.covers(self.values(theta, n)) for n, forward in enumerate(self.prepared))

    def check(self, theta: np.ndarray) -> None:
        """Raises the error that explains why θ has no answer, if it has none."""
        for n, forward in enumerate(self.sources):
            forward.check({name: float(value) for name, value in self.values(theta, n).items()})

    def asked(self) -> Iterator[tuple[Forward, Names, dict[str, Array], np.ndarray, Together]]:
        """What is evaluated as one: prepared Forward, names, fixed values, which free parameters it has, and where."""
        for one in self.together:
            first = one.sets[0]
            part = self.choice.part(first, self.sources[first])
            constant = {name: on_device(value, float) for name, value in part.constant.items()}
            yield self.prepared[first], part.names, constant, part.index, one

    def _workers(self) -> int:
        """Threads that may evaluate at once: one where diagonalisations might meet (see `simulate.lswt.after`)."""
        return 2 if all(one.parallel for one in self.prepared) else 1

    def spectra(self, theta: np.ndarray | Array) -> tuple[Array, ...]:
        """S(Q, ω) of each data set at θ; NaN where the structure is unstable."""
        found: list[Any] = [None] * len(self.points)
        for forward, names, constant, index, one in self.asked():
            S = _spectrum(forward, names, constant, theta[index], one.points)
            for n, part in zip(one.sets, _split(S, one), strict=True):
                found[n] = part
        return tuple(found)

    def objective(self, theta: np.ndarray) -> float:
        """Σ r² or deviance at θ; infinite where there is no spectrum."""
        return self.objective_of(self.spectra(theta))

    def objective_of(self, spectra: tuple[Array, ...]) -> float:
        """Σ r² or deviance of the maps with these spectra; infinite where there are none."""
        value = float(_cost(self.kind, spectra, self.data))
        return value if np.isfinite(value) else np.inf

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """The residual vector (d,) at θ: of pixels, then of penalties."""
        return self.residual_of(self.spectra(theta), theta)

    def residual_of(self, spectra: tuple[Array, ...], theta: np.ndarray) -> np.ndarray:
        """The same where the spectra at θ are known."""
        return np.asarray(residual(self.kind, spectra, self.data))

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residual vector (d,) and its derivatives (d, p) at θ, by forward differentiation."""
        spectra, slopes = self.slopes(theta)
        r, J = residual_jacobian(self.kind, spectra, slopes, self.data)
        return np.asarray(r), np.asarray(J)

    def slopes(self, theta: np.ndarray) -> tuple[tuple[Array, ...], tuple[np.ndarray, ...]]:
        """S(Q, ω) of each data set at θ, and its derivatives (p, d)."""
        spectra: list[Any] = [None] * len(self.points)
        slopes = [np.zeros((len(theta), len(points))) for points in self.points]
        for forward, names, constant, index, one in self.asked():
            S, dS = _slopes(forward, names, constant, theta[index], one.points)
            for n, part, slope in zip(one.sets, _split(S, one), _split(dS, one), strict=True):
                spectra[n], slopes[n][index] = part, slope
        return tuple(spectra), tuple(slopes)

    def costs(self, thetas: Float[np.ndarray, "s p"]) -> Float[np.ndarray, " s"]:
        """Σ r² or deviance at several θ; infinite where there is no spectrum."""
        if self.kind == "pearson":
            return np.array([self.objective(theta) for theta in thetas])
        found = np.zeros(len(thetas))
        for (value,), _, which in self._evaluated(thetas, np.ones(len(thetas), bool), _costs, _cost_at):
            found[which] += value
        return np.where(np.isfinite(found), found, np.inf)

    def normal(self, thetas: Float[np.ndarray, "s p"], active: Bool[np.ndarray, " s"] | None = None) -> Normal:
        """The objective to second order at several θ; those that are not active are not evaluated, and 0."""
        s, p = thetas.shape
        active = np.ones(s, bool) if active is None else active
        found = Normal(np.zeros(s), np.zeros((s, p)), np.zeros((s, p, p)))
        if self.kind == "pearson":
            for n in np.flatnonzero(active):
                r, J = self.jacobian(thetas[n])
                found.cost[n], found.gradient[n], found.gram[n] = r @ r, J.T @ r, J.T @ J
        else:
            for (value, gradient, gram), index, which in self._evaluated(thetas, active, _normals, _normal_at):
                found.cost[which] += value
                found.gradient[np.ix_(which, index)] += gradient
                found.gram[np.ix_(which, index, index)] += gram
        finite = np.isfinite(found.cost) & np.isfinite(found.gram).all(axis=(1, 2))
        found.cost[~finite] = np.inf
        return found

    def _evaluated(
        self, thetas: np.ndarray, active: np.ndarray, together: Callable[..., Any], alone: Callable[..., Any]
    ) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]]:
        """What the active θ give for each data set, the free parameters it has, and the numbers of the θ.

        A Forward that batches gets all θ at once; any other one at a time, by the functions that give its spectrum and
        its derivatives, so that the simulator is compiled for no other.
        """
        which, begun, workers = np.flatnonzero(active), [], self._workers()
        with ThreadPoolExecutor(workers) as pool:
            mapped = (
                pool.map if workers > 1 else map
            )  # in this thread and when used, so that no two diagonalise at once
            for forward, names, constant, index, where in self.asked():
                given, data = (forward, names, constant), [self.data[n] for n in where.sets]
                if forward.batches:
                    parts = together(*given, jnp.asarray(thetas[:, index]), where.points, data[0], jnp.asarray(active))
                    begun.append(
                        (index, np.arange(len(thetas)), [[at] for at in zip(*map(np.asarray, parts), strict=True)])
                    )
                elif len(which):
                    one = functools.partial(_of_sets, alone, *given, where=where, data=data)
                    at = thetas[which][:, index]
                    first = [one(theta) for theta in at[:1]] if len(at) > 1 and workers > 1 else []  # compiles
                    each = itertools.chain(first, mapped(one, at[len(first) :]))
                    begun.append((index, which, each))
            for index, of, each in begun:
                for parts in zip(*each, strict=True):
                    yield tuple(np.array(kind) for kind in zip(*parts, strict=True)), index, of


def _together(problem: Problem) -> tuple[Together, ...]:
    """The data sets of a problem, those evaluated as one put together.

    Tables of one Forward with the same energies and parameters are, where there are more of them than cores or their
    shapes differ: each shape would be compiled for. Where each has a core of its own they stay apart.
    """
    alike: list[list[int]] = []
    for n in range(len(problem.points)):
        same = (group for group in alike if _may_join(problem, group[0], n))
        if (group := next(same, None)) is None:
            alike.append([n])
        else:
            group.append(n)
    found = []
    for group in alike:
        sizes = [len(problem.points[n]) for n in group]
        if len(group) < 3 and len(set(sizes)) == 1:
            found += [Together((n,), problem.points[n], ()) for n in group]
        else:
            places = np.concatenate([np.asarray(problem.points[n].hkl) for n in group])
            first = problem.points[group[0]]
            points = Points.table(places, np.asarray(first.omega)[: len(first) // len(first.hkl)], bins=first.bins)
            found.append(Together(tuple(group), points, tuple(np.cumsum(sizes)[:-1].tolist())))
    return tuple(found)


def _may_join(problem: Problem, n: int, other: int) -> bool:
    """Whether two data sets differ in their wavevectors alone."""
    one, two = problem.points[n], problem.points[other]
    source = problem.sources[n]
    if source is not problem.sources[other] or source.batches or not (one.is_even and two.is_even):
        return False
    if one.Q_abs is not None or two.Q_abs is not None or one.bins != two.bins or any(problem.choice.each):
        return False
    w = len(one) // len(one.hkl)
    return w == len(two) // len(two.hkl) and bool(np.all(np.asarray(one.omega)[:w] == np.asarray(two.omega)[:w]))


def _split(values: Array, one: Together) -> list[Any]:
    """Values (…, d) of each data set of what was evaluated as one."""
    if len(one.sets) == 1:
        return [values]
    return jnp.split(values, one.ends, axis=-1) if isinstance(values, Tracer) else np.split(values, one.ends, axis=-1)


_cost = jax.jit(cost, static_argnums=0)


@eqx.filter_jit
def _spectrum(
    forward: Forward, names: Names, constant: dict[str, Any], theta: Array | np.ndarray, points: Points
) -> Float[Array, " d"]:
    return forward.spectrum(names.values(theta, constant), points)


@eqx.filter_jit
def _slopes(forward: Forward, names: Names, constant: dict[str, Any], theta: Array | np.ndarray, points: Points):
    """S (d,) and its derivatives (p, d)."""
    along = lambda direction: jax.jvp(  # noqa: E731
        lambda t: forward.spectrum(names.values(t, constant), points), (theta,), (direction,)
    )
    return jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(theta)))


def _of_sets(alone: Callable[..., Any], *given: Any, where: Together, data: list[Target]) -> list[tuple[Any, ...]]:
    """What one θ gives for each data set of those evaluated as one, in NumPy."""
    return [tuple(np.asarray(x) for x in parts) for parts in alone(*given, where, data)]


def _cost_at(
    forward: Forward, names: Names, constant: dict[str, Any], theta: np.ndarray, where: Together, data: list[Target]
):
    """Σ r² of each data set at θ."""
    S = _split(_spectrum(forward, names, constant, theta, where.points), where)
    return [(_cost("gaussian", (one,), (t,)),) for one, t in zip(S, data, strict=True)]


def _normal_at(
    forward: Forward, names: Names, constant: dict[str, Any], theta: np.ndarray, where: Together, data: list[Target]
):
    """Σ r², Jᵀr and JᵀJ of each data set at θ."""
    if theta.shape[0] == 0:
        costs = _cost_at(forward, names, constant, theta, where, data)
        return [(*cost, np.zeros(0), np.zeros((0, 0))) for cost in costs]
    S, dS = (_split(x, where) for x in _slopes(forward, names, constant, theta, where.points))
    return [_second_order(*one, t) for *one, t in zip(S, dS, data, strict=True)]


@jax.jit
def _second_order(S: Float[Array, " d"], slopes: Float[Array, "p d"], data: Target) -> tuple[Array, Array, Array]:
    """Σ r², Jᵀr and JᵀJ of one data set, from its spectrum and the derivatives of that."""
    r, J = residual_jacobian("gaussian", (S,), (slopes,), (data,))
    value = r @ r if data.exposure is None else cost("gaussian", (S,), (data,))
    return value, J.T @ r, J.T @ J


@eqx.filter_jit
def _costs(
    forward: Forward, names: Names, constant: dict[str, Any], thetas: Array, points: Points, data: Target, active: Array
):
    """Σ r² of one data set at several θ, evaluated together."""

    def one(theta: Array) -> Array:
        S = forward.spectrum(names.values(theta, constant), points)
        return cost("gaussian", (S,), (data,))

    return (in_chunks(jax.vmap(one), _at_once(points, 1), thetas),)


@eqx.filter_jit
def _normals(
    forward: Forward, names: Names, constant: dict[str, Any], thetas: Array, points: Points, data: Target, active: Array
):
    """Σ r², Jᵀr and JᵀJ of one data set at those of several θ that are active, evaluated together."""
    size = thetas.shape[1]

    def one(theta: Array) -> tuple[Array, Array, Array]:
        if size == 0:
            S = forward.spectrum(names.values(theta, constant), points)
            return cost("gaussian", (S,), (data,)), jnp.zeros(0), jnp.zeros((0, 0))
        return _second_order(*_slopes(forward, names, constant, theta, points), data)

    def none(*many: int) -> tuple[Array, Array, Array]:
        return jnp.zeros(many), jnp.zeros((*many, size)), jnp.zeros((*many, size, size))

    some = lambda at, on: jax.lax.cond(jnp.any(on), jax.vmap(one), lambda _: none(len(at)), at)  # noqa: E731
    order = jnp.argsort(~active)  # those that are active share as few batches as they can
    found = in_chunks(some, _at_once(points, 1 + size), thetas[order], active[order])
    kept = [jnp.where(active[order].reshape(-1, *[1] * (x.ndim - 1)), x, 0.0) for x in found]
    return tuple(jnp.zeros_like(x).at[order].set(x) for x in kept)


def _at_once(points: Points, numbers: int) -> int:
    """At how many θ to evaluate so many numbers for each of the points at once."""
    return max(1, _AT_ONCE // (len(points) * numbers))
