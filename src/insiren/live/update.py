"""One update: the fit of all counts so far, from the last answer, or from a search of the whole box.

A warm start takes Gauss–Newton steps, each to the minimum of the problem with tangents in place of spectra (see
`expansion`), weights and backgrounds settled as in any fit. A step within a part of the errors is the last. The box is
searched again when the data say so: at the first update, when the neutrons have doubled since, when the answer moved by
more than its errors allow or its misfit grew, or when a point of the cached screen beats the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import scipp as sc

from insiren.errors import FitError, UnstableStructure
from insiren.fit.answer import answer_at
from insiren.fit.automatic import Open, resolve
from insiren.fit.expansion import Tangent, expanded, tangent
from insiren.fit.misfit import misfit
from insiren.fit.optimise import refine
from insiren.fit.pose import Posed, Wanted, pose
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.fit.reweight import End, descended
from insiren.fit.search import AGREE, search
from insiren.fit.systematics import with_structure
from insiren.fit.treatment import Treatment
from insiren.forward import Forward
from insiren.live.fold import grid_of
from insiren.live.stop import Quality

AGAIN = 2.0  # factor in neutrons after which the box is searched again
CHOOSE = 10.0  # factor in neutrons after which the data are asked again for weights and background
_CLOSE = 0.3  # σ: a step within it leaves an error of some hundredths of σ

Progress = Callable[[str, float], None]
Likely = Callable[[Posed], Sequence[np.ndarray]]
T = TypeVar("T")


class Asked(NamedTuple):
    """What a run fits with what, the same at every update.

    Attributes:
        forward: what simulates.
        wish: on data and backgrounds.
        wanted: on parameters.
        starts: raw starts of a search.
        seed: of its points.
    """

    forward: Forward
    wish: Treatment
    wanted: Wanted
    starts: int = 10
    seed: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Memory:
    """What later updates may use; all of it can be worked out again.

    Attributes:
        grids: of the data sets it holds for.
        theta: the last answer, shape (p,).
        problem: with its Forwards prepared.
        tangent: the last one.
        starts: raw starts of the last search, and how many agree.
        neutrons: at the last search.
        wish: on data and backgrounds, with what was chosen where the data decide.
        choices: what was chosen and why, as `Fit.choices` has it.
        chosen: neutrons when it was.
    """

    grids: tuple[str, ...]
    theta: np.ndarray
    problem: Problem
    tangent: Tangent
    starts: tuple[int, int]
    neutrons: float
    wish: Treatment
    choices: dict[str, dict[str, Any]]
    chosen: float

    def kept(self, neutrons: float) -> Kept:
        """The same choice after a search at so many neutrons."""
        return Kept(neutrons, self.wish, self.choices, self.chosen)


class Kept(NamedTuple):
    """What a choice is kept by: the last four of `Memory`."""

    neutrons: float
    wish: Treatment
    choices: dict[str, dict[str, Any]]
    chosen: float


class Update(NamedTuple):
    """An answer, whether the box was searched for it, and what the next update may use."""

    fit: Fit
    searched: bool
    memory: Memory


def posed(asked: Asked, sets: Sequence[sc.DataArray], memory: Memory | None) -> Posed:
    """The problem of the data sets, prepared as the last one where it is on the same pixels."""
    wish = asked.wish if memory is None else memory.wish
    made = pose([asked.forward] * len(sets), sets, wish, asked.wanted)
    if memory is not None and memory.grids == grids(sets) and made.problem.choice == memory.problem.choice:
        return made._replace(problem=dataclasses.replace(made.problem, prepared=memory.problem.prepared))
    return made


def grids(sets: Sequence[sc.DataArray]) -> tuple[str, ...]:
    """Of each data set."""
    return tuple(map(grid_of, sets))


def searched(
    asked: Asked, sets: Sequence[sc.DataArray], neutrons: float, likely: Likely, memory: Memory | None,
    progress: Progress,
) -> Update:  # fmt: skip
    """The answer after a search of the box.

    The first time it is the search of a fit, whose raw starts are counted; later the screen takes its place.

    Args:
        asked: what is fitted.
        sets: the data.
        neutrons: in them.
        likely: gives the θ from which a descent on all pixels is worth it.
        memory: of the last update, or None.
        progress: told the stage and the fraction done.

    Raises:
        FitError: nothing within the bounds has a spectrum.
    """
    made = posed(asked, sets, memory)
    again = memory is not None and memory.grids == grids(sets) and made.problem.choice == memory.problem.choice
    tried = [*([memory.theta] if again and memory is not None else []), *likely(made)]
    starts, found = memory.starts if memory is not None else (asked.starts, 0), None
    if not again:
        found = search(made.problem, asked.starts, asked.seed, progress, turns=1)  # the screen looks again
        tried = [*tried, *found.minima]

    def descent(theta: np.ndarray) -> End | None:
        problem = made.problem if again and made.problem.covers(theta) else made.problem.near(theta)
        return descended(problem, tangent(problem, theta), made.noises, _CLOSE)

    ends, lost = ends_of(tried, made.problem.choice.upper - made.problem.choice.lower, descent, progress)
    if lost:
        try:
            theta, problem = refine(made.problem, np.array(lost), made.noises, None, progress)
            ends.append(End(theta, expanded(problem, tangent(problem, theta)), problem))
        except (FitError, UnstableStructure):  # none of them has a spectrum on all pixels
            if not ends:
                raise
    best = min(ends, key=lambda end: misfit(end.at, end.theta, made.maps))
    if found is not None:
        starts = asked.starts, found.reaching(best.theta, made.problem.choice)
    if memory is not None and memory.grids == grids(sets) and neutrons < CHOOSE * memory.chosen:
        return _answered(asked, sets, made, best, starts, memory.kept(neutrons), True)
    return _chosen(asked, sets, made, best, starts, neutrons, progress)


def _chosen(
    asked: Asked, sets: Sequence[sc.DataArray], made: Posed, best: End, starts: tuple[int, int], neutrons: float,
    progress: Progress,
) -> Update:  # fmt: skip
    """The answer with what is left open chosen by the data."""
    posed = pose([asked.forward] * len(sets), sets, asked.wish, asked.wanted)
    left = Open([asked.forward] * len(sets), list(sets), {"chosen": False, "asked": True}, asked.wish)
    problem = dataclasses.replace(best.problem, data=best.at.data)
    found = resolve(posed, problem, best.theta, left, sets, asked.wanted, progress)
    if found.problem is not problem:
        best = End(found.theta, expanded(found.problem, tangent(found.problem, found.theta)), found.problem)
    kept = Kept(neutrons, found.posed.wish, found.facts, neutrons)
    return _answered(asked, sets, made, best, starts, kept, True)


def warmed(asked: Asked, sets: Sequence[sc.DataArray], memory: Memory) -> Update | None:
    """The answer from the last one, or None where the tangents do not lead to a minimum."""
    made = posed(asked, sets, memory)
    if memory.grids != grids(sets) or made.problem.choice != memory.problem.choice:
        return None
    end = descended(made.problem, memory.tangent, made.noises, _CLOSE, memory.theta)
    return (
        None if end is None else _answered(asked, sets, made, end, memory.starts, memory.kept(memory.neutrons), False)
    )


def ends_of(
    starts: Sequence[np.ndarray],
    width: np.ndarray,
    descent: Callable[[np.ndarray], T | None],
    progress: Progress,
) -> tuple[list[T], list[np.ndarray]]:
    """Where descents from the starts end; none is made from beside a start that has led to an end.

    Args:
        starts: θ, each (p,).
        width: of the bounds, (p,).
        descent: gives the end, or None where it finds none.
        progress: told the stage and the fraction done.

    Returns:
        The ends, and the starts that led to none, with none beside them that did.
    """
    ends, left, lost = [], [], []
    beside = lambda theta: any(np.all(np.abs(theta - one) <= AGREE * width) for one in left)  # noqa: E731
    for n, theta in enumerate(starts):
        progress("fit", n / len(starts))
        if beside(theta):
            continue
        if (end := descent(theta)) is None:
            lost.append(theta)
        else:
            ends.append(end)
            left.append(theta)
    return ends, [theta for theta in lost if not beside(theta)]


def _answered(
    asked: Asked, sets: Sequence[sc.DataArray], made: Posed, end: End, starts: tuple[int, int], kept: Kept, anew: bool
) -> Update:
    wish = kept.wish
    answer = answer_at(end.at, end.theta, made.maps, wish.background, starts)
    settings = {"seed": asked.seed, "preset": None, "weights": wish.weights, "robust": wish.robust}
    settings["each"] = list(end.at.choice.each)
    answer = with_structure(dataclasses.replace(answer, warnings=made.remarks, settings=settings, choices=kept.choices))
    return Update(answer, anew, Memory(grids(sets), end.theta, end.problem, end.at.tangent, starts, *kept))


def quality(fit: Fit) -> Quality | None:
    """Pearson's χ² of the answer, and how far from 1 it may be; with few counts a deviance is no χ².

    For counts of mean μ, (n − μ)²/μ has the variance 2 + 1/μ.

    Source: McCullagh and Nelder, Generalized Linear Models, 2nd ed. (1989), section 4.2.
    """
    if fit.chi2_reduced is None:
        return None
    square, spread, pixels = 0.0, 0.0, 0
    for one, target in zip(fit.maps, fit.problem.data, strict=True):
        used = one.measured.used
        weight = np.asarray(target.weight)[used]
        square += float(np.sum(weight * (one.intensity - np.asarray(one.profile.model))[used] ** 2))
        spread += 2.0 * used.sum()
        if fit.objective == "poisson" and one.measured.norm is not None:
            spread += float(np.sum(weight / one.measured.norm[used] ** 2))  # the weight is norm²/μ
        pixels += int(used.sum())
    freedom = max(1.0, fit.objective_value / fit.chi2_reduced) if fit.chi2_reduced else float(pixels)
    return Quality(square / freedom, float(np.sqrt(spread)) / freedom)


def why_search(
    memory: Memory | None, sets: Sequence[sc.DataArray], neutrons: float
) -> str | None:  # fmt: skip
    """Why the box is to be searched before a warm start is tried, in words, or None."""
    if memory is None:
        return "the first answer of this process"
    if memory.grids != grids(sets):
        return "a data set has been added"
    if neutrons >= AGAIN * memory.neutrons:
        return "the neutrons have doubled since the last search"
    if neutrons < memory.neutrons:
        return "there are fewer neutrons than at the last search"
    return None


def options(wish: Treatment, wanted: Wanted, starts: int, seed: int) -> dict[str, Any]:
    """What makes one run another, as JSON holds it."""
    plain: Mapping[str, Any] = {**wish._asdict(), **wanted._asdict(), "starts": starts, "seed": seed}
    return {key: value for key, value in plain.items() if key != "template"}
