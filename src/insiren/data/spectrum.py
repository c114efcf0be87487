"""The measured spectrum: a scipp.DataArray with agreed coordinates, and its plain arrays for a fit.

An image has dims ("Q", "energy_transfer"), with h, k, l along Q and `energy_transfer` in meV along
the other. A list of points has the one dim "point" and all four coordinates along it. A powder has
`Q_abs` in 1/Å in place of h, k, l. Variances are σ². Masks say which pixels to leave out, NaN is
missing. Where neutrons were counted, the coordinates `counts` and `norm` hold them: a pixel of
intensity I expects norm · I counts. Scalar coordinates record what the reader knows: `sigma_floor` and
`sigma_max` (how it advises to treat σ), `Ei` in meV, `lattice` (text: a, b, c in Å, alpha, beta, gamma in
degrees), `assumed` (its assumptions, one a line, each with the option that overrides it), `noted` (what it found and
had no choice about, one a line) and the bin around each pixel (see `bins`). An array made
elsewhere is brought into this form by `adopt` where it can mean one thing only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

import equinox as eqx
import numpy as np
import scipp as sc
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from insiren.data.adopt import CRYSTAL, POWDER, adopt
from insiren.data.bins import bin_coords, bins_of
from insiren.errors import DataError
from insiren.forward import Bins, Points

UNITS = {
    "h": "dimensionless",
    "k": "dimensionless",
    "l": "dimensionless",
    "Q_abs": "1/angstrom",
    "energy_transfer": "meV",
}


class Details(TypedDict, total=False):
    """What a spectrum may carry besides its intensities.

    Attributes:
        missing: pixels that were not measured, shaped as the intensities; NaN is missing anyway.
        counts: neutrons counted, shaped as the intensities.
        norm: counts expected for intensity 1, shaped as the intensities.
        assumed: what a reader took for granted, a sentence each, with the option that overrides it.
        noted: what it found and had no choice about, a sentence each.
        sigma_floor: σ below this should be raised to it, in the data's unit.
        sigma_max: pixels with σ above this should be left out, in the data's unit.
        Ei: incident energy in meV.
        lattice: a, b, c in Å and alpha, beta, gamma in degrees.
        bins: over what each pixel is averaged.
    """

    missing: ArrayLike | None
    counts: ArrayLike | None
    norm: ArrayLike | None
    assumed: Sequence[str]
    noted: Sequence[str]
    sigma_floor: float | None
    sigma_max: float | None
    Ei: float | None
    lattice: Sequence[float] | None
    bins: Bins | None


class Measured(eqx.Module):
    """A spectrum as plain arrays, every pixel present and none NaN, ready for a fit.

    Pixels left out have `used` False, intensity 0, σ 1, counts 0 and norm 1, so that sums over
    `used` need no special case.

    Attributes:
        name: of the data set.
        points: where each pixel lies; for an image a full table, Q by Q.
        intensity: in the data's unit.
        sigma: standard deviation after the floor, in the data's unit.
        used: whether a pixel enters the fit.
        row: which of the distinct energies, ascending, the pixel has.
        n_rows: number of distinct energies.
        counts: neutrons counted, or None.
        norm: counts expected for intensity 1, or None.
        shape: (q, w) of an image, None for a list of points.
        sigma_floor: floor that was applied in the data's unit, or None.
        sigma_max: largest σ that was admitted in the data's unit, or None.
        n_masked: pixels left out for whatever reason.
        masked: those that a mask leaves out although they were measured, or None where there are none.
    """

    name: str = eqx.field(static=True)
    points: Points
    intensity: Float[np.ndarray, " d"]
    sigma: Float[np.ndarray, " d"]
    used: Bool[np.ndarray, " d"]
    row: Int[np.ndarray, " d"]
    n_rows: int = eqx.field(static=True)
    counts: Float[np.ndarray, " d"] | None
    norm: Float[np.ndarray, " d"] | None
    shape: tuple[int, int] | None = eqx.field(static=True)
    sigma_floor: float | None = eqx.field(static=True)
    sigma_max: float | None = eqx.field(static=True)
    n_masked: int = eqx.field(static=True)
    masked: Bool[np.ndarray, " d"] | None = None


def image(
    name: str,
    hkl: ArrayLike | None,
    omega: ArrayLike,
    intensity: ArrayLike,
    sigma: ArrayLike | None,
    *,
    Q_abs: ArrayLike | None = None,
    **details: Unpack[Details],
) -> sc.DataArray:
    """A spectrum on a grid of wavevectors and energies.

    Args:
        name: of the data set.
        hkl: wavevectors in r.l.u., shape (q, 3); repeats are kept. None for a powder.
        omega: energy transfer in meV, shape (w,).
        intensity: shape (q, w); NaN is missing.
        sigma: standard deviations, shape (q, w), or None where there are none.
        Q_abs: |Q| of a powder in 1/Å, shape (q,), in place of hkl.
        **details: see `Details`.

    Raises:
        DataError: shapes disagree, σ is negative, or neither or both of hkl and Q_abs are given.
    """
    place, omega = _place(name, hkl, Q_abs), np.asarray(omega, float)
    if omega.ndim != 1:
        raise DataError(f"{name}: an image needs energies of shape (w,), not {omega.shape}.")
    sizes = {"Q": len(next(iter(place.values()))), "energy_transfer": len(omega)}
    return _labelled(name, sizes, place, omega, intensity, sigma, **details)


def point_list(
    name: str,
    hkl: ArrayLike | None,
    omega: ArrayLike,
    intensity: ArrayLike,
    sigma: ArrayLike | None,
    *,
    Q_abs: ArrayLike | None = None,
    **details: Unpack[Details],
) -> sc.DataArray:
    """A spectrum at points that form no grid.

    Args:
        name: of the data set.
        hkl: wavevector of each point in r.l.u., shape (d, 3). None for a powder.
        omega: energy transfer of each point in meV, shape (d,).
        intensity: shape (d,); NaN is missing.
        sigma: standard deviations, shape (d,), or None where there are none.
        Q_abs: |Q| of each point of a powder in 1/Å, shape (d,), in place of hkl.
        **details: see `Details`.

    Raises:
        DataError: shapes disagree, σ is negative, or neither or both of hkl and Q_abs are given.
    """
    place, omega = _place(name, hkl, Q_abs), np.asarray(omega, float)
    if omega.shape != (points := next(iter(place.values())).shape):
        raise DataError(f"{name}: {points} wavevectors and {omega.shape} energies do not name the same points.")
    return _labelled(name, {"point": len(omega)}, place, omega, intensity, sigma, **details)


def _place(name: str, hkl: ArrayLike | None, Q_abs: ArrayLike | None) -> dict[str, np.ndarray]:
    """The coordinates in Q by name, each of shape (q,)."""
    if (hkl is None) == (Q_abs is None):
        raise DataError(f"{name}: give the wavevectors hkl or, for a powder, Q_abs; one of them.")
    if Q_abs is not None:
        lengths = np.asarray(Q_abs, float)
        if lengths.ndim != 1:
            raise DataError(f"{name}: Q_abs has shape {lengths.shape}; one |Q| a column is needed, (q,).")
        if negative := int(np.sum(lengths < 0)):
            raise DataError(f"{name}: {negative} values of Q_abs are negative, but |Q| is a length. Correct them.")
        return {"Q_abs": lengths}
    vectors = np.asarray(hkl, float)
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise DataError(f"{name}: hkl has shape {vectors.shape}; three components a wavevector are needed, (q, 3).")
    return {c: vectors[:, i] for i, c in enumerate(CRYSTAL)}


def _labelled(name, sizes, place, omega, intensity, sigma, **details: Unpack[Details]) -> sc.DataArray:
    dims, shape = list(sizes), tuple(sizes.values())

    def shaped(what: str, values: ArrayLike, dtype: type = float) -> np.ndarray:
        array = np.asarray(values, dtype)
        if array.shape != shape:
            raise DataError(f"{name}: {what} has shape {array.shape}, but the wavevectors and energies give {shape}.")
        return array

    values = shaped("intensity", intensity)
    absent = np.isnan(values)
    if (missing := details.get("missing")) is not None:
        absent = absent | shaped("missing", missing, bool)
    variances = None
    if sigma is not None:
        errors = shaped("sigma", sigma)
        # The square would hide the sign.
        if negative := int(np.sum((errors < 0) & ~absent)):
            raise DataError(f"{name}: {negative} standard deviations are negative. Correct them, or mask those pixels.")
        variances = errors**2
    coords = {c: sc.array(dims=dims[:1], values=along, unit=UNITS[c]) for c, along in place.items()}
    coords["energy_transfer"] = sc.array(dims=dims[-1:], values=omega, unit="meV")
    for key in ("counts", "norm"):
        if (counted := details.get(key)) is not None:
            coords[key] = sc.array(dims=dims, values=shaped(key, counted))
    coords |= _known(name, details)
    data = sc.array(dims=dims, values=values, variances=variances)
    return sc.DataArray(data, coords=coords, masks={"missing": sc.array(dims=dims, values=absent)}, name=name)


def _known(name: str, details: Details) -> dict[str, sc.Variable]:
    """The scalar coordinates of what a reader knows."""
    coords = {}
    if (Ei := details.get("Ei")) is not None and not 0 < Ei < np.inf:
        raise DataError(f"{name}: Ei = {Ei:g} meV is no incident energy. Correct it, or leave it out.")
    for key, unit in (("sigma_floor", "dimensionless"), ("sigma_max", "dimensionless"), ("Ei", "meV")):
        if (number := details.get(key)) is not None:
            coords[key] = sc.scalar(float(number), unit=unit)
    if (lattice := details.get("lattice")) is not None:
        coords["lattice"] = sc.scalar(", ".join(f"{x:.7g}" for x in lattice))
    for key in ("assumed", "noted"):
        if said := details.get(key):
            coords[key] = sc.scalar("\n".join(said))
    return coords | bin_coords(details.get("bins") or Bins())


def place_of(data: sc.DataArray) -> tuple[str, ...]:
    """The coordinates that say where in Q a spectrum was measured: ("h", "k", "l"), or ("Q_abs",) of a powder."""
    return POWDER if "Q_abs" in data.coords and "h" not in data.coords else CRYSTAL


def is_image(data: sc.DataArray) -> bool:
    """Whether a spectrum is an image; False for a list of points.

    Raises:
        DataError: its dims are neither, or a coordinate is not there or does not fit.
    """
    if set(data.dims) not in ({"Q", "energy_transfer"}, {"point"}):
        raise DataError(
            f"{data.name}: dims are {tuple(data.dims)}; a spectrum has ('Q', 'energy_transfer') or ('point',). "
            "Rename or integrate the others."
        )
    needed = (*place_of(data), "energy_transfer")
    if lacking := [c for c in needed if c not in data.coords]:
        raise DataError(
            f"{data.name}: without the coordinates {', '.join(lacking)} nobody knows where it was measured."
        )
    grid = "point" not in data.dims
    for c in needed:
        along = "point" if not grid else c if c == "energy_transfer" else "Q"
        if dict(data.coords[c].sizes) != {along: data.sizes[along]}:
            raise DataError(
                f"{data.name}: coordinate {c} has sizes {dict(data.coords[c].sizes)} where {along}: "
                f"{data.sizes[along]} is needed. Turn bin edges into centres with scipp.midpoints."
            )
    return grid


def points_of(data: sc.DataArray) -> Points:
    """Where each pixel of a spectrum lies, a table where it is an image.

    Raises:
        DataError: a coordinate is lacking, not finite, or in a unit that is none of its kind, or the bin
            around a pixel cannot be read.
    """
    grid, names = is_image(data), place_of(data)
    place = np.stack([_finite(data, c) for c in names], axis=1)
    omega, make = _finite(data, "energy_transfer"), Points.table if grid else Points
    hkl, Q_abs = (None, place[:, 0]) if names == POWDER else (place, None)
    return make(hkl, omega, Q_abs=Q_abs, bins=bins_of(data))


def left_out(data: sc.DataArray) -> Bool[np.ndarray, "..."]:
    """Which pixels are masked by any mask or missing (NaN), shaped as the data."""
    out = np.isnan(data.values)
    for mask in data.masks.values():
        out = out | sc.broadcast(mask, sizes=data.sizes).values
    return out


def measured(data: sc.DataArray, sigma_floor: float | None = None, sigma_max: float | None = None) -> Measured:
    """The pixels of a spectrum, checked, with masks and the treatment of σ applied.

    Args:
        data: a spectrum as `image` or `point_list` make it, or what `adopt` makes one of.
        sigma_floor: σ below it is raised to it, in the data's unit; 0 for no floor. By default
            what the reader advised, if anything.
        sigma_max: pixels with σ above it are left out, in the data's unit; inf to keep all. By
            default what the reader advised, if anything.

    Raises:
        DataError: no error bars, nothing left to use, coordinates lacking, or pixels that are
            neither masked nor usable.
    """
    data = adopt(data)
    grid = is_image(data)
    if grid:
        data = data.transpose(["Q", "energy_transfer"])
    if data.variances is None:
        raise DataError(f"{data.name} has no error bars. Give a sigma column, or counts from which they follow.")
    sigma_floor = _advised(data, "sigma_floor") if sigma_floor is None else sigma_floor
    sigma_max = _advised(data, "sigma_max") if sigma_max is None else sigma_max
    if not ((sigma_floor or 0.0) >= 0 and (sigma_max is None or sigma_max > 0)):
        raise DataError(
            f"{data.name}: sigma_floor = {sigma_floor} must not be negative, sigma_max = {sigma_max} positive."
        )
    if sigma_max is None:
        sigma_max = np.inf
    used, variances = ~left_out(data), data.variances
    if not used.any():
        raise DataError(f"{data.name}: all {used.size} pixels are masked or missing, so nothing is left to fit.")
    _refuse(data, used & ~np.isfinite(data.values), "an infinite intensity")
    _refuse(data, used & ~(np.isfinite(variances) & (variances >= 0)), "a variance that is NaN, infinite or negative")
    sigma = np.sqrt(np.where(used, variances, 1.0))
    if not sigma_floor:
        remedy = "Give a least σ (--sigma-floor), or mask them"
        _refuse(data, used & (sigma == 0), "σ = 0, which would give infinite weight", remedy)
    used = used & (sigma <= sigma_max)
    if not used.any():
        raise DataError(f"{data.name}: every pixel has σ above sigma_max = {sigma_max:g}. Raise it (--sigma-max).")
    points = points_of(data)
    distinct, row = np.unique(_finite(data, "energy_transfer"), return_inverse=True)
    counts, norm = _counted(data, used)
    return Measured(
        name=data.name,
        points=points,
        intensity=np.where(used, data.values, 0.0).ravel(),
        sigma=np.where(used, np.maximum(sigma, sigma_floor or 0.0), 1.0).ravel(),
        used=used.ravel(),
        row=np.broadcast_to(row, data.shape).ravel(),
        n_rows=len(distinct),
        counts=counts,
        norm=norm,
        shape=(data.shape[0], data.shape[1]) if grid else None,
        sigma_floor=sigma_floor or None,
        sigma_max=sigma_max if np.isfinite(sigma_max) else None,
        n_masked=int(np.sum(~used)),
        masked=measured_out(data),
    )


def measured_out(data: sc.DataArray) -> Bool[np.ndarray, " d"] | None:
    """Pixels that were measured and that a mask leaves out, shape (d,), or None where there are none."""
    out = left_out(data) & ~left_out(data.drop_masks([name for name in data.masks if name != "missing"]))
    return out.ravel() if out.any() else None


def _advised(data: sc.DataArray, key: str) -> float | None:
    if key not in data.coords:
        return None
    if data.coords[key].ndim:
        raise DataError(f"{data.name} was joined from parts that advise a different {key} each. Give {key} yourself.")
    return float(data.coords[key].value)


def _finite(data: sc.DataArray, name: str) -> np.ndarray:
    """A coordinate in the unit of the package, refused where it is not a number."""
    unit = UNITS[name]
    try:
        values = data.coords[name].to(unit=unit, dtype="float64").values
    except sc.UnitError as error:
        needed = "r.l.u." if name in CRYSTAL else unit
        raise DataError(
            f"{data.name}: coordinate {name} is in {data.coords[name].unit}, not {needed}. Convert it."
        ) from error
    if bad := int(np.sum(~np.isfinite(values))):
        raise DataError(f"{data.name}: {bad} values of coordinate {name} are not finite. Correct or remove them.")
    return values


def _counted(data: sc.DataArray, used: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Counts and norm (d,), or None and None where no neutrons were recorded."""
    there = [key for key in ("counts", "norm") if key in data.coords]
    if not there:
        return None, None
    if len(there) == 1:
        raise DataError(f"{data.name} has {there[0]} alone; counts and norm are of use only together. Give both.")
    counts, norm = (sc.broadcast(data.coords[key], sizes=data.sizes).values.astype(float) for key in there)
    _refuse(data, used & ~(np.isfinite(counts) & (counts >= 0)), "counts that are NaN, infinite or negative")
    _refuse(data, used & ~(np.isfinite(norm) & (norm > 0)), "a norm that is NaN, infinite or not positive")
    return np.where(used, counts, 0.0).ravel(), np.where(used, norm, 1.0).ravel()


def _refuse(data: sc.DataArray, bad: np.ndarray, what: str, remedy: str = "Correct or mask them") -> None:
    """Raises where any pixel is bad, saying how many and which is the first."""
    if not bad.any():
        return
    first = np.argwhere(bad)[0]
    where = " ".join(f"{c} = {data.coords[c].values[first[0]]:g}" for c in place_of(data))
    energy = data.coords["energy_transfer"].values[first[-1]]
    raise DataError(
        f"{data.name}: {int(bad.sum())} unmasked pixels have {what}; the first is {data.dims[0]} {first[0]} "
        f"(counted from 0, {where}) at {energy:g} meV. {remedy}."
    )
