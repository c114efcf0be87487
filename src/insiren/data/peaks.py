"""A list of peaks: energies that somebody picked from a spectrum, with their errors.

One dim, "peak". The values are energies in meV and the variances σ² of these. Along it lie h, k, l,
`mode` (0 for the lowest peak of its wavevector, and so on), `intensity` in whatever unit (NaN where it is
not known), and the window `energy_low` to `energy_high` in meV in which peaks were looked for. The scalar
`kind` is "peaks", by which everybody tells it from a spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipp as sc
from numpy.typing import ArrayLike

from insiren.data.adopt import CRYSTAL, PEAKS
from insiren.errors import DataError


def peak_list(
    name: str,
    hkl: ArrayLike,
    energy: ArrayLike,
    sigma: ArrayLike,
    *,
    intensity: ArrayLike | None = None,
    window: tuple[ArrayLike, ArrayLike] | None = None,
    assumed: Sequence[str] = (),
    noted: Sequence[str] = (),
) -> sc.DataArray:
    """Peaks with their places, the modes of one wavevector numbered by energy.

    Args:
        name: of the data set.
        hkl: wavevector of each peak in r.l.u., shape (p, 3).
        energy: in meV, shape (p,).
        sigma: standard deviations of the energies in meV, shape (p,).
        intensity: shape (p,), if known.
        window: least and largest energy in meV that was looked at, each of shape (p,); unbounded by default.
        assumed: what a reader took for granted, a sentence each, with the option that overrides it.
        noted: what it found and had no choice about, a sentence each.

    Raises:
        DataError: shapes disagree, a number is not finite, or an error is not positive.
    """
    vectors, energies, errors = (np.asarray(x, float) for x in (hkl, energy, sigma))
    n = energies.size
    if energies.shape != (n,) or vectors.shape != (n, 3) or errors.shape != (n,):
        raise DataError(
            f"{name}: peaks need hkl (p, 3), energy (p,) and sigma (p,), not {vectors.shape}, {energies.shape} and "
            f"{errors.shape}."
        )
    if not n:
        raise DataError(f"{name} holds no peak.")
    if bad := int(np.sum(~np.isfinite(vectors).all(axis=1) | ~np.isfinite(energies))):
        raise DataError(f"{name}: {bad} peaks have a wavevector or energy that is not finite. Remove them.")
    if bad := int(np.sum(~(np.isfinite(errors) & (errors > 0)))):
        raise DataError(f"{name}: {bad} peaks have an error that is not positive. Give σ of the energy in meV.")
    low, high = (-np.inf, np.inf) if window is None else window

    def along(values: ArrayLike, unit: str = "dimensionless") -> sc.Variable:
        return sc.array(dims=["peak"], values=np.broadcast_to(np.asarray(values, float), n), unit=unit)

    coords = {c: along(vectors[:, i]) for i, c in enumerate(CRYSTAL)}
    coords["mode"] = sc.array(dims=["peak"], values=_modes(vectors, energies))
    coords["intensity"] = along(np.nan if intensity is None else intensity)
    coords |= {"energy_low": along(low, "meV"), "energy_high": along(high, "meV"), "kind": sc.scalar(PEAKS)}
    for key, said in (("assumed", assumed), ("noted", noted)):
        if said:
            coords[key] = sc.scalar("\n".join(said))
    data = sc.array(dims=["peak"], values=energies, variances=errors**2, unit="meV")
    return sc.DataArray(data, coords=coords, name=name)


def is_peaks(data: sc.DataArray) -> bool:
    """Whether an array is a list of peaks."""
    return "kind" in data.coords and data.coords["kind"].ndim == 0 and data.coords["kind"].value == PEAKS


def checked_peaks(data: sc.DataArray) -> sc.DataArray:
    """A list of peaks from elsewhere, as it is.

    Raises:
        DataError: it calls itself peaks and lacks what makes them, or a number makes no sense.
    """
    needed = {*CRYSTAL, "mode", "intensity", "energy_low", "energy_high"}
    if lacking := sorted(name for name in needed if name not in data.coords or data.coords[name].dims != ("peak",)):
        raise DataError(f"{data.name} is a list of peaks without {', '.join(lacking)} along the dim peak.")
    if data.dims != ("peak",) or data.unit != "meV" or data.variances is None or data.dtype != "float64":
        raise DataError(f"{data.name}: peaks are energies in meV with variances along the dim peak, float64.")
    if data.coords["mode"].dtype != "int64" or np.any(data.coords["mode"].values < 0):
        raise DataError(f"{data.name}: the coordinate mode numbers the peaks of a wavevector from 0.")
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(data.variances)
    peak_list(data.name, np.stack([data.coords[c].values for c in CRYSTAL], axis=1), data.values, sigma)
    return data


def _modes(hkl: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """The rank of each peak among those of its wavevector, by energy, shape (p,)."""
    _, which = np.unique(hkl, axis=0, return_inverse=True)
    which = which.reshape(-1)
    order = np.lexsort([energy, which])
    starts = np.searchsorted(which[order], which[order])
    modes = np.empty(len(energy), int)
    modes[order] = np.arange(len(energy)) - starts
    return modes
