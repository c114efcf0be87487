"""Error bars: what a file stores beside its intensities, and what stands in for what it does not store."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.hints import EXAMPLES, chosen, otherwise, positive

NOTHING = -1e19  # intensities at or below it were not measured: MSlice and DAVE write −1e20 ± −1, .spe files −1e30


def measured_only(intensity: np.ndarray, stored: np.ndarray | None) -> tuple[np.ndarray, Any, list[str]]:
    """Intensities that are NaN where a text says that nothing was measured, the errors, and the sentence about it.

    Args:
        intensity: as the file has them.
        stored: errors as the file has them, or None; they become 0 where nothing was measured.
    """
    with np.errstate(invalid="ignore"):
        gone = intensity <= NOTHING
    if not gone.any():
        return intensity, stored, []
    said = f"{int(gone.sum())} of {gone.size} pixels hold {intensity[gone].min():.3g}, which stands for not measured"
    return np.where(gone, np.nan, intensity), None if stored is None else np.where(gone, 0.0, stored), [said]


def standard(stored: np.ndarray, errors: Any, where: str) -> tuple[np.ndarray, str]:
    """Standard deviations from what a file stores, and the sentence that says how it was taken.

    Args:
        stored: as the file has them.
        errors: "sigma", or "variance" of which the root is taken; what is negative there becomes NaN.
        where: what holds them, as the beginning of a sentence.

    Raises:
        DataError: `errors` is neither.
    """
    meant = chosen("errors", errors)
    is_sigma = meant == "sigma"
    said = (
        f"{where} holds {'standard deviations' if is_sigma else 'variances'}; {otherwise('errors', meant)} changes it"
    )
    with np.errstate(invalid="ignore"):
        return (stored if is_sigma else np.sqrt(stored)), said


def without_errors(data: sc.DataArray, sigma: Any, why: str) -> str:
    """Gives a spectrum without error bars the one σ that the user says, and the sentence about it.

    Args:
        data: a spectrum; it is changed.
        sigma: of every pixel in the data's unit, or None.
        why: there are no error bars, as the beginning of a sentence.

    Raises:
        DataError: σ is not a positive number.
    """
    if sigma is None:
        return (
            f"{why}: no error bars, without which nothing can be fitted; {EXAMPLES['sigma'][0]} gives every pixel one"
        )
    one = positive("sigma", sigma)
    data.variances = np.full(data.shape, one**2)
    return f"{why}: every pixel has σ = {one:g}; --sigma changes it"
