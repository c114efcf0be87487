"""A fit as a function of the free parameters alone: names, bounds, ties, data, and what they evaluate to."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import FitError
from insiren.fit.objective import Kind, Target, residual, residual_jacobian
from insiren.forward import Forward, Parameter, Points
from insiren.model.parameters import evaluate, names


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which parameters of a Forward are free, and what becomes of the others.

    Attributes:
        free: the parameters that are fitted, with the bounds of this fit.
        fixed: values of those that are not.
        ties: (name, expression) of those that follow others.
    """

    free: tuple[Parameter, ...]
    fixed: tuple[tuple[str, float], ...]
    ties: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.free)

    @property
    def lower(self) -> np.ndarray:
        return np.array([p.min for p in self.free])

    @property
    def upper(self) -> np.ndarray:
        return np.array([p.max for p in self.free])

    def values(self, theta: Array | np.ndarray) -> dict[str, Array]:
        """Every parameter by name, from the free ones; traceable by JAX."""
        known = {name: jnp.asarray(value) for name, value in self.fixed}
        known |= {name: jnp.asarray(theta[n]) for n, name in enumerate(self.names)}
        for name, expression in self.ties:
            known[name] = jnp.asarray(evaluate(expression, known), float)
        return known


def choose(
    parameters: tuple[Parameter, ...],
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    ties: Mapping[str, str] | None = None,
) -> Choice:
    """The free, fixed and tied parameters of a fit.

    Args:
        parameters: those of the Forward; the ones with `free` set are free by default.
        free: names to free besides.
        fixed: values to fix.
        bounds: bounds to use instead of the model's.
        ties: expressions of other parameters, such as {"Jp": "J/20"}.

    Raises:
        FitError: an unknown name, contradicting wishes, or nothing left to fit.
    """
    wished, fixed, bounds, ties = set(free or ()), dict(fixed or {}), dict(bounds or {}), dict(ties or {})
    known = [p.name for p in parameters]
    for name in [*wished, *fixed, *bounds, *ties, *(n for e in ties.values() for n in names(e))]:
        if name not in known:
            alike = {one.lower(): one for one in known}
            close = difflib.get_close_matches(name.lower(), alike, n=1)
            hint = f" Did you mean {alike[close[0]]!r}?" if close else ""
            raise FitError(f"No parameter is called {name!r}.{hint} There are {', '.join(known)}.")
    for one, other in ((wished, fixed), (wished, ties), (fixed, ties)):
        if both := set(one) & set(other):
            raise FitError(f"{', '.join(sorted(both))} cannot be two of free, fixed and tied; choose one.")
    if endless := [name for name, value in fixed.items() if not np.isfinite(value)]:
        raise FitError(f"{', '.join(endless)} cannot be fixed to what is no finite number.")
    if chained := [n for e in ties.values() for n in names(e) if n in ties]:
        raise FitError(f"A tie may not use a tied parameter ({', '.join(chained)}); write it out.")
    chosen = [p for p in parameters if (p.free or p.name in wished) and p.name not in fixed and p.name not in ties]
    if not chosen:
        raise FitError("No parameter is free, so there is nothing to fit; free one with --free NAME.")
    if idle := sorted(set(bounds) - {p.name for p in chosen}):
        raise FitError(f"{', '.join(idle)} has bounds but is not free; free it as well, or leave the bounds out.")
    rest = {p.name: float(fixed.get(p.name, p.value)) for p in parameters if p not in chosen and p.name not in ties}
    return Choice(tuple(_bounded(p, bounds.get(p.name)) for p in chosen), tuple(rest.items()), tuple(ties.items()))


def _bounded(parameter: Parameter, bounds: tuple[float, float] | None) -> Parameter:
    low, high = bounds or (parameter.min, parameter.max)
    if not -np.inf < low < high < np.inf:
        raise FitError(
            f"The bounds of {parameter.name} are {low:g} and {high:g}; both must be finite, the first the lower."
        )
    return dataclasses.replace(
        parameter, min=float(low), max=float(high), value=float(np.clip(parameter.value, low, high))
    )


class Problem(eqx.Module):
    """A Forward, data sets and a choice of parameters: residuals as a function of θ.

    Spectra are evaluated a data set at a time, so that data sets of one shape share one
    compiled function, in this fit and the next.

    Attributes:
        forward: what simulates.
        prepared: the same, prepared for the points of each data set.
        points: where each data set was measured.
        data: what was measured there.
        choice: free, fixed and tied parameters.
        kind: of the objective.
    """

    forward: Forward
    prepared: tuple[Forward, ...]
    points: tuple[Points, ...]
    data: tuple[Target, ...]
    choice: Choice = eqx.field(static=True)
    kind: Kind = eqx.field(static=True)

    @property
    def n_peaks(self) -> int:
        """Residuals besides those of the maps."""
        return 0

    def near(self, theta: np.ndarray) -> Problem:
        """The same problem with the Forward prepared for its points at parameters near θ."""
        values = self.choice.values(theta)
        return dataclasses.replace(self, prepared=tuple(self.forward.at(p, values) for p in self.points))

    def covers(self, theta: np.ndarray) -> bool:
        """Whether θ is near enough to what the Forward was prepared for."""
        values = self.choice.values(theta)
        return all(forward.covers(values) for forward in self.prepared)

    def spectra(self, theta: np.ndarray) -> tuple[Array, ...]:
        """S(Q, ω) of each data set at θ; NaN where the structure is unstable."""
        pairs = zip(self.prepared, self.points, strict=True)
        return tuple(_spectrum(forward, self.choice, jnp.asarray(theta), p) for forward, p in pairs)

    def objective(self, theta: np.ndarray) -> float:
        """Σ r² at θ; infinite where there is no spectrum."""
        value = float(jnp.sum(residual(self.kind, self.spectra(theta), self.data) ** 2))
        return value if np.isfinite(value) else np.inf

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """The residual vector (d,) at θ."""
        return np.asarray(residual(self.kind, self.spectra(theta), self.data))

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The residual vector (d,) and its derivatives (d, p) at θ, by forward differentiation."""
        pairs = zip(self.prepared, self.points, strict=True)
        both = [_slopes(forward, self.choice, jnp.asarray(theta), p) for forward, p in pairs]
        r, J = residual_jacobian(self.kind, tuple(S for S, _ in both), tuple(dS for _, dS in both), self.data)
        return np.asarray(r), np.asarray(J)


@eqx.filter_jit
def _spectrum(forward: Forward, choice: Choice, theta: Float[Array, " p"], points: Points) -> Float[Array, " d"]:
    return forward.spectrum(choice.values(theta), points)


@eqx.filter_jit
def _slopes(forward: Forward, choice: Choice, theta: Float[Array, " p"], points: Points):
    """S (d,) and its derivatives (p, d)."""
    along = lambda direction: jax.jvp(  # noqa: E731
        lambda t: forward.spectrum(choice.values(t), points), (theta,), (direction,)
    )
    return jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(choice.free)))
