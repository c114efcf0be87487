"""Rows of wavevector, energy and intensity as an image where they form a grid, else as points."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.hints import chosen, otherwise
from insiren.data.spectrum import Details, image, point_list

FEW = 2.5  # neutrons in the emptiest pixel that caught any, where others may have caught none


def laid_out(
    name: str,
    place: np.ndarray,
    omega: np.ndarray,
    intensity: np.ndarray,
    sigma: np.ndarray | None,
    details: Details,
) -> sc.DataArray:
    """A spectrum from its rows.

    Args:
        name: of the data set.
        place: shape (d, 3) in r.l.u., or (d, 1) of |Q| in 1/Å.
        omega: energy transfer in meV, shape (d,).
        intensity: shape (d,); NaN is missing.
        sigma: standard deviations, shape (d,), or None.
        details: what else is known, arrays of shape (d,).

    Returns:
        An image where every wavevector was measured once at every energy, in whatever order: its
        wavevectors in the order of their first row, its energies ascending. Else a list of points.
    """
    hkl, lengths = (place, None) if place.shape[1] == 3 else (None, place[:, 0])
    order = _grid(place, omega)
    if order is None:
        return point_list(name, hkl, omega, intensity, sigma, Q_abs=lengths, **details)
    hkl, lengths = (None if x is None else x[order[:, 0]] for x in (hkl, lengths))
    on_grid = {k: v[order] if isinstance(v, np.ndarray) else v for k, v in details.items()}
    values, errors = intensity[order], None if sigma is None else sigma[order]
    return image(name, hkl, omega[order[0]], values, errors, Q_abs=lengths, **on_grid)  # type: ignore[arg-type]


def _grid(place: np.ndarray, omega: np.ndarray) -> np.ndarray | None:
    """The row number of every pixel (q, w), or None where the rows are no grid."""
    _, first, which = np.unique(place, axis=0, return_index=True, return_inverse=True)
    energies, energy = np.unique(omega, return_inverse=True)
    if len(first) * len(energies) != len(omega):
        return None
    rank = np.empty(len(first), int)
    rank[np.argsort(first)] = np.arange(len(first))
    pixel = rank[which.reshape(-1)] * len(energies) + energy
    order = np.full(len(omega), -1)
    order[pixel] = np.arange(len(omega))
    return None if np.any(order < 0) else order.reshape(len(first), len(energies))


def filled_zeros(
    intensity: np.ndarray, sigma: np.ndarray, omega: np.ndarray, zeros: str = "measured"
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Intensities and standard deviations with sense made of 0 ± 0, and what was assumed.

    A pixel that was covered but caught nothing is printed as 0 ± 0. It is evidence that nothing is there,
    with the error of one neutron, which is worth the geometric mean of σ²/I at its energy; unless the user
    says that such pixels were not measured.

    Args:
        intensity: shape (d,); NaN is missing.
        sigma: standard deviations, shape (d,).
        omega: energies, shape (d,).
        zeros: "measured" or "missing".
    """
    empty, seen = (intensity == 0) & (sigma == 0), (intensity > 0) & (sigma > 0)
    if not empty.any():
        return intensity, sigma, []
    count, change = int(empty.sum()), otherwise("zeros", zeros)
    if zeros == "missing":
        return np.where(empty, np.nan, intensity), sigma, [f"{count} pixels of 0 ± 0 are missing; {change} changes it"]
    if not seen.any():
        return intensity, sigma, [f"{count} pixels of 0 ± 0 were measured without an error; {change} leaves them out"]
    energies, row = np.unique(omega, return_inverse=True)
    logs = np.log(sigma[seen] ** 2 / intensity[seen])
    number = np.bincount(row[seen], minlength=len(energies))
    each = np.bincount(row[seen], logs, minlength=len(energies))
    worth = np.exp(np.where(number > 0, each / np.maximum(number, 1), logs.mean()))
    said = (
        f"{count} pixels of 0 ± 0 were covered and caught nothing: their σ is what one neutron is worth, the "
        f"geometric mean of σ²/I at their energy; {change} leaves them out"
    )
    return intensity, np.where(empty, worth[row], sigma), [said]


def meaning_of_zeros(intensity: np.ndarray, sigma: np.ndarray, zeros: Any) -> str:
    """What 0 ± 0 is in a text that does not say: "measured" where single neutrons can be told apart, else "missing".

    Where pixels caught none, others caught one or two, whose (I/σ)² says so; and where intensities are negative a
    background was subtracted, which leaves no measured pixel at 0 ± 0.

    Args:
        intensity: NaN is missing.
        sigma: standard deviations, likewise shaped.
        zeros: what the user says, or None.

    Raises:
        DataError: the user says neither.
    """
    if zeros is not None:
        return chosen("zeros", zeros)
    with np.errstate(invalid="ignore"):
        seen = (intensity > 0) & (sigma > 0)
        few = bool(seen.any()) and bool(np.min(intensity[seen] / sigma[seen]) ** 2 <= FEW)
        return "measured" if few and not np.any(intensity < 0) else "missing"


def empty_bins(
    intensity: np.ndarray, sigma: np.ndarray, omega: np.ndarray, npix: np.ndarray, zeros: str | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The same for the bins of a histogram that knows how many pixels fell into each.

    Args:
        intensity: shape (q, w); NaN is missing.
        sigma: standard deviations, likewise.
        omega: energies, shape (w,).
        npix: number of pixels, shape (q, w).
        zeros: "measured" or "missing" for bins without pixels and bins of 0 ± 0 alike; None: the first are
            missing, the others measured.
    """
    none, said = npix == 0, []
    meant = zeros or "missing"
    intensity = np.where(none, np.nan if meant == "missing" else 0.0, intensity)
    sigma = np.where(none | np.isnan(intensity), 0.0, sigma)
    if none.any():
        said = [f"{int(none.sum())} bins without pixels (npix = 0) are {meant}; {otherwise('zeros', meant)} changes it"]
    along = np.broadcast_to(omega, intensity.shape).ravel()
    values, errors, more = filled_zeros(intensity.ravel(), sigma.ravel(), along, zeros or "measured")
    return values.reshape(intensity.shape), errors.reshape(intensity.shape), [*said, *more]
