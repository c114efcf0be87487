"""How well each parameter is known, which combinations of the others are, and where in the data the answer lies.

A parameter with a small error needs no more words. Of those that are not known, the covariance, scaled by the standard
errors, is the correlation matrix; its eigenvectors are combinations whose errors are independent. Where one is known
far better than another, single errors mislead: the first is determined, and along the other the parameters slide
together. What each pixel says about a direction v is (J v)², J the derivatives of the residuals with scale and
background eliminated: its share of the Fisher information.

Source: Cowan, Statistical Data Analysis (1998), section 6.6 (Fisher information of independent Gaussian data).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.uncertainty import BLIND
from insiren.forward import Parameter

_KNOWN = 0.1  # of its value: a smaller error needs no combination to be looked for
_APART = 6.0  # ratio of the errors of two combinations, in units of the single errors; of two parameters: |ρ| > 0.95
_SMALL = 0.1  # of the largest coefficient, in units of the single errors: smaller ones are left out of the words
_REGION = 0.1  # r.l.u., or 1/Å of a powder: wavevectors so close are one region
_MIDDLE = (0.1, 0.9)  # of the information in a region lies between these energies
_REGIONS = 2  # that are named at most
_WORTH = 0.1  # of all information: a region with less is not named


class Seen(NamedTuple):
    """What the data say: derivatives of the residuals of pixels (d, p) and peaks (n, p), and the data sets."""

    pixels: np.ndarray
    maps: Sequence[Measured]
    peaks: np.ndarray | None = None


def identify(
    free: Sequence[Parameter], theta: np.ndarray, covariance: np.ndarray, undetermined: Sequence[str], seen: Seen
) -> tuple[str, ...]:
    """In words: the relative error of each parameter, combinations of those not known, and which pixels would decide.

    Args:
        free: the free parameters, with the bounds of this fit.
        theta: their values, shape (p,).
        covariance: of them, in their units, shape (p, p); NaN for those without an error.
        undetermined: names of those that are not determined.
        seen: by the data, in the order of the residuals.
    """
    if not free:
        return ()
    size = np.sqrt(np.diag(covariance))
    lost = np.array([p.name in undetermined for p in free])
    unsure = np.flatnonzero(np.isfinite(size) & (lost | (size > _KNOWN * abs(theta)))).tolist()
    left = [k for k in unsure if lost[k]]
    said = [_each(free, theta, size, undetermined)]
    for unit in dict.fromkeys(free[k].unit for k in unsure):
        group = [k for k in unsure if free[k].unit == unit]
        combined = _combinations([free[k] for k in group], covariance[np.ix_(group, group)])
        if combined is None:
            continue
        left = [k for k in left if free[k].name not in combined.names]
        along = covariance[:, group] @ (combined.loose / size[group])
        said += [combined.text, *_where(along, f"tell {_listed(combined.names)} apart", seen)]
    for k in left:
        said += _where(covariance[:, k], f"say most about {free[k].name}", seen)
    return tuple(said)


def _each(free: Sequence[Parameter], theta: np.ndarray, size: np.ndarray, undetermined: Sequence[str]) -> str:
    """The error of each parameter, relative where its value is more than that."""
    known, zero, bound = [], [], []
    for p, value, error in zip(free, theta, size, strict=True):
        if p.name in undetermined:
            continue
        if not np.isfinite(error):
            bound.append(f"{p.name} ended at a bound")
        elif error < abs(value):
            known.append(f"{p.name}{'' if known else ' is known'} to {_percent(error / abs(value))}")
        else:
            zero.append(f"{p.name} is 0 within its error of {error:.2g}{_unit(p)}")
    lost = [p.name for p in free if p.name in undetermined]
    open_ = [f"{_listed(lost)} {'is' if len(lost) == 1 else 'are'} not determined"] if lost else []
    return "; ".join([*([", ".join(known)] if known else []), *zero, *open_, *bound]) + "."


def _percent(share: float) -> str:
    return f"{float(f'{100 * share:.1g}'):g} %" if share < _KNOWN else f"{100 * share:.0f} %"


class _Combined(NamedTuple):
    """Combinations that are known in words, the parameters in them, and the direction that is not, (k,)."""

    text: str
    names: list[str]
    loose: np.ndarray


def _combinations(group: Sequence[Parameter], C: np.ndarray) -> _Combined | None:
    """What is known of parameters of one unit that are not known one by one; each stands in one combination."""
    size = np.sqrt(np.diag(C))
    value, vectors = np.linalg.eigh(C / np.outer(size, size))
    error = np.sqrt(np.maximum(value, 0))
    found, used = [], []
    for k in np.flatnonzero(_APART * error < error[-1]):
        kept = np.flatnonzero(np.abs(vectors[:, k]) > _SMALL * np.abs(vectors[:, k]).max()).tolist()
        if len(kept) > 1 and not set(kept) & set(used):
            found.append(_combination(group, vectors[:, k] / size, C, kept))
            used += kept
    if not found:
        return None
    names = [group[k].name for k in sorted(used)]
    verb, alone = ("is" if len(found) == 1 else "are"), "either" if len(names) == 2 else "any of them"
    return _Combined(f"{_listed(found)} {verb} known far better than {alone} alone.", names, vectors[:, -1])


def _combination(group: Sequence[Parameter], coefficients: np.ndarray, C: np.ndarray, kept: list[int]) -> str:
    """A combination with its error, as in "J - 1.9 Jp (± 0.02 meV)"; the error is that of what is written."""
    lead = coefficients[kept[0]]
    rounded = np.zeros(len(group))
    text = ""
    for k in kept:
        rounded[k] = float(f"{coefficients[k] / lead:.3g}")
        many = "" if abs(rounded[k]) == 1 else f"{abs(rounded[k]):.3g} "
        name = group[k].name
        text += f"{many}{name}" if not text else f" {'-' if rounded[k] < 0 else '+'} {many}{name}"
    return f"{text} (± {np.sqrt(max(0.0, rounded @ C @ rounded)):.2g}{_unit(group[kept[0]])})"


def _where(direction: np.ndarray, verb: str, seen: Seen) -> list[str]:
    """The sentence on where the data speak about a direction (p,) of the parameters; none where they nowhere do."""
    direction = np.where(np.isfinite(direction), direction, 0.0)
    pixels = (seen.pixels @ direction) ** 2
    peaks = np.zeros(0) if seen.peaks is None else (seen.peaks @ direction) ** 2
    size = sum(np.sum(J**2, axis=0) for J in (seen.pixels, seen.peaks) if J is not None)
    total = float(pixels.sum() + peaks.sum())
    if not seen.maps or total <= BLIND * float(np.sum(size * direction**2)):
        return []
    if (share := peaks.sum() / total) > _WORTH:
        return [f"{100 * share:.0f} % of what these data have to {verb} is in the lists of peaks."]
    if where := _listed(regions(pixels, seen.maps)):
        return [f"These data {verb} {where}: more counts there would decide it."]
    return []


def _unit(p: Parameter) -> str:
    return f" {p.unit}" if p.unit else ""


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]] if len(parts) > 2 else parts)


def regions(information: np.ndarray, maps: Sequence[Measured]) -> list[str]:
    """The regions of wavevector and energy that hold most of some information, in words.

    Args:
        information: of each pixel of all data sets, ≥ 0, shape (d,).
        maps: the data sets, in the same order.
    """
    place, index, omega, used = [], [], [], []
    for m in maps:
        place.append(np.asarray(m.points.hkl if m.points.Q_abs is None else m.points.Q_abs[:, None]))
        index.append(np.asarray(m.points.index))
        omega.append(np.asarray(m.points.omega))
        used.append(m.used)
    kinds = {p.shape[1] for p in place}
    if len(kinds) > 1:  # crystals and powders together: those with more to say
        parts = np.split(information, np.cumsum([len(w) for w in omega])[:-1])
        held = {k: sum(i.sum() for i, p in zip(parts, place, strict=True) if p.shape[1] == k) for k in kinds}
        pick = [n for n, p in enumerate(place) if p.shape[1] == max(held, key=lambda k: held[k])]
        return regions(np.concatenate([parts[n] for n in pick]), [maps[n] for n in pick])
    here = np.concatenate(used)
    information = np.where(here, information, 0.0)
    first = np.cumsum([0, *map(len, place)])[:-1]
    at = np.concatenate([i + n for i, n in zip(index, first, strict=True)])
    return _regions(information, np.concatenate(place), at, np.concatenate(omega), here)


def _regions(
    information: np.ndarray, places: np.ndarray, at: np.ndarray, omega: np.ndarray, used: np.ndarray
) -> list[str]:
    total = information.sum()
    if not total > 0:
        return []
    _, cell = np.unique(np.round(places / _REGION), axis=0, return_inverse=True)
    cell, place = cell.reshape(-1)[at], places[at]
    held = np.bincount(cell, weights=information)
    said = []
    for best in np.argsort(-held)[:_REGIONS]:
        if held[best] < _WORTH * total:
            break
        inside = np.flatnonzero(cell == best)
        centre = np.average(place[inside], axis=0, weights=information[inside])
        order = inside[np.argsort(omega[inside])]
        grown = np.cumsum(information[order]) / held[best]
        low, high = (omega[order][np.searchsorted(grown, part)] for part in _MIDDLE)
        pixels = np.sum(used[inside] & (omega[inside] >= low) & (omega[inside] <= high)) / np.sum(used)
        span = (_MIDDLE[1] - _MIDDLE[0]) * held[best] / total
        name = f"|Q| = {centre[0]:.2f} 1/Å" if len(centre) == 1 else f"({', '.join(f'{x + 0:.2f}' for x in centre)})"
        said.append(
            f"near {name} at {low:.3g} … {high:.3g} meV ({100 * span:.0f} % of it in {100 * pixels:.1f} % of the "
            "pixels)"
        )
    return said
