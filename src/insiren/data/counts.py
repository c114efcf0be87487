"""Simulated measurements: a spectrum as a given number of neutrons would show it."""

from __future__ import annotations

import numpy as np
import scipp as sc
from numpy.typing import ArrayLike

from insiren.data.adopt import adopt
from insiren.data.spectrum import is_image, left_out
from insiren.errors import DataError


def count(expected: sc.DataArray, neutrons: int, seed: int, background: float | ArrayLike = 0.0) -> sc.DataArray:
    """A simulated measurement of a spectrum with Poisson statistics.

    Every pixel is counted for the same time. With one norm for all,

        norm = neutrons / Σ (expected + background),   counts ~ Poisson(norm · (expected + background)),
        intensity = counts / norm,   variance = max(counts, 1) / norm²,

    the sum over the unmasked pixels. The total fluctuates about `neutrons`. An empty pixel gets the
    error of one count, so that none has infinite weight. The background is counted, not subtracted.

    Args:
        expected: a spectrum without noise; its variances do not matter.
        neutrons: expected number of counts, the background's among them.
        seed: of the random numbers; the same seed gives the same counts.
        background: in the unit of the expected intensity: one number, one for each energy of an
            image, or one for each point.

    Returns:
        The spectrum with coordinates `counts` and `norm`, its masks kept; masked pixels hold NaN.

    Raises:
        DataError: the expected intensity is negative somewhere, or nothing is expected at all.
    """
    expected = adopt(expected)
    is_image(expected)
    used = ~left_out(expected)
    try:
        added = np.broadcast_to(np.asarray(background, float), expected.shape)
    except ValueError as error:
        raise DataError(
            f"{expected.name}: background has shape {np.shape(background)}, the spectrum {expected.shape}. "
            "Give one number, or one for each energy."
        ) from error
    rate = np.where(used, expected.values + added, 0.0)
    if bad := int(np.sum(~(np.isfinite(rate) & (rate >= 0)))):
        raise DataError(
            f"{expected.name}: {bad} pixels expect a negative or infinite intensity, which cannot be counted."
        )
    if not (neutrons > 0 and rate.sum() > 0):
        raise DataError(
            f"{expected.name}: {neutrons} neutrons over a total intensity of {rate.sum():g} give nothing to count. "
            "Both must be positive."
        )
    norm = neutrons / rate.sum()
    counts = np.random.default_rng(seed).poisson(norm * rate).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0)) / norm
    dims = expected.dims
    result = expected.copy()
    result.data = sc.array(
        dims=dims, values=np.where(used, counts / norm, np.nan), variances=sigma**2, unit=expected.unit
    )
    result.coords["counts"] = sc.array(dims=dims, values=counts)
    result.coords["norm"] = sc.array(dims=dims, values=np.full(expected.shape, norm))
    result.coords["noted"] = sc.scalar(f"simulated: {neutrons} neutrons expected, seed {seed}")
    # What was assumed of another measurement, and advice on its errors, does not hold for counted neutrons.
    return result.drop_coords([key for key in ("assumed", "sigma_floor", "sigma_max") if key in result.coords])
