"""A part of a data set: ranges of energy and wavevector that are kept, or masks that leave a patch out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import place_of
from insiren.errors import DataError

ENERGY = "E"
Mask = Mapping[str, tuple[float, float]]  # lowest and highest value by axis, all of which hold inside it


def within(data: sc.DataArray, ranges: Mapping[str, tuple[float, float]]) -> sc.DataArray:
    """The part of a data set within ranges, both ends included.

    Args:
        data: a spectrum, or a list of peaks.
        ranges: lowest and highest value kept, by axis: "E" (energy transfer in meV), "h", "k", "l" (r.l.u.) or, of a
            powder, "Q_abs" (1/Å).

    Raises:
        DataError: the data set has no such axis, or nothing is left.
    """
    data = data if is_peaks(data) else adopt(data)
    called = data.name
    _check_axes(data, ranges)
    for name, span in ranges.items():
        data = data[_inside(data, name, span)]
        if not data.values.size:
            raise DataError(f"{called} holds nothing with {name} in {span[0]:g} … {span[1]:g}.")
    data.name = called  # which scipp drops as it selects
    return data


def masked(data: sc.DataArray, mask: Mask) -> sc.DataArray:
    """A data set without the pixels inside every range of a mask, both ends included.

    Pixels of a spectrum get a scipp mask named as `mask_text` writes it; peaks, which have no masks, are dropped.

    Args:
        data: a spectrum, or a list of peaks.
        mask: lowest and highest value by axis, named as for `within`.

    Returns:
        The data set itself where the mask covers nothing of it.

    Raises:
        DataError: the data set has no such axis, or no peak is left.
    """
    data = data if is_peaks(data) else adopt(data)
    _check_axes(data, mask)
    if not mask:
        raise DataError(
            f"{data.name}: a mask needs one range at least, such as E=30:40; an empty one covers everything."
        )
    covered = sc.ones(sizes=data.sizes, dtype="bool")
    for name, span in mask.items():
        covered = covered & _inside(data, name, span)
    if not covered.values.any():
        return data
    name = data.name
    if is_peaks(data):
        if covered.values.all():
            raise DataError(f"{name}: the mask {mask_text(mask)} covers each of its {covered.size} peaks.")
        data = data[~covered]
        data.name = name
        return data
    data = data.copy(deep=False)
    data.masks[mask_text(mask)] = covered.transpose(data.dims).copy()
    return data


def without(data: sc.DataArray, masks: Sequence[Mask]) -> sc.DataArray:
    """A data set without what any of the masks covers; a mask over an axis that it does not have covers nothing."""
    for mask in masks:
        if set(mask) <= set(axes_of(data)):
            data = masked(data, mask)
    return data


def mask_text(mask: Mask) -> str:
    """A mask as it is written, "E=30:40; h=0.4:0.6"."""
    ranges = (f"{name}={low:g}:{high:g}" for name, (low, high) in mask.items())
    return "; ".join(ranges).replace("e+", "e")  # a table joins names of masks by +


def axes_of(data: sc.DataArray) -> tuple[str, ...]:
    """The axes over which ranges may be taken."""
    return (ENERGY, *place_of(data))


def _check_axes(data: sc.DataArray, ranges: Mask) -> None:
    names = axes_of(data)
    if unknown := sorted(set(ranges) - set(names)):
        raise DataError(f"{data.name} has no axis {', '.join(unknown)} to take a range of; it has {', '.join(names)}.")


def _inside(data: sc.DataArray, name: str, span: tuple[float, float]) -> sc.Variable:
    """Which values of an axis lie in a range, along its dim."""
    if name != ENERGY:
        values = data.coords[name].to(dtype="float64")
    elif is_peaks(data):
        values = sc.array(dims=data.dims, values=data.values)
    else:
        values = data.coords["energy_transfer"].to(unit="meV", dtype="float64")
    bare = sc.array(dims=values.dims, values=values.values)
    return (bare >= sc.scalar(float(span[0]))) & (bare <= sc.scalar(float(span[1])))
