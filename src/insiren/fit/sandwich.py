"""How much an answer scatters where its model does not describe the data: √(H⁻¹ K H⁻¹).

The greatest likelihood of a model that misses structure scatters by more than its information says. H is the
derivative of the gradient, which then differs from JᵀJ, and K the variance of the gradient, which the squares of the
residuals tell pixel by pixel. Where the model is right both are JᵀJ, and the scatter is the standard error.

Source: White, Econometrica 50, 1 (1982).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from insiren.errors import FitError
from insiren.fit.problem import Problem

_STEP = 0.03  # standard errors: of a difference of gradients


def scatter(problem: Problem, theta: np.ndarray, moving: np.ndarray, freedom: float) -> Float[np.ndarray, "p p"]:
    """The covariance of an answer, whatever its data come from; NaN for parameters that do not move.

    Args:
        problem: prepared near θ.
        theta: the minimum, shape (p,).
        moving: which parameters have an error, shape (p,).
        freedom: pixels and peaks less what was fitted to them.

    Raises:
        FitError: θ is no minimum, or at the edge of the stable phase.
    """
    residual, J = problem.jacobian(theta)
    seen = [np.concatenate(problem.observed(rows)) for rows in (residual, J[:, moving])]
    size = np.sqrt(np.diag(np.linalg.inv(J[:, moving].T @ J[:, moving])))
    H = curvature(problem, theta, moving, _STEP * size)
    K = (seen[1] * seen[0][:, None] ** 2).T @ seen[1] * len(seen[0][seen[0] != 0]) / freedom
    inverse = np.linalg.inv(H)
    found = np.full((len(theta), len(theta)), np.nan)
    found[np.ix_(moving, moving)] = inverse @ K @ inverse
    return found


def curvature(problem: Problem, theta: np.ndarray, moving: np.ndarray, steps: np.ndarray) -> Float[np.ndarray, "m m"]:
    """Half the second derivative of the objective, by differences of its gradient.

    Args:
        problem: prepared near θ.
        theta: where, shape (p,).
        moving: which parameters, m of them, shape (p,).
        steps: of each of these, shape (m,).

    Raises:
        FitError: it is not positive definite, or there is no spectrum beside θ.
    """
    rows = []
    for k, step in zip(np.flatnonzero(moving), steps, strict=True):
        aside = np.zeros(len(theta))
        aside[k] = step
        there, back = problem.normal((theta + aside)[None]), problem.normal((theta - aside)[None])
        rows.append((there.gradient - back.gradient)[0, moving] / (2 * step))
    H = np.array(rows)
    H = (H + H.T) / 2
    if not np.isfinite(H).all() or np.linalg.eigvalsh(H)[0] <= 0:
        raise FitError("the objective has no minimum there that differences of its gradient show.")
    return H
