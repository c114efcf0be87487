"""A spectrum as an MDHistoWorkspace of Mantid: SaveMD version 2, the form that LoadMD reads.

Such a file is a histogram with even bins, so it can hold an image along a straight line in Q with even steps in Q
and energy, or the map of a powder. A crystal gets four axes: the line, two directions across it in which the bin
is thin, and the energy. Signals are intensities, not sums over events: `visual_normalization` is 0, NaN was never
covered, and num_events only says which bins were measured.

Source: Mantid, algorithms SaveMD 2 and LoadMD.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import scipp as sc

from insiren.data.spectrum import left_out, place_of, points_of
from insiren.errors import DataError

EVEN = 1e-6  # of a step: wavevectors and energies that stray more are on no even grid
REMEDY = "Write it as .csv or .h5, or cut it into straight pieces."
THIN = 1e-4  # r.l.u.: full width across the line; Mantid keeps edges to about 1e-7
NORMALISED, HKL, GENERAL = 0, 3, 0  # Mantid's numbers: no normalisation, hkl coordinates, none of its own


class Axis(NamedTuple):
    """One axis: its name and unit as Mantid writes them, and the edges of its bins."""

    name: str
    frame: str
    units: str
    edges: np.ndarray


def write_mdhisto(data: sc.DataArray, path: Path) -> None:
    """Writes one spectrum.

    Args:
        data: an image whose wavevectors step evenly along a straight line, or over |Q|.
        path: of the file, which is overwritten.

    Raises:
        DataError: the spectrum is no such image, or has no errors.
    """
    if "point" in data.dims:
        raise DataError(f"{data.name} is a list of points; an MDHistoWorkspace is a grid. Write it as .csv or .h5.")
    if data.variances is None:
        raise DataError(f"{data.name} has no errors, which an MDHistoWorkspace needs. Write it as .csv or .h5.")
    data = data.transpose(["Q", "energy_transfer"])
    points = points_of(data)
    place = np.asarray(points.hkl if points.Q_abs is None else points.Q_abs[:, None])
    along, order = int(np.argmax(np.abs(place[-1] - place[0]))), np.argsort(np.asarray(points.rows[0]))
    place, omega = place[rising := np.argsort(place[:, along])], np.asarray(points.rows[0])[order]
    energy = Axis("DeltaE", "General Frame", "DeltaE", _edges(data.name, "energies", omega))
    if place_of(data) == ("Q_abs",):
        lengths = _edges(data.name, "|Q|", place[:, 0])
        axes = [Axis("|Q|", "General Frame", "Angstrom^-1", lengths), energy]
    else:
        axes = [*_line(data.name, place, _across(data)), energy]
    pick = np.ix_(rising, order)
    values, variances, gone = data.values[pick], data.variances[pick], left_out(data)[pick]
    # A pixel that a mask leaves out is masked; one without a number was never covered.
    masked = gone & np.isfinite(values)
    arrays = {
        "signal": np.where(gone, np.nan, values),
        "errors_squared": np.where(gone, np.nan, variances),
        "num_events": np.where(gone, 0.0, 1.0),
        "mask": masked.astype(np.int8),
    }
    # The last axis of the file is the slowest of Mantid; names and arrays are in the same order.
    shape = [len(axis.edges) - 1 for axis in axes]
    with h5py.File(path, "w") as file:
        entry = file.create_group("MDHistoWorkspace")
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        entry.attrs["SaveMDVersion"] = np.int32(2)
        entry.attrs["QConvention"] = np.bytes_("Inelastic")
        entry["coordinate_system"] = np.array([HKL if len(axes) == 4 else GENERAL], np.uint32)
        entry["visual_normalization"] = np.array([NORMALISED], np.uint32)
        _arrays(entry.create_group("data"), axes, {k: v.reshape(shape).T for k, v in arrays.items()})
        _experiment(entry, data)


def _arrays(group: h5py.Group, axes: list[Axis], arrays: dict[str, np.ndarray]) -> None:
    """The axes D0, D1, … and the arrays, whose first dimension is the last of these."""
    group.attrs["NX_class"] = np.bytes_("NXdata")
    for n, axis in enumerate(axes):
        stored = group.create_dataset(f"D{n}", data=axis.edges)
        for key, value in (("long_name", axis.name), ("frame", axis.frame), ("units", axis.units)):
            stored.attrs[key] = np.bytes_(value)
    for key, array in arrays.items():
        group.create_dataset(key, data=np.ascontiguousarray(array), compression="gzip")
    group["signal"].attrs["signal"] = np.int32(1)
    group["signal"].attrs["axes"] = np.bytes_(":".join(f"D{n}" for n in reversed(range(len(axes)))))


def _experiment(entry: h5py.Group, data: sc.DataArray) -> None:
    """Ei and the lattice, where they are known."""
    if "Ei" not in data.coords and "lattice" not in data.coords:
        return
    experiment = entry.create_group("experiment0")
    experiment.attrs["NX_class"], experiment.attrs["version"] = np.bytes_("NXgroup"), np.int32(1)
    if "Ei" in data.coords:
        log = experiment.create_group("logs").create_group("Ei")
        log.attrs["NX_class"] = np.bytes_("NXlog")
        log.create_dataset("value", data=np.array([float(data.coords["Ei"].value)])).attrs["units"] = np.bytes_("meV")
    cells = str(data.coords["lattice"].value).replace(",", " ").split() if "lattice" in data.coords else []
    try:
        lattice = [float(cell) for cell in cells]
    except ValueError:
        return  # a text that is no lattice stays behind
    if len(lattice) == 6:
        stored = experiment.create_group("sample").create_group("oriented_lattice")
        stored.attrs["NX_class"] = np.bytes_("NXcrystal")
        for key, value in zip(("a", "b", "c", "alpha", "beta", "gamma"), lattice, strict=True):
            stored[f"unit_cell_{key}"] = np.array([value])


def _across(data: sc.DataArray) -> np.ndarray:
    """How wide the bins are along h, k and l alone, where the spectrum knows, else thin; r.l.u., shape (3,)."""
    widths = np.full(3, THIN)
    text = str(data.coords["bins_hkl"].value) if "bins_hkl" in data.coords else ""
    for edge in filter(None, text.split(";")):
        components = np.array([float(x) for x in edge.split()])
        if components.shape == (3,) and np.count_nonzero(components) == 1:
            widths[np.flatnonzero(components)] = np.abs(components).max()
    return widths


def _line(name: str, hkl: np.ndarray, widths: np.ndarray) -> list[Axis]:
    """The line on which the wavevectors lie, and two directions across it with bins so wide."""
    step = hkl[-1] - hkl[0] if len(hkl) > 1 else np.array([1.0, 0.0, 0.0])
    along = int(np.argmax(np.abs(step)))
    if not step[along]:
        raise DataError(f"{name}: its wavevectors begin and end at one place, so they are on no line. {REMEDY}")
    direction = step / step[along]
    x = hkl[:, along]
    offset = hkl[0] - x[0] * direction
    stray = np.abs(hkl - (offset + x[:, None] * direction)).max()
    if stray > EVEN * max(1.0, np.abs(hkl).max()):
        raise DataError(f"{name}: its wavevectors stray by {stray:.2g} r.l.u. from a straight line. {REMEDY}")
    axes = [Axis(_label(direction, along), "HKL", "r.l.u.", _edges(name, "wavevectors", x, THIN))]
    for across in range(3):
        if across != along:
            edges = offset[across] + widths[across] * np.array([-0.5, 0.5])
            axes.append(Axis(_label(np.eye(3)[across], across), "HKL", "r.l.u.", edges))
    return axes


def _label(direction: np.ndarray, along: int) -> str:
    """A direction as Mantid names it, [H,0.5H,0]; the letter is that of its largest component."""
    letter = "HKL"[along]
    fields = [
        "0" if x == 0 else letter if x == 1 else f"-{letter}" if x == -1 else f"{float(x)!r}{letter}" for x in direction
    ]
    return f"[{','.join(fields)}]"


def _edges(name: str, what: str, centres: np.ndarray, single: float = 1.0) -> np.ndarray:
    """The edges of even bins around centres, rising; a single bin is `single` wide."""
    if len(centres) == 1:
        return centres[0] + single * np.array([-0.5, 0.5])
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    if not step > 0 or np.abs(centres - even).max() > EVEN * step:
        raise DataError(f"{name}: its {what} do not rise in even steps, which an MDHistoWorkspace needs. {REMEDY}")
    return centres[0] + step * (np.arange(len(centres) + 1) - 0.5)
