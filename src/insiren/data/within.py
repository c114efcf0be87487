"""A part of a data set: ranges of energy and wavevector."""

from __future__ import annotations

from collections.abc import Mapping

import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import place_of
from insiren.errors import DataError

ENERGY = "E"


def within(data: sc.DataArray, ranges: Mapping[str, tuple[float, float]]) -> sc.DataArray:
    """The part of a data set within ranges, both ends included.

    Args:
        data: a spectrum, or a list of peaks.
        ranges: lowest and highest value kept, by axis: "E" (energy transfer in meV), "h", "k", "l" (r.l.u.) or, of a
            powder, "Q_abs" (1/Å).

    Raises:
        DataError: the data set has no such axis, or nothing is left.
    """
    peaks = is_peaks(data)
    data = data if peaks else adopt(data)
    names, called = (ENERGY, *place_of(data)), data.name
    if unknown := sorted(set(ranges) - set(names)):
        raise DataError(f"{data.name} has no axis {', '.join(unknown)} to take a range of; it has {', '.join(names)}.")
    for name, (low, high) in ranges.items():
        if name != ENERGY:
            values = data.coords[name].to(dtype="float64")
        elif peaks:
            values = sc.array(dims=data.dims, values=data.values)
        else:
            values = data.coords["energy_transfer"].to(unit="meV", dtype="float64")
        bare = sc.array(dims=values.dims, values=values.values)
        data = data[(bare >= sc.scalar(float(low))) & (bare <= sc.scalar(float(high)))]
        if not data.values.size:
            raise DataError(f"{called} holds nothing with {name} in {low:g} … {high:g}.")
    data.name = called  # which scipp drops as it selects
    return data
