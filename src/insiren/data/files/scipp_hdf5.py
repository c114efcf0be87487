"""scipp's own HDF5 files: a spectrum of this package, or any DataArray whose coordinates can be recognised.

They are read by the layout that scipp.io.hdf5 writes rather than with its loader, which would open a
file of unknown origin in this process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.axes import Place, Vector
from insiren.data.files.histogram import LARGEST
from insiren.data.files.recognise import recognised
from insiren.data.files.tree import Node

DEPTH = 3  # groups of groups of data sets
NUMBERS = {"float64": float, "float32": float, "int64": np.int64, "int32": np.int32, "bool": bool}


def is_scipp(root: Node) -> bool:
    """Whether scipp wrote the file."""
    return "scipp-version" in root.attrs and "scipp-type" in root.attrs


def read_scipp(
    root: Node,
    name: str,
    *,
    q_origin: Vector | None = None,
    q_direction: Vector | None = None,
    Q_abs: float | None = None,
    energy: float | None = None,
    bins: str | None = None,
    sigma: float | None = None,
) -> list[sc.DataArray]:
    """Every data array of a file.

    Args:
        root: of the file.
        name: of data arrays that have none.
        q_origin: wavevector in r.l.u. at the zero of the axes.
        q_direction: r.l.u. of one unit along the axis in Q, where its name does not say.
        Q_abs: |Q| in 1/Å of a powder's cut in energy.
        energy: energy transfer in meV of a cut in Q.
        bins: see `axes.resized`.
        sigma: standard deviation of every pixel of arrays without variances.

    Raises:
        DataError: it holds none, or one with coordinates that say nothing.
    """
    place = Place(q_origin=q_origin, Q_abs=Q_abs, energy=energy)
    arrays = list(_arrays(root, root.attribute("name") or name, DEPTH))
    if not arrays:
        raise root.error(f"was written by scipp and holds a {root.attribute('scipp-type')}, but no data array")
    return [
        recognised(_array(node, coords, called), q_direction, place, bins, sigma) for called, node, coords in arrays
    ]


def _arrays(node: Node, name: str, depth: int) -> Iterator[tuple[str, Node, Node]]:
    """Name, group of the data, and group of the coordinates of each data array."""
    kind = node.attribute("scipp-type")
    if kind == "DataArray":
        yield name, node, node.need("coords")
    elif kind in ("Dataset", "DataGroup") and depth:
        for entry in node.need("entries").groups():
            yield from _arrays(entry, entry.attribute("name") or name, depth - 1)


def _array(node: Node, coords: Node, name: str) -> sc.DataArray:
    data = _variable(node.need("data"))
    if data is None:
        raise node.error("holds events or text. Histogram it before saving: da.hist()")
    stored = node.get("masks")
    masks = {} if stored is None else _variables(stored)
    if strange := [key for key, mask in masks.items() if mask.dtype != sc.DType.bool]:
        raise node.error(f"has masks that are not true or false: {', '.join(map(str, strange))}")
    try:
        return sc.DataArray(
            data,
            coords=_variables(coords),
            masks=masks,
            name=node.attribute("name") or name,
        )
    except (sc.DimensionError, sc.DTypeError, sc.UnitError, TypeError, ValueError, RuntimeError) as error:
        raise node.error(f"does not fit together ({' '.join(str(error).split())[:200]})") from None


def _variables(group: Node) -> dict[str, sc.Variable]:
    """Variables by name; those of a kind that no spectrum needs are left out."""
    found = {}
    for node in group.groups():
        variable = _variable(node) if node.attribute("scipp-type") == "Variable" else None
        if variable is not None:
            found[node.attribute("name")] = variable
    return found


def _variable(group: Node) -> sc.Variable | None:
    values = group.need("values")
    if values.is_group:
        return None  # bins of events
    dims, shape = _list(values.attrs.get("dims")), values.shape
    dtype, unit = values.attribute("dtype"), _unit(values)
    if dtype == "string" and not dims:
        return sc.scalar(values.text())
    if not isinstance(dtype, str) or dtype not in NUMBERS:
        return None
    if len(dims) != len(shape) or not all(isinstance(d, str) for d in dims) or len(set(dims)) < len(dims):
        raise values.error(f"has the shape {shape} and names the dimensions {dims}")
    numbers = values.numbers(LARGEST)
    stored = group.get("variances")
    if stored is not None and stored.shape != shape:
        raise stored.error(f"has the shape {stored.shape} where the values have {shape}")
    variances = None if stored is None else stored.numbers(LARGEST)
    with np.errstate(invalid="ignore"):
        typed = numbers.astype(NUMBERS[dtype])
    try:
        if dims:
            return sc.array(dims=dims, values=typed, variances=variances, unit=unit)
        return sc.scalar(typed.item(), variance=None if variances is None else float(variances), unit=unit)
    except (sc.UnitError, sc.VariancesError, TypeError, ValueError, RuntimeError) as error:
        raise values.error(f"does not fit together ({' '.join(str(error).split())[:200]})") from None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _unit(values: Node) -> sc.Unit | None:
    stored = values.attrs.get("unit")
    try:
        if isinstance(stored, str):
            return sc.Unit(stored)
        return None if stored is None else sc.Unit.from_dict(stored)
    except (sc.UnitError, ValueError, TypeError, KeyError, RuntimeError):
        raise values.error(f"is in the unit {stored}, which scipp does not know") from None
