"""The objective at many θ in few compiled calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

from insiren.fit.problem import Problem

_AT_ONCE = 128  # θ in one call: long enough that Python costs nothing, short enough to tell progress


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
        calls = [which[n : n + _AT_ONCE] for n in range(0, len(which), _AT_ONCE)]
        # two threads, where the Forward allows, keep two cores busy: one spectrum is too small to share out well
        with ThreadPoolExecutor(2 if problem.forward.parallel else 1) as pool:
            for call, values in zip(calls, pool.map(lambda c, p=prepared: _call(p, thetas[c]), calls), strict=True):
                found[call] = values
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
    """Σ r² at up to as many θ as one call takes, filled up so that every call has one shape."""
    filled = np.concatenate([thetas, np.repeat(thetas[-1:], _AT_ONCE - len(thetas), axis=0)])
    return problem.costs(filled)[: len(thetas)]
