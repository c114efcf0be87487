"""A cut of Horace as its files of any version hold it, and the spectrum that it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import Axis, Place, Where, axis
from insiren.data.files.errors import standard
from insiren.data.files.hints import vector
from insiren.data.files.table import empty_bins
from insiren.data.spectrum import image
from insiren.errors import DataError

ENERGY = 3  # number of the axis of energy transfer, from 0
ROUNDING = 1e-6  # of a direction: what less of h, k or l is, single precision left over
MOST = 22_000_000  # bins; three arrays of them take half a GB


class Cut(NamedTuple):
    """The image of a file.

    Attributes:
        lattice: a, b, c in Å and α, β, γ in degrees.
        offset: (h, k, l, E) at the zero of all axes.
        axes: all that have a range, plotted or integrated over, in the order of the arrays.
        endless: numbers of the axes that were integrated over without bounds, from 0.
        values: intensity, a dimension for each of `axes`.
        second: its variance, as Horace has it, likewise.
        npix: number of pixels in each bin, likewise.
    """

    lattice: np.ndarray
    offset: np.ndarray
    axes: list[Axis]
    endless: list[int]
    values: np.ndarray
    second: np.ndarray
    npix: np.ndarray


class Told(NamedTuple):
    """What the user says; see `horace_sqw.read_sqw`."""

    errors: str
    q_origin: Any
    energy: Any
    zeros: str | None
    bins: str | None


def cut_axis(path: Path, number: int, edges: np.ndarray, n: int, direction: np.ndarray, shift: float = 0.0) -> Axis:
    """One axis of a cut.

    Args:
        path: of the file, for errors.
        number: of the axis, from 0; the fourth is the energy transfer.
        edges: of its bins; those of an integrated one are the ends of its range.
        n: number of bins.
        direction: r.l.u. of one unit, for a direction in Q.
        shift: of the energies, in meV.

    Raises:
        DataError: its edges or its direction make no sense.
    """
    edges = np.asarray(edges, float)
    if n == 1 and len(edges) == 2 and edges[0] == edges[1]:
        edges = edges[:1]
    if number == ENERGY:
        return axis("axis 4 (energy transfer)", "energy", edges + shift, n, f"{path}: axis 4")
    if not np.isfinite(direction).all() or not direction.any():
        raise DataError(f"{path}: axis {number + 1} has no direction ({direction}). Save the cut again.")
    direction = np.where(np.abs(direction) < ROUNDING * np.max(np.abs(direction)), 0.0, direction)
    along = ", ".join(f"{x:.4g}" for x in direction)
    return axis(f"axis {number + 1} along ({along})", "hkl", edges, n, f"{path}: axis {number + 1}", direction)


def spectrum(path: Path, cut: Cut, told: Told) -> sc.DataArray:
    """The image of a cut, averaged over its bins and over what it was integrated over.

    Raises:
        DataError: it does not say where it lies, or its errors are none.
    """
    if not np.isfinite(cut.offset[:ENERGY]).all() or not np.isfinite(cut.lattice).all():
        raise DataError(f"{path}: its lattice or its offset are not finite numbers. Save the cut again.")
    origin = cut.offset[:ENERGY] if told.q_origin is None else vector("q_origin", told.q_origin)
    where = Where(str(path), cut.axes, Place(q_origin=origin, energy=told.energy), told.bins)
    order = [n for n, a in enumerate(where.axes) if a.kind != "energy"]
    order += [n for n, a in enumerate(where.axes) if a.kind == "energy"]
    omega, hkl = where.omega, where.table()[0]
    values, second, npix = (
        np.transpose(array, order).reshape(-1, len(omega)).astype(float) for array in (cut.values, cut.second, cut.npix)
    )
    missing = (npix == 0) | ~np.isfinite(values)
    second = np.where(missing, 0.0, second)
    if bad := int(np.sum(~np.isfinite(second) | (second < 0))):
        raise DataError(f"{path}: {bad} of its errors are negative or not finite. Save the cut again.")
    stored, said = standard(second, told.errors, "the second array of the image")
    intensity, sigma, about = empty_bins(np.where(missing, np.nan, values), stored, omega, npix, told.zeros)
    if np.isnan(intensity).all():
        raise DataError(f"{path}: no pixel fell into any of its {intensity.size} bins, so that nothing was measured.")
    assumed = [said, *about, *where.assumed, *_endless(cut, told)]
    lattice = cut.lattice.tolist()
    return image(path.stem, hkl, omega, intensity, sigma, assumed=assumed, lattice=lattice, bins=where.bins)


def _endless(cut: Cut, told: Told) -> list[str]:
    """What an axis counts as that was integrated over without bounds."""
    return [
        f"axis {n + 1} was integrated without bounds and counts as {told.energy if n == ENERGY else 0}; "
        f"{'--energy' if n == ENERGY else '--q-origin'} moves it"
        for n in cut.endless
    ]
