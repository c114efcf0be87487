"""A scipp.DataArray made elsewhere as a spectrum, wherever its coordinates can mean one thing only.

What a reduction or a cut hands over differs in the names of its axes, has bin edges where a spectrum
has centres, and may keep some of h, k, l as scalars. Names and units together say what is meant: an
energy is what has a unit of energy and one of the names below, |Q| what has 1/Å. Nothing is guessed
beyond that; what remains open is an error that names it.
"""

from __future__ import annotations

import scipp as sc

from insiren.errors import DataError

CRYSTAL, POWDER = ("h", "k", "l"), ("Q_abs",)
ENERGY_NAMES = ("energy_transfer", "DeltaE", "deltaE", "delta_E", "dE", "E", "omega", "en")
LENGTH_NAMES = ("Q_abs", "|Q|", "Q", "modQ", "Qmod", "momentum_transfer")
PEAKS = "peaks"  # the coordinate `kind` of what is no spectrum
VECTOR_NAMES = ("hkl", "hkl_vec")


def adopt(data: sc.DataArray) -> sc.DataArray:
    """A spectrum from an array of intensities over recognisable axes; a spectrum is returned as it is.

    Bin edges become midpoints. Several dims of Q become one. Scalars of h, k, l and of the energy, which
    a slice leaves behind, count for the whole.

    Args:
        data: with an energy transfer, and h, k, l (or a vector hkl) or |Q| in 1/Å.

    Raises:
        DataError: no DataArray, events, peaks instead of intensities, or axes that could mean anything.
    """
    if not isinstance(data, sc.DataArray):
        raise DataError(f"A spectrum is a scipp.DataArray, not a {type(data).__name__}. Pick one data set of it.")
    if data.bins is not None:
        raise DataError(f"{data.name} holds events. Histogram them with data.hist() or data.bins.mean() first.")
    if "kind" in data.coords and data.coords["kind"].value == PEAKS:
        raise DataError(
            f"{data.name} is a list of peaks: their energies, not intensities over energy. "
            "Give the spectrum that they were picked from."
        )
    energy = data.coords.get("energy_transfer")
    if energy is not None and not _converts(energy, "meV"):
        raise DataError(
            f"{data.name}: energy_transfer is in {energy.unit}, not meV or another unit of energy. Convert it."
        )
    for key in ("lattice", "Ei"):
        if key in data.coords and data.coords[key].ndim:
            raise DataError(f"{data.name}: {key} has {data.coords[key].size} values. One for the whole is wanted.")
    if _is_spectrum(data):
        return data
    data = _named(data)
    place = POWDER if "h" not in data.coords else CRYSTAL
    return _gathered(_centred(data), place)


def _is_spectrum(data: sc.DataArray) -> bool:
    """Whether dims and coordinates are already those of a spectrum, centres included."""
    if set(data.dims) not in ({"Q", "energy_transfer"}, {"point"}):
        return False
    place = POWDER if "Q_abs" in data.coords and "h" not in data.coords else CRYSTAL
    along = "point" if "point" in data.dims else "Q"
    dims = dict.fromkeys(place, along) | {"energy_transfer": "point" if along == "point" else "energy_transfer"}
    return all(c in data.coords and data.coords[c].sizes == {d: data.sizes[d]} for c, d in dims.items())


def _named(data: sc.DataArray) -> sc.DataArray:
    """The same array with its coordinates called h, k, l or Q_abs, and energy_transfer."""
    data = data.copy(deep=False)
    for name in VECTOR_NAMES:
        if "h" not in data.coords and name in data.coords and data.coords[name].dtype == sc.DType.vector3:
            vector = data.coords[name].fields
            data = data.drop_coords(name)
            for c, component in zip(CRYSTAL, (vector.x, vector.y, vector.z), strict=True):
                data.coords[c] = component.copy()
    for c in CRYSTAL:
        if c not in data.coords and c.upper() in data.coords:
            data = _renamed(data, c.upper(), c)
    energy = _of_kind(data, ENERGY_NAMES, "meV")
    crystal = any(c in data.coords for c in CRYSTAL)
    length = None if crystal else _of_kind(data, LENGTH_NAMES, "1/angstrom")
    lacking = [c for c in CRYSTAL if c not in data.coords] if crystal else []
    if not crystal and length is None:
        lacking = ["h, k, l (or Q_abs in 1/angstrom)"]
    if energy is None:
        lacking.append("energy_transfer")
    if energy is None or lacking:
        there = ", ".join(f"{c} in {v.unit}" for c, v in data.coords.items()) or "none"
        raise DataError(
            f"{data.name or 'The array'}: without the coordinates {', '.join(lacking)} nobody knows where it was "
            f"measured. Coordinates that are there: {there}. Add or rename them, and give them units."
        )
    data = _renamed(data, energy, "energy_transfer")
    return data if length is None else _renamed(data, length, "Q_abs")


def _of_kind(data: sc.DataArray, names: tuple[str, ...], unit: str) -> str | None:
    """The coordinate of one of these names whose unit is of this kind; the name of the package goes first."""
    if names[0] in data.coords:
        return names[0]
    found = [name for name in names if name in data.coords and _converts(data.coords[name], unit)]
    if len(found) > 1:
        raise DataError(f"{data.name}: {' and '.join(found)} could both be {names[0]}. Rename the one that is meant.")
    return found[0] if found else None


def _converts(variable: sc.Variable, unit: str) -> bool:
    if variable.dtype not in (sc.DType.float64, sc.DType.float32, sc.DType.int64, sc.DType.int32):
        return False
    try:
        variable.to(unit=unit, dtype="float64")
    except sc.UnitError:
        return False
    return True


def _renamed(data: sc.DataArray, old: str, new: str) -> sc.DataArray:
    """The same array with a coordinate called by another name; dims keep theirs."""
    if old == new:
        return data
    coord = data.coords[old]
    data = data.drop_coords(old)
    data.coords[new] = coord
    return data


def _centred(data: sc.DataArray) -> sc.DataArray:
    """The same array with midpoints in place of the bin edges of every coordinate."""
    for name in list(data.coords):
        coord = data.coords[name]
        for dim in coord.dims:
            if not data.coords.is_edges(name, dim):
                continue
            if not _converts(coord, str(coord.unit)):  # neither strings nor vectors have midpoints
                data = data.drop_coords(name)
                break
            coord = sc.midpoints(coord.to(dtype="float64"), dim)
            data = data.drop_coords(name)
            data.coords[name] = coord
    return data


def _gathered(data: sc.DataArray, place: tuple[str, ...]) -> sc.DataArray:
    """The same array as an image, or as points where energy and Q do not run independently."""
    energies = data.coords["energy_transfer"].dims
    over_q = {dim for c in place for dim in data.coords[c].dims}
    if len(energies) > 1 or over_q & set(energies):
        sizes = dict(data.sizes)
        for c in (*place, "energy_transfer"):
            data.coords[c] = sc.broadcast(data.coords[c], sizes=sizes).copy()
        return data.flatten(to="point")
    if energies:
        data = data.rename_dims({energies[0]: "energy_transfer"})
    else:
        data = sc.concat([data], "energy_transfer")
        data.coords["energy_transfer"] = sc.concat([data.coords["energy_transfer"]], "energy_transfer")
    others = [dim for dim in data.dims if dim != "energy_transfer"]
    sizes = {dim: data.sizes[dim] for dim in others}
    if not others:
        data, sizes = sc.concat([data], "Q"), {"Q": 1}
    for c in place:
        data.coords[c] = sc.broadcast(data.coords[c], sizes=sizes).copy()
    if len(others) > 1:
        data = data.transpose([*others, "energy_transfer"]).flatten(dims=others, to="Q")
    elif others:
        data = data.rename_dims({others[0]: "Q"})
    return data.transpose(["Q", "energy_transfer"]).copy()
