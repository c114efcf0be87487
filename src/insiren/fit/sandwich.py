"""How much an answer scatters where its model does not describe the data: a jackknife over blocks along the ridge.

The greatest likelihood of a model that misses structure scatters by more than its information says. What it misses
lies along the ridge, so that the residuals of neighbouring energies and wavevectors have it in common, and their
scores J r add up instead of cancelling. The pixels are cut into G blocks, each a stretch of a path, or a range of |Q|,
with all its energies, and each with as much information as the others. Without block c the answer moves by
d_c = (H − J_cᵀJ_c)⁻¹ J_cᵀ r_c, and its covariance is (G − 1)/G Σ d_c d_cᵀ. H is the derivative of the gradient, which
differs from JᵀJ where the model is wrong. Where the model is right the scatter is the standard error.

A misfit that is the same in every block, as a wrong Ei makes, and one that several data sets share are not in it.

Source: White, Econometrica 50, 1 (1982), for H; Liang and Zeger, Biometrika 73, 13 (1986), for sums of scores over
clusters; Künsch, Ann. Statist. 17, 1217 (1989), for the jackknife over blocks; Cameron and Miller, J. Human Resources
50, 317 (2015), section VI, for why it is to be preferred where clusters are few.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from insiren.errors import FitError
from insiren.fit.along import along
from insiren.fit.problem import Problem
from insiren.fit.uncertainty import independent

_STEP = 0.03  # standard errors: of a difference of gradients
_BLOCKS = 10  # long beside a correlation, and enough for a variance to 45 %; of 6 to 12 none covers clearly better
_LEFT = 0.1  # of the information along a combination: what is left without a block counts as no less


def scatter(problem: Problem, theta: np.ndarray, moving: np.ndarray) -> Float[np.ndarray, "p p"]:
    """The covariance of an answer, whatever its data come from; NaN for parameters that do not move.

    Args:
        problem: prepared near θ.
        theta: the minimum, shape (p,).
        moving: which parameters may move, shape (p,); one that changes nothing which others could not is held.

    Raises:
        FitError: θ is no minimum, or at the edge of the stable phase.
    """
    residual, J = problem.jacobian(theta)
    moving = independent(J, moving)
    r, J = (np.concatenate(problem.observed(rows)) for rows in (residual, J[:, moving]))
    information = J.T @ J
    H = curvature(problem, theta, moving, _STEP * np.sqrt(np.diag(np.linalg.inv(information))))
    found = np.full((len(theta), len(theta)), np.nan)
    found[np.ix_(moving, moving)] = jackknife(r, J, H, blocks(problem, np.sum(J @ np.linalg.inv(information) * J, 1)))
    return found


def jackknife(r: np.ndarray, J: np.ndarray, H: np.ndarray, block: Int[np.ndarray, " d"]) -> Float[np.ndarray, "m m"]:
    """(G − 1)/G Σ d_c d_cᵀ, d_c the move of the answer without a block.

    Args:
        r: residuals, shape (d,).
        J: their derivatives, shape (d, m).
        H: half the second derivative of the objective, shape (m, m).
        block: of each residual, shape (d,).
    """
    root = np.linalg.inv(np.linalg.cholesky(H))  # in these units H is 1
    moves = []
    for c in np.unique(block):
        here = J[block == c] @ root.T
        share, vector = np.linalg.eigh(here.T @ here)
        score = vector.T @ (here.T @ r[block == c])
        moves.append(root.T @ (vector @ (score / np.maximum(1 - share, _LEFT))))
    moves = np.array(moves)
    return (len(moves) - 1) / len(moves) * moves.T @ moves


def blocks(problem: Problem, leverage: Float[np.ndarray, " d"]) -> Int[np.ndarray, " d"]:
    """The block of each pixel and peak: data set after data set, along each, cut to equal shares of information.

    Args:
        problem: of the data sets.
        leverage: what each pixel and peak adds to the information, shape (d,).
    """
    column, order, first = [], [], 0
    for points, source in zip(problem.points, problem.sources, strict=True):
        place, index = along(points, source).values, np.asarray(points.index)
        rank = np.argsort(np.argsort(place, kind="stable"))
        column.append(first + rank[index])
        order.append(np.asarray(points.omega))
        first += len(place)
    peaks = len(leverage) - sum(map(len, column))
    column = np.concatenate([*column, first + np.arange(peaks)])
    sequence = np.lexsort((np.concatenate([*order, np.zeros(peaks)]), column))
    held = np.bincount(column, leverage, minlength=first + peaks)
    if np.sum(held > 0) >= 2 * _BLOCKS:  # no wavevector is cut
        return _cut(held)[column]
    found = np.zeros(len(leverage), int)
    found[sequence] = _cut(leverage[sequence])
    return found


def _cut(held: np.ndarray) -> np.ndarray:
    """Numbers of blocks that hold equal shares, in order."""
    grown = np.cumsum(held)
    middle = (grown - held / 2) / grown[-1]
    return np.minimum((_BLOCKS * middle).astype(int), _BLOCKS - 1)


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
