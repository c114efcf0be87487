"""Weights and backgrounds that follow the answer, iterated with it until all agree.

Weights of a model and the stiffness of a background need the spectrum, and the answer needs them. A spectrum is the
expensive part, so the iteration runs on its tangents, which are worked out anew until the answer no longer moves.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from insiren.fit.expansion import Expanded, Tangent, expanded, objective_at, tangent
from insiren.fit.marquardt import Settings, descend
from insiren.fit.problem import Problem
from insiren.fit.search import Progress
from insiren.fit.weights import Noise, adapted

FINELY = Settings(steps=60, move=1e-8, gain=1e-9)
CLOSE = 0.02  # of a standard error: what a step within it leaves shows in no quoted digit
_REWEIGHTS = 15  # at most; fits of counts need about four, robust ones twice that
_STILL = 1e-6  # of the width of the bounds: a smaller change is none in the quoted digits
_STEPS = 12  # tangents at most
_SHORTER = 4  # times that a step is shortened at most
_FAR = 0.1  # of the width of the bounds: no step is longer


class End(NamedTuple):
    """Where a descent on tangents ended.

    Attributes:
        theta: shape (p,).
        at: the problem with the last tangents, and the weights and backgrounds of θ.
        problem: the same prepared near there, with the weights that it began with.
    """

    theta: np.ndarray
    at: Expanded
    problem: Problem


def settle(
    problem: Problem, theta: np.ndarray, noises: tuple[Noise, ...], progress: Progress
) -> tuple[np.ndarray, Problem]:
    """The minimum after weights, stiffness of backgrounds and parameters have been iterated until they agree."""
    if all(t.exposure is not None for t in problem.data):  # the likelihood itself was minimised
        return theta, adapted(problem, theta, noises)
    if not follows(problem, noises):
        return theta, problem
    if not problem.n_peaks:  # modes of a list of peaks have no tangents
        problem = problem if problem.covers(theta) else problem.near(theta)
        end = descended(problem, tangent(problem, theta), noises, CLOSE)
        if end is not None:
            return end.theta, dataclasses.replace(end.problem, data=end.at.data, widen=end.at.widen)
    return _iterated(problem, theta, noises, progress)


def _iterated(
    problem: Problem, theta: np.ndarray, noises: tuple[Noise, ...], progress: Progress, anew: bool = True
) -> tuple[np.ndarray, Problem]:
    """The same by descents, each with the weights and backgrounds that the last one asks for."""
    width = problem.choice.upper - problem.choice.lower
    for n in range(_REWEIGHTS):
        progress("fit", (n + 1) / (_REWEIGHTS + 1))
        problem = adapted(problem if problem.covers(theta) else problem.near(theta), theta, noises, anew and n == 0)
        last, theta = theta, descend(problem, theta[None], FINELY).thetas[0]
        if np.all(np.abs(theta - last) < _STILL * width):
            break
    return theta, problem


def follows(problem: Problem, noises: tuple[Noise, ...]) -> bool:
    """Whether weights, or a background's stiffness, change with the parameters."""
    curved = any(t.curve is not None for t in problem.data)
    return problem.kind == "poisson" or curved or any(noise.adapts for noise in noises)


def lowest(
    here: Expanded, start: np.ndarray, noises: tuple[Noise, ...], anew: bool = True
) -> tuple[np.ndarray, Expanded]:
    """The minimum on tangents, and the problem with the weights and backgrounds that it asks for.

    Args:
        here: on tangents.
        start: θ, shape (p,).
        noises: how variances come about.
        anew: whether the stiffness of backgrounds is sought everywhere, or near the one that there is.
    """
    if all(t.exposure is not None for t in here.data):  # of counts, the likelihood itself has the minimum
        reached = descend(here, start[None], FINELY).thetas[0]
        weighted = adapted(here, reached, noises)
    elif follows(here, noises):
        reached, weighted = _iterated(here, start, noises, lambda stage, part: None, anew)
    else:
        reached, weighted = descend(here, start[None], FINELY).thetas[0], here
    assert isinstance(weighted, Expanded)
    return reached, weighted


def descended(
    problem: Problem, at: Tangent, noises: tuple[Noise, ...], close: float, first: np.ndarray | None = None,
    anew: bool = True,
) -> End | None:  # fmt: skip
    """The minimum near a tangent, or None where steps do not lead to one.

    Args:
        problem: prepared near there.
        at: the tangent.
        noises: how variances come about.
        close: in standard errors: the last step is shorter.
        first: θ from which the first minimum on the tangents is sought, if it is not that of the tangent.
        anew: whether the stiffness of backgrounds is sought everywhere at first, or near the one that there is.
    """
    width = problem.choice.upper - problem.choice.lower
    data = problem.data
    for _ in range(_STEPS):
        here = expanded(dataclasses.replace(problem, data=data), at)
        reached, weighted = lowest(here, at.theta if first is None else first, noises, anew)
        step, first, anew = reached - at.theta, None, False
        data = weighted.data
        if _within(weighted, step, reached, close):
            return End(reached, weighted, problem)
        before, part = objective_at(weighted, at), _FAR / max(_FAR, float(np.max(np.abs(step / width))))
        for _ in range(_SHORTER):
            trial = at.theta + part * step
            problem = problem if problem.covers(trial) else problem.near(trial)
            there = tangent(problem, trial)
            if objective_at(weighted, there) < before:
                break
            part /= 4
        else:
            return None
        at = there
    return None


def _within(problem: Expanded, step: np.ndarray, theta: np.ndarray, close: float) -> bool:
    """Whether a step is short in units of the errors."""
    gram = problem.normal(theta[None]).gram[0]
    return float(step @ gram @ step) <= close**2 * len(step)
