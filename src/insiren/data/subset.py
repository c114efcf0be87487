"""Some pixels of a spectrum that is too large to be fitted pixel by pixel."""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.bins import bins_of
from insiren.data.spectrum import POWDER, UNITS, Details, is_image, left_out, place_of, point_list
from insiren.errors import DataError

KEPT = ("sigma_floor", "sigma_max", "Ei", "lattice", "assumed")  # scalars that stay true of a part


def subset(data: sc.DataArray, size: int, seed: int = 0) -> sc.DataArray:
    """Measured pixels of a spectrum drawn at random, each as likely as every other, as a list of points.

    Beside the spectrum it needs a few bytes a wavevector and one a pixel, so that a volume of 5·10⁷ pixels is drawn
    from without being copied.

    Args:
        data: a spectrum, or what `adopt` makes one of.
        size: how many pixels; all that were measured if these are fewer.
        seed: of the draw.

    Returns:
        The pixels in the order of the spectrum, with counts, bins and advice of the reader.

    Raises:
        DataError: the size is not a positive number, or nothing was measured.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise DataError(f"{data.name}: a sample of {size!r} pixels cannot be drawn. Give a positive number.")
    data = adopt(data)
    grid = is_image(data)
    if grid:
        data = data.transpose(["Q", "energy_transfer"])
    out = left_out(data).reshape(len(data.values), -1)
    row, column = _drawn(out, int(size), np.random.default_rng(seed), data.name)
    at = (row, column) if grid else row

    def along(name: str) -> np.ndarray:
        values = data.coords[name].to(unit=UNITS[name], dtype="float64").values
        return values[column if grid and name == "energy_transfer" else row]

    names = place_of(data)
    place = np.stack([along(c) for c in names], axis=1)
    details: Details = {"bins": bins_of(data)}
    for key in ("counts", "norm"):
        if key in data.coords:
            whole = sc.broadcast(data.coords[key], sizes=data.sizes).values
            details[key] = np.asarray(whole[at], float)
    sigma = None if data.variances is None else np.zeros(len(row))
    hkl, Q_abs = (None, place[:, 0]) if names == POWDER else (place, None)
    drawn = point_list(data.name, hkl, along("energy_transfer"), data.values[at], sigma, Q_abs=Q_abs, **details)
    if data.variances is not None:
        drawn.variances = data.variances[at]  # the square of a root would differ in the last digit
    for key in KEPT:
        if key in data.coords:
            drawn.coords[key] = data.coords[key]
    said = f"{len(row)} of {out.size - int(out.sum())} measured pixels drawn, seed {seed}"
    before = f"{data.coords['noted'].value}\n" if "noted" in data.coords and not data.coords["noted"].ndim else ""
    drawn.coords["noted"] = sc.scalar(before + said)
    return drawn


def _drawn(out: np.ndarray, size: int, random: np.random.Generator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the pixels, ascending; the ranks of all that were measured never exist at once."""
    per_row = out.shape[1] - out.sum(axis=1)
    before = np.concatenate([[0], np.cumsum(per_row)])
    if not before[-1]:
        raise DataError(f"{name}: all {out.size} pixels are masked or missing, so there is nothing to draw from.")
    if size >= before[-1]:
        row, column = np.nonzero(~out)
        return row, column
    ranks = np.sort(random.choice(before[-1], size, replace=False, shuffle=False))
    row = np.searchsorted(before, ranks, side="right") - 1
    column = np.empty(size, int)
    left = ranks - before[row]
    for some in np.array_split(np.arange(size), max(1, size * out.shape[1] // out.size)):
        # The k-th measured pixel of a row is the first of which k were measured before.
        column[some] = np.argmax(np.cumsum(~out[row[some]], axis=1) > left[some, None], axis=1)
    return row, column
