"""A labelled array made elsewhere becomes a spectrum where its coordinates can be recognised."""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.files.axes import Axis, Place, Vector, Where, axis, vector
from insiren.data.files.axis_names import Meaning, may_be_rlu, meaning
from insiren.data.files.errors import without_errors
from insiren.data.files.hints import how
from insiren.data.files.histogram import Image, described
from insiren.data.peaks import checked_peaks, is_peaks
from insiren.data.spectrum import is_image, left_out
from insiren.errors import DataError

CARRIED = ("Ei", "lattice", "sigma_floor", "sigma_max")  # scalars that keep their meaning


def recognised(
    data: sc.DataArray,
    q_direction: Vector | None,
    place: Place,
    bins: str | None = None,
    sigma: float | None = None,
) -> sc.DataArray:
    """The array itself where it is a spectrum or a list of peaks already, else a spectrum of its values.

    Every dimension must have one coordinate that says by name and unit what it measures; scalar
    coordinates h, k, l, Q or an energy place the array along what it has no dimension of. Bin edges become
    centres, units become those of the package, masks are kept.

    Args:
        data: any labelled array.
        q_direction: r.l.u. of one unit along the axis in Q, where its name does not say.
        place: what the user says where the coordinates do not.
        bins: see `axes.resized`; not for what is a spectrum already, whose bins are known.
        sigma: standard deviation of every pixel, where the array has no variances.

    Raises:
        DataError: a dimension has no such coordinate, or nothing was measured.
    """
    if is_peaks(data):
        return checked_peaks(data)
    if _is_spectrum(data):
        if left_out(data).all():
            raise DataError(f"{data.name}: all {data.size} cells are masked or missing, so that nothing was measured.")
        return _with_errors(adopt(data), sigma)
    if not 1 <= data.ndim <= 4:
        raise DataError(f"{data.name} has {data.ndim} dimensions where 1 to 4 of wavevector and energy make sense.")
    found = [_axis(data, dim, q_direction) for dim in data.dims]
    axes = [a for a, _ in found]
    where = Where(data.name, axes, _place(data, axes, place), bins)
    values = np.asarray(data.values, float)
    variances = None if data.variances is None else np.asarray(data.variances, float)
    target, whole = Image(data.name, where, variances is not None), tuple(slice(0, n) for n in data.shape)
    target.fill(whole, values, variances, np.isnan(values))
    for name, mask in data.masks.items():
        target.mask(name if name != "missing" else "masked", whole, sc.broadcast(mask, sizes=data.sizes).values != 0)
    assumed, noted = list(where.assumed), []
    for dim, (a, asked) in zip(data.dims, found, strict=True):
        if asked:
            assumed.append(f"dimension {dim} is {_said(a)}, as --q-direction says")
        else:
            noted.append(f"dimension {dim} is {_said(a)}")
    result = target.finished()
    if variances is None:
        assumed.append(without_errors(result, sigma, "the array has no variances"))
    result = _with_errors(described(result, assumed, {}, noted), None if variances is None else sigma)
    for key in CARRIED:
        if key in data.coords and data.coords[key].ndim == 0:
            result.coords[key] = data.coords[key]
    return result


def _with_errors(data: sc.DataArray, sigma: float | None) -> sc.DataArray:
    """A spectrum with the σ that the user says, where it has none."""
    if sigma is None:
        return data
    if data.variances is not None:
        raise DataError(f"{data.name} has variances, which sigma = {sigma!r} contradicts. Leave it out.")
    data = data.copy()
    said = without_errors(data, sigma, "the array has no variances")
    before = [str(data.coords["assumed"].value)] if "assumed" in data.coords and not data.coords["assumed"].ndim else []
    data.coords["assumed"] = sc.scalar("\n".join([*before, said]))
    return data


def _is_spectrum(data: sc.DataArray) -> bool:
    try:
        is_image(data)
    except DataError:
        return False
    return data.dtype == "float64"


def _said(a: Axis) -> str:
    if a.direction is None:
        return {"energy": "the energy transfer", "Q_abs": "|Q|", "hkl": ""}[a.kind]
    return f"along ({', '.join(f'{x:g}' for x in a.direction)}) r.l.u."


def _meaning(name: str, coord: sc.Variable) -> Meaning | None:
    return meaning(name, "" if coord.unit is None else str(coord.unit))


def _axis(data: sc.DataArray, dim: str, q_direction: Vector | None) -> tuple[Axis, bool]:
    """The axis, and whether its direction is the user's."""
    n = data.sizes[dim]
    along = {
        name: coord
        for name, coord in data.coords.items()
        if coord.dims == (dim,) and coord.shape[0] in (n, n + 1) and coord.dtype != sc.DType.string
    }
    known = {name: found for name, coord in along.items() if (found := _meaning(name, coord)) is not None}
    # A dimension may carry more, such as a run number; what has its name goes first.
    name = dim if dim in known else next(iter(known)) if len(known) == 1 else None
    if name is not None:
        found = known[name]
        values = np.asarray(along[name].values, float) * found.factor
        return axis(name, found.kind, values, n, f"{data.name}: coordinate {name}", found.direction), False
    plain = {name: c for name, c in along.items() if may_be_rlu("" if c.unit is None else str(c.unit))}
    if q_direction is not None and (dim in plain or len(plain) == 1):
        name = dim if dim in plain else next(iter(plain))
        direction = vector(data.name, "q_direction", q_direction)
        values = np.asarray(along[name].values, float)
        return axis(name, "hkl", values, n, f"{data.name}: coordinate {name}", direction), True
    there = ", ".join(f"{name} in {coord.unit}" for name, coord in along.items()) or "none"
    raise DataError(
        f"{data.name}: no one coordinate says what the dimension {dim!r} measures (there are: {there}). It needs h, k "
        "or l, a direction such as [H,H,0], Q in 1/angstrom for a powder, or energy_transfer in meV; for another "
        f"direction give q_direction and q_origin: {how('q_direction', 'q_origin')}."
    )


def _place(data: sc.DataArray, axes: list[Axis], given: Place) -> Place:
    """What the user says, and where the user is silent what scalar coordinates say."""
    found: dict[str, float] = {}
    for name, coord in data.coords.items():
        if coord.ndim == 0 and not isinstance(coord.value, str | bool):
            what = _meaning(name, coord)
            if what is not None and (what.kind != "hkl" or name in ("h", "k", "l")):
                found[name if what.kind == "hkl" else what.kind] = float(coord.value) * what.factor
    place, kinds = Place(**given), {a.kind for a in axes}
    if place.get("energy") is None and "energy" not in kinds and "energy" in found:
        place["energy"] = found["energy"]
    if place.get("Q_abs") is None and place.get("q_origin") is None and kinds <= {"energy"} and "Q_abs" in found:
        place["Q_abs"] = found["Q_abs"]
    if place.get("q_origin") is None and any(c in found for c in "hkl") and "Q_abs" not in kinds:
        spanned = np.abs([a.direction for a in axes if a.direction is not None]).reshape(-1, 3).sum(axis=0)
        # Only where every component is either an axis or said.
        if all(spanned[i] or c in found for i, c in enumerate("hkl")):
            place["q_origin"] = [found.get(c, 0.0) for c in "hkl"]
    return place
