"""Detectors of a powder measurement gathered into a map of |Q| and energy transfer."""

from __future__ import annotations

import numpy as np
import scipp as sc

from insiren.data.files.axes import scalar
from insiren.data.files.hints import otherwise
from insiren.data.files.scattering import Pixels
from insiren.data.spectrum import image
from insiren.errors import DataError
from insiren.forward import Bins

MOST = 10_000  # bins in |Q|; a step that gives more is a slip of the pen


def powder_map(name: str, pixels: Pixels, Q: np.ndarray, step: float | None, zeros: str = "measured") -> sc.DataArray:
    """The mean intensity of the detectors in each bin of |Q|, at each energy transfer.

    All detectors of a bin count alike: weights from their own errors would pull the mean down, since
    few counts have small errors. σ² of a mean of n is Σσ²/n². A bin in which nobody caught anything has
    the error of one neutron, whose worth at that energy is the geometric mean of σ²/I, unless the user
    says that it was not measured. A bin into which no detector looks is missing.

    Args:
        name: of the data set.
        pixels: of the file; what was assumed is added to.
        Q: |Q| of each pixel in 1/Å, shape (n, w).
        step: width of the bins in 1/Å, or None for a sensible one.
        zeros: what a bin is in which nobody caught anything, "measured" or "missing".

    Returns:
        An image with the number of detectors in each bin as the coordinate `detectors`.

    Raises:
        DataError: the step is not positive, or gives too many bins.
    """
    there = ~pixels.missing
    if not there.any():
        raise DataError(f"{name}: all {there.size} pixels are masked, zero or NaN, so that nothing was measured.")
    if step is None:
        step = _usual(Q, there)
        pixels.assumed.append(f"bins of {step:g} 1/Å in |Q|; --q-step changes it")
    step = scalar(name, "q_step", step)
    if not step > 0:
        raise DataError(f"{name}: q_step = {step:g} 1/Å is not a positive width.")
    # Bins begin at multiples of the step, so that measurements with other angles have the same.
    first, last = np.floor(Q[there].min() / step), np.floor(Q[there].max() / step)
    if last - first >= MOST:
        raise DataError(f"{name}: q_step = {step:g} 1/Å gives {last - first:.3g} bins, above {MOST}. Make it larger.")
    bins, w = int(last - first) + 1, Q.shape[1]
    row = (np.floor(Q / step) - first).astype(int)
    cell = (row * w + np.arange(w))[there]

    def total(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(cell, weights, minlength=bins * w).reshape(bins, w)

    n = total(None)
    with np.errstate(all="ignore"):
        mean, variance = total(pixels.intensity[there]) / n, total(pixels.variance[there]) / n**2
        empty = (n > 0) & (variance == 0)
        variance = np.where(empty, (_worth(pixels) / n) ** 2, variance)
    if empty.any():
        what = "their σ is what one neutron is worth, the geometric mean of σ²/I at their energy"
        pixels.assumed.append(
            f"{int(empty.sum())} bins had σ = 0, as where nothing is caught: "
            f"{what if zeros == 'measured' else 'they are missing'}; {otherwise('zeros', zeros)} changes it"
        )
    centres = (first + np.arange(bins) + 0.5) * step
    around = Bins(Q_abs=step, omega=pixels.energy.width)
    # An error that even the worth of a neutron does not give is not known.
    unknown = (n == 0) | (empty & (zeros == "missing")) | ~np.isfinite(mean) | ~np.isfinite(variance)
    sigma = np.sqrt(np.where(unknown, 0.0, variance))
    mean = np.where(unknown, np.nan, mean)
    data = image(name, None, pixels.energy.centres, mean, sigma, Q_abs=centres, bins=around, missing=unknown)
    data.coords["detectors"] = sc.array(dims=data.dims, values=n)
    return data


def _usual(Q: np.ndarray, there: np.ndarray) -> float:
    """Twice the median distance of neighbouring detectors in |Q|, rounded up to 1, 2 or 5 times a power of ten."""
    column = np.argmax(there.sum(axis=0))
    values = np.unique(np.round(Q[there[:, column], column], 5))  # 1/Å; detectors in one ring have one |Q|
    steps = np.diff(values)
    wanted = 2 * float(np.median(steps)) if len(steps) else 0.1
    wanted = max(wanted, float(np.ptp(Q[there])) / MOST * 2)
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9)))


def _worth(pixels: Pixels) -> np.ndarray:
    """Intensity of one neutron in one detector at each energy, shape (w,), NaN where nothing tells."""
    known = ~pixels.missing & (pixels.intensity > 0) & (pixels.variance > 0)
    with np.errstate(all="ignore"):
        logs = np.where(
            known, np.log(np.where(known, pixels.variance, 1.0) / np.where(known, pixels.intensity, 1.0)), 0.0
        )
        each, number = logs.sum(axis=0), known.sum(axis=0)
        whole = each.sum() / number.sum()
        return np.exp(np.where(number > 0, each / number, whole))
