"""A fit from data to answer: the global search, the minimum on all pixels, and its covariance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import scipp as sc

from insiren.data.peaks import is_peaks
from insiren.data.spectrum import Measured
from insiren.errors import FitError, InsirenError
from insiren.fit.answer import answer_at
from insiren.fit.assignment import Rule
from insiren.fit.beside import Beside
from insiren.fit.choice import choose, merged, within_limits
from insiren.fit.marquardt import Settings, descend
from insiren.fit.objective import Kind
from insiren.fit.peak_fit import fit_peaks, refuse_intensities, refuse_options, with_peaks
from insiren.fit.peaks import JointProblem, joined, peak_set
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.fit.search import AGREE, Progress, search
from insiren.fit.treatment import TEMPLATE, Treatment, measured_sets, treated
from insiren.fit.verdict import judged
from insiren.fit.weights import Noise, adapted
from insiren.forward import Forward

__all__ = ["Pairs", "Progress", "fit"]

_REWEIGHTS = 15  # at most; fits of counts need about four, robust ones twice that
_STILL = 1e-6  # of the width of the bounds: a smaller change is none in the quoted digits
_REPLANS = 4  # of the quadrature, where the answer lies far from the start
FINELY = Settings(steps=60, move=1e-8, gain=1e-9)

Data = Sequence[sc.DataArray] | sc.DataArray
Pairs = Sequence[tuple[Forward, Data]]


def fit(
    forward: Forward | Pairs,
    data: Data | None = None,
    objective: Kind | None = None,
    background: str = "per-energy",
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
    weights: str = "data",
    robust: bool = False,
    template: Data | None = None,
    assignment: Rule = "nearest",
) -> Fit:
    """The parameters of a Forward that describe data sets best, jointly, with errors.

    Args:
        forward: what simulates: the exact simulator, a surrogate or a user's theory. Or pairs of a Forward and its
            data, for data of different instruments; parameters of one name are shared.
        data: one data set or several, spectra and lists of peaks; left out where pairs are given.
        objective: "gaussian" (1/σ² of the data), "poisson" (counts) or "pearson" (the paper's);
            by default Poisson where every data set holds counts, else Gaussian.
        background: "per-energy" (one free value an energy row and data set), "smooth" (a smooth function of the energy
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
        weights: "data" for the σ of the data, "model" for those that the model's intensity would have; see `weights`.
        robust: whether residuals follow Student's t with 4 degrees of freedom, so that outliers count less; those of
            peaks stay Gaussian.
        template: spectra for a background "template", in place of a file.
        assignment: of observed peaks to modes, "nearest" or "strongest" (see `assigned`).

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
        objective, background = objective or "pearson", "savgol" if background == "per-energy" else background
    if template is not None:
        background = background if background.startswith(TEMPLATE) else f"{TEMPLATE}given"
    wish = Treatment(
        objective, background, weights, robust, sigma_floor, sigma_max, None if template is None else _listed(template)
    )
    _check_preset(preset, objective, each, sources, starts)
    problem, maps, noises, remarks = pose(sources, sets, wish, Wanted(free, fixed, bounds, ties, each))
    if lists:
        problem = joined(problem, tuple(peak_set(one) for one in lists), assignment, knows)
    if preset == "paper":
        return _paper(problem, maps, background, starts, seed, remarks, progress)
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
    theta, problem = settle(won.problem, won.theta, noises, progress)
    progress("errors", 0.0)
    answer = answer_at(problem, theta, maps, background, (starts, found.reaching(theta, problem.choice)))
    if isinstance(problem, JointProblem):
        answer = with_peaks(answer, problem)
    answer = judged(answer, found, won.passed, won.cost)
    progress("errors", 1.0)
    settings = {
        "seed": seed, "preset": None, "weights": weights, "robust": robust, "each": list(problem.choice.each)
    }  # fmt: skip
    return dataclasses.replace(answer, warnings=(*remarks, *answer.warnings), settings=settings)


class Wanted(NamedTuple):
    """The wishes on parameters, as `fit` takes them."""

    free: Sequence[str] | None = None
    fixed: Mapping[str, float] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    ties: Mapping[str, str] | None = None
    each: Sequence[str] | None = None


class Posed(NamedTuple):
    """Data sets as a problem, not yet prepared near any parameters.

    Attributes:
        problem: on all pixels.
        maps: the data sets.
        noises: how their variances come about.
        remarks: for the user.
    """

    problem: Problem
    maps: list[Measured]
    noises: tuple[Noise, ...]
    remarks: tuple[str, ...]


def pose(sources: Sequence[Forward], sets: Sequence[sc.DataArray], wish: Treatment, wanted: Wanted) -> Posed:
    """The problem that data sets make, each with its Forward.

    Raises:
        FitError: the wishes contradict each other or the data, or nothing is free.
        DataError: a data set holds nothing usable.
    """
    kind, maps = measured_sets(sets, wish)
    choice = within_limits(choose(merged(sources), *wanted, [m.name for m in maps]), sources)
    ready = [one.given(choice.part(n, one).constant) for n, one in enumerate(sources)]
    kind, maps, targets, noises, remarks = treated(sets, kind, maps, ready, choice, wish)
    forwards = () if all(one is sources[0] for one in sources) and not choice.each else tuple(ready)
    prepared = forwards or (ready[0],) * len(maps)
    problem = Problem(ready[0], prepared, tuple(m.points for m in maps), targets, choice, kind, forwards)
    return Posed(problem, maps, noises, remarks)


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


def _paper(
    problem: Problem,
    maps: list[Measured],
    background: str,
    starts: int,
    seed: int,
    remarks: tuple[str, ...],
    progress: Progress,
) -> Fit:
    """The paper's procedure: the best of several Adam descents, their median beside it."""
    from insiren.fit.descent import BATCH, RATE, STEPS  # brings optax, which other fits need not wait for
    from insiren.fit.descent import descend as descend_like_the_paper

    middle = np.array([p.value for p in problem.choice.free])
    problem = problem if problem.forward.pointwise else problem.near(middle)
    thetas, values = descend_like_the_paper(problem, starts, seed, progress)
    best = thetas[np.argmin(values)]
    progress("errors", 0.0)
    problem = problem.near(best)
    width = problem.choice.upper - problem.choice.lower
    agree = int(np.sum(np.all(np.abs(thetas - best) < AGREE * width, axis=1)))
    answer = answer_at(problem, best, maps, background, (starts, agree))
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
    return dataclasses.replace(answer, warnings=remarks, settings=settings)


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


def settle(
    problem: Problem, theta: np.ndarray, noises: tuple[Noise, ...], progress: Progress
) -> tuple[np.ndarray, Problem]:
    """The minimum after weights, stiffness of backgrounds and parameters have been iterated until they agree."""
    curved = any(t.curve is not None for t in problem.data)
    if all(t.exposure is not None for t in problem.data):  # the likelihood itself was minimised
        return theta, adapted(problem, theta, noises)
    if problem.kind != "poisson" and not curved and not any(noise.adapts for noise in noises):
        return theta, problem
    width = problem.choice.upper - problem.choice.lower
    for n in range(_REWEIGHTS):
        progress("fit", (n + 1) / (_REWEIGHTS + 1))
        problem = adapted(problem if problem.covers(theta) else problem.near(theta), theta, noises)
        last, theta = theta, descend(problem, theta[None], FINELY).thetas[0]
        if np.all(np.abs(theta - last) < _STILL * width):
            break
    return theta, problem


def _ready(problem: Problem, theta: np.ndarray) -> Problem:
    """The problem prepared near θ, with its functions compiled."""
    near = problem.near(theta)
    near.normal(theta[None])
    return near


def _prepared(problem: Problem, theta: np.ndarray, ready: Future[Problem] | None) -> Problem:
    """The problem prepared near θ: the ready one where it holds."""
    done = None if ready is None else ready.result()
    return done if done is not None and done.covers(theta) else problem.near(theta)
