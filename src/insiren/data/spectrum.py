"""The measured spectrum: a scipp.DataArray with agreed coordinates, and its plain arrays for a fit.

An image has dims ("Q", "energy_transfer"), with h, k, l along Q and `energy_transfer` in meV along
the other. A list of points has the one dim "point" and all four coordinates along it. A powder has
the coordinate `Q_abs` in 1/Å in place of h, k, l. Variances are
σ². Masks say which pixels to leave out, NaN is missing. Where neutrons were counted, the coordinates
`counts` and `norm` hold them: a pixel of intensity I expects norm · I counts. Scalar coordinates
record what the reader knows: `sigma_floor` and `sigma_max` (how it advises to treat σ), `assumed`
(its assumptions, one a line), and the bin around each pixel: `bin_omega` in meV, `bin_Q_abs` in 1/Å
and `bins_hkl`, text such as "0.1 0 0; 0 0.1 0" with the full edges in r.l.u. It is text so that it
survives tables, slicing and concatenation, which a matrix does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

import equinox as eqx
import numpy as np
import scipp as sc
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from insiren.errors import DataError
from insiren.forward import Bins, Points


class Details(TypedDict, total=False):
    """What a spectrum may carry besides its intensities.

    Attributes:
        missing: pixels that were not measured, shaped as the intensities; NaN is missing anyway.
        counts: neutrons counted, shaped as the intensities.
        norm: counts expected for intensity 1, shaped as the intensities.
        assumed: what a reader took for granted, a sentence each.
        sigma_floor: σ below this should be raised to it, in the data's unit.
        sigma_max: pixels with σ above this should be left out, in the data's unit.
        bins: over what each pixel is averaged.
    """

    missing: ArrayLike | None
    counts: ArrayLike | None
    norm: ArrayLike | None
    assumed: Sequence[str]
    sigma_floor: float | None
    sigma_max: float | None
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
        hkl: wavevectors in r.l.u., shape (q, 3), repeats are kept; None for a powder.
        omega: energy transfer in meV, shape (w,).
        intensity: shape (q, w); NaN is missing.
        sigma: standard deviations, shape (q, w), or None where there are none.
        Q_abs: wavenumbers of a powder in 1/Å, shape (q,), in place of hkl.
        **details: see `Details`.

    Raises:
        DataError: shapes disagree, or σ is negative.
    """
    where, shape, needed = _wavevectors(name, hkl, Q_abs)
    omega = np.asarray(omega, float)
    if len(shape) != needed or shape[1:] not in ((3,), ()) or omega.ndim != 1:
        what = "hkl (q, 3)" if Q_abs is None else "Q_abs (q,)"
        raise DataError(f"{name}: an image needs {what} and omega (w,), not {shape} and {omega.shape}.")
    sizes = {"Q": shape[0], "energy_transfer": len(omega)}
    return _labelled(name, sizes, where, omega, intensity, sigma, **details)


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
        hkl: wavevector of each point in r.l.u., shape (d, 3); None for a powder.
        omega: energy transfer of each point in meV, shape (d,).
        intensity: shape (d,); NaN is missing.
        sigma: standard deviations, shape (d,), or None where there are none.
        Q_abs: |Q| of each point of a powder in 1/Å, shape (d,), in place of hkl.
        **details: see `Details`.

    Raises:
        DataError: shapes disagree, or σ is negative.
    """
    where, shape, needed = _wavevectors(name, hkl, Q_abs)
    omega = np.asarray(omega, float)
    if omega.ndim != 1 or shape != (omega.size, 3)[:needed]:
        what = "hkl (d, 3)" if Q_abs is None else "Q_abs (d,)"
        raise DataError(f"{name}: a list of points needs {what} and omega (d,), not {shape} and {omega.shape}.")
    return _labelled(name, {"point": len(omega)}, where, omega, intensity, sigma, **details)


Wavevectors = dict[str, tuple[np.ndarray, str | None]]


def _wavevectors(name: str, hkl: ArrayLike | None, Q_abs: ArrayLike | None) -> tuple[Wavevectors, tuple[int, ...], int]:
    """Coordinates by name with their units, the shape that was given, and how many axes it needs."""
    if (hkl is None) == (Q_abs is None):
        raise DataError(f"{name}: a spectrum has wavevectors hkl or, for a powder, Q_abs. Give one of them.")
    if hkl is None:
        Q = np.asarray(Q_abs, float)
        return {"Q_abs": (Q, "1/angstrom")}, Q.shape, 1
    vectors = np.asarray(hkl, float)
    return {c: (vectors[..., i], None) for i, c in enumerate("hkl") if i < vectors.shape[-1]}, vectors.shape, 2


def _labelled(name, sizes, where: Wavevectors, omega, intensity, sigma, **details: Unpack[Details]) -> sc.DataArray:
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
    coords = {c: sc.array(dims=dims[:1], values=x, unit=unit or "one") for c, (x, unit) in where.items()}
    coords["energy_transfer"] = sc.array(dims=dims[-1:], values=omega, unit="meV")
    for key in ("counts", "norm"):
        if (counted := details.get(key)) is not None:
            coords[key] = sc.array(dims=dims, values=shaped(key, counted))
    for key in ("sigma_floor", "sigma_max"):
        if (advice := details.get(key)) is not None:
            coords[key] = sc.scalar(float(advice))
    if assumed := details.get("assumed"):
        coords["assumed"] = sc.scalar("\n".join(assumed))
    coords |= _bin_coords(details.get("bins") or Bins())
    data = sc.array(dims=dims, values=values, variances=variances)
    return sc.DataArray(data, coords=coords, masks={"missing": sc.array(dims=dims, values=absent)}, name=name)


def _bin_coords(bins: Bins) -> dict[str, sc.Variable]:
    coords = {}
    if bins.hkl:
        coords["bins_hkl"] = sc.scalar("; ".join(" ".join(repr(float(x)) for x in edge) for edge in bins.hkl))
    if bins.Q_abs:
        coords["bin_Q_abs"] = sc.scalar(float(bins.Q_abs), unit="1/angstrom")
    if bins.omega:
        coords["bin_omega"] = sc.scalar(float(bins.omega), unit="meV")
    return coords


def _bins(data: sc.DataArray) -> Bins:
    """The bin around each pixel, as `_bin_coords` or a table has written it."""
    there = {key: data.coords[key] for key in ("bins_hkl", "bin_Q_abs", "bin_omega") if key in data.coords}
    try:
        edges = [edge.split() for edge in str(there["bins_hkl"].value).split(";")] if "bins_hkl" in there else []
        hkl = tuple((float(h), float(k), float(l)) for h, k, l in edges)
        # A table keeps scalars as text, in the unit of the package.
        Q_abs, omega = (
            float(there[key].value if isinstance(there[key].value, str) else there[key].to(unit=unit).value)
            if key in there
            else 0.0
            for key, unit in (("bin_Q_abs", "1/angstrom"), ("bin_omega", "meV"))
        )
    except (ValueError, sc.UnitError, sc.DimensionError) as error:
        raise DataError(
            f"{data.name}: the bin around a pixel cannot be read from {', '.join(there)} ({error}). Write bins_hkl as "
            '"h k l; h k l", bin_omega in meV and bin_Q_abs in 1/Å, or drop these coordinates.'
        ) from None
    numbers = np.array([*np.ravel(hkl), Q_abs, omega])
    if not (np.isfinite(numbers).all() and Q_abs >= 0 and omega >= 0):
        raise DataError(f"{data.name}: the bin {hkl}, {Q_abs} 1/Å, {omega} meV is not of finite, positive widths.")
    return Bins(hkl, Q_abs, omega)


def is_powder(data: sc.DataArray) -> bool:
    """Whether a spectrum has |Q| in place of wavevectors."""
    return "Q_abs" in data.coords and not any(c in data.coords for c in "hkl")


def _places(data: sc.DataArray) -> tuple[str, ...]:
    """Names of the coordinates along Q."""
    return ("Q_abs",) if is_powder(data) else ("h", "k", "l")


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
    needed = (*_places(data), "energy_transfer")
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


def left_out(data: sc.DataArray) -> Bool[np.ndarray, "..."]:
    """Which pixels are masked by any mask or missing (NaN), shaped as the data."""
    out = np.isnan(data.values)
    for mask in data.masks.values():
        out = out | sc.broadcast(mask, sizes=data.sizes).values
    return out


def measured(data: sc.DataArray, sigma_floor: float | None = None, sigma_max: float | None = None) -> Measured:
    """The pixels of a spectrum, checked, with masks and the treatment of σ applied.

    Args:
        data: a spectrum as `image` or `point_list` make it.
        sigma_floor: σ below it is raised to it, in the data's unit; 0 for no floor. By default
            what the reader advised, if anything.
        sigma_max: pixels with σ above it are left out, in the data's unit; inf to keep all. By
            default what the reader advised, if anything.

    Raises:
        DataError: no error bars, nothing left to use, coordinates lacking, or pixels that are
            neither masked nor usable.
    """
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
        remedy = "Give sigma_floor, or mask them"
        _refuse(data, used & (sigma == 0), "σ = 0, which would give infinite weight", remedy)
    used = used & (sigma <= sigma_max)
    if not used.any():
        raise DataError(f"{data.name}: every pixel has σ above sigma_max = {sigma_max:g}. Raise sigma_max.")
    powder = is_powder(data)
    hkl = None if powder else np.stack([_finite(data, c, None) for c in "hkl"], axis=1)
    Q_abs = _finite(data, "Q_abs", "1/angstrom") if powder else None
    omega = _finite(data, "energy_transfer", "meV")
    distinct, row = np.unique(omega, return_inverse=True)
    counts, norm = _counted(data, used)
    return Measured(
        name=data.name,
        points=(Points.table if grid else Points)(hkl, omega, Q_abs=Q_abs, bins=_bins(data)),
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
    )


def _advised(data: sc.DataArray, key: str) -> float | None:
    return float(data.coords[key].value) if key in data.coords else None


def _finite(data: sc.DataArray, name: str, unit: str | None) -> np.ndarray:
    """A coordinate in the unit of the package, refused where it is not a number."""
    try:
        values = data.coords[name].to(unit=unit or "dimensionless", dtype="float64").values
    except sc.UnitError as error:
        found = data.coords[name].unit
        raise DataError(f"{data.name}: coordinate {name} is in {found}, not {unit or 'r.l.u.'}. Convert it.") from error
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
    where = " ".join(f"{c} = {data.coords[c].values[first[0]]:g}" for c in _places(data))
    energy = data.coords["energy_transfer"].values[first[-1]]
    raise DataError(
        f"{data.name}: {int(bad.sum())} unmasked pixels have {what}; the first is {data.dims[0]} {first[0]} "
        f"(counted from 0, {where}) at {energy:g} meV. {remedy}."
    )
