"""The same fit with one choice made otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipp as sc

from insiren.data.background import savgol_background, smooth_basis
from insiren.data.legs import LEG_OF
from insiren.data.spectrum import Measured, measured
from insiren.errors import FitError, InsirenError
from insiren.fit.along import along
from insiren.fit.evidence import by_evidence
from insiren.fit.objective import Target, reweighted, target
from insiren.fit.peaks import JointProblem, PeakProblem
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.instrument.exact import Exact

BACKGROUND = "background"  # the kind
_FACTOR = 2.0  # by which the σ floor is raised and lowered
_OTHERS = ("per-energy", "smooth", "savgol", "constant")
_PARTED = (0.25, 0.5, 0.75)  # shares of the pixels below the energies at which they are parted
_LEAST = 0.05  # of the mean intensity of an energy: a model is never less where it gives the variance


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """A fit that differs in one choice.

    Attributes:
        kind: of the choice.
        what: was done, for people.
        problem: its residuals; not yet prepared where the Forward is another.
        maps: its data sets.
        part: whether it is a part of the data.
    """

    kind: str
    what: str
    problem: Problem | PeakProblem
    maps: list[Measured]
    part: bool = False


def all_variants(fit: Fit, data: list[sc.DataArray]) -> tuple[list[Variant], list[str]]:
    """Every variant that this fit allows, and what could not be made.

    Args:
        fit: an answer by likelihood.
        data: as read, one for each of its maps.
    """
    made, skipped = [], []
    makers: list[Callable[[], Iterable[Variant]]] = [
        lambda: _floors(fit, data),
        lambda: _weights(fit),
        lambda: _backgrounds(fit, data, skipped),
        lambda: _widths(fit),
        lambda: _quadrature(fit),
        lambda: _halves(fit),
        lambda: _sets(fit, data),
    ]
    for maker in makers:
        try:
            made.extend(maker())
        except InsirenError as error:
            skipped.append(str(error))
    return made, skipped


def _maps(fit: Fit) -> list[Measured]:
    return [m.measured for m in fit.maps]


def _weighted(fit: Fit, sigmas: Iterable[np.ndarray]) -> tuple[Problem, list[Measured]]:
    """The same problem with other σ, in the data's unit, one array (d,) a data set."""
    maps = [dataclasses.replace(m, sigma=np.where(m.used, s, 1.0)) for m, s in zip(_maps(fit), sigmas, strict=True)]
    data = tuple(
        reweighted(t, np.where(m.used, m.sigma**-2.0, 0.0)) for m, t in zip(maps, fit.problem.data, strict=True)
    )
    return dataclasses.replace(fit.problem, data=data), maps


def _floors(fit: Fit, data: list[sc.DataArray]) -> Iterator[Variant]:
    """Other floors under σ. Where the variances are those of the model they do not depend on any."""
    floors = [m.sigma_floor for m in _maps(fit)]
    if fit.objective != "gaussian" or not any(floors) or _by_model(fit):
        return
    for factor, word in ((_FACTOR, "×"), (1 / _FACTOR, "÷")):
        sigmas = []
        for one, now, floor in zip(data, _maps(fit), floors, strict=True):
            bare = measured(one, (floor or 0.0) * factor, now.sigma_max or np.inf)
            sigmas.append(bare.sigma)
        yield Variant("σ floor", f"σ floor {word} {_FACTOR:g}", *_weighted(fit, sigmas))


def _weights(fit: Fit) -> Iterator[Variant]:
    """Weights that do not follow each pixel's own fluctuation, and those that do where the fit's do not."""
    if fit.objective != "gaussian":
        return
    yield Variant("weights", "σ² ∝ the fitted model within each energy", *_weighted(fit, _from_model(fit)))
    if _by_model(fit):
        yield Variant("weights", "σ of the data", *_weighted(fit, (m.sigma for m in _maps(fit))))
    yield Variant("weights", "one σ for each energy, its median", *_weighted(fit, _medians(fit)))


def _by_model(fit: Fit) -> bool:
    """Whether the variances are those of the model's intensity."""
    return fit.settings.get("weights") == "model"


def _from_model(fit: Fit) -> Iterator[np.ndarray]:
    """σ of counting statistics: variance ∝ expected intensity, with the factor that each energy's σ have.

    The median of σ²/I over an energy is 1/norm there, since most pixels are counted well.
    """
    for m in fit.maps:
        one, variance = m.measured, np.ones(len(m.intensity))
        # what was subtracted beforehand was counted too
        expected = np.asarray(m.profile.model) + (one.intensity - m.intensity)
        for row in range(one.n_rows):
            here = one.used & (one.row == row)
            if not here.any():
                continue
            mean = max(float(np.mean(one.intensity[here])), float(np.mean(expected[here])))
            level = np.maximum(expected[here], _LEAST * abs(mean))
            variance[here] = level * np.median(one.sigma[here] ** 2) / np.median(level)
        yield np.sqrt(np.where(variance > 0, variance, 1.0))


def _medians(fit: Fit) -> Iterator[np.ndarray]:
    for one in _maps(fit):
        sigma = np.ones(len(one.sigma))
        for row in range(one.n_rows):
            here = one.used & (one.row == row)
            if here.any():
                sigma[here] = np.median(one.sigma[here])
        yield sigma


def _backgrounds(fit: Fit, data: list[sc.DataArray], skipped: list[str]) -> Iterator[Variant]:
    """Other backgrounds that need nothing the fit did not have, as stiff as the evidence wants them.

    Why one could not be made is added to what was skipped.
    """
    spectra = fit.problem.spectra(fit.theta)
    for other in _OTHERS:
        if other == fit.background.partition(":")[0] or (other == "savgol" and fit.objective == "poisson"):
            continue
        try:
            curves = [savgol_background(measured(one, sigma_max=np.inf)) if other == "savgol" else None for one in data]
        except InsirenError as error:
            skipped.append(f"background {other}: {error}")
            continue
        bases = [smooth_basis(m) if other == "smooth" else None for m in _maps(fit)]
        made = zip(spectra, _maps(fit), curves, bases, fit.problem.data, strict=True)
        same = tuple(by_evidence(S, _instead(fit, target(m, other, curve, basis), t)) for S, m, curve, basis, t in made)
        yield Variant(BACKGROUND, f"background {other}", dataclasses.replace(fit.problem, data=same), _maps(fit))


def _instead(fit: Fit, fresh: Target, now: Target) -> Target:
    """A data set with another background and the weights that it has now; of counts, the likelihood stays theirs."""
    if fit.objective != "poisson":
        return reweighted(fresh, np.asarray(now.weight))
    exposure = now.exposure if fresh.curve is None else None
    return reweighted(fresh._replace(intensity=now.intensity, exposure=exposure), np.asarray(now.weight))


def _widths(fit: Fit) -> Iterator[Variant]:
    """Widths that were fixed, freed one at a time."""
    choice = fit.problem.choice
    for p in fit.problem.forward.parameters:
        fixed = dict(choice.fixed)
        if p.name not in ("width", "q_fwhm") or p.name not in fixed or not p.min < p.max:
            continue
        start = fixed.pop(p.name)
        if p.name == "q_fwhm" and start == 0:
            continue  # its derivative vanishes at 0, and another quadrature would be needed
        freed = dataclasses.replace(p, value=start, free=True)
        other = dataclasses.replace(choice, free=(*choice.free, freed), fixed=tuple(fixed.items()))
        yield Variant("width", f"{p.name} free", fit.problem.chosen(other), _maps(fit))


def _quadrature(fit: Fit) -> Iterator[Variant]:
    """Twice the nodes in every average of the exact simulator."""
    sources = fit.problem.sources
    planned = zip(sources, fit.problem.prepared, strict=True)
    if not any(isinstance(source, Exact) and prepared is not source for source, prepared in planned):
        return
    finer = tuple(dataclasses.replace(f, refine=2 * f.refine) if isinstance(f, Exact) else f for f in sources)
    forwards = finer if fit.problem.forwards else ()
    problem = dataclasses.replace(fit.problem, forward=finer[0], forwards=forwards).near(fit.theta)
    yield Variant("quadrature", "quadrature nodes doubled", problem, _maps(fit))


def _halves(fit: Fit) -> Iterator[Variant]:
    """The pixels parted in two at several energies, and in Q: along each path at its middle, else at one |Q|."""
    if fit.problem.n_peaks:
        raise FitError("Halves along ω and Q: a list of peaks belongs to neither, so none is fitted alone.")
    maps = _maps(fit)
    omega = np.concatenate([np.asarray(m.points.omega)[m.used] for m in maps])
    for border in np.unique(np.quantile(omega, _PARTED, method="lower")).tolist():
        for word, low in (("below", True), ("above", False)):
            keep = [(np.asarray(m.points.omega) <= border) == low for m in maps]
            yield from _part(fit, f"ω parted at {border:.4g} meV", f"ω {word} {border:.4g} meV alone", keep)
    lower, what = _lower_half(fit)
    for word, first in (("first", True), ("second", False)):
        yield from _part(fit, "Q range", f"{word} half of {what} alone", [one == first for one in lower])


def _lower_half(fit: Fit) -> tuple[list[np.ndarray], str]:
    """Which pixels of each data set lie in the first half of its path, else at lower |Q|; and of what they are half."""
    found, maps = [], _maps(fit)
    places = [along(m.points, source) for m, source in zip(maps, fit.problem.sources, strict=True)]
    at = [place.values[np.asarray(m.points.index)] for place, m in zip(places, maps, strict=True)]
    scattered = [x[m.used] for x, m, place in zip(at, maps, places, strict=True) if not place.path]
    border = float(np.median(np.concatenate(scattered))) if scattered else 0.0
    for x, m, place in zip(at, maps, places, strict=True):
        found.append(x <= (np.median(x[m.used]) if place.path else border))
    paths = sum(place.path for place in places)
    return found, "the path" if paths == len(places) else "paths and |Q|" if paths else "|Q|"


def _sets(fit: Fit, data: list[sc.DataArray]) -> Iterator[Variant]:
    """Each data set alone, the legs of a path together, and all lists of peaks."""
    joint = isinstance(fit.problem, JointProblem)
    sources = [str(one.coords[LEG_OF].value) if LEG_OF in one.coords else one.name for one in data]
    if len(set(sources)) + joint < 2:
        return
    for source in dict.fromkeys(sources):
        keep = [np.full(len(m.used), of == source) for of, m in zip(sources, _maps(fit), strict=True)]
        yield from _part(fit, "data sets", f"{source} alone", keep)
    if isinstance(fit.problem, JointProblem):
        yield Variant("data sets", "lists of peaks alone", fit.problem.peaks, [], part=True)


def _part(fit: Fit, kind: str, what: str, keep: list[np.ndarray]) -> Iterator[Variant]:
    """The same problem with the other pixels given no weight, so that nothing compiles anew."""
    maps = [dataclasses.replace(m, used=m.used & k) for m, k in zip(_maps(fit), keep, strict=True)]
    data: tuple[Target, ...] = tuple(
        reweighted(t, np.where(m.used, np.asarray(t.weight), 0.0)) for m, t in zip(maps, fit.problem.data, strict=True)
    )
    problem = fit.problem.maps if isinstance(fit.problem, JointProblem) else fit.problem
    if any(m.used.any() for m in maps):
        yield Variant(kind, what, dataclasses.replace(problem, data=data), maps, part=True)
