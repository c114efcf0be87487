"""The objective at many θ in few compiled calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from insiren.fit.problem import Problem

_AT_ONCE = 128  # θ in one call of a Forward that batches: one shape, long enough that Python costs nothing
_SHOWN = 32  # θ of another after which progress is told


def objectives(
    problem: Problem, thetas: Float[np.ndarray, "n p"], told: Callable[[float], None] = lambda fraction: None
) -> Float[np.ndarray, " n"]:
    """Σ r² at each θ; infinite where there is no spectrum.

    Args:
        problem: prepared anew where a θ is too far from where it was prepared.
        thetas: values of the free parameters, one row each.
        told: the fraction that is done.
    """
    found = np.empty(len(thetas))
    done = 0
    for prepared, which in _prepared(problem, thetas):
        size = _AT_ONCE if prepared.forward.batches else _SHOWN
        for n in range(0, len(which), size):
            call = which[n : n + size]
            found[call] = _call(prepared, thetas[call])
            done += len(call)
            told(done / len(thetas))
    return np.where(np.isfinite(found), found, np.inf)


def _prepared(problem: Problem, thetas: np.ndarray) -> Iterator[tuple[Problem, np.ndarray]]:
    """The problem as prepared for each group of θ, and the numbers of those."""
    rest = np.arange(len(thetas))
    while len(rest):
        covered = np.array([problem.covers(thetas[n]) for n in rest])
        if not covered.any():
            problem = problem.near(thetas[rest[0]])
            covered = np.array([problem.covers(thetas[n]) for n in rest])
            covered[0] = True
        yield problem, rest[covered]
        rest = rest[~covered]


def _call(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """Σ r² at up to as many θ as one call takes, filled up where every call must have one shape."""
    if not problem.forward.batches:
        return problem.costs(thetas)
    filled = np.concatenate([thetas, np.repeat(thetas[-1:], _AT_ONCE - len(thetas), axis=0)])
    return problem.costs(filled)[: len(thetas)]
