"""The global search: the whole box on a rough problem, and the minima that are worth all pixels.

The likelihood of a magnon map has many local minima: a start far off puts the ridge outside
the data. So the whole box is screened at quasi-random points on a rough problem (few wavevectors and
energies, coarse quadrature), and the best few and some raw starts descend there, all at once. The share of raw
starts that reach the best minimum says how rugged the objective is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import qmc

from insiren.errors import FitError
from insiren.fit.marquardt import Ends, Settings, descend
from insiren.fit.objective import picked
from insiren.fit.problem import Problem
from insiren.forward import Points

SCREENED = 256  # quasi-random points of the box
_BLOCK = 64  # of them at once
_DESCENTS = 4  # of the best screened points, besides the raw starts
_SEARCH_COLUMNS = 64  # wavevectors of the rough problem, all data sets together
_SEARCH_ROWS = 61  # energies of each
_SEARCH_POINTS = 4000  # pixels of lists of points, all data sets together
_FINALISTS = 3  # minima of the rough problem that are refined on all pixels
_CLOSE = 1.01  # where their objective is within this factor of the best
AGREE = 0.02  # of the width of a bound: closer counts as the same minimum
_ROUGHLY = Settings(steps=40, move=1e-5, gain=1e-6)

Progress = Callable[[str, float], None]  # (stage, fraction done)


class Found(NamedTuple):
    """What the search found.

    Attributes:
        minima: of the rough problem, best first, shape (m, p).
        agree: how many raw starts descend to the first.
    """

    minima: np.ndarray
    agree: int


def search(
    problem: Problem,
    starts: int,
    seed: int,
    progress: Progress,
    likely: Callable[[np.ndarray], None] = lambda theta: None,
) -> Found:
    """The best minima of the rough problem.

    Args:
        problem: on all pixels.
        starts: raw starts whose descents are counted.
        seed: of the quasi-random points.
        progress: told the stage and the fraction done.
        likely: told the best screened point before the descents, so that work there can begin.

    Raises:
        FitError: no point within the bounds has a spectrum.
    """
    progress("search", 0.0)
    easy = rough(problem, seed)
    tried, values = _screen(easy, starts, seed, progress)
    alive = np.flatnonzero(np.isfinite(values))
    if not len(alive):
        _explain(problem, tried)
    likely(tried[np.argmin(values)])
    raw = alive[alive > 0][:starts]
    best = [n for n in alive[np.argsort(values[alive], kind="stable")] if n not in raw][:_DESCENTS]
    which = np.array([*best, *raw], int)
    which = np.concatenate(
        [which, np.full(max(0, _DESCENTS + starts - len(which)), which[0])]
    )  # one shape, one compile
    ends = descend(easy, tried[which], _ROUGHLY, lambda part: progress("search", 0.5 + 0.5 * part))
    ends = Ends(ends.thetas[: len(best) + len(raw)], ends.costs[: len(best) + len(raw)])
    progress("search", 1.0)
    return _distinct(ends, len(best), problem.choice.upper - problem.choice.lower)


def _screen(easy: Problem, starts: int, seed: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Points of the box, the model's own first, and the objective at each."""
    choice = easy.choice
    width = choice.upper - choice.lower
    sobol = qmc.Sobol(len(width), rng=seed).random(max(SCREENED, 1 << int(np.ceil(np.log2(starts + 1)))))
    tried = choice.lower + sobol * width
    tried[0] = [p.value for p in choice.free]
    values = np.empty(len(tried))
    for n in range(0, len(tried), _BLOCK):
        values[n : n + _BLOCK] = easy.costs(tried[n : n + _BLOCK])
        progress("search", 0.5 * (n + _BLOCK) / len(tried))
    return tried, values


def _explain(problem: Problem, tried: np.ndarray) -> None:
    """Raises the error that says why there is no spectrum anywhere."""
    first = problem.choice.values(tried[0])
    if endless := [name for name, value in first.items() if not np.isfinite(value)]:
        raise FitError(f"{', '.join(endless)} has no finite value at the start; correct the tie.")
    problem.check(tried[0])
    raise FitError(
        f"None of {len(tried)} points within the bounds has a finite objective: the structure is unstable "
        "everywhere, or the data hold no signal. Change the bounds or the model."
    )


def _distinct(ends: Ends, screened: int, width: np.ndarray) -> Found:
    """The distinct minima that may be the best, and how many descents after the screened ones end in the first."""
    order = np.argsort(ends.costs, kind="stable")
    winner, distinct = ends.thetas[order[0]], [ends.thetas[order[0]]]
    for n in order[1:]:
        apart = all(np.any(np.abs(ends.thetas[n] - x) > AGREE * width) for x in distinct)
        if apart and len(distinct) < _FINALISTS and ends.costs[n] < _CLOSE * ends.costs[order[0]]:
            distinct.append(ends.thetas[n])
    same = np.all(np.abs(ends.thetas[screened:] - winner) < AGREE * width, axis=1)
    return Found(np.array(distinct), int(same.sum()))


def rough(problem: Problem, seed: int) -> Problem:
    """The same problem on a part of the pixels and the draft of each Forward that can give a part."""
    rng = np.random.default_rng(seed)
    share = max(1, _SEARCH_COLUMNS // len(problem.points))
    points, data, drafts = [], [], []
    for forward, where, what in zip(problem.sources, problem.points, problem.data, strict=True):
        if not forward.pointwise:
            drafts.append(forward)
        else:
            drafts.append(forward.draft)
            if where.is_table:
                where, pick = _part(where, share)
            else:
                pick = np.sort(rng.permutation(len(where))[: _SEARCH_POINTS // len(problem.points)])
                where = where.subset(pick)
            what = picked(what, pick)
        points.append(where)
        data.append(what)
    return dataclasses.replace(
        problem,
        forward=drafts[0],
        prepared=tuple(drafts),
        points=tuple(points),
        data=tuple(data),
        forwards=tuple(drafts) if problem.forwards else (),
    )


def _part(where: Points, share: int) -> tuple[Points, np.ndarray]:
    """Some columns and energies of a table, and the numbers of their pixels."""
    q, w = where.rows.shape
    columns = np.unique(np.linspace(0, q - 1, min(q, share)).round().astype(int))
    rows = np.arange(0, w, -(-w // _SEARCH_ROWS))  # evenly: energies as close as the resolution add nothing
    few = where.columns(columns)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    return Points.table(hkl, few.rows[:, rows], Q_abs=Q_abs, bins=few.bins), (columns[:, None] * w + rows).reshape(-1)
