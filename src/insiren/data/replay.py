"""A measurement as it arrives: the neutrons of a finished one in the order of a clock.

Where counts are there, each neutron gets a time of its own at random, so that the last step is the measurement itself.
Elsewhere an intensity I with error σ stands for (I/σ)² neutrons, and Poisson numbers are drawn about those of the
smoothed image with its norm I/σ² (see `thinning`). Splitting a Poisson number at random gives independent Poisson
increments, so that both are streams of a counting experiment. Beyond the whole measurement increments are Poisson about
the smoothed intensity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.spectrum import is_image, left_out
from insiren.data.thinning import blurred
from insiren.errors import DataError


class Whole(NamedTuple):
    """All neutrons of one data set.

    Attributes:
        data: the data set, in one order of its dimensions.
        counts: of each pixel, whole numbers.
        norm: counts for intensity 1; NaN where nothing is counted.
        mean: smoothed intensity, not negative.
    """

    data: sc.DataArray
    counts: np.ndarray
    norm: np.ndarray
    mean: np.ndarray


def whole(data: sc.DataArray, rng: np.random.Generator) -> Whole:
    """All neutrons that a measurement tells of.

    Raises:
        DataError: it has neither counts nor errors.
    """
    data = adopt(data)
    if grid := is_image(data):
        data = data.transpose(["Q", "energy_transfer"]).copy()
    out = left_out(data)
    smooth = blurred(data) if grid else np.where(out, np.nan, data.values)
    mean = np.maximum(np.nan_to_num(smooth), 0.0)
    if {"counts", "norm"} <= set(data.coords):
        counts, norm = (sc.broadcast(data.coords[key], sizes=data.sizes).values.astype(float) for key in
                        ("counts", "norm"))  # fmt: skip
        if np.any(~out & ((counts < 0) | (counts != np.round(counts)))):
            raise DataError(f"{data.name} has counts that are no whole numbers, so that no neutron can be told apart.")
        return Whole(data, np.where(out, 0, counts).astype(np.int64), np.where(out, np.nan, norm), mean)
    if data.variances is None:
        raise DataError(f"{data.name} has neither counts nor error bars, which tell how many neutrons each pixel held.")
    fine = ~out & (smooth > 0) & (data.variances > 0)
    norm = np.where(fine, np.where(fine, mean, 1.0) / np.where(fine, data.variances, 1.0), np.nan)
    return Whole(data, rng.poisson(np.where(fine, norm * mean, 0.0)), norm, mean)


def stream(
    sets: Sequence[sc.DataArray], first: float, events: float | None, steps: int, seed: int, incremental: bool = False
) -> Iterator[list[sc.DataArray]]:
    """The data sets at every step of a measurement, steps even in the logarithm of the neutrons.

    Args:
        sets: a finished measurement.
        first: neutrons at the first step, all data sets together.
        events: at the last; None for all there are. More than there are is Poisson about the smoothed measurement.
        steps: how many.
        seed: of the random numbers.
        incremental: give what each step adds, instead of all until then.

    Raises:
        DataError: the numbers are no stream, or a measurement tells of no neutrons.
    """
    rng = np.random.default_rng(seed)
    wholes = [whole(one, rng) for one in sets]
    total = float(sum(one.counts.sum() for one in wholes))
    events = total if events is None else events
    if not total:
        raise DataError("The measurement tells of no neutrons, so there is nothing to replay.")
    if steps < 1 or not 0 < first <= events or (steps == 1 and first != events):
        raise DataError(
            f"{steps} steps from {first:g} to {events:g} neutrons are no stream; the first must not exceed the last "
            f"({total:,.0f} are there), and one step has both the same."
        )
    return _steps(wholes, np.geomspace(first, events, steps) / total, rng, incremental)


def _steps(
    wholes: list[Whole], shares: np.ndarray, rng: np.random.Generator, incremental: bool
) -> Iterator[list[sc.DataArray]]:
    left = [one.counts.copy() for one in wholes]
    so_far = [np.zeros_like(one) for one in left]
    before = 0.0
    for number, share in enumerate(shares, 1):
        made = []
        for n, one in enumerate(wholes):
            inside = min(share, 1.0) - min(before, 1.0)
            # of the neutrons still to come within the measurement, this part comes now
            part = 0.0 if inside <= 0 else min(1.0, inside / (1.0 - min(before, 1.0)))
            new = left[n] if part == 1.0 else rng.binomial(left[n], part)
            left[n] = left[n] - new
            if (beyond := max(share, 1.0) - max(before, 1.0)) > 0:
                new = new + rng.poisson(beyond * np.nan_to_num(one.norm) * one.mean)
            so_far[n] = so_far[n] + new
            counts, time = (new, share - before) if incremental else (so_far[n], share)
            made.append(_counted(one, counts, time, f"replayed: step {number} of {len(shares)}"))
        before = share
        yield made


def _counted(one: Whole, counts: np.ndarray, share: float, said: str) -> sc.DataArray:
    """The data set with these counts in place of its intensities."""
    missing, dims = ~np.isfinite(one.norm), one.data.dims
    norm = np.where(missing, 1.0, share * np.where(missing, 1.0, one.norm))
    found = one.data.drop_coords([key for key in ("sigma_floor", "sigma_max") if key in one.data.coords]).copy()
    for mask in list(found.masks):
        del found.masks[mask]
    found.data = sc.array(
        dims=dims, values=np.where(missing, np.nan, counts / norm), variances=np.maximum(counts, 1) / norm**2,
        unit=one.data.unit,
    )  # fmt: skip
    found.masks["missing"] = sc.array(dims=dims, values=missing)
    found.coords["counts"] = sc.array(dims=dims, values=np.where(missing, 0.0, counts))
    found.coords["norm"] = sc.array(dims=dims, values=norm)
    found.coords["assumed"] = sc.scalar(said)
    return found
