"""Whether the errors of an image are what its pixels scatter by: a file may hold variances where it says errors."""

from __future__ import annotations

import numpy as np
import scipp as sc
from jaxtyping import Float
from scipy.stats import norm, spearmanr

from insiren.data.adopt import adopt
from insiren.data.spectrum import is_image, left_out

_GROUPS = 4  # of pixels, from the smallest errors to the largest
_FEWEST = 100  # pixels of a group: its scatter is then known to a tenth
_FINE, _WRONG = 1.4, 2.0  # factors within which errors are right, and beyond which they are not
_SAME = 1e-9  # of a variance: a smaller difference is rounding
_NORMAL = float(norm.ppf(0.75))  # median of |x| for a standard normal x
_OTHERWISE = ((0.5, "square roots", "variance"), (2.0, "squares", "sigma"))


def errors_in_doubt(data: sc.DataArray) -> str | None:
    """A sentence where the errors of an image are wrong and their roots, or squares, are right; else None."""
    found = taken_otherwise(data)
    return None if found is None else f"{found[1]}; --errors {found[0]} takes what is stored for that"


def taken_otherwise(data: sc.DataArray) -> tuple[str, str] | None:
    """What the errors of an image should be taken for instead (variance, sigma), and why; None if they are right.

    A pixel less the mean of its two neighbours along Q holds noise, and hardly any signal; the median over a group of
    pixels does not mind the few that lie on a ridge. A wrong power of the errors fails somewhere between the smallest
    and the largest, whatever the unit of the intensities.
    """
    data = adopt(data)
    if data.variances is None or not is_image(data):
        return None
    data = data.transpose(["Q", "energy_transfer"])
    sigma = np.sqrt(np.where(left_out(data) | ~(data.variances > 0), np.nan, data.variances))
    given = _scatter(data.values, sigma)
    if given is None or max(given.max(), 1 / given.min()) < _WRONG:
        return None
    for power, word, meant in _OTHERWISE:
        other = _scatter(data.values, sigma**power)
        if other is not None and max(other.max(), 1 / other.min()) < _FINE:
            return meant, (
                f"neighbouring pixels scatter by {_span(given)} times their errors, from the smallest to the largest, "
                f"but by {_span(other)} times the {word} of these"
            )
    return None


def follow_counts(data: sc.DataArray) -> float | None:
    """How closely the variances of an image follow each pixel's own fluctuation, from -1 to 1; None where too few tell.

    A variance that is that of the pixel's own counts is smallest where the pixel fluctuated low, so that weights 1/σ²
    pull every mean down. The rank correlation between what a pixel and what its variance has above the mean of the
    neighbours along Q shows it: hardly any pixel lies on a ridge, and ranks do not mind those. It is 0 where variances
    are known otherwise.

    Source: Spearman, Am. J. Psychol. 15, 72 (1904); Wheaton et al., Nucl. Instrum. Meth. A 364, 320
    (1995), for the bias.
    """
    data = adopt(data)
    if data.variances is None or not is_image(data):
        return None
    data = data.transpose(["Q", "energy_transfer"])
    lost = left_out(data) | ~(data.variances > 0)
    values, variances = (np.where(lost, np.nan, x) for x in (data.values, data.variances))
    with np.errstate(over="ignore", invalid="ignore"):
        apart, varied = (x[1:-1] - (x[:-2] + x[2:]) / 2 for x in (values, variances))
    known = np.isfinite(apart) & np.isfinite(varied)
    if known.sum() < _FEWEST:
        return None
    # variances that do not differ follow nothing
    varied = np.where(np.abs(varied) > _SAME * np.nanmean(variances), varied, 0.0)[known]
    return float(spearmanr(apart[known], varied)[0]) if np.ptp(varied) > 0 else 0.0  # type: ignore[arg-type]


def _span(ratio: np.ndarray) -> str:
    return f"{ratio[0]:.2g} to {ratio[-1]:.2g}"


def _scatter(values: Float[np.ndarray, "q w"], sigma: Float[np.ndarray, "q w"]) -> Float[np.ndarray, " g"] | None:
    """By how many of their errors pixels scatter, group by group; None where there are too few, or no noise."""
    with np.errstate(over="ignore", invalid="ignore"):  # a damaged file holds numbers beyond any float
        apart = values[1:-1] - (values[:-2] + values[2:]) / 2
        expected = np.sqrt(sigma[1:-1] ** 2 + (sigma[:-2] ** 2 + sigma[2:] ** 2) / 4)
    known = np.isfinite(apart) & np.isfinite(expected) & (expected > 0)
    if known.sum() < _GROUPS * _FEWEST:
        return None
    order = np.argsort(sigma[1:-1][known], kind="stable")
    groups = np.array_split(np.abs(apart[known] / expected[known])[order], _GROUPS)
    ratio = np.array([np.median(group) for group in groups]) / _NORMAL
    return ratio if ratio.min() > 0 else None
