"""The objective of the rough problem at quasi-random points of a box, for two searches independent of each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from insiren.fit.choice import Choice
from insiren.fit.draws import Boxes, drawn
from insiren.fit.peaks import INSTRUMENT, PeakProblem
from insiren.fit.problem import Problem

_DRAWN = 128  # points of each search in the first turn, in all boxes together
DESCENTS = 6  # of the best screened points, half of them of each search, besides the raw starts
_BLOCK = 64  # at once, and the fewest in a box
_BLUR = 2.0  # on the energy width: twice as wide valleys, of a map twice as hard to tell apart; 4 is too much


class Screened(NamedTuple):
    """Points that were looked at.

    Attributes:
        thetas: shape (n, p); the model's own is the first.
        values: of the objective with a blurred resolution, infinite where there is no spectrum, shape (n,).
        side: which of the two searches each is of, shape (n,).
        level: which of the boxes, shape (n,).
        fresh: whether no descent has begun there, shape (n,).
    """

    thetas: np.ndarray
    values: np.ndarray
    side: np.ndarray
    level: np.ndarray
    fresh: np.ndarray


def screened(
    wide: Problem | PeakProblem, within: Boxes, turn: int, starts: int, seed: int, told: Callable[[float], None]
) -> Screened:
    """Points of all boxes with the objective there.

    Args:
        wide: the rough problem with a blurred resolution, or one of peaks.
        within: the boxes.
        turn: counted from 0; each has twice the points of the last.
        starts: raw starts that are wanted of the whole box.
        seed: of the points.
        told: the fraction that is done.
    """
    levels = len(within.lower)
    many = np.full(levels, max(_BLOCK, _DRAWN // (1 << (levels - 1).bit_length())) << turn)
    many[0] = max(many[0], 1 << starts.bit_length())
    parts = [(drawn(within, k, int(many[k]), (seed, turn, side)), side, k) for side in (0, 1) for k in range(levels)]
    thetas = np.concatenate([points for points, _, _ in parts])
    if turn == 0:  # a descent finds a width; with the model's own fewer points find a ridge
        thetas[:, ~moving(wide.choice)] = as_given(wide.choice)[~moving(wide.choice)]
        thetas[0] = as_given(wide.choice)
    values = np.empty(len(thetas))
    for n in range(0, len(thetas), _BLOCK):
        block = thetas[n : n + _BLOCK]
        values[n : n + _BLOCK] = wide.costs(np.resize(block, (_BLOCK, thetas.shape[1])))[: len(block)]
        told((n + len(block)) / len(thetas))
    side, level = (np.concatenate([np.full(len(part[0]), part[which]) for part in parts]) for which in (1, 2))
    return Screened(thetas, values, side, level, np.ones(len(thetas), bool))


def more(before: Screened | None, now: Screened) -> Screened:
    """Both."""
    return now if before is None else Screened(*(np.concatenate(two) for two in zip(before, now, strict=True)))


def chosen(scan: Screened, raw: int, batch: int) -> tuple[np.ndarray, int]:
    """The points to descend from, of each search the best, then raw ones of the whole box; and how many are raw.

    Args:
        scan: the points so far.
        raw: how many are wanted.
        batch: how many at most where no raw ones are wanted.
    """
    alive = np.isfinite(scan.values) & scan.fresh
    rest = np.flatnonzero(alive & (scan.level == 0) & (np.arange(len(alive)) > 0))  # without the model's own
    place = np.concatenate([np.arange(n) for n in np.bincount(scan.side[rest], minlength=2)])
    starts = rest[np.argsort(place, kind="stable")][:raw]
    alive[starts] = False
    order = np.argsort(scan.values, kind="stable")
    each = (DESCENTS if raw else batch) // 2
    best = [order[alive[order] & (scan.side[order] == side)][:each] for side in (0, 1)]
    return np.concatenate([*best, starts]), len(starts)


def as_given(choice: Choice) -> np.ndarray:
    """The model's own values."""
    return np.array([p.value for p in choice.free])


def moving(choice: Choice) -> np.ndarray:
    """Which parameters move a ridge, shape (p,): not those of the instrument."""
    return np.array([p.name.partition("[")[0] not in INSTRUMENT for p in choice.free], bool)


def blurred(easy: Problem) -> Problem:
    """The same with a wider resolution in energy, where it has a width that is fixed and may be wider."""
    top = min((one.limits.get("width", (0.0, np.inf))[1] for one in easy.sources), default=np.inf)
    fixed = tuple(
        (name, max(value, min(_BLUR * value, top)) if name.partition("[")[0] == "width" else value)
        for name, value in easy.choice.fixed
    )
    return easy.chosen(dataclasses.replace(easy.choice, fixed=fixed))


def highest(problem: Problem) -> float:
    """The highest measured energy in meV."""
    return max(float(np.max(np.asarray(points.omega), initial=0.0)) for points in problem.points)
