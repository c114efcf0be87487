"""Which combinations of parameters the data determine, in words, and where in the data the answer lies.

The covariance, scaled by the standard errors, is the correlation matrix; its eigenvectors are combinations whose
errors are independent. Where one is known far better than another, single errors mislead: the first is determined,
and along the other the parameters slide together. What each pixel says about that direction v is (J v)², J the
derivatives of the residuals with scale and background eliminated: its share of the Fisher information.

Source: Cowan, Statistical Data Analysis (1998), section 6.6 (Fisher information of independent Gaussian data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from insiren.data.spectrum import Measured

_APART = 6.0  # ratio of the errors of two combinations, in units of the single errors; of two parameters: |ρ| > 0.95
_SMALL = 0.1  # of the largest coefficient, in units of the single errors: smaller ones are left out of the words
_REGION = 0.1  # r.l.u., or 1/Å of a powder: wavevectors so close are one region
_MIDDLE = (0.1, 0.9)  # of the information in a region lies between these energies
_REGIONS = 2  # that are named at most
_WORTH = 0.1  # of all information: a region with less is not named


def identify(
    names: Sequence[str],
    units: Mapping[str, str],
    covariance: np.ndarray,
    J: np.ndarray,
    maps: Sequence[Measured],
    of_peaks: np.ndarray | None = None,
) -> tuple[str, ...]:
    """In words: combinations that are determined, those that are not, and which pixels would decide.

    Args:
        names: of the free parameters.
        units: of the parameters, by name.
        covariance: of the free parameters, in their units, shape (p, p); NaN for those without an error.
        J: derivatives of the residuals of all pixels of all data sets, shape (d, p).
        maps: the data sets, in the order of the residuals.
        of_peaks: derivatives of the residuals of peaks, shape (n, p).

    Returns:
        Sentences; none where every parameter is known about as well as any combination.
    """
    known = np.flatnonzero(np.isfinite(np.diag(covariance))).tolist()
    if len(known) < 2:
        return ()
    C = covariance[np.ix_(known, known)]
    sigma = np.sqrt(np.diag(C))
    chosen = [names[k] for k in known]
    value, vectors = np.linalg.eigh(C / np.outer(sigma, sigma))
    error = np.sqrt(np.maximum(value, 0))
    if error[-1] <= _APART * error[0]:
        return ()
    # a parameter that stands alone is as certain as its own error says
    single = np.sum(np.abs(vectors) > _SMALL * np.abs(vectors).max(axis=0), axis=0) == 1
    weak = np.flatnonzero((error > _APART * error[0]) & ~single)
    strong = np.flatnonzero((_APART * error < error[-1]) | single)
    if not len(weak):
        return ()
    combined = lambda k: _combination(chosen, units, vectors[:, k] / sigma, C)  # noqa: E731
    alone = ", ".join(
        f"{name} alone {s:.2g}{_unit(units, name)}"
        for name, s, shares in zip(chosen, sigma, np.abs(vectors[:, weak]).max(axis=1), strict=True)
        if shares > _SMALL
    )
    verb = "is" if len(strong) == 1 else "are"
    said = [
        f"Only {_listed([combined(k) for k in strong])} {verb} well determined; "
        f"{_listed([combined(k) for k in weak])} not (error of {alone})."
    ]
    for k in weak:
        direction = np.zeros(len(names))
        direction[known] = vectors[:, k] * sigma
        if not maps:
            continue
        information = (J @ direction) ** 2
        share = 0.0 if of_peaks is None else float(np.sum((of_peaks @ direction) ** 2))
        share /= (information.sum() + share) or 1.0
        about = _combination(chosen, units, vectors[:, k] / sigma, C).split(" (")[0]
        if share > _WORTH:
            said.append(f"Of what these data say about {about}, {100 * share:.0f} % is in the lists of peaks.")
        elif where := _listed(regions(information, maps)):
            said.append(f"What these data say about {about} they say {where}: more counts there would decide it.")
    return tuple(said)


def _combination(names: list[str], units: Mapping[str, str], coefficients: np.ndarray, C: np.ndarray) -> str:
    """A combination with its error, as in "J - 1.9 Jp (± 0.02 meV)"; the error is that of what is written."""
    size = np.abs(coefficients) * np.sqrt(np.diag(C))
    kept = [k for k in range(len(names)) if size[k] > _SMALL * size.max()]
    lead = coefficients[kept[0]]
    rounded = np.zeros(len(names))
    text = ""
    for k in kept:
        rounded[k] = float(f"{coefficients[k] / lead:.3g}")
        many = "" if abs(rounded[k]) == 1 else f"{abs(rounded[k]):.3g} "
        text += f"{many}{names[k]}" if not text else f" {'-' if rounded[k] < 0 else '+'} {many}{names[k]}"
    return f"{text} (± {np.sqrt(max(0.0, rounded @ C @ rounded)):.2g}{_unit(units, names[kept[0]])})"


def _unit(units: Mapping[str, str], name: str) -> str:
    return f" {units[name]}" if units.get(name) else ""


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(parts)


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
