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

import jax.numpy as jnp
import numpy as np
from scipy.stats import qmc

from insiren.errors import FitError
from insiren.fit.marquardt import Ends, Settings, descend
from insiren.fit.objective import Target, picked
from insiren.fit.problem import Choice, Problem
from insiren.forward import Points

SCREENED = 256  # quasi-random points of the box
_BLOCK = 64  # of them at once
_DESCENTS = 4  # of the best screened points, besides the raw starts
_SEARCH_COLUMNS = 64  # wavevectors of the rough problem, all data sets together
_SEARCH_ROWS = 61  # energies of each
_SEARCH_FEW = 40, 41  # the same for a Forward whose draft is no cheaper than itself
_SEARCH_POINTS = 4000  # pixels of lists of points, all data sets together
_REACH = 0.1  # r.l.u. or 1/Å: counts of a column farther than this from the middle one are not added to it
_FINALISTS = 3  # minima of the rough problem that are refined on all pixels
_CLOSE = 1.01  # where their objective is within this factor of the best
_DOUBTFUL = 30.0  # or, of counts, their deviance within so much of the best: what gathering may have cost
AGREE = 0.02  # of the width of a bound: closer counts as the same minimum
_ROUGHLY = Settings(steps=25, move=1e-5, gain=1e-4)  # what has not arrived by then is on its way elsewhere

Progress = Callable[[str, float], None]  # (stage, fraction done)


class Found(NamedTuple):
    """What the search found.

    Attributes:
        minima: of the rough problem, best first, shape (m, p).
        agree: how many raw starts descend to each, shape (m,).
    """

    minima: np.ndarray
    agree: np.ndarray

    def reaching(self, theta: np.ndarray, choice: Choice) -> int:
        """How many raw starts descend to the minimum that an answer on all pixels was refined from: the nearest."""
        apart = np.max(np.abs(self.minima - theta) / (choice.upper - choice.lower), axis=1)
        return int(self.agree[np.argmin(apart)])


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
    counted = all(t.exposure is not None for t in problem.data)
    return _distinct(ends, len(best), problem.choice.upper - problem.choice.lower, _DOUBTFUL if counted else 0.0)


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


def _distinct(ends: Ends, screened: int, width: np.ndarray, doubtful: float) -> Found:
    """The distinct minima that may be the best, and how many descents after the screened ones end in each."""
    order = np.argsort(ends.costs, kind="stable")
    distinct, lowest = [ends.thetas[order[0]]], ends.costs[order[0]]
    for n in order[1:]:
        apart = all(np.any(np.abs(ends.thetas[n] - x) > AGREE * width) for x in distinct)
        if apart and len(distinct) < _FINALISTS and ends.costs[n] < max(_CLOSE * lowest, lowest + doubtful):
            distinct.append(ends.thetas[n])
    apart = np.abs(ends.thetas[screened:] - np.array(distinct)[:, None])
    return Found(np.array(distinct), np.sum(np.all(apart < AGREE * width, axis=2), axis=1))


def rough(problem: Problem, seed: int) -> Problem:
    """The same problem on a part of the pixels and the draft of each Forward that can give a part."""
    rng = np.random.default_rng(seed)
    points, data, drafts = [], [], []
    for forward, where, what in zip(problem.sources, problem.points, problem.data, strict=True):
        draft = forward.draft if forward.pointwise else forward
        drafts.append(draft)
        columns, most = _SEARCH_FEW if draft is forward else (_SEARCH_COLUMNS, _SEARCH_ROWS)
        share = max(1, columns // len(problem.points))
        if forward.pointwise:
            if where.is_table and what.exposure is not None:
                where, what = _gathered(where, what, share, most)
            elif where.is_table:
                where, pick = _part(where, share, most)
                what = picked(what, pick)
            else:
                pick = np.sort(rng.permutation(len(where))[: _SEARCH_POINTS // len(problem.points)])
                where, what = where.subset(pick), picked(what, pick)
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


def _part(where: Points, share: int, most: int) -> tuple[Points, np.ndarray]:
    """Some columns and energies of a table, and the numbers of their pixels."""
    q, w = where.rows.shape
    columns = np.unique(np.linspace(0, q - 1, min(q, share)).round().astype(int))
    rows = np.arange(0, w, -(-w // most))  # evenly: energies as close as the resolution add nothing
    few = where.columns(columns)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    return Points.table(hkl, few.rows[:, rows], Q_abs=Q_abs, bins=few.bins), (columns[:, None] * w + rows).reshape(-1)


def _gathered(where: Points, what: Target, share: int, most: int) -> tuple[Points, Target]:
    """A table of counts with neighbouring columns and energies added up, so that every neutron speaks.

    What is gathered lies at the middle column and the mean energy; the ridge is smeared by a little more than the
    distance of the neighbours, which a descent on all pixels then removes.
    """
    q, w = where.rows.shape
    wide, high = -(-q // share), -(-w // most)
    middle = np.minimum(np.arange(0, q, wide) + wide // 2, q - 1)
    place = np.asarray(where.hkl if where.Q_abs is None else np.asarray(where.Q_abs)[:, None])
    block = np.arange(q) // wide
    near = np.linalg.norm(place - place[middle[block]], axis=1) <= _REACH
    row = np.arange(w) // high
    rows = np.add.reduceat(np.asarray(where.rows), np.arange(0, w, high), axis=1)[middle] / np.bincount(row)
    few = where.columns(middle)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    cell, cells = (block[:, None] * (row[-1] + 1) + row)[near].ravel(), len(middle) * (row[-1] + 1)
    exposure, n = (
        np.bincount(cell, np.asarray(x).reshape(q, w)[near].ravel(), cells) for x in (what.exposure, what.counts.n)
    )
    group = np.asarray(what.group).reshape(q, w)[np.ix_(middle, np.arange(0, w, high))].ravel()
    intensity = np.where(exposure > 0, n / np.where(exposure > 0, exposure, 1.0), 0.0)
    values, seen, at, norm = (jnp.asarray(x) for x in (intensity, (exposure > 0).astype(float), group, exposure))
    added = Target(values, seen, at, what.groups, exposure=norm)
    return Points.table(hkl, rows, Q_abs=Q_abs, bins=few.bins), added
