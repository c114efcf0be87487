"""Local descents of a least-squares objective within bounds, any number side by side.

Each is a Levenberg–Marquardt method: a step solves (JᵀJ + μ diag JᵀJ) d = −Jᵀr for the parameters that are not held by
a bound. Where the objective does not fall, or there is no spectrum, the step is taken back and μ grows, so that the
border of the unstable phase is a boundary like others. The loop runs on the host, over matrices of the size of θ; the
compiled functions give Jᵀr and JᵀJ, which is all that leaves the device.

Source: Marquardt, J. SIAM 11, 431 (1963); the change of μ: Nielsen, IMM-REP-1999-05, Technical University of Denmark;
bounds by projection: Kanzow, Yamashita and Fukushima, J. Comput. Appl. Math. 172, 375 (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from insiren.fit.problem import Normal, Problem

_FIRST = 1e-3  # μ: nearly a Gauss–Newton step
_MOST = 1e10  # μ at which a step is too short to matter
_LEAST = 1e-12  # μ and, relative to the largest, the curvature below which a parameter has no effect


class Ends(NamedTuple):
    """Where descents ended.

    Attributes:
        thetas: shape (s, p).
        costs: Σ r², shape (s,).
    """

    thetas: np.ndarray
    costs: np.ndarray


class Settings(NamedTuple):
    """When a descent ends.

    Attributes:
        steps: at most.
        move: of the width of the bounds: a shorter step is the last.
        gain: of Σ r²: the last step promises or brings less.
    """

    steps: int
    move: float
    gain: float


def descend(
    problem: Problem,
    starts: Float[np.ndarray, "s p"],
    settings: Settings,
    progress: Callable[[float], None] = lambda fraction: None,
    first: Normal | None = None,
) -> Ends:
    """Local minima within the bounds, one from each start.

    Args:
        problem: what is minimised.
        starts: shape (s, p), within the bounds.
        settings: when to end.
        progress: told the fraction of the steps done.
        first: the objective at the starts, where it is known already.
    """
    lower, upper = problem.choice.lower, problem.choice.upper
    width = upper - lower
    at = np.clip(starts, lower, upper)
    here = problem.normal(at) if first is None else first
    here = Normal(here.cost.copy(), here.gradient.copy(), here.gram.copy())
    mu, growth = np.full(len(at), _FIRST), np.full(len(at), 2.0)
    active = np.isfinite(here.cost)
    for n in range(settings.steps):
        tried, promised = at.copy(), np.zeros(len(at))
        for s in np.flatnonzero(active):
            step = _step(at[s], here.gradient[s] * width, here.gram[s] * np.outer(width, width), mu[s], lower, upper)
            tried[s] = np.clip(at[s] + step * width, lower, upper)
            step = (tried[s] - at[s]) / width
            curved = here.gram[s] * np.outer(width, width)
            promised[s] = -2 * step @ (here.gradient[s] * width) - step @ curved @ step
            active[s] = np.max(np.abs(step)) > settings.move and promised[s] > settings.gain * here.cost[s]
        if not active.any():
            break
        there = problem.normal(tried, active)
        for s in np.flatnonzero(active):
            gained = here.cost[s] - there.cost[s]
            if gained > 0:
                ratio = gained / promised[s]
                mu[s] = max(_LEAST, mu[s] * max(1 / 3, 1 - (2 * ratio - 1) ** 3))
                growth[s] = 2.0
                # a step that gained little for being short says nothing of the minimum
                active[s] = gained > settings.gain * here.cost[s]
                at[s] = tried[s]
                for old, new in zip(here, there, strict=True):
                    old[s] = new[s]
            else:
                mu[s], growth[s] = mu[s] * growth[s] * (1 if np.isfinite(there.cost[s]) else 5), growth[s] * 2
                active[s] = mu[s] < _MOST
        progress((n + 1) / settings.steps)
    return Ends(at, here.cost)


def _step(
    at: np.ndarray, gradient: np.ndarray, gram: np.ndarray, mu: float, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """The step in units of the bounds' widths; what would cross a bound stops there, and the others follow."""
    width = upper - lower
    room = (lower - at) / width, (upper - at) / width
    step = np.zeros(len(at))
    held: Bool[np.ndarray, " p"] = ((room[0] >= 0) & (gradient > 0)) | ((room[1] <= 0) & (gradient < 0))
    size = np.diag(gram)
    damped = gram + np.diag(mu * size + _LEAST * max(float(np.max(size)), 1e-300))
    for _ in range(len(at)):
        free = ~held
        if not free.any():
            break
        wanted = -(gradient + damped[:, held] @ step[held])[free]
        step[free] = np.linalg.solve(damped[np.ix_(free, free)], wanted)
        crossed = free & ((step < room[0]) | (step > room[1]))
        if not crossed.any():
            break
        step[crossed] = np.clip(step, *room)[crossed]
        held = held | crossed
    return step
