"""A measurement as it would have looked earlier: thinned to fewer neutrons.

Two ways. The published low-count study smooths the measured image and samples it as a probability distribution, so
that all that scatters is counted alike (`thinned`). An experiment counts each pixel for a time of its own, which the
error bars tell: a pixel of intensity I and error σ held (I/σ)² neutrons (`recounted`).

Source: Chitturi et al., Nat. Commun. 14, 5852 (2023), Methods, for the first.
"""

from __future__ import annotations

import numpy as np
import scipp as sc
from jaxtyping import Float
from scipy.ndimage import convolve1d

from insiren.data.spectrum import image, left_out, place_of, points_of
from insiren.errors import DataError

_KERNEL = np.array([0.25, 0.5, 0.25])  # binomial, the Gaussian of three points; the paper does not give its width
_BATCH = 100_000  # proposals of the rejection sampling at once


def blurred(data: sc.DataArray) -> Float[np.ndarray, "q w"]:
    """Intensities smoothed by a 3 × 3 Gaussian, each pixel the mean over its measured neighbours; NaN where missing.

    Args:
        data: an image.

    Raises:
        DataError: it is no image.
    """
    if set(data.dims) != {"Q", "energy_transfer"}:
        raise DataError(f"{data.name} is a list of points, which has no neighbours to smooth with; give an image.")
    data = data.transpose(["Q", "energy_transfer"])
    used = ~left_out(data)
    total, weight = np.where(used, data.values, 0.0), used.astype(float)
    for axis in (0, 1):
        total, weight = (convolve1d(x, _KERNEL, axis=axis, mode="constant") for x in (total, weight))
    return np.where(used, total / np.where(weight > 0, weight, 1.0), np.nan)


def thinned(data: sc.DataArray, neutrons: int, seed: int) -> sc.DataArray:
    """Exactly so many neutrons, drawn by rejection from the smoothed image.

    Args:
        data: an image with its background; pixels below zero are never hit.
        neutrons: to draw.
        seed: of the random numbers.

    Raises:
        DataError: it is no image, or nothing is above zero.
    """
    chance = np.maximum(np.nan_to_num(blurred(data)), 0.0)
    if not (chance.sum() > 0 and neutrons > 0):
        raise DataError(f"{data.name}: {neutrons} neutrons over a total of {chance.sum():g} give nothing to count.")
    rng, hits = np.random.default_rng(seed), np.zeros(chance.size, int)
    flat, top, left = chance.ravel(), chance.max(), neutrons
    while left:
        pixel = rng.integers(chance.size, size=_BATCH)
        accepted = pixel[rng.uniform(0, top, _BATCH) < flat[pixel]][:left]
        hits += np.bincount(accepted, minlength=chance.size)
        left -= len(accepted)
    norm = neutrons / chance.sum()
    return _counted(data, hits.reshape(chance.shape), np.full(chance.shape, norm), f"thinned to {neutrons} neutrons")


def recounted(data: sc.DataArray, share: float, seed: int) -> sc.DataArray:
    """A measurement of a share of the time: Poisson counts about that share of each pixel's (I/σ)² neutrons.

    The norm of a pixel, counts for intensity 1, is share · I/σ² of the smoothed I and the measured σ. A pixel without
    a positive smoothed I, or without σ, says nothing of its norm and is left out.

    Args:
        data: an image with its background and errors.
        share: of the counting time.
        seed: of the random numbers.

    Raises:
        DataError: it is no image, or has no errors.
    """
    if data.variances is None:
        raise DataError(f"{data.name} has no error bars, which tell how many neutrons each pixel held.")
    mean = blurred(data)
    variance = data.transpose(["Q", "energy_transfer"]).variances
    fine = (mean > 0) & (variance > 0)
    norm = np.where(fine, share * np.where(fine, mean, 1.0) / np.where(fine, variance, 1.0), np.nan)
    counts = np.random.default_rng(seed).poisson(np.where(fine, norm * mean, 0.0))
    return _counted(data, counts, norm, f"{100 * share:g} % of the counting time")


def neutrons_in(data: sc.DataArray) -> float:
    """How many neutrons the errors of an image tell of: Σ (I/σ)² over its measured pixels of positive intensity."""
    if data.variances is None:
        raise DataError(f"{data.name} has no error bars, which tell how many neutrons each pixel held.")
    fine = ~left_out(data) & (data.values > 0) & (data.variances > 0)
    return float(np.sum(data.values[fine] ** 2 / data.variances[fine]))


def _counted(data: sc.DataArray, counts: np.ndarray, norm: np.ndarray, how: str) -> sc.DataArray:
    points = points_of(data.transpose(["Q", "energy_transfer"]))
    missing = np.isnan(blurred(data)) | ~np.isfinite(norm)
    norm = np.where(missing, 1.0, norm)
    hkl = None if place_of(data) == ("Q_abs",) else np.asarray(points.hkl)
    return image(
        data.name,
        hkl,
        np.asarray(points.rows)[0],
        np.where(missing, np.nan, counts / norm),
        np.sqrt(np.maximum(counts, 1)) / norm,
        Q_abs=None if hkl is not None else np.asarray(points.Q_abs),
        counts=np.where(missing, 0, counts),
        norm=norm,
        missing=missing,
        noted=[how],
        bins=points.bins,
    )
