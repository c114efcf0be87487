"""A fit from data to answer: the global search, the minimum on all pixels, and its covariance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import scipp as sc

from insiren.data.peaks import is_peaks
from insiren.errors import FitError, InsirenError
from insiren.fit.answer import answer_at
from insiren.fit.assignment import Rule
from insiren.fit.automatic import Open, by_legs, resolve
from insiren.fit.beside import Beside
from insiren.fit.marquardt import descend
from insiren.fit.objective import Kind
from insiren.fit.peak_fit import fit_peaks, refuse_intensities, refuse_options, with_peaks
from insiren.fit.peaks import JointProblem, joined, peak_set
from insiren.fit.pose import Posed, Wanted, pose
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.fit.reweight import FINELY, settle
from insiren.fit.search import AGREE, Found, Progress, search
from insiren.fit.treatment import AUTO, TEMPLATE, Treatment
from insiren.fit.verdict import judged
from insiren.fit.weights import Noise
from insiren.forward import Forward

__all__ = ["Pairs", "Progress", "fit"]

_REPLANS = 4  # of the quadrature, where the answer lies far from the start

Data = Sequence[sc.DataArray] | sc.DataArray
Pairs = Sequence[tuple[Forward, Data]]


def fit(
    forward: Forward | Pairs,
    data: Data | None = None,
    objective: Kind | None = None,
    background: str = AUTO,
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    ties: Mapping[str, str] | None = None,
    starts: int = 10,
    seed: int = 0,
    preset: str | None = None,
    sigma_floor: float | None = None,
    sigma_max: float | None = None,
    progress: Progress = lambda stage, fraction: None,
    each: Sequence[str] | None = None,
    weights: str = AUTO,
    robust: bool = False,
    template: Data | None = None,
    assignment: Rule = "nearest",
    legs: bool | None = None,
) -> Fit:
    """The parameters of a Forward that describe data sets best, jointly, with errors.

    Args:
        forward: what simulates: the exact simulator, a surrogate or a user's theory. Or pairs of a Forward and its
            data, for data of different instruments; parameters of one name are shared.
        data: one data set or several, spectra and lists of peaks; left out where pairs are given.
        objective: "gaussian" (1/σ² of the data), "poisson" (counts) or "pearson" (the paper's);
            by default Poisson where every data set holds counts, else Gaussian.
        background: "auto" (what the data ask for, see `automatic`), "per-energy" (one free value an energy row and
            data set), "smooth" (a smooth function of the energy
            for each data set), "constant" (one value a data set), "lowrank" (a smooth function of Q and energy),
            "template:FILE" (a measured one with a factor), "savgol" (the paper's, subtracted
            beforehand), "savgol:FIRST:LAST" (the same from these Q columns of an image, counted from 0) or "none".
        free: parameters to free besides those the model frees.
        fixed: values to fix.
        bounds: (lower, upper) instead of the model's.
        ties: expressions of other parameters.
        starts: raw starts whose local descents are counted.
        seed: of the quasi-random points.
        preset: "paper" for its procedure: Pearson objective, its background, and Algorithm 1.
        sigma_floor: σ below it is raised to it; by default as the reader advised.
        sigma_max: pixels with σ above it are left out; by default as the reader advised.
        progress: told the stage and the fraction of it that is done.
        each: parameters of which every data set has its own, called NAME[1], NAME[2], …; freed unless fixed or tied.
        weights: "auto" (what the data ask for), "data" for the σ of the data, "model" for those that the model's
            intensity would have; see `weights`.
        robust: whether residuals follow Student's t with 4 degrees of freedom, so that outliers count less; those of
            peaks stay Gaussian.
        template: spectra for a background "template", in place of a file.
        assignment: of observed peaks to modes, "nearest" or "strongest" (see `assigned`).
        legs: whether each straight leg of a path has a scale and a background of its own; None where the data decide,
            which they are asked together with the background.

    Raises:
        FitError: nothing to fit, or no parameters in the bounds have a spectrum.
        DataError: the data hold nothing usable.
    """
    progress("read", 0.0)
    sources, sets = _paired(forward, data)
    knows, lists = _of_lists(sources, sets)
    if lists:
        refuse_options(objective, preset)
    sources, sets = _of_maps(sources, sets)
    if lists and not sets:
        refuse_intensities(each, weights, robust, template is not None)
        return fit_peaks(knows, lists, free, fixed, bounds, ties, starts, seed, assignment, progress)
    if preset == "paper":
        objective, background = objective or "pearson", "savgol" if background in (AUTO, "per-energy") else background
    if template is not None:
        background = background if background.startswith(TEMPLATE) else f"{TEMPLATE}given"
    wish = Treatment(
        objective, background, weights, robust, sigma_floor, sigma_max, None if template is None else _listed(template)
    )
    _check_preset(preset, objective, each, sources, starts)
    wanted = Wanted(free, fixed, bounds, ties, each)
    by_themselves = legs is None and background == AUTO and not (lists or each)
    left = Open(*by_legs(sources, sets, None if by_themselves else bool(legs)), wish)
    if not by_themselves:
        sources, sets = left.sources, left.sets
    posed = pose(sources, sets, wish, wanted)
    if preset == "paper":
        return _paper(posed, starts, seed, progress)
    problem = posed.problem
    if lists:
        problem = joined(problem, tuple(peak_set(one) for one in lists), assignment, knows)
        left = left._replace(wish=posed.wish)  # modes have no tangents on which backgrounds could be compared
    won = _searched(problem, posed, starts, seed, progress)
    made = resolve(posed, won.problem, won.theta, left, sets, wanted, progress)
    progress("errors", 0.0)
    agree = won.found.reaching(won.theta, problem.choice)
    answer = answer_at(made.problem, made.theta, made.posed.maps, made.posed.wish.background, (starts, agree))
    if isinstance(made.problem, JointProblem):
        answer = with_peaks(answer, made.problem)
    answer = judged(answer, won.found, won.refined.passed, won.refined.cost)
    progress("errors", 1.0)
    settings = {
        "seed": seed, "preset": None, "weights": made.posed.wish.weights, "robust": robust,
        "each": list(problem.choice.each),
    }  # fmt: skip
    remarks = (*made.posed.remarks, *answer.warnings)
    return dataclasses.replace(answer, warnings=remarks, settings=settings, choices=made.facts)


class Refined(NamedTuple):
    """The best minimum on all pixels.

    Attributes:
        theta: shape (p,).
        cost: Σ r² or deviance.
        problem: prepared near there.
        passed: others that are unstable at wavevectors which the data do not hold, and their costs.
    """

    theta: np.ndarray
    cost: float
    problem: Problem
    passed: tuple[tuple[np.ndarray, float], ...]


class Won(NamedTuple):
    """The minimum on all pixels, the problem prepared near it, what the search found, and what came of that."""

    theta: np.ndarray
    problem: Problem
    found: Found
    refined: Refined


def _searched(problem: Problem, posed: Posed, starts: int, seed: int, progress: Progress) -> Won:
    """The minimum on all pixels of the search's weights and background."""
    soon: list[Future[Problem]] = []
    with Beside(
        all(one.parallel for one in problem.sources)
    ) as beside:  # compiles what comes next while this thread searches
        found = search(problem, starts, seed, progress, lambda at: soon.append(beside.submit(_ready, problem, at)))
        progress("compile", 0.0)
        if problem.forward.parallel:
            soon[0].result()
    progress("fit", 0.0)
    won = refined(problem, found.minima, soon[0], progress)
    theta, problem = settle(won.problem, won.theta, posed.noises, progress)
    return Won(theta, problem, found, won)


def _paired(forward: Forward | Pairs, data: Data | None) -> tuple[list[Forward], list[sc.DataArray]]:
    """The Forward of each data set, and the data sets."""
    if isinstance(forward, Forward):
        if data is None:
            raise FitError("There is no data set to fit.")
        sets = _listed(data)
        return [forward] * len(sets), sets
    if data is not None:
        raise FitError("With pairs of a Forward and its data there can be no data besides; put them into a pair.")
    pairs = [(one, some) for one, its in forward for some in _listed(its)]
    return [one for one, _ in pairs], [some for _, some in pairs]


def _of_lists(sources: list[Forward], sets: list[sc.DataArray]) -> tuple[Forward, list[sc.DataArray]]:
    """The lists of peaks, and the Forward that is to know their modes."""
    if not sets:
        raise FitError("There is no data set to fit.")
    found = [(source, one) for source, one in zip(sources, sets, strict=True) if is_peaks(one)]
    if any(source is not found[0][0] for source, _ in found):
        raise FitError("Lists of peaks are fitted by the modes of one Forward; put all of them into one pair.")
    return (found[0][0] if found else sources[0]), [one for _, one in found]


def _of_maps(sources: list[Forward], sets: list[sc.DataArray]) -> tuple[list[Forward], list[sc.DataArray]]:
    """The data sets that are no lists of peaks, and the Forward of each."""
    found = [(source, one) for source, one in zip(sources, sets, strict=True) if not is_peaks(one)]
    return [source for source, _ in found], [one for _, one in found]


def _listed(data: Data) -> list[sc.DataArray]:
    return [data] if isinstance(data, sc.DataArray) else list(data)


def _check_preset(
    preset: str | None, objective: str | None, each: Sequence[str] | None, sources: list[Forward], starts: int
) -> None:
    if preset not in (None, "paper"):
        raise FitError(f"There is no preset {preset!r}; the only one is 'paper'.")
    if preset == "paper" and objective != "pearson":
        raise FitError("The preset 'paper' descends the Pearson objective; leave --objective out.")
    if preset == "paper" and (each or any(one is not sources[0] for one in sources)):
        raise FitError("The preset 'paper' has one Forward and one set of parameters for all data sets.")
    if starts < 1:
        raise FitError(f"starts = {starts}: at least one is needed.")


def _paper(posed: Posed, starts: int, seed: int, progress: Progress) -> Fit:
    """The paper's procedure: the best of several Adam descents, their median beside it."""
    from insiren.fit.descent import BATCH, RATE, STEPS  # brings optax, which other fits need not wait for
    from insiren.fit.descent import descend as descend_like_the_paper

    problem = posed.problem
    middle = np.array([p.value for p in problem.choice.free])
    problem = problem if problem.forward.pointwise else problem.near(middle)
    thetas, values = descend_like_the_paper(problem, starts, seed, progress)
    best = thetas[np.argmin(values)]
    progress("errors", 0.0)
    problem = problem.near(best)
    width = problem.choice.upper - problem.choice.lower
    agree = int(np.sum(np.all(np.abs(thetas - best) < AGREE * width, axis=1)))
    answer = answer_at(problem, best, posed.maps, posed.wish.background, (starts, agree))
    names = problem.choice.names
    settings = {
        "seed": seed,
        "preset": "paper",
        "steps": STEPS,
        "batch": BATCH,
        "rate": RATE,
        "best": dict(zip(names, best.tolist(), strict=True)),
        "median": dict(zip(names, np.median(thetas, axis=0).tolist(), strict=True)),
        "ends": thetas.tolist(),
        "objectives": values.tolist(),
    }
    return dataclasses.replace(answer, warnings=posed.remarks, settings=settings)


def refine(
    problem: Problem, minima: np.ndarray, noises: tuple[Noise, ...], ready: Future[Problem] | None, progress: Progress
) -> tuple[np.ndarray, Problem]:
    """The minimum on all pixels, iterated with the weights and backgrounds that its own model asks for."""
    won = refined(problem, minima, ready, progress)
    return settle(won.problem, won.theta, noises, progress)


def refined(problem: Problem, minima: np.ndarray, ready: Future[Problem] | None, progress: Progress) -> Refined:
    """The best minimum on all pixels that descents from the given ones reach and that is stable.

    Raises:
        FitError: none of them has a spectrum on all pixels.
        ModelError: none of them is stable.
    """
    rivals = []
    for n, start in enumerate(minima):
        here = _prepared(problem, start, ready)
        found = descend(here, start[None], FINELY)
        if not np.isfinite(found.costs[0]):
            continue  # the rough problem saw no wavevector that is unstable there
        for _ in range(_REPLANS):
            if here.covers(found.thetas[0]):
                break
            here = here.near(found.thetas[0])
            found = descend(here, found.thetas, FINELY)
        rivals.append((float(found.costs[0]), found.thetas[0], here))
        progress("fit", (n + 1) / (len(minima) + 1))
    if not rivals:
        problem.check(minima[0])
        raise FitError("The best parameters have no spectrum on all pixels; narrow the bounds to the stable phase.")
    passed, first = [], None
    for cost, theta, here in sorted(rivals, key=lambda rival: rival[0]):
        try:
            here.check(theta)
        except InsirenError as error:
            passed.append((theta, cost))
            first = first or error
        else:
            return Refined(theta, cost, here, tuple(passed))
    assert first is not None
    raise first


def _ready(problem: Problem, theta: np.ndarray) -> Problem:
    """The problem prepared near θ, with its functions compiled."""
    near = problem.near(theta)
    near.normal(theta[None])
    return near


def _prepared(problem: Problem, theta: np.ndarray, ready: Future[Problem] | None) -> Problem:
    """The problem prepared near θ: the ready one where it holds."""
    done = None if ready is None else ready.result()
    return done if done is not None and done.covers(theta) else problem.near(theta)
