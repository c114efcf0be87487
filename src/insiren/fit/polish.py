"""What the exact simulator makes of the answer of a surrogate."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.problem import Problem
from insiren.fit.settle import settle

_STEPS = 4  # of the exact simulator: the surrogate's answer is close, and each step squares the distance

_CLOSE = 0.03  # of a standard error, which no error bar shows


def polished(problem: Problem, theta: np.ndarray, maps: list[Measured], noise: float) -> dict[str, Any] | None:
    """The answer after a few steps of the exact simulator; None where the Forward stands for none,
    or it has no spectrum there.

    The distance is what the surrogate's own error does to the answer, so that it belongs to its error bar.

    Args:
        problem: with a surrogate, prepared near θ.
        theta: its answer, shape (p,).
        maps: the data sets, in the order of the problem's.
        noise: the factor on the covariance.

    Returns:
        "exact" and "shift" by name, in the parameters' units, the objective of both simulators at θ, and of the
        exact one after the steps.
    """
    exact = problem.forward.exact
    if exact is None:
        return None
    known = {*problem.choice.names, *dict(problem.choice.fixed), *dict(problem.choice.ties)}
    rest = tuple((p.name, p.value) for p in exact.parameters if p.name not in known)
    choice = dataclasses.replace(problem.choice, fixed=(*problem.choice.fixed, *rest))
    peer = dataclasses.replace(problem, forward=exact.given(dict(choice.fixed)), choice=choice).near(theta)
    before = peer.objective(theta)
    if not np.isfinite(before):
        return None
    found = settle(peer, theta, maps, noise=noise, steps=_STEPS, close=_CLOSE)
    names = problem.choice.names
    return {
        "exact": dict(zip(names, found.theta.tolist(), strict=True)),
        "shift": dict(zip(names, (found.theta - theta).tolist(), strict=True)),
        "objective_surrogate": problem.objective(theta),
        "objective_exact": before,
        "objective_polished": found.objective,
    }
