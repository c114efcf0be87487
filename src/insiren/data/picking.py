"""Peaks picked from a map: at every wavevector a Gaussian on a slope, fitted where the cut stands out.

This is what a fit of mode energies needs and a fit of intensities does not. Nothing here knows the model.
"""

from __future__ import annotations

import numpy as np
import scipp as sc
import scipy.optimize
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from insiren.data.peaks import peak_list
from insiren.data.spectrum import measured
from insiren.errors import DataError

SMOOTH = 2.0  # σ in energy bins of the smoothing before peaks are sought
STANDS_OUT = 3.0  # times the noise of the smoothed cut: a lower bump is no candidate
SURE = 3.0  # times its own error: a fitted height below is no peak
_REACH = 12  # energy bins to each side that enter the fit of a peak
_SPARE = 2  # candidates besides, of which a fit may make nothing
_QUARTILE = 25  # per cent
_START = 3  # energy bins: the σ that a fit begins with
_FEWEST = 8  # pixels in it: twice the parameters without width
_PER_FWHM = 2.3548  # FWHM of a Gaussian in units of its σ


def picked(data: sc.DataArray, most: int = 1, background: bool = True) -> sc.DataArray:
    """The peaks of a map along energy, at most so many a wavevector, the highest ones.

    The cut at each wavevector is smoothed, its maxima that stand out are taken as candidates, and each is fitted by
    a Gaussian on a straight line over the pixels around it. Its centre is the energy of the peak, the standard
    deviation of the centre its error.

    Args:
        data: an image with hkl along Q.
        most: peaks a wavevector.
        background: whether what is common to all wavevectors is subtracted first, the lower quartile of each energy.

    Returns:
        A list of peaks; the window of each is the range of energies that was measured at its wavevector.

    Raises:
        DataError: no image of a crystal, or no peak stands out.
    """
    one = measured(data)
    if one.shape is None or one.points.Q_abs is not None:
        raise DataError(f"{one.name}: peaks are picked from an image with wavevectors; this is a list or a powder.")
    order = np.argsort(np.asarray(one.points.rows[0]))
    omega = np.asarray(one.points.rows[0])[order]
    I, sigma, used = (x.reshape(one.shape)[:, order] for x in (one.intensity, one.sigma, one.used))
    if background:
        I = I - _quiet(np.where(used, I, np.nan))
    found = []
    for hkl, cut, error, there in zip(np.asarray(one.points.hkl), I, sigma, used, strict=True):
        if there.sum() < _FEWEST:
            continue
        for centre, spread, height in _peaks(omega[there], cut[there], error[there], most):
            found.append((*hkl, centre, spread, height, omega[there].min(), omega[there].max()))
    if not found:
        raise DataError(f"{one.name}: no peak stands out of the noise at any of {one.shape[0]} wavevectors.")
    table = np.array(found)
    return peak_list(
        f"{one.name}, peaks",
        table[:, :3],
        table[:, 3],
        table[:, 4],
        intensity=table[:, 5],
        window=(table[:, 6], table[:, 7]),
        noted=["picked from a map: Gaussians on a slope at each wavevector"],
    )


def _quiet(I: Float[np.ndarray, "q w"]) -> Float[np.ndarray, " w"]:
    """The lower quartile of each energy: a ridge passes most energies at few wavevectors."""
    seen = np.isfinite(I).any(axis=0)
    level = np.zeros(I.shape[1])
    level[seen] = np.nanpercentile(I[:, seen], _QUARTILE, axis=0)
    return level


def _peaks(omega: np.ndarray, cut: np.ndarray, sigma: np.ndarray, most: int) -> list[tuple[float, float, float]]:
    """Centre, its error and height of the highest peaks of one cut."""
    smooth = gaussian_filter1d(cut, SMOOTH, mode="nearest")
    # the variance of a mean over a Gaussian window of that σ
    noise = np.sqrt(gaussian_filter1d(sigma**2, SMOOTH, mode="nearest") / (2 * np.sqrt(np.pi) * SMOOTH))
    places, told = find_peaks(smooth, prominence=0)
    found = []
    rises = told["prominences"]
    for place, rise in sorted(zip(places, rises, strict=True), key=lambda one: -one[1])[: most + _SPARE]:
        if rise < STANDS_OUT * noise[place]:
            continue
        near = slice(max(0, place - _REACH), place + _REACH + 1)
        if (peak := _gaussian(omega[near], cut[near], sigma[near], float(omega[place]), rise)) is not None:
            found.append(peak)
    return sorted(found, key=lambda peak: -peak[2])[:most]


def _gaussian(
    omega: Float[np.ndarray, " w"], cut: Float[np.ndarray, " w"], sigma: Float[np.ndarray, " w"], at: float, rise: float
) -> tuple[float, float, float] | None:
    """Centre, its error and height of a Gaussian on a slope; None where the fit finds none of either."""
    if len(omega) < _FEWEST:
        return None
    step = (omega[-1] - omega[0]) / (len(omega) - 1)

    def off(x: np.ndarray) -> np.ndarray:
        height, centre, width, level, slope = x
        return (height * np.exp(-0.5 * ((omega - centre) / width) ** 2) + level + slope * (omega - at) - cut) / sigma

    def slope_of(x: np.ndarray) -> np.ndarray:
        height, centre, width = x[:3]
        t = (omega - centre) / width
        shape = np.exp(-0.5 * t**2)
        columns = [shape, height * shape * t / width, height * shape * t**2 / width, np.ones_like(omega), omega - at]
        return np.stack(columns, 1) / sigma[:, None]

    start = [rise, at, _START * step, float(np.median(cut)), 0.0]
    scale = [rise, step, step, rise, rise / step]
    # Without bounds it is ten times as fast; whatever strays is refused below.
    result = scipy.optimize.least_squares(off, start, jac=slope_of, method="lm", x_scale=scale, max_nfev=100)  # type: ignore[arg-type]
    freedom = max(1, len(omega) - len(start))
    normal = result.jac.T @ result.jac
    if not np.isfinite(normal).all() or np.linalg.matrix_rank(normal) < len(start):
        return None
    # a cut that is no Gaussian widens the error of its centre, as everywhere in this package
    errors = np.sqrt(np.diag(np.linalg.inv(normal)) * max(1.0, 2 * result.cost / freedom))
    height, centre, width = result.x[0], result.x[1], abs(result.x[2])
    inside = omega[0] < centre < omega[-1] and _PER_FWHM * width < omega[-1] - omega[0]
    if not inside or height < SURE * errors[0] or errors[1] > width:
        return None
    return float(centre), float(errors[1]), float(height)
