"""Covariance and standard errors of an answer, and which parameters its data do not determine.

A parameter is not determined where one standard error to either side covers its bounds: the data then say less of it
than the bounds do. Nor is one that takes part in a combination that changes nothing, beyond rounding; its variance
would be that of rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from insiren.fit.choice import Choice

_EDGE = 1e-4  # of the width of a bound, or of the scale of the answer: closer counts as at the bound
BLIND = 1e-12  # of the largest eigenvalue of JᵀJ: smaller ones are rounding
_SHARE = 1e-3  # of a unit vector: a parameter with less takes no part in a combination
_COVERED = 0.5  # of the width of the bounds: an error as large covers them


class Errors(NamedTuple):
    """Standard errors by name, None where there is none, and the names of what is not determined."""

    of: dict[str, float | None]
    undetermined: tuple[str, ...]


def at_bound(choice: Choice, theta: np.ndarray, width: np.ndarray | None = None) -> Bool[np.ndarray, " p"]:
    """Which free parameters lie at a bound, by the width of the bounds or by another (p,) that matters near θ."""
    width = choice.upper - choice.lower if width is None else width
    return (theta - choice.lower < _EDGE * width) | (choice.upper - theta < _EDGE * width)


def inverse(J: np.ndarray, edge: np.ndarray) -> Float[np.ndarray, "p p"]:
    """The inverse of JᵀJ for the free parameters, NaN for those at a bound or without effect.

    Times the reduced χ², where that is above 1, it is their covariance: a misfit larger than the quoted σ must
    widen the error. The Pearson residual has no σ of its own, so there the residual alone sets the noise. A
    combination of parameters that changes nothing gets a huge variance, never none.
    """
    found = np.full((len(edge), len(edge)), np.nan)
    sound, size, value, vector = _directions(J, edge)
    if sound.any():
        part = (vector / np.maximum(value, BLIND * value[-1])) @ vector.T / np.outer(size[sound], size[sound])
        found[np.ix_(sound, sound)] = part
    return found


def rank(J: np.ndarray, edge: np.ndarray, whole: np.ndarray | None = None) -> int:
    """How many combinations of the parameters that are not at a bound the residuals depend on.

    Args:
        J: derivatives of the residuals, shape (d, p).
        edge: which parameters are at a bound, shape (p,).
        whole: the derivatives of all data, of which these are a part that may hold next to nothing of a parameter.
    """
    if whole is None:
        sound, _, value, _ = _directions(J, edge)
        return int(np.sum(value > BLIND * value[-1])) if sound.any() else 0
    size = np.linalg.norm(whole, axis=0)
    inside = J[:, ~edge & (size > 0)] / size[~edge & (size > 0)]
    return int(np.sum(np.linalg.eigvalsh(inside.T @ inside) > BLIND))


def blind(J: np.ndarray, edge: np.ndarray) -> Bool[np.ndarray, " p"]:
    """Which parameters have no effect, or take part in a combination that has none."""
    sound, size, value, vector = _directions(J, edge)
    found = ~edge & ~(size > 0)
    if sound.any():
        nothing = vector[:, value <= BLIND * value[-1]]
        found[sound] = np.any(np.abs(nothing) > _SHARE, axis=1)
    return found


def independent(J: np.ndarray, moving: np.ndarray) -> Bool[np.ndarray, " p"]:
    """As many of the moving parameters as the residuals depend on, none of which others can replace; the first ones."""
    kept = np.zeros(len(moving), bool)
    for n in np.flatnonzero(moving):
        kept[n] = True
        kept[n] = rank(J, ~kept) == kept.sum()
    return kept


def _directions(J: np.ndarray, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The parameters with an effect, the sizes of all columns, and eigenvalues and vectors of JᵀJ in these units."""
    size = np.linalg.norm(J, axis=0)
    sound = ~edge & (size > 0)
    inside = J[:, sound] / size[sound]
    value, vector = np.linalg.eigh(inside.T @ inside)
    return sound, size, value, vector


def errors(choice: Choice, theta: np.ndarray, covariance: np.ndarray, lost: np.ndarray) -> Errors:
    """Standard errors: of free parameters, of tied ones through their expression; none of what is not determined.

    Args:
        choice: which parameters there are.
        theta: the answer, shape (p,).
        covariance: of the free ones, NaN where there is none, shape (p, p).
        lost: which of them have no effect, alone or in a combination, shape (p,).
    """
    known, half = np.isfinite(np.diag(covariance)), _COVERED * (choice.upper - choice.lower)
    found: dict[str, float | None] = {name: None for name, _ in choice.fixed}
    undetermined = []
    for n, name in enumerate(choice.names):
        size = float(np.sqrt(covariance[n, n])) if known[n] else np.inf
        found[name] = size if size < half[n] and not lost[n] else None
        if found[name] is None and (known[n] or lost[n]):
            undetermined.append(name)
    slopes = jax.jacfwd(choice.values)(jnp.asarray(theta)) if choice.ties else {}
    for name, _ in choice.ties:
        slope = np.asarray(slopes[name])
        size = float(np.sqrt(slope[known] @ covariance[np.ix_(known, known)] @ slope[known]))
        wide = bool(slope[lost].any() or (slope.any() and not size < np.abs(slope) @ half))
        found[name] = None if wide or slope[~known].any() else size
        if wide:
            undetermined.append(name)
    return Errors(found, tuple(undetermined))
