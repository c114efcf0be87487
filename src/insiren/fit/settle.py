"""From an answer to the minimum of a problem much like it: a few Levenberg–Marquardt steps, warm-started.

What moves an answer a little (another weight, another background, one parameter held, the exact simulator in
place of a surrogate) needs no search: the old answer is a start within the same valley.

Source: Marquardt, J. Soc. Indust. Appl. Math. 11, 431 (1963); the scaling is that of Moré, Lecture Notes in
Mathematics 630, 105 (1978).
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.objective import poisson_weights, profile
from insiren.fit.problem import Problem

STEPS = 30  # at most; a warm start takes three to eight
CLOSE = 1e-3  # of a standard error: a step that promises less is not taken
_REWEIGHTS = 6  # at most, where weights follow the model
_STIFFEST = 1e8  # damping beyond which no step goes down any more
_FIRST = 1e-4  # damping at the start: a hint of steepest descent, for a Jacobian that is nearly singular


class Settled(NamedTuple):
    """A minimum.

    Attributes:
        theta: where, shape (p,).
        objective: Σ r² or deviance there.
        jacobian: of the residuals there, or where the last step began, shape (d, p).
        problem: as it was prepared, and weighted, there.
        first: the objective at the start, with the weights that the problem had.
    """

    theta: np.ndarray
    objective: float
    jacobian: np.ndarray
    problem: Problem
    first: float


def settle(
    problem: Problem,
    theta: np.ndarray,
    maps: list[Measured],
    *,
    free: np.ndarray | None = None,
    noise: float = 1.0,
    steps: int = STEPS,
    close: float = CLOSE,
    last: float = 0.0,
) -> Settled:
    """The minimum nearest to a start, within the bounds.

    Args:
        problem: whose weights follow the model where its objective is Poisson's.
        theta: the start, with a finite objective, shape (p,).
        maps: the data sets, in the order of the problem's.
        free: which parameters may move, shape (p,); by default all.
        noise: the factor on the covariance.
        steps: at most.
        close: in standard errors: a step that promises less is not taken.
        last: in standard errors: none is looked for beyond a step that promises less, whose derivatives are those of
            where it began.
    """
    free = np.ones(len(theta), bool) if free is None else free
    least, last = close**2 * noise, last**2 * noise
    found = _descend(problem, np.array(theta, float), free, least, last, steps)
    if problem.kind != "poisson" or all(t.exposure is not None for t in problem.data):
        return found
    width, first = problem.choice.upper - problem.choice.lower, found.first
    for _ in range(_REWEIGHTS):
        before, weighted = found.theta, reweighted(found.problem, found.theta, maps)
        found = _descend(weighted, before, free, least, last, steps)
        if np.all(np.abs(found.theta - before) < 1e-6 * width):
            break
    return found._replace(first=first)


def reweighted(problem: Problem, theta: np.ndarray, maps: list[Measured]) -> Problem:
    """The same problem with the variances that its model gives to counts at θ."""
    models = [profile(S, t) for S, t in zip(problem.spectra(theta), problem.data, strict=True)]
    weights = (poisson_weights(m, t, p) for m, t, p in zip(maps, problem.data, models, strict=True))
    return dataclasses.replace(problem, data=tuple(weights))


def _descend(problem: Problem, theta: np.ndarray, free: np.ndarray, least: float, last: float, steps: int) -> Settled:
    """Levenberg–Marquardt steps within the bounds until they promise less than the least gain, or one the last."""
    lower, upper = problem.choice.lower, problem.choice.upper
    problem = problem if problem.covers(theta) else problem.near(theta)
    residual, J = problem.jacobian(theta)
    value, damping = _value(problem, theta, residual), _FIRST
    first = value
    if not np.isfinite(value):
        return Settled(theta, value, J, problem, first)
    for _ in range(steps):
        gradient = J.T @ residual
        outward = ((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0))
        moving = free & ~outward & (np.linalg.norm(J, axis=0) > 0)
        step = np.zeros(len(theta))
        step[moving] = _step(J[:, moving], gradient[moving], damping)
        trial = np.clip(theta + step, lower, upper)
        if float(-gradient @ step) < least:
            break
        if float(-gradient @ (trial - theta)) < least:  # cut off at a bound it leads uphill: a shorter one need not
            damping = max(10 * damping, 1e-2)
            if damping > _STIFFEST:
                break
            continue
        there = problem if problem.covers(trial) else problem.near(trial)
        ends = float(-gradient @ step) < last
        # a warm start hardly ever takes a step back
        beside, slopes = (there.residual(trial), J) if ends else there.jacobian(trial)
        reached = _value(there, trial, beside)
        if not reached < value:
            damping = max(10 * damping, 1e-2)
            if damping > _STIFFEST:
                break
            continue
        theta, problem, damping = trial, there, damping / 10
        residual, J, value = beside, slopes, reached
        if ends:
            break
    return Settled(theta, value, J, problem, first)


def _value(problem: Problem, theta: np.ndarray, residual: np.ndarray) -> float:
    """The objective at θ, where its residual is known."""
    return problem.objective(theta) if any(t.exposure is not None for t in problem.data) else float(residual @ residual)


def _step(J: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    size = np.linalg.norm(J, axis=0)
    matrix = (J / size).T @ (J / size)
    return -np.linalg.lstsq(matrix + damping * np.eye(len(size)), gradient / size, rcond=None)[0] / size
