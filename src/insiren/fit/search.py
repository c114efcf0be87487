"""The global search: the whole box on a rough problem, and the minima that are worth all pixels.

The likelihood of a magnon map has many local minima: a start far off puts the ridge outside the data. So the box is
screened at quasi-random points (see `draws`) on a rough problem (see `rough`), and the best few and some raw starts
descend there, all at once. This is done twice, with independent points. Where the two searches end in different minima,
or a valley may lie between the points of a wide box, both go on with twice as many points. The share of raw starts that
reach the best minimum says how rugged the objective is.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from insiren.errors import FitError, InsirenError
from insiren.fit.choice import Choice
from insiren.fit.draws import Boxes, boxes
from insiren.fit.marquardt import Settings, descend
from insiren.fit.peaks import JointProblem
from insiren.fit.problem import Problem
from insiren.fit.rough import rough
from insiren.fit.screening import DESCENTS, Screened, as_given, blurred, chosen, highest, more, moving, screened
from insiren.fit.valley import metric, share

TURNS = 5  # at most, each with twice the points of the last
PATIENCE = 60.0  # s of processor time: no turn begins later
_PATIENT = 240.0  # the same where too few points have been looked at to give an answer
ENOUGH = 4.0  # points that are to be expected in a valley like the answer's: none has a chance of 2 %
FEW = 2.0  # of them, below which there is no answer: none has a chance of 14 %
_SAME = 0.02  # of what the signal explains: descents to one minimum of the rough problem end within it
_FINALISTS = 3  # minima of the rough problem that are refined on all pixels, and as many that are unstable somewhere
_CLOSE = 1.01  # where their objective is within this factor of the best
_DOUBTFUL = 30.0  # or, of counts, their deviance within so much of the best: what gathering may have cost
AGREE = 0.02  # of the width of a bound, or of the scale of the answer: closer counts as the same minimum
_ROUGHLY = Settings(steps=25, move=1e-5, gain=1e-4)  # what has not arrived by then is on its way elsewhere

Progress = Callable[[str, float], None]  # (stage, fraction done)


class Found(NamedTuple):
    """What the search found.

    Attributes:
        minima: of the rough problem, best first, shape (m, p).
        agree: how many raw starts descend to each, shape (m,).
        pair: the best minimum of each of the two searches, shape (2, p); NaN where there is none.
        costs: of the rough problem there, shape (2,).
        same: whether one is as good as the other.
        points: that were screened.
        expected: how many of them are to be expected in a valley as narrow as that of the best minimum; infinite where
            the box is not wide.
    """

    minima: np.ndarray
    agree: np.ndarray
    pair: np.ndarray
    costs: np.ndarray
    same: bool
    points: int
    expected: float

    def reaching(self, theta: np.ndarray, choice: Choice) -> int:
        """How many raw starts descend to the minimum that an answer on all pixels was refined from: the nearest."""
        apart = np.max(np.abs(self.minima - theta) / (choice.upper - choice.lower), axis=1)
        return int(self.agree[np.argmin(apart)])

    @property
    def covered(self) -> bool:
        """Whether a valley like that of the answer would hardly have been missed."""
        return self.expected >= ENOUGH


class _Descents(NamedTuple):
    """Ends of descents.

    Attributes:
        thetas, costs, grams: as `Ends` has them.
        side: which of the two searches each is of.
        raw: whether its start was raw.
    """

    thetas: np.ndarray
    costs: np.ndarray
    grams: np.ndarray
    side: np.ndarray
    raw: np.ndarray


def search(
    problem: Problem,
    starts: int,
    seed: int,
    progress: Progress,
    likely: Callable[[np.ndarray], None] = lambda theta: None,
    turns: int = TURNS,
) -> Found:
    """The best minima of the rough problem.

    Args:
        problem: on all pixels.
        starts: raw starts whose descents are counted.
        seed: of the quasi-random points.
        progress: told the stage and the fraction done.
        likely: told the best screened point before the descents, so that work there can begin.
        turns: at most, each with twice the points of the last.

    Raises:
        FitError: no point within the bounds has a spectrum.
    """
    progress("search", 0.0)
    begun, easy = time.process_time(), rough(problem, seed)
    within, batch, wide = boxes(problem.choice, highest(problem)), DESCENTS + starts, blurred(easy)
    scan, ended, found = None, None, None
    for turn in range(turns):
        step = lambda part, turn=turn: progress("search", 1 - (1 - part / 2) / 2**turn)  # noqa: E731
        scan = more(scan, screened(wide, within, turn, starts, seed, lambda part, step=step: step(part / 2)))
        which, raw = chosen(scan, starts if ended is None else 0, batch)
        if not len(which):
            continue
        if ended is None:
            likely(scan.thetas[np.argmin(scan.values)])
        now = _descended(easy, scan, which, raw, batch, lambda part, step=step: step(0.5 + part / 2))
        scan.fresh[which] = False
        ended = now if ended is None else _Descents(*(np.concatenate(two) for two in zip(ended, now, strict=True)))
        if not np.isfinite(ended.costs).any():
            continue
        found = _found(problem, easy, within, scan, ended, batch)
        patience = PATIENCE if found.expected >= FEW else _PATIENT
        if (found.same and found.covered) or time.process_time() - begun > patience:
            break
    progress("search", 1.0)
    assert scan is not None
    if found is None:
        raise _without_spectrum(problem, scan.thetas)
    return found


def _descended(
    easy: Problem, scan: Screened, which: np.ndarray, raw: int, batch: int, step: Callable[[float], None]
) -> _Descents:
    """The ends of descents from screened points, the last of which are raw."""
    many = len(which)
    filled = np.concatenate([which, np.repeat(which[:1], batch - many)])  # one shape, one compile
    thetas, costs, grams = (x[:many] for x in descend(easy, scan.thetas[filled], _ROUGHLY, step))
    return _Descents(thetas, costs, grams, scan.side[which], np.arange(many) >= many - raw)


def _found(problem: Problem, easy: Problem, within: Boxes, scan: Screened, ended: _Descents, batch: int) -> Found:
    """What the descents have found so far."""
    order = [int(n) for n in np.argsort(ended.costs, kind="stable") if np.isfinite(ended.costs[n])]
    stable = functools.cache(lambda n: is_stable(lambda: problem.check(ended.thetas[n])))
    firsts = [next((n for n in order if ended.side[n] == side and stable(n)), None) for side in (0, 1)]
    best = min((n for n in firsts if n is not None), key=lambda n: ended.costs[n], default=order[0])
    explained = max(float(np.max(scan.values[np.isfinite(scan.values)])) - ended.costs[best], 0.0)
    pair = np.array([np.full_like(scan.thetas[0], np.nan) if n is None else ended.thetas[n] for n in firsts])
    costs = np.array([np.inf if n is None else ended.costs[n] for n in firsts])
    near = AGREE * within.around(ended.thetas[best])
    slack = _SAME * explained + _noise(problem, easy, ended.costs[best])
    rivals = _rivals(problem, order, ended, best)
    minima = ended.thetas[_distinct(rivals, ended, stable, near, slack)]
    reached = np.abs(ended.thetas[ended.raw] - minima[:, None]) < near
    return Found(
        minima=minima,
        agree=np.sum(np.all(reached, axis=2), axis=1),
        pair=pair,
        costs=costs,
        same=bool(np.isfinite(costs).all() and abs(costs[1] - costs[0]) <= slack),
        points=len(scan.thetas),
        expected=_expected(easy, within, scan, ended.thetas[best], batch) if within.wide else np.inf,
    )


def is_stable(check: Callable[[], None]) -> bool:
    """Whether a check finds an answer: a structure may be unstable at wavevectors that the data do not hold."""
    try:
        check()
    except InsirenError:
        return False
    return True


def _noise(problem: Problem, easy: Problem, cost: float) -> float:
    """χ² of a pixel, by which minima of the rough problem may differ."""
    if problem.kind == "pearson":
        return 0.0
    return max(1.0, cost / max(1, sum(int(np.sum(np.asarray(t.weight) > 0)) for t in easy.data)))


def _rivals(problem: Problem, order: list[int], ended: _Descents, best: int) -> list[int]:
    """Ends that may be the best on all pixels."""
    counted = all(t.exposure is not None for t in problem.data)
    limit = max(_CLOSE * ended.costs[best], ended.costs[best] + (_DOUBTFUL if counted else 0.0))
    return [n for n in order if ended.costs[n] <= limit]


def _distinct(
    rivals: list[int], ended: _Descents, stable: Callable[[int], bool], near: np.ndarray, slack: float
) -> list[int]:
    """Those of them that are minima of their own; one that is unstable takes no other's place."""
    taken: list[int] = []
    for n in rivals:
        alike = [m for m in taken if stable(m) == stable(n)]
        away = [ended.thetas[n] - ended.thetas[m] for m in alike]
        same = (np.all(np.abs(d) <= near) or d @ ended.grams[m] @ d <= slack for d, m in zip(away, alike, strict=True))
        if len(alike) < _FINALISTS and not any(same):
            taken.append(n)
    return taken


def _expected(easy: Problem, within: Boxes, scan: Screened, theta: np.ndarray, batch: int) -> float:
    """How many of the screened points are to be expected in a valley as narrow as a sharp spectrum has at θ."""
    moved, wide = moving(easy.choice), blurred(easy)
    if isinstance(wide, JointProblem):
        wide = wide.maps
    M = metric(wide, np.where(moved, theta, as_given(easy.choice)), batch)[np.ix_(moved, moved)]
    many = np.bincount(scan.level, minlength=len(within.lower))
    inside = np.flatnonzero(np.all((within.lower <= theta) & (theta <= within.upper), axis=1))
    return float(sum(many[k] * share(M, (within.upper - within.lower)[k][moved]) for k in inside))


def _without_spectrum(problem: Problem, tried: np.ndarray) -> FitError:
    """The error that says why there is no spectrum anywhere, unless a check says it."""
    first = problem.choice.values(tried[0])
    if endless := [name for name, value in first.items() if not np.isfinite(value)]:
        return FitError(f"{', '.join(endless)} has no finite value at the start; correct the tie.")
    problem.check(tried[0])
    return FitError(
        f"None of {len(tried)} points within the bounds has a finite objective: the structure is unstable "
        "everywhere, or the data hold no signal. Change the bounds or the model."
    )
