"""Horace cuts that were saved from MATLAB as structs: `save -v7.3` of the fields p, s, e, npix and more.

    s = struct('p', {w.p}, 's', w.s, 'e', w.e, 'npix', w.npix, 'u_to_rlu', w.u_to_rlu, 'uoffset', w.uoffset,
               'pax', w.pax, 'iax', w.iax, 'iint', w.iint)

`p` holds the edges of the bins, `s` the intensity, `e` its variance, `npix` how many pixels fell into a bin: with none
it is missing. A wavevector is uoffset + Σ u_to_rlu[:, i] xᵢ over the plotted and the integrated axes, the fourth axis
is the energy. Without these fields the last axis is taken as energy and the direction of the other is asked for.

Source: Horace, DnD objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.axes import scalar
from insiren.data.files.confined import arrays_of
from insiren.data.files.errors import standard
from insiren.data.files.hints import chosen, how, lacking, vector
from insiren.data.files.table import empty_bins
from insiren.data.spectrum import image
from insiren.errors import DataError
from insiren.forward import Bins

SIGNATURE, OLD = b"MATLAB 7.3 MAT-file", b"MATLAB 5.0 MAT-file"


class Cut(NamedTuple):
    """One object: the centres of its axes and its pixels.

    Attributes:
        centres: of the bins along each axis.
        widths: of the bins, 0 where they differ.
        s: intensity, one axis a dimension.
        e: variance.
        npix: pixels in each bin.
        fields: everything else.
    """

    centres: list[np.ndarray]
    widths: list[float]
    s: np.ndarray
    e: np.ndarray
    npix: np.ndarray
    fields: dict[str, np.ndarray]


class _Told(NamedTuple):
    """What the user says; see `read_mat`."""

    q_direction: Any
    q_origin: Any
    energy: Any
    errors: str
    zeros: str | None


def is_mat(path: Path) -> bool:
    """Whether a file calls itself a MAT-file."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(SIGNATURE)) in (SIGNATURE, OLD)


def read_mat(
    path: Path,
    q_direction: Any = None,
    q_origin: Any = None,
    energy: Any = None,
    errors: Any = "variance",
    zeros: Any = None,
) -> list[sc.DataArray]:
    """The cuts of a .mat file, one data set a struct.

    Args:
        path: of the file.
        q_direction: r.l.u. of one unit along the axis of Q, where the struct has no u_to_rlu.
        q_origin: r.l.u. at which all axes in Q are 0, in place of uoffset; without either (0, 0, 0).
        energy: energy transfer in meV of a cut that was integrated over it.
        errors: what e is, "variance" as Horace keeps it, or "sigma".
        zeros: what bins without pixels and bins of 0 ± 0 are, "missing" or "measured"; by default the first
            are missing, the others measured.

    Raises:
        DataError: the file is damaged, of an older version, or holds no cut; the direction is lacking, or an option
            makes no sense.
    """
    told = _Told(q_direction, q_origin, energy, chosen("errors", errors), zeros and chosen("zeros", zeros))
    with path.open("rb") as stream:
        if stream.read(len(OLD)) == OLD:
            raise DataError(f"{path} is a MAT-file of an older version. Save it with save(..., '-v7.3').")
    objects: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays_of(path).items():
        name, _, field = key.partition("/")
        objects.setdefault(name, {})[field] = array
    cuts = {name: fields for name, fields in objects.items() if {"s", "e"} <= fields.keys()}
    if not cuts:
        held = ", ".join(sorted(objects)[:10]) or "none"
        raise DataError(
            f"{path} holds no struct with the fields p, s, e and npix (its structs: {held}). Save one with struct('p', "
            "{w.p}, 's', w.s, 'e', w.e, 'npix', w.npix)."
        )
    return [_spectrum(path, name, _cut(path, name, fields), told) for name, fields in cuts.items()]


def _cut(path: Path, name: str, fields: dict[str, np.ndarray]) -> Cut:
    s = np.squeeze(fields["s"])
    s = s.reshape(-1) if s.ndim == 0 else s
    edges = [fields[f"p/{n}"].ravel() for n in range(s.ndim) if f"p/{n}" in fields]
    if not edges and "p" in fields and s.ndim == 1:
        edges = [fields["p"].ravel()]
    if len(edges) != s.ndim:
        raise DataError(f"{path}, {name}: p has the edges of {len(edges)} axes, s has {s.ndim}.")
    centres, widths = [], []
    for n, along in enumerate(edges):
        if (
            len(along) not in (s.shape[n], s.shape[n] + 1)
            or not np.isfinite(along).all()
            or np.any(np.diff(along) <= 0)
        ):
            raise DataError(
                f"{path}, {name}: axis {n + 1} has {len(along)} edges for {s.shape[n]} bins, or some that do not rise."
            )
        steps = np.diff(along)
        between = len(along) == s.shape[n] + 1
        centres.append(along[:-1] + steps / 2 if between else along)
        even = between and np.ptp(steps) <= 1e-4 * steps.max()  # relative; kept in single precision
        widths.append(float(steps.mean()) if even else 0.0)
    arrays = [np.squeeze(fields[key]).reshape(-1 if s.ndim == 1 else s.shape) if key in fields and
              fields[key].size == s.size else None for key in ("e", "npix")]  # fmt: skip
    if arrays[0] is None or ("npix" in fields and arrays[1] is None):
        raise DataError(f"{path}, {name}: s, e and npix are not of one shape, {s.shape}.")
    npix = np.ones(s.shape) if arrays[1] is None else arrays[1]
    return Cut(centres, widths, s, arrays[0], npix, fields)


def _spectrum(path: Path, name: str, cut: Cut, told: _Told) -> sc.DataArray:
    known = {key: cut.fields[key] for key in ("u_to_rlu", "uoffset", "pax") if key in cut.fields}
    vectors, offset, energy, assumed = _projected(path, name, cut, told) if len(known) == 3 else _asked(path, cut, told)
    if told.energy is not None:
        if energy is not None:
            raise DataError(f"{path}, {name} has an axis of energy transfer; energy = {told.energy} contradicts it.")
        offset[3] = scalar(str(path), "energy", told.energy)
    lengths = [n for n in range(cut.s.ndim) if n != energy]
    grids = np.meshgrid(*(cut.centres[n] for n in lengths), indexing="ij")
    hkl = offset[:3] + sum(
        (x.reshape(-1, 1) * vectors[n][:3] for n, x in zip(lengths, grids, strict=True)), np.zeros(3)
    )
    omega = cut.centres[energy] if energy is not None else offset[3:]
    if not np.isfinite(omega).all():
        raise DataError(
            f"{path}, {name}: the energies that it was integrated over are not known (iax, iint). Give the energy "
            f"transfer: {how('energy')}."
        )
    order = [*lengths, *([energy] if energy is not None else [])]
    s, e, npix = (np.transpose(a, order).reshape(-1, len(omega)) for a in (cut.s, cut.e, cut.npix))
    missing = (npix != 0) & ~(np.isfinite(s) & np.isfinite(e))
    if np.any(bad := (e < 0) & (npix != 0)):
        raise DataError(f"{path}, {name}: {int(bad.sum())} variances are negative. Save the cut again.")
    stored, said = standard(np.where(missing | (npix == 0), 0.0, e), told.errors, "e")
    values, sigma, about = empty_bins(np.where(missing, np.nan, s), stored, omega, npix, told.zeros)
    called, bins = name if name != "s" else path.stem, Bins(omega=0.0 if energy is None else cut.widths[energy])
    return image(called, hkl.reshape(-1, 3), omega, values, sigma, assumed=[said, *about, *assumed], bins=bins)


def _asked(path: Path, cut: Cut, told: _Told):
    """Direction of each axis, offset (h, k, l, E), the axis of energy, and what was assumed, as the user says."""
    if cut.s.ndim != 2:
        raise DataError(f"{path} has a cut of {cut.s.ndim} axes without u_to_rlu, uoffset and pax. Save these as well.")
    if told.q_direction is None:
        raise lacking(path, "q_direction", "along which direction its first axis runs (fields u_to_rlu, uoffset, pax)")
    direction = vector("q_direction", told.q_direction)
    origin = vector("q_origin", (0, 0, 0) if told.q_origin is None else told.q_origin)
    said = (
        "without the fields u_to_rlu, uoffset and pax the first axis runs as --q-direction and --q-origin say, and the "
        "second is the energy; save these fields if it is not"
    )
    return [direction, np.zeros(3)], np.array([*origin, 0.0]), 1, [said]


def _projected(path: Path, name: str, cut: Cut, told: _Told):
    """Direction of each axis, offset (h, k, l, E), the axis of energy, and what was assumed, as the struct has them."""
    matrix, pax = cut.fields["u_to_rlu"], cut.fields["pax"].ravel()
    offset = np.zeros(4)
    given = cut.fields["uoffset"].ravel()[:4]
    offset[: len(given)] = given
    if told.q_origin is not None:
        offset[:3] = vector("q_origin", told.q_origin)
    iax, iint = (cut.fields.get(key, np.zeros(0)) for key in ("iax", "iint"))
    axes = {*pax.tolist(), *iax.ravel().tolist()}
    if matrix.shape not in ((3, 3), (4, 4)) or len(pax) != cut.s.ndim or not axes <= {1.0, 2.0, 3.0, 4.0}:
        raise DataError(
            f"{path}, {name}: u_to_rlu {matrix.shape}, pax {pax.tolist()} and iax {iax.ravel().tolist()} do not "
            f"describe {cut.s.ndim} axes of h, k, l and energy."
        )
    full = np.eye(4)
    full[: len(matrix), : len(matrix)] = matrix
    if not np.isfinite(full).all():
        raise DataError(f"{path}, {name}: u_to_rlu holds numbers that are not finite.")
    ranges = iint.reshape(2, -1) if iint.size == 2 * iax.size else np.full((2, iax.size), np.nan)
    assumed = []
    for axis, (low, high) in zip(iax.ravel().astype(int), ranges.T, strict=True):
        bounded = np.isfinite(low) and np.isfinite(high)
        if bounded:
            offset = offset + full[:, axis - 1] * (low + high) / 2
        elif axis == 4:
            offset[3] = np.nan
        between, place = (f"from {low:g} to {high:g}", "its middle") if bounded else ("without bounds", "0")
        if axis == 4 and told.energy is not None:
            place = f"{told.energy} meV"
        change = "--energy" if axis == 4 else "--q-origin"
        assumed.append(f"axis {axis} was integrated {between} and counts as {place}; {change} moves it")
    vectors = [full[:, int(axis) - 1] for axis in pax]
    energy = next((n for n, axis in enumerate(pax) if axis == 4), None)
    return vectors, offset, energy, assumed
