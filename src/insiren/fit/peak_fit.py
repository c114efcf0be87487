"""The fit of lists of peaks: mode energies with σ, a global search, and the answer with its covariance."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipp as sc
import scipy.optimize

from insiren.errors import FitError
from insiren.fit.assignment import Rule
from insiren.fit.draws import Boxes, boxes
from insiren.fit.identify import Seen, identify
from insiren.fit.peaks import INSTRUMENT, JointProblem, PeakProblem, PeakSet, peak_problem, peak_set
from insiren.fit.problem import choose
from insiren.fit.result import Fit
from insiren.fit.screening import Screened, chosen, more, screened
from insiren.fit.search import AGREE, PATIENCE, TURNS, Found, is_stable
from insiren.fit.uncertainty import at_bound, blind, errors, inverse
from insiren.fit.verdict import judged
from insiren.forward import Forward

_DESCENTS = 8  # of the best screened points in every turn after the first
_EQUAL = 1e-6  # relative: descents end this close to the least Σ r² of their valley
_APART = 3.0  # σ: nearer points of a flat valley are no answers of their own
_OUTLIER = 5.0  # σ: of Gaussian errors one peak in two million is further off
_STANDS_OUT = 3.0  # times the spread of all peaks, which a single one must exceed besides
_MAD = 1.4826  # σ of a Gaussian in units of its median absolute deviation

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Peak:
    """An observed peak beside the mode it was assigned to.

    Attributes:
        data: name of the list.
        hkl: wavevector in r.l.u.
        observed: energy in meV.
        sigma: its standard deviation in meV.
        calculated: energy of the mode in meV.
        mode: which one, 0 for the lowest of its wavevector.
    """

    data: str
    hkl: tuple[float, float, float]
    observed: float
    sigma: float
    calculated: float
    mode: int

    @property
    def off(self) -> float:
        """(observed − calculated)/σ."""
        return (self.observed - self.calculated) / self.sigma


@dataclasses.dataclass(frozen=True, eq=False)
class PeakFit(Fit):
    """The answer of a fit of lists of peaks, alone or with maps.

    Attributes:
        peaks: each observed peak beside its mode.
        equals: other values of the free parameters that describe lists of peaks exactly as well, by name.
    """

    peaks: tuple[Peak, ...] = ()
    equals: tuple[dict[str, float], ...] = ()

    @property
    def n_data(self) -> int:
        return super().n_data + len(self.peaks)

    @property
    def R(self) -> float:
        """√(χ²/n), which SpinW calls the R-value.

        Source: Toth and Lake, J. Phys.: Condens. Matter 27, 166002 (2015).
        """
        return float(np.sqrt(np.mean([peak.off**2 for peak in self.peaks])))

    def _mean_residual(self) -> float:
        return super()._mean_residual() if self.maps else 0.0  # only intensities can be lopsided

    def remarks(self) -> list[str]:
        spread = _MAD * float(np.median([abs(p.off) for p in self.peaks]))
        far = [p for p in self.peaks if abs(p.off) > max(_OUTLIER, _STANDS_OUT * spread)]
        found = super().remarks()
        for one in self.equals:
            values = ", ".join(f"{name} = {value:.4g}" for name, value in one.items())
            found.append(
                f"The peaks are described as well by {values}: energies alone do not tell which; the answer given is "
                "the one nearest to the model's own values."
            )
        for p in far:
            found.append(
                f"The peak at {p.observed:g} ± {p.sigma:g} meV of {_place(p.hkl)} lies {abs(p.off):.1f} σ from its "
                f"mode, at {p.calculated:.4g} meV. Look at it: one wrong peak can move every parameter."
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        names = list(dict.fromkeys(peak.data for peak in self.peaks))
        content = super().to_dict()
        return content | {
            "data": content["data"]
            + [{"name": one, "n_data": sum(p.data == one for p in self.peaks)} for one in names],
            "R": self.R,
            "peaks": [dataclasses.asdict(peak) | {"hkl": list(peak.hkl)} for peak in self.peaks],
        }


def _place(hkl: Sequence[float]) -> str:
    return f"({', '.join(f'{x:g}' for x in hkl)})"


def fit_peaks(
    forward: Forward,
    data: Sequence[sc.DataArray] | sc.DataArray,
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    ties: Mapping[str, str] | None = None,
    starts: int = 10,
    seed: int = 0,
    assignment: Rule = "nearest",
    progress: Progress = lambda stage, fraction: None,
) -> PeakFit:
    """The parameters whose mode energies lie closest to observed peaks, in units of their σ.

    Parameters of the instrument do not move a mode, so they are fixed unless the peaks depend on them.

    Args:
        forward: what calculates modes; a spectrum alone is not enough.
        data: one list of peaks or several, as `data.peaks.peak_list` makes them.
        free: parameters to free besides those the model frees.
        fixed: values to fix.
        bounds: (lower, upper) instead of the model's.
        ties: expressions of other parameters.
        starts: raw starts whose local descents are counted.
        seed: of the quasi-random points.
        assignment: "nearest" or "strongest", see `assigned`.
        progress: told the stage and the fraction of it that is done.

    Raises:
        FitError: nothing to fit, or the structure is unstable everywhere.
    """
    sets = tuple(peak_set(one) for one in ([data] if isinstance(data, sc.DataArray) else data))
    if not sets:
        raise FitError("There is no list of peaks to fit.")
    if starts < 1:
        raise FitError(f"starts = {starts}: at least one is needed.")
    held = {n: v for n, v in _without_effect(forward).items() if n not in {*(free or ()), *(ties or {})}}
    choice = choose(forward.parameters, free, held | dict(fixed or {}), bounds, ties)
    problem = peak_problem(forward, sets, choice, assignment)
    found, equal = _search(problem, starts, seed, progress)
    progress("errors", 0.0)
    theta = found.minima[0]
    answer = judged(_answer(problem, theta, (starts, int(found.agree[0]))), found, (), 0.0)
    progress("errors", 1.0)
    settings = {"seed": seed, "preset": None, "assignment": assignment}
    errors = np.sqrt(np.diag(answer.covariance))
    other = [one for one in equal if np.any(np.abs(one - theta) > _APART * errors)]
    equals = tuple(dict(zip(choice.names, one.tolist(), strict=True)) for one in other)
    return dataclasses.replace(answer, settings=settings, equals=equals)


def refuse_options(objective: str | None, preset: str | None) -> None:
    """Refuses what lists of peaks have no use for.

    Raises:
        FitError: a preset, or an objective that compares intensities.
    """
    if preset is not None:
        raise FitError(f"The preset {preset!r} compares intensities; a list of peaks is fitted without it.")
    if objective == "pearson":
        raise FitError("The Pearson objective has no σ to weigh peaks against; fit them by --objective gaussian.")


def refuse_intensities(each: Sequence[str] | None, weights: str, robust: bool, template: bool) -> None:
    """Refuses options of intensities where there are lists of peaks alone.

    Raises:
        FitError: such an option was given.
    """
    given = {"each": bool(each), "weights": weights not in ("auto", "data"), "robust": robust, "template": template}
    if useless := [f"--{name}" for name, set_ in given.items() if set_]:
        raise FitError(f"{', '.join(useless)} is about spectra, and there are lists of peaks alone; leave it out.")


def with_peaks(answer: Fit, problem: JointProblem) -> PeakFit:
    """The answer of a joint fit with each peak beside its mode."""
    theta, parts = answer.theta, {f.name: getattr(answer, f.name) for f in dataclasses.fields(Fit)}
    peaks = problem.peaks
    return PeakFit(**parts, peaks=_beside(peaks.sets, peaks.energies(theta), peaks.modes(theta)))


def _without_effect(forward: Forward) -> dict[str, float]:
    """The free parameters of the instrument: no mode depends on them."""
    return {p.name: p.value for p in forward.parameters if p.free and p.name in INSTRUMENT}


class _Ends(NamedTuple):
    """Where descents ended.

    Attributes:
        thetas: shape (n, p).
        values: χ², shape (n,).
        side: which of the two searches each is of, shape (n,).
        raw: whether its start was raw, shape (n,).
    """

    thetas: np.ndarray
    values: np.ndarray
    side: np.ndarray
    raw: np.ndarray


def _search(problem: PeakProblem, starts: int, seed: int, progress: Progress) -> tuple[Found, list[np.ndarray]]:
    """What two independent searches find, and other minima that are exactly as good (see `search`)."""
    progress("search", 0.0)
    begun, choice = time.process_time(), problem.choice
    within = boxes(choice, _highest(problem))
    scan, ends, found = None, None, None
    for turn in range(TURNS):
        scan = more(scan, screened(problem, within, turn, starts, seed, lambda part: None))
        which, raw = chosen(scan, starts if ends is None else 0, _DESCENTS)
        if not len(which):
            continue
        step = lambda part, turn=turn: progress("search", 1 - (1 - part) / 2 ** (turn + 1))  # noqa: E731
        now = _descended(problem, scan, which, raw, step)
        scan.fresh[which] = False
        ends = now if ends is None else _Ends(*(np.concatenate(two) for two in zip(ends, now, strict=True)))
        found = _best(problem, within, scan, ends)
        if found[0].same or time.process_time() - begun > PATIENCE:
            break
    progress("search", 1.0)
    assert scan is not None
    if found is None:
        problem.check(scan.thetas[0])
        raise FitError(
            f"None of {len(scan.thetas)} points within the bounds has modes at all wavevectors of the peaks: the "
            "structure is unstable everywhere. Change the bounds or the model."
        )
    return found


def _highest(problem: PeakProblem) -> float:
    return float(np.max(problem.whole().energy))


def _descended(
    problem: PeakProblem, scan: Screened, which: np.ndarray, raw: int, told: Callable[[float], None]
) -> _Ends:
    """The ends of descents from screened points, the last of which are raw."""
    thetas, values = [], []
    for n, one in enumerate(which):
        end = descend(problem, scan.thetas[one])
        thetas.append(end)
        values.append(problem.objective(end))
        told((n + 1) / len(which))
    return _Ends(np.array(thetas), np.array(values), scan.side[which], np.arange(len(which)) >= len(which) - raw)


def _best(problem: PeakProblem, within: Boxes, scan: Screened, ends: _Ends) -> tuple[Found, list[np.ndarray]]:
    """What was found so far; of equals, which a symmetry of the modes makes, the one nearest to the model leads."""
    width = problem.choice.upper - problem.choice.lower
    order = [int(n) for n in np.argsort(ends.values, kind="stable")]
    stable = functools.cache(lambda n: is_stable(lambda: problem.check(ends.thetas[n])))
    firsts = [next((n for n in order if ends.side[n] == side and stable(n)), None) for side in (0, 1)]
    best = min((n for n in firsts if n is not None), key=lambda n: ends.values[n], default=order[0])
    least = float(ends.values[best])
    equal = [ends.thetas[n] for n in order if least <= ends.values[n] <= least * (1 + _EQUAL)]
    winner = min(equal, key=lambda end: float(np.linalg.norm((end - scan.thetas[0]) / width)))
    near = AGREE * within.around(winner)

    def apart(end: np.ndarray, one: np.ndarray) -> bool:
        return bool(np.any(np.abs(end - one) >= near))

    equals: list[np.ndarray] = []
    for end in equal:
        if all(apart(end, one) for one in (winner, *equals)):
            equals.append(end)
    costs = np.array([np.inf if n is None else ends.values[n] for n in firsts])
    noise = max(1.0, least / max(1, problem.n_peaks - len(width)))
    found = Found(
        minima=winner[None],
        agree=np.array([sum(not apart(end, winner) for end in ends.thetas[ends.raw])]),
        pair=np.array([np.full(len(width), np.nan) if n is None else ends.thetas[n] for n in firsts]),
        costs=costs,
        same=bool(np.isfinite(costs).all() and np.ptp(costs) <= noise),
        points=len(scan.thetas),
        expected=np.inf,
    )
    return found, equals


def descend(problem: PeakProblem, start: np.ndarray) -> np.ndarray:
    """A local minimum within the bounds, by a trust-region Gauss–Newton method.

    Steps into the unstable phase, where the residual is NaN, are shortened until they stay out.
    """
    choice = problem.choice
    width = choice.upper - choice.lower
    inside = np.clip(start, choice.lower + 1e-6 * width, choice.upper - 1e-6 * width)
    if not np.isfinite(problem.objective(inside)):
        inside = start
    with np.errstate(all="ignore"):
        return scipy.optimize.least_squares(
            problem.residual,
            inside,
            jac=lambda theta: problem.jacobian(theta)[1],  # type: ignore[arg-type]
            bounds=(choice.lower, choice.upper),
            x_scale=width,
            xtol=1e-9,
            ftol=1e-12,
            gtol=None,  # type: ignore[arg-type]
            max_nfev=100,
        ).x


def _answer(problem: PeakProblem, theta: np.ndarray, starts: tuple[int, int]) -> PeakFit:
    choice = problem.choice
    values = {name: float(value) for name, value in choice.values(theta).items()}
    problem.forward.check({name: values[name] for name in (p.name for p in problem.forward.parameters)})
    edge = at_bound(choice, theta, boxes(choice, _highest(problem)).around(theta))
    residual, J = problem.jacobian(theta)
    square, freedom = float(residual @ residual), max(1, len(residual) - int(np.sum(~edge)))
    noise = max(1.0, square / freedom)
    covariance = noise * inverse(J, edge)
    found = errors(choice, theta, covariance, blind(J, edge))
    return PeakFit(
        parameters=choice.free,
        fixed=choice.fixed,
        ties=choice.ties,
        values=values,
        errors=found.of,
        covariance=covariance,
        at_bound=tuple(bool(e) for e in edge),
        description=problem.forward.describe(),
        objective="gaussian",
        background="none",
        objective_value=square,
        chi2_reduced=square / freedom,
        noise=noise,
        starts=starts,
        maps=(),
        surrogate_check=None,
        problem=problem,  # type: ignore[arg-type]  # what a landscape asks of a problem it has
        identified=identify(choice.free, theta, covariance, found.undetermined, Seen(J[:0], ())),
        undetermined=found.undetermined,
        peaks=_beside(problem.sets, problem.energies(theta), problem.modes(theta)),
    )


def _beside(sets: Sequence[PeakSet], energies: np.ndarray, modes: np.ndarray) -> tuple[Peak, ...]:
    observed = [
        (one.name, tuple(float(x) for x in one.hkl[q]), float(E), float(s))
        for one in sets
        for q, E, s in zip(one.at, one.energy, one.sigma, strict=True)
    ]
    return tuple(
        Peak(*seen, float(E), int(m))  # type: ignore[arg-type]
        for seen, E, m in zip(observed, energies, modes, strict=True)
    )
