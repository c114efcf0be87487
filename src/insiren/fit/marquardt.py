"""Local descents of a least-squares objective within bounds, any number side by side.

Each is a Levenberg–Marquardt method: a step solves (JᵀJ + μ diag JᵀJ) d = −Jᵀr for the parameters that are not held by
a bound. Where the objective does not fall, or there is no spectrum, the step is taken back and μ grows, so that the
border of the unstable phase is a boundary like others. Where residuals stay large JᵀJ is not the whole curvature, and
steps shrink by a constant factor only; so what the gradients of two points tell of the rest is added to it once steps
go as expected. The loop runs on the host, over matrices of the size of θ; the compiled functions give Jᵀr and JᵀJ,
which is all that leaves the device.

Source: Marquardt, J. SIAM 11, 431 (1963); the change of μ: Nielsen, IMM-REP-1999-05, Technical University of Denmark;
bounds by projection: Kanzow, Yamashita and Fukushima, J. Comput. Appl. Math. 172, 375 (2004); the rest of the
curvature: Dennis, Gay and Welsch, ACM Trans. Math. Softw. 7, 348 (1981).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from insiren.fit.problem import Normal, Problem

_FIRST = 1e-3  # μ: nearly a Gauss–Newton step
_MOST = 1e10  # μ at which a step is too short to matter
_TRUSTED = 0.5, 4.0  # gain over the promised one between which the curvature beyond JᵀJ is believed
_ROUNDING = 1e-7  # of Σ r²: a step that promises less and gains nothing has met the rounding of the objective
_LEAST = 1e-12  # μ and, relative to the largest, the curvature below which a parameter has no effect


class Ends(NamedTuple):
    """Where descents ended.

    Attributes:
        thetas: shape (s, p).
        costs: Σ r², shape (s,).
        grams: JᵀJ, shape (s, p, p).
    """

    thetas: np.ndarray
    costs: np.ndarray
    grams: np.ndarray


class Settings(NamedTuple):
    """When a descent ends.

    Attributes:
        steps: at most.
        move: of the width of the bounds, or of the valley where that is narrower: a shorter step is the last.
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
) -> Ends:
    """Local minima within the bounds, one from each start.

    Args:
        problem: what is minimised.
        starts: shape (s, p), within the bounds.
        settings: when to end.
        progress: told the fraction of the steps done.
    """
    lower, upper = problem.choice.lower, problem.choice.upper
    width = upper - lower
    at = np.clip(starts, lower, upper)
    here = _scaled(problem.normal(at), width)
    mu, growth = np.full(len(at), _FIRST), np.full(len(at), 2.0)
    beyond, believed = np.zeros_like(here.gram), np.zeros(len(at), bool)
    active = np.isfinite(here.cost)
    for n in range(settings.steps):
        tried, promised = at.copy(), np.zeros(len(at))
        for s in map(int, np.flatnonzero(active)):
            curved = here.gram[s] + (beyond[s] if believed[s] and _positive(here.gram[s] + beyond[s]) else 0)
            step = _step(at[s], here.gradient[s], curved, mu[s], lower, upper)
            tried[s] = np.clip(at[s] + step * width, lower, upper)
            step = (tried[s] - at[s]) / width
            promised[s] = -2 * step @ here.gradient[s] - step @ curved @ step
            far = np.max(np.abs(step) / _reach(here, s)) > settings.move
            active[s] = far and promised[s] > settings.gain * here.cost[s]
        if not active.any():
            break
        there = _scaled(problem.normal(tried, active), width)
        for s in map(int, np.flatnonzero(active)):
            gained = here.cost[s] - there.cost[s]
            if gained > 0:
                ratio = gained / promised[s]
                mu[s] = max(_LEAST, mu[s] * max(1 / 3, 1 - (2 * ratio - 1) ** 3))
                growth[s] = 2.0
                beyond[s] = _beyond(beyond[s], here.gradient[s], there, s, (tried[s] - at[s]) / width)
                believed[s] = _TRUSTED[0] < ratio < _TRUSTED[1]
                # a step that gained little for being short says nothing of the minimum
                active[s] = gained > settings.gain * here.cost[s]
                at[s] = tried[s]
                for old, new in zip(here, there, strict=True):
                    old[s] = new[s]
            else:
                mu[s], growth[s] = mu[s] * growth[s] * (1 if np.isfinite(there.cost[s]) else 5), growth[s] * 2
                believed[s] = False
                active[s] = mu[s] < _MOST and promised[s] > _ROUNDING * here.cost[s]
        progress((n + 1) / settings.steps)
    return Ends(at, here.cost, here.gram / np.outer(width, width))


def _scaled(found: Normal, width: np.ndarray) -> Normal:
    """A copy in units of the bounds' widths."""
    return Normal(found.cost.copy(), found.gradient * width, found.gram * np.outer(width, width))


def _reach(here: Normal, s: int) -> np.ndarray:
    """By how much parameters of the s-th descent can move before its objective doubles, 1 at most."""
    size = np.diagonal(here.gram[s])
    return np.sqrt(here.cost[s] / np.maximum(size, here.cost[s])) if here.cost[s] > 0 else np.ones(len(size))


def _positive(matrix: np.ndarray) -> bool:
    return bool(np.linalg.eigvalsh(matrix)[0] > 0)


def _beyond(before: np.ndarray, gradient: np.ndarray, there: Normal, s: int, step: np.ndarray) -> np.ndarray:
    """The curvature beyond JᵀJ, as the gradients at both ends of an accepted step of the s-th descent have it."""
    turned = there.gradient[s] - gradient
    along = float(turned @ step)
    if along <= 0:
        return np.zeros_like(before)
    rest = turned - there.gram[s] @ step
    size = abs(float(step @ before @ step))
    before = before * min(1.0, abs(float(step @ rest)) / size) if size > 0 else before
    left = rest - before @ step
    update = np.outer(left, turned) + np.outer(turned, left)
    return before + update / along - float(left @ step) * np.outer(turned, turned) / along**2


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
