"""Background estimated from a region of the spectrum that holds no signal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import savgol_filter

from insiren.data.spectrum import Measured
from insiren.errors import DataError


def savgol_background(
    spectrum: Measured | Float[np.ndarray, "q w"],
    columns: slice = slice(160, 171),
    window: int = 51,
    order: int = 3,
) -> Float[np.ndarray, " w"]:
    """Background of each energy: the mean over quiet wavevectors, smoothed along the energy.

    Pixels that are not used do not enter the mean; energies at which the whole region is missing
    are interpolated from their neighbours. The smoothing counts energies in steps, so they should
    be evenly spaced.

    Take the spectrum with `sigma_max = inf`: a limit on σ empties the region where the background is
    high. The paper averages the raw matrix with its zeros for not measured among the numbers, which
    is what the plain values of the array give.

    Args:
        spectrum: an image, or its intensities (q, w) with NaN where missing.
        columns: wavevectors without signal, counted from 0; the paper's by default.
        window: energies in the smoothing window, odd.
        order: of the smoothing polynomial, below `window`.

    Returns:
        One value for each distinct energy, ascending, in the data's unit.

    Raises:
        DataError: the region holds nothing, the spectrum has fewer energies than the window, or
            it is no image.

    Source: Chitturi et al., Nat. Commun. 14, 5852 (2023); Savitzky and Golay, Anal. Chem. 36, 1627 (1964).
    """
    intensity, used, row, n_rows = _image(spectrum)
    if n_rows < window:
        raise DataError(
            f"The background is smoothed over {window} energies but the spectrum has {n_rows}: "
            "give a smaller odd window, or choose another background."
        )
    used, row = used[columns], row[columns][used[columns]]
    if not used.any():
        raise DataError(
            f"No pixel was measured in the background region, Q columns {columns.start} to {columns.stop} "
            f"(exclusive) of {len(intensity)}. Choose columns that hold data but no signal."
        )
    n = np.bincount(row, minlength=n_rows)
    total = np.bincount(row, weights=intensity[columns][used], minlength=n_rows)
    seen = np.flatnonzero(n)
    return np.asarray(savgol_filter(np.interp(np.arange(n_rows), seen, total[seen] / n[seen]), window, order))


def _image(spectrum: Measured | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Intensity, used and row as (q, w), and the number of rows."""
    if not isinstance(spectrum, Measured):
        row = np.broadcast_to(np.arange(spectrum.shape[1]), spectrum.shape)
        return spectrum, np.isfinite(spectrum), row, spectrum.shape[1]
    if spectrum.shape is None:
        raise DataError(f"{spectrum.name} is a list of points; this background needs an image. Choose another one.")
    intensity, used, row = (a.reshape(spectrum.shape) for a in (spectrum.intensity, spectrum.used, spectrum.row))
    return intensity, used, row, spectrum.n_rows
