"""The search for the best parameters, and the answer with its covariance.

The likelihood of a magnon map has many local minima: a start far off puts the ridge outside
the data. So the whole box is screened at quasi-random points on a rough problem (few
wavevectors, coarse quadrature), the best few and some raw starts descend there, and the
winner is refined on all pixels. The share of raw starts that reach it says how rugged it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, get_args

import numpy as np
import scipp as sc
import scipy.optimize
from scipy.stats import qmc

from insiren.data.background import savgol_background
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import Measured, measured
from insiren.errors import FitError
from insiren.fit.answer import answer_at
from insiren.fit.assignment import Rule
from insiren.fit.beside import Beside
from insiren.fit.descent import BATCH, RATE, STEPS, descend
from insiren.fit.objective import BACKGROUNDS, Background, Kind, poisson_weights, profile, target
from insiren.fit.peak_fit import fit_peaks, refuse_options, with_peaks
from insiren.fit.peaks import JointProblem, joined, peak_set
from insiren.fit.problem import Choice, Problem, choose
from insiren.fit.result import Fit
from insiren.forward import POINT, Forward

_SCREENED = 256  # quasi-random points of the box
_DESCENTS = 4  # of the best screened points, besides the raw starts
_SEARCH_COLUMNS = 64  # wavevectors of the rough problem, all data sets together
_SEARCH_POINTS = 4000  # the same for lists of points
_FINALISTS = 3  # minima of the rough problem that are refined on all pixels
_CLOSE = 1.01  # where their objective is within this factor of the best
_REWEIGHTS = 6  # at most, of a Poisson fit; the last changes nothing in the quoted digits
_REPLANS = 4  # of the quadrature, where the answer lies far from the start
_AGREE = 0.02  # of the width of a bound: closer counts as the same minimum

Progress = Callable[[str, float], None]  # (stage, fraction done)


def fit(
    forward: Forward,
    data: Sequence[sc.DataArray] | sc.DataArray,
    objective: Kind | None = None,
    background: Background = "per-energy",
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
    assignment: Rule = "nearest",
) -> Fit:
    """The parameters of a Forward that describe data sets best, jointly, with errors.

    Args:
        forward: what simulates: the exact simulator, a surrogate or a user's theory.
        data: one data set or several, spectra and lists of peaks.
        objective: "gaussian" (1/σ² of the data), "poisson" (counts) or "pearson" (the paper's);
            by default Poisson where every data set holds counts, else Gaussian.
        background: "per-energy" (one free value an energy row and data set), "constant" (one a
            data set), "savgol" (the paper's, subtracted beforehand) or "none".
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
        assignment: of observed peaks to modes, "nearest" or "strongest" (see `assigned`).

    Raises:
        FitError: nothing to fit, or no parameters in the bounds have a spectrum.
        DataError: the data hold nothing usable.
    """
    progress("read", 0.0)
    sets = [data] if isinstance(data, sc.DataArray) else list(data)
    if not sets:
        raise FitError("There is no data set to fit.")
    lists, sets = [one for one in sets if is_peaks(one)], [one for one in sets if not is_peaks(one)]
    if not sets:
        refuse_options(objective, preset)
        return fit_peaks(forward, lists, free, fixed, bounds, ties, starts, seed, assignment, progress)
    if preset == "paper":
        objective, background = objective or "pearson", "savgol" if background == "per-energy" else background
    maps = [measured(one, sigma_floor, sigma_max) for one in sets]
    kind = objective or ("poisson" if all(m.counts is not None for m in maps) else "gaussian")
    _check_options(kind, background, maps, starts, preset)
    choice = choose(forward.parameters, free, fixed, bounds, ties)
    ready = forward.given(dict(choice.fixed))
    maps, remarks = _without_divergent(ready, choice, maps)
    remarks += _without_bins(ready, maps)
    # every measured pixel serves the estimate of a background, those with large errors too
    curves = [savgol_background(measured(one, sigma_max=np.inf)) if background == "savgol" else None for one in sets]
    targets = tuple(target(m, background, curve) for m, curve in zip(maps, curves, strict=True))
    problem = Problem(ready, (ready,) * len(maps), tuple(m.points for m in maps), targets, choice, kind)
    if lists:
        refuse_options(kind, preset)
        problem = joined(problem, tuple(peak_set(one) for one in lists), assignment)
    if preset == "paper":
        return _paper(problem, maps, background, starts, seed, remarks, progress)
    with Beside(problem.forward.parallel) as beside:  # compiles what comes next while this thread searches
        ends, agree, prepared = _search(problem, starts, seed, progress, beside)
        progress("compile", 0.0)
        problem = prepared.result()
    progress("fit", 0.0)
    theta, problem = _refine(problem, ends, maps, progress)
    progress("errors", 0.0)
    answer = answer_at(problem, theta, maps, background, (starts, agree))
    if isinstance(problem, JointProblem):
        answer = with_peaks(answer, problem)
    progress("errors", 1.0)
    return dataclasses.replace(answer, warnings=remarks, settings={"seed": seed, "preset": None})


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
    middle = np.array([p.value for p in problem.choice.free])
    problem = problem if problem.forward.pointwise else problem.near(middle)
    thetas, values = descend(problem, starts, seed, progress)
    best = thetas[np.argmin(values)]
    progress("errors", 0.0)
    problem = problem.near(best)
    width = problem.choice.upper - problem.choice.lower
    agree = int(np.sum(np.all(np.abs(thetas - best) < _AGREE * width, axis=1)))
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


def _without_divergent(
    forward: Forward, choice: Choice, maps: list[Measured]
) -> tuple[list[Measured], tuple[str, ...]]:
    """The data sets without wavevectors at which the intensity diverges, and the remark on it."""
    values = choice.values(np.array([p.value for p in choice.free]))
    kept, dropped, columns = [], 0, 0
    for one in maps:
        dark = np.asarray(forward.divergent(values, one.points))
        pixels = dark[np.asarray(one.points.index)] & one.used
        used = one.used & ~pixels
        if not used.any():
            raise FitError(f"The intensity diverges at every wavevector of {one.name}; free or fix a q_fwhm above 0.")
        masked = one.n_masked + int(pixels.sum())
        kept.append(dataclasses.replace(one, used=used, n_masked=masked, sigma=np.where(used, one.sigma, 1.0)))
        dropped, columns = dropped + int(pixels.sum()), columns + int(dark.sum())
    if not dropped:
        return kept, ()
    remark = (
        f"{columns} wavevectors ({dropped} pixels) lie on a Goldstone point, where the intensity without Q broadening "
        "diverges; they are left out. With q_fwhm above 0 they would count."
    )
    return kept, (remark,)


def _without_bins(forward: Forward, maps: list[Measured]) -> tuple[str, ...]:
    """The remark on bins that a Forward does not average over."""
    binned = [one.name for one in maps if one.points.bins != POINT]
    if not binned or forward.averages:
        return ()
    return (
        f"The bins of {', '.join(binned)} are not averaged over: this Forward gives the spectrum at their centres. The "
        "exact simulator averages.",
    )


def _check_options(kind: str, background: str, maps: list[Measured], starts: int, preset: str | None) -> None:
    if preset not in (None, "paper"):
        raise FitError(f"There is no preset {preset!r}; the only one is 'paper'.")
    if preset == "paper" and kind != "pearson":
        raise FitError("The preset 'paper' descends the Pearson objective; leave --objective out.")
    if kind not in get_args(Kind):
        raise FitError(f"There is no objective {kind!r}; choose one of {', '.join(get_args(Kind))}.")
    if background not in BACKGROUNDS:
        raise FitError(f"There is no background {background!r}; choose one of {', '.join(BACKGROUNDS)}.")
    if kind == "pearson" and background in ("per-energy", "constant"):
        raise FitError("The Pearson objective cannot eliminate a background; use --background savgol or none.")
    if kind == "poisson":
        if lacking := [m.name for m in maps if m.counts is None]:
            raise FitError(f"{', '.join(lacking)} hold no neutron counts; use --objective gaussian.")
        if background == "savgol":
            raise FitError("A background cannot be subtracted from counts; use --background per-energy.")
    if starts < 1:
        raise FitError(f"starts = {starts}: at least one is needed.")


def _search(
    problem: Problem, starts: int, seed: int, progress: Progress, beside: Beside
) -> tuple[list[np.ndarray], int, Future[Problem]]:
    """The best minima of the rough problem, best first, how many raw starts descend to the first, and `_ready`."""
    progress("search", 0.0)
    rough = _rough(problem, seed)
    choice = problem.choice
    beside.submit(rough.jacobian, np.array([p.value for p in choice.free]))
    width = choice.upper - choice.lower
    sobol = qmc.Sobol(len(width), rng=seed).random(max(_SCREENED, 1 << int(np.ceil(np.log2(starts)))))
    tried = choice.lower + sobol * width
    tried[0] = [p.value for p in choice.free]  # the model's own values are one candidate
    values = np.empty(len(tried))
    for n, theta in enumerate(tried):
        values[n] = rough.objective(theta)
        progress("search", 0.5 * (n + 1) / len(tried))
    alive = np.flatnonzero(np.isfinite(values))
    if not len(alive):
        first = choice.values(tried[0])
        if endless := [name for name, value in first.items() if not np.isfinite(value)]:
            raise FitError(f"{', '.join(endless)} has no finite value at the start; correct the tie.")
        problem.forward.check(first)
        raise FitError(
            f"None of {len(tried)} points within the bounds has a finite objective: the structure is unstable "
            "everywhere, or the data hold no signal. Change the bounds or the model."
        )
    raw = alive[alive > 0][:starts]
    best = [n for n in alive[np.argsort(values[alive])] if n not in raw][:_DESCENTS]
    ends = []
    for n, which in enumerate([*best, *raw]):
        ends.append(_descend(rough, tried[which], 40, rough=True))
        progress("search", 0.5 + 0.5 * (n + 1) / (len(best) + len(raw)))
        if n + 1 == max(1, len(best)):  # the best screened have found the minimum in all likelihood
            prepared = beside.submit(_ready, problem, min(ends, key=lambda end: end.cost).x)
    ranked = sorted(ends, key=lambda end: end.cost)
    winner, distinct = ranked[0], [ranked[0].x]
    for end in ranked[1:]:
        apart = all(np.any(np.abs(end.x - x) > _AGREE * width) for x in distinct)
        if apart and len(distinct) < _FINALISTS and end.cost < _CLOSE * winner.cost:
            distinct.append(end.x)
    same = [bool(np.all(np.abs(end.x - winner.x) < _AGREE * width)) for end in ends[len(best) :]]
    return distinct, sum(same), prepared


def _ready(problem: Problem, theta: np.ndarray) -> Problem:
    """The problem prepared near θ, with its functions compiled."""
    near = problem.near(theta)
    near.objective(theta)
    near.jacobian(theta)
    return near


def _rough(problem: Problem, seed: int) -> Problem:
    """The same problem on a part of the wavevectors and the draft of the Forward."""
    if not problem.forward.pointwise:
        return problem
    rng = np.random.default_rng(seed)
    share = max(1, _SEARCH_COLUMNS // len(problem.points))
    points, data = [], []
    for where, what in zip(problem.points, problem.data, strict=True):
        if where.is_table:
            q, w = where.rows.shape
            columns = np.unique(np.linspace(0, q - 1, min(q, share)).round().astype(int))
            pick = (columns[:, None] * w + np.arange(w)).reshape(-1)
            points.append(where.columns(columns))
        else:
            pick = np.sort(rng.permutation(len(where))[: _SEARCH_POINTS // len(problem.points)])
            points.append(where.subset(pick))
        data.append(what._replace(intensity=what.intensity[pick], weight=what.weight[pick], group=what.group[pick]))
    draft = problem.forward.draft
    return dataclasses.replace(
        problem, forward=draft, prepared=(draft,) * len(points), points=tuple(points), data=tuple(data)
    )


def _descend(
    problem: Problem, start: np.ndarray, evaluations: int, rough: bool = False
) -> scipy.optimize.OptimizeResult:
    """A local minimum within the bounds, by a trust-region Gauss–Newton method.

    Steps into the unstable phase, where the residual is NaN, are shortened until they stay out.
    """

    def value(theta: np.ndarray) -> np.ndarray:
        return problem.residual(theta)

    def slope(theta: np.ndarray) -> np.ndarray:
        return problem.jacobian(theta)[1]

    choice = problem.choice
    width = choice.upper - choice.lower
    inside = np.clip(start, choice.lower + 1e-6 * width, choice.upper - 1e-6 * width)
    if not np.all(np.isfinite(value(inside))):
        inside = start
    options: dict[str, Any] = {"jac": slope, "bounds": (choice.lower, choice.upper), "x_scale": width, "gtol": None}
    with np.errstate(all="ignore"):  # where no ridge crosses the data the residual is flat, and its gradient 0
        return scipy.optimize.least_squares(
            value, inside, xtol=1e-5 if rough else 1e-7, ftol=1e-6 if rough else 1e-10, max_nfev=evaluations, **options
        )


def _refine(
    problem: Problem, ends: list[np.ndarray], maps: list[Measured], progress: Progress
) -> tuple[np.ndarray, Problem]:
    """The minimum on all pixels; a Poisson fit iterates it with the weights of its own model."""
    rivals = []
    for n, start in enumerate(ends):
        here = problem if problem.covers(start) else problem.near(start)
        if not np.isfinite(here.objective(start)):
            continue  # the rough problem saw no wavevector that is unstable there
        found = _descend(here, start, 60)
        for _ in range(_REPLANS):
            if here.covers(found.x):
                break
            here = here.near(found.x)
            found = _descend(here, found.x, 60)
        rivals.append((found, here))
        progress("fit", (n + 1) / (len(ends) + 1))
    if not rivals:
        problem.forward.check(problem.choice.values(ends[0]))
        raise FitError("The best parameters have no spectrum on all pixels; narrow the bounds to the stable phase.")
    found, problem = min(rivals, key=lambda rival: rival[0].cost)
    if problem.kind != "poisson":
        return found.x, problem
    width = problem.choice.upper - problem.choice.lower
    for n in range(_REWEIGHTS):
        progress("fit", (n + 1) / (_REWEIGHTS + 1))
        models = [profile(S, t) for S, t in zip(problem.spectra(found.x), problem.data, strict=True)]
        weights = tuple(poisson_weights(m, t, p) for m, t, p in zip(maps, problem.data, models, strict=True))
        problem = dataclasses.replace(problem, data=weights)
        last, found = found, _descend(problem, found.x, 60)
        if np.all(np.abs(found.x - last.x) < 1e-6 * width):
            break
    return found.x, problem
