"""The choices that a user leaves open: legs, weights and background, by what the data say of them.

A search needs none of them: it runs with one background value for each energy and the σ of the data, which is quick.
At its minimum the spectra and their derivatives are worked out once, and every background is fitted with these
tangents, which asks the simulator nothing. The first within the mark of `compare` from the largest marginal likelihood
is taken; from there the answer is descended to with the spectra themselves.

Legs and weights are not compared by likelihood. Legs are what the data show at the corners of a path (`separate_legs`).
The likelihood of σ that follow each pixel's own fluctuation is not one of the data, since it takes them for known; that
they do is seen in the scatter of neighbours (`follow_counts`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.legs import legs, separate_legs
from insiren.data.scatter import follow_counts
from insiren.data.spectrum import Measured
from insiren.errors import InsirenError
from insiren.fit.compare import STRONG
from insiren.fit.evidence import surprise
from insiren.fit.expansion import Expanded, Tangent, expanded, tangent
from insiren.fit.objective import Target, nuisance
from insiren.fit.pose import Posed, Wanted, pose
from insiren.fit.problem import Problem
from insiren.fit.reweight import CLOSE, descended, lowest, settle
from insiren.fit.search import Progress
from insiren.fit.treatment import AUTO, Treatment, aimed
from insiren.fit.weights import Noise
from insiren.forward import Forward

FOLLOW = 0.2  # rank correlation from which σ are those of each pixel's own counts; measured ones have 0.5 to 0.7
_TRIED = ("per-energy", "smooth", "lowrank")
_COLUMNS = 8  # wavevectors of a data set, from which a background along Q is more than its noise
_NUMBERS = 4e7  # values of functions (0.3 GB), beyond which a background would take minutes and the memory of a laptop


class Open(NamedTuple):
    """What is left open.

    Attributes:
        sources: what simulates each of the data sets.
        sets: the data sets, by legs where these stand apart.
        of_legs: what was decided on them, see `by_legs`.
        wish: with "auto" where the data decide.
    """

    sources: list[Forward]
    sets: list[sc.DataArray]
    of_legs: dict[str, Any]
    wish: Treatment


class Resolved(NamedTuple):
    """The answer with the choices made: see `Posed` and `Fit.choices`."""

    theta: np.ndarray
    problem: Problem
    posed: Posed
    facts: dict[str, dict[str, Any]]


def by_legs(
    sources: Sequence[Forward], sets: Sequence[sc.DataArray], wanted: bool | None
) -> tuple[list[Forward], list[sc.DataArray], dict[str, Any]]:
    """Data sets by the legs of their paths, each with its Forward, and what was decided on them.

    Args:
        sources: what simulates each data set.
        sets: the data sets.
        wanted: whether legs stand apart; None where the data decide.
    """
    found, why = [], {}
    for source, one in zip(sources, sets, strict=True):
        apart, said = (wanted, "") if wanted is not None else separate_legs(one)
        why[one.name] = said
        found += [(source, leg) for leg in (legs(one, None, np.eye(3)) if apart else [one])]
    chosen = len(found) > len(sets)
    facts = {"chosen": chosen, "asked": wanted is not None, "why": {name: said for name, said in why.items() if said}}
    return [source for source, _ in found], [one for _, one in found], facts


def as_fitted(sets: Sequence[sc.DataArray], names: Sequence[str]) -> list[sc.DataArray]:
    """The data sets of a fit, from those that it was given: by legs where the names of its maps are those of legs."""
    return [part for one in sets for part in ([one] if one.name in names else [*_legs_of(one, names)] or [one])]


def _legs_of(one: sc.DataArray, names: Sequence[str]) -> list[sc.DataArray]:
    try:
        return [leg for leg in legs(one, None, np.eye(3)) if leg.name in names]
    except InsirenError:
        return []


def decided_weights(sets: Sequence[sc.DataArray], kind: str, wish: Treatment) -> tuple[str, dict[str, Any]]:
    """The weights of a fit, and why."""
    if wish.weights != AUTO:
        return wish.weights, {"chosen": wish.weights, "asked": True}
    if kind != "gaussian":  # neither the likelihood of counts nor Pearson's objective has a σ to choose
        return "data", {"chosen": "data", "asked": True}
    found = [x for one in sets if (x := follow_counts(one)) is not None]
    if not found:
        why = "too few neighbouring pixels tell whether σ follow each pixel's own counts"
        return "data", {"chosen": "data", "asked": False, "why": why}
    follow = float(np.median(found))
    model = follow > FOLLOW
    why = f"σ² {'follow' if model else 'do not follow'} each pixel's own fluctuation (rank correlation {follow:.2f})"
    return "model" if model else "data", {
        "chosen": "model" if model else "data", "asked": False, "correlation": follow, "why": why
    }  # fmt: skip


def resolve(
    posed: Posed, problem: Problem, theta: np.ndarray, left: Open, whole: Sequence[sc.DataArray], wanted: Wanted,
    progress: Progress,
) -> Resolved:  # fmt: skip
    """The answer with every open choice made, from the minimum of the search.

    Args:
        posed: the problem of the search.
        problem: the same, prepared near its minimum.
        theta: that minimum.
        left: what is open.
        whole: the data sets before they were parted into legs.
        wanted: on parameters.
        progress: told the stage and the fraction done.
    """
    parted = len(left.sets) != len(whole)
    if parted or AUTO in (left.wish.weights, left.wish.background):
        progress("choose", 0.0)
    weights, of_weights = decided_weights(whole, problem.kind, left.wish)
    wish = left.wish._replace(weights=weights)
    if parted:
        posed = pose(left.sources, left.sets, wish, wanted)
        problem = posed.problem.near(theta)
    names, skipped = _open_backgrounds(posed, wish)
    facts = {"legs": left.of_legs, "weights": of_weights}
    if names == [posed.wish.background] and weights == posed.wish.weights and not parted:
        facts["background"] = _background_facts(wish, names[0], {}, skipped)
        return Resolved(theta, problem, posed, facts)
    at = tangent(problem, theta)
    found, refused = _candidates(problem, at, left.sets, posed.maps, wish, names, progress)
    skipped |= refused
    best, evidence = _best(found, posed.maps)
    facts["background"] = _background_facts(wish, best.background, evidence, skipped)
    wish = wish._replace(background=best.background)
    noises = tuple(noise._replace(robust=wish.robust) for noise in best.noises)
    theta, problem = _answer(dataclasses.replace(problem, data=best.at.data), at, best.theta, noises, progress)
    return Resolved(theta, problem, posed._replace(noises=noises, wish=wish), facts)


class Candidate(NamedTuple):
    """A background, and the minimum with it on tangents."""

    background: str
    theta: np.ndarray
    at: Expanded
    noises: tuple[Noise, ...]


def _candidates(
    problem: Problem, at: Tangent, sets: Sequence[sc.DataArray], maps: list[Measured], wish: Treatment,
    names: Sequence[str], progress: Progress,
) -> tuple[list[Candidate], dict[str, str]]:  # fmt: skip
    """The minimum with each background, and why one has none."""
    found, refused = [], {}
    for n, name in enumerate(names):
        progress("choose", (n + 1) / (len(names) + 1))
        try:
            # outliers have no likelihood to compare: they count less once the background is chosen
            targets, noises, _ = aimed(sets, problem.kind, maps, wish._replace(background=name, robust=False))
        except InsirenError as error:
            refused[name] = str(error)
            continue
        theta, weighted = lowest(expanded(dataclasses.replace(problem, data=targets), at), at.theta, noises)
        if np.isfinite(weighted.objective(theta)):
            found.append(Candidate(name, theta, weighted, noises))
        else:
            refused[name] = "it describes nothing near the minimum of the search"
    return found, refused


def _best(found: Sequence[Candidate], maps: list[Measured]) -> tuple[Candidate, dict[str, float]]:
    """The candidate that the data ask for, and −2 log of the marginal likelihood of each above the least."""
    used = sum(int(m.used.sum()) for m in maps)
    noise = min(max(1.0, one.at.objective(one.theta) / _freedom(used, one.at.data, len(one.theta))) for one in found)
    values = {one.background: surprise(one.at, one.theta, maps, noise) for one in found}
    least = min(values.values())
    evidence = {name: value - least for name, value in values.items()}
    simplest = next(one for one in found if evidence[one.background] <= STRONG)
    return simplest, evidence


def _freedom(used: int, data: Sequence[Target], parameters: int) -> float:
    return max(1.0, used - sum(nuisance(t) for t in data) - parameters)


def _answer(
    problem: Problem, at: Tangent, theta: np.ndarray, noises: tuple[Noise, ...], progress: Progress
) -> tuple[np.ndarray, Problem]:
    """The minimum of the spectra themselves, from that on their tangents."""
    progress("fit", 0.5)
    end = descended(problem, at, noises, CLOSE, theta, anew=False)
    if end is None:
        return settle(problem, at.theta, noises, progress)
    return end.theta, dataclasses.replace(end.problem, data=end.at.data, widen=end.at.widen)


def _open_backgrounds(posed: Posed, wish: Treatment) -> tuple[list[str], dict[str, str]]:
    """The backgrounds that are compared, that of the search first, and why others are not."""
    if wish.background != AUTO:
        return [wish.background], {}
    first = posed.wish.background
    if posed.problem.kind == "poisson":
        # a penalised background may fall to zero and below, where the weights of its counts know no bound
        return [first], {name: "of counts, one that cannot be negative is taken" for name in _TRIED if name != first}
    skipped = {}
    for name in _TRIED:
        if name == "lowrank" and (why := _too_much(posed.maps)):
            skipped[name] = why
    return [
        first,
        *(name for name in _TRIED if name != first and name not in skipped and _allowed(name, first)),
    ], skipped


def _allowed(name: str, first: str) -> bool:
    """Whether a background is worth a try: no value for each energy where these have hardly a pixel."""
    return name != "per-energy" or first == "per-energy"


def _too_much(maps: Sequence[Measured]) -> str | None:
    """Why a background that varies along Q is not tried, or None."""
    if any(m.points.Q_abs is None and m.shape is None for m in maps):
        return "a list of points has no order along Q"
    if min(len(m.points.hkl) if m.points.Q_abs is None else len(m.points.Q_abs) for m in maps) < _COLUMNS:
        return f"a data set has fewer than {_COLUMNS} wavevectors along which it could vary"
    numbers = sum(len(m.points) for m in maps) * 121
    if numbers > _NUMBERS:
        return f"its functions would take {8e-9 * numbers:.1f} GB; --background lowrank tries it all the same"
    return None


def _background_facts(
    wish: Treatment, chosen: str, evidence: dict[str, float], skipped: dict[str, str]
) -> dict[str, Any]:
    """What `Fit.choices` says of the background."""
    if wish.background != AUTO:
        return {"chosen": chosen, "asked": True}
    others = [value for name, value in evidence.items() if name != chosen]
    why = "no other was compared"
    if others:
        by = min(others) - evidence[chosen]
        why = f"−2 log of its marginal likelihood is {abs(by):,.0f} {'below' if by >= 0 else 'above'} that of the next"
    facts = {"chosen": chosen, "asked": False, "why": why, "neg2_log_evidence": evidence}
    return facts | ({"skipped": skipped} if skipped else {})
