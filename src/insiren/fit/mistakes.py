"""How far the errors that a Forward knows of itself move the answer of a fit."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.fit.objective import residual_jacobian
from insiren.fit.problem import Problem

_DRAWS = 24  # fields of errors; the standard deviation of so many is known to a seventh
_SEED = 0
_MOST = 50_000_000  # numbers in all fields, which bounds the memory
_BLIND = 1e-12  # of the largest eigenvalue of JᵀJ: smaller ones are rounding


def shifts_of_mistakes(
    problem: Problem,
    theta: np.ndarray,
    spectra: tuple[Array, ...],
    J: Float[np.ndarray, "d p"],
    moving: np.ndarray,
) -> Float[np.ndarray, "p p"] | None:
    """The covariance of the answer that comes from errors of the spectrum; None where no Forward knows of any.

    Possible errors δS, drawn as large and as smooth as the Forward says, move the minimum by −(JᵀJ)⁻¹ Jᵀ δr. Scale
    and background are eliminated from δr as they are from r, so that an error that looks like either does no harm.

    Args:
        problem: prepared near θ.
        theta: the minimum, shape (p,).
        spectra: of the data sets there.
        J: derivatives of the residuals there.
        moving: which parameters may move, shape (p,); rows of the others are 0.
    """
    drawn, many = [], max(4, min(_DRAWS, _MOST // sum(map(len, problem.points))))
    for n, (source, points) in enumerate(zip(problem.sources, problem.points, strict=True)):
        drawn.append(source.mistakes(problem.values(theta, n), points, many, _SEED))
    if all(one is None for one in drawn) or not moving.any():
        return None
    pairs = zip(drawn, spectra, strict=True)
    slopes = tuple(jnp.zeros((many, len(S))) if one is None else one for one, S in pairs)
    _, moved = residual_jacobian(problem.kind, spectra, slopes, problem.data)
    moved = np.asarray(moved)
    moved = np.concatenate([moved, np.zeros((len(J) - len(moved), many))])  # peaks stand still
    size = np.linalg.norm(J, axis=0)
    moving = moving & (size > 0)
    shift = np.zeros((len(theta), many))
    unit = J[:, moving] / size[moving]
    step = np.linalg.lstsq(unit.T @ unit, -unit.T @ moved, rcond=_BLIND)[0]
    shift[moving] = step / size[moving][:, None]
    return shift @ shift.T / many
