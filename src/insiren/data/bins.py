"""The bin around each pixel of a spectrum, as scalar coordinates: `bin_omega`, `bin_Q_abs` and `bins_hkl`.

`bins_hkl` is text such as "0.1 0 0; 0 0.1 0", the full edges in r.l.u., so that it survives tables, slicing and
concatenation, which a matrix does not.
"""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.errors import DataError
from insiren.forward import Bins

WIDTHS = {"bin_Q_abs": "1/angstrom", "bin_omega": "meV"}


def bin_coords(bins: Bins) -> dict[str, sc.Variable]:
    """The coordinates that say over what each pixel is averaged; none for points."""
    coords = {}
    if bins.hkl:
        coords["bins_hkl"] = sc.scalar("; ".join(" ".join(repr(float(x)) for x in edge) for edge in bins.hkl))
    for key, width in (("bin_Q_abs", bins.Q_abs), ("bin_omega", bins.omega)):
        if width:
            coords[key] = sc.scalar(float(width), unit=WIDTHS[key])
    return coords


def bins_of(data: sc.DataArray) -> Bins:
    """The bin around each pixel, as `bin_coords` or a table has written it; a point where nothing is said.

    Raises:
        DataError: the coordinates cannot be read, or give widths that are negative or not finite.
    """
    there = {key: data.coords[key] for key in ("bins_hkl", *WIDTHS) if key in data.coords}
    try:
        edges = [edge.split() for edge in str(there["bins_hkl"].value).split(";")] if "bins_hkl" in there else []
        hkl = tuple((float(h), float(k), float(l)) for h, k, l in edges)
        Q_abs, omega = (_width(there[key], unit) if key in there else 0.0 for key, unit in WIDTHS.items())
    except (ValueError, sc.UnitError, sc.DimensionError) as error:
        raise DataError(
            f"{data.name}: the bin around a pixel cannot be read from {', '.join(there)} ({error}). Write bins_hkl as "
            '"h k l; h k l", bin_omega in meV and bin_Q_abs in 1/Å, or drop these coordinates.'
        ) from None
    numbers = np.array([*np.ravel(hkl), Q_abs, omega])
    if not (np.isfinite(numbers).all() and Q_abs >= 0 and omega >= 0):
        raise DataError(f"{data.name}: the bin {hkl}, {Q_abs} 1/Å, {omega} meV is not of finite, positive widths.")
    return Bins(hkl, Q_abs, omega)


def _width(coord: sc.Variable, unit: str) -> float:
    # A table keeps scalars as text, in the unit of the package.
    return float(coord.value if isinstance(coord.value, str) else coord.to(unit=unit, dtype="float64").value)
