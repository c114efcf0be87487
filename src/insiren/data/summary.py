"""What a data set holds, in numbers and sentences, before anything is fitted to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipp as sc

from insiren.data.bins import bins_of
from insiren.data.doubtful import doubtful
from insiren.data.peaks import is_peaks
from insiren.data.scatter import errors_in_doubt
from insiren.data.spectrum import is_image, left_out, place_of
from insiren.forward import Bins

WIDE = 1e3  # largest over smallest σ from which on the weights deserve a look


def summary(data: sc.DataArray) -> dict[str, Any]:
    """Dimensions, ranges, units, counts of every kind of pixel, and what to look at, ready for JSON.

    Args:
        data: a spectrum, or a list of peaks.
    """
    if is_peaks(data):
        return _peaks(data)
    gone, nan = left_out(data), np.isnan(data.values)
    missing = nan | data.masks["missing"].values if "missing" in data.masks else nan
    values = data.values[~gone]
    sigma = None if data.variances is None else np.sqrt(np.maximum(data.variances[~gone], 0.0))
    return {
        "name": data.name,
        "kind": "image" if is_image(data) else "points",
        "shape": list(data.shape),
        "dims": list(data.dims),
        "energy_meV": span(data.coords["energy_transfer"].to(unit="meV", dtype="float64").values),
        **{c: span(data.coords[c].values) for c in place_of(data)},
        "units": {
            "energy_transfer": str(data.coords["energy_transfer"].unit),
            **{c: "1/Å" if c == "Q_abs" else "r.l.u." for c in place_of(data)},
            "intensity": str(data.unit),
        },
        **_known(data),
        "pixels": int(data.values.size),
        "left_out": int(gone.sum()),
        "missing": int(missing.sum()),
        "masked": {name: int(mask.values.sum()) for name, mask in data.masks.items() if name != "missing"},
        "negative": int((values < 0).sum()),
        "zero": int((values == 0).sum()),
        "intensity": span(values),
        "sigma": None if sigma is None else span(sigma),
        "counts": _total(data.coords["counts"].values[~gone]) if "counts" in data.coords else None,
        "advised": {key: float(data.coords[key].value) for key in ("sigma_floor", "sigma_max") if key in data.coords},
        "look": [
            *doubtful(data),
            *_doubts(values, None if data.variances is None else data.variances[~gone]),
            *filter(None, [errors_in_doubt(data)]),
        ],
        "noted": noted(data),
        "assumed": assumed(data),
    }


def assumed(data: sc.DataArray) -> list[str]:
    """What a reader took for granted, a sentence each; of parts that were joined, each sentence once."""
    return _sentences(data, "assumed")


def noted(data: sc.DataArray) -> list[str]:
    """What a reader found and had no choice about, in the same way."""
    return _sentences(data, "noted")


def left(data: sc.DataArray) -> list[str]:
    """What masks leave out besides what was not measured, a sentence each."""
    counts = {name: int(mask.values.sum()) for name, mask in data.masks.items() if name != "missing"}
    return [f"the mask {name} leaves out {count} pixels" for name, count in counts.items() if count]


def _sentences(data: sc.DataArray, key: str) -> list[str]:
    if key not in data.coords:
        return []
    texts = np.atleast_1d(np.asarray(data.coords[key].values, dtype=object))
    return list(dict.fromkeys(line for text in texts for line in str(text).split("\n")))


def span(values: np.ndarray) -> list[float] | None:
    """The smallest and the largest finite value, or None where there is none."""
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if known.size else None


def _total(counts: np.ndarray) -> float | None:
    """The sum of those that are numbers; None where there is none, or it is beyond any float."""
    known = counts[np.isfinite(counts)].astype(float)
    total = float(known.sum())
    return total if known.size and np.isfinite(total) else None


def _known(data: sc.DataArray) -> dict[str, Any]:
    lattice, Ei = data.coords.get("lattice"), data.coords.get("Ei")
    return {
        "lattice": None if lattice is None else str(lattice.value),
        "Ei_meV": None if Ei is None else float(Ei.value),
        **_bins(bins_of(data)),
    }


def _bins(bins: Bins) -> dict[str, str]:
    """Widths as text to six digits; edges kept in single precision have no more."""
    edges = "; ".join(" ".join(f"{x:.6g}" for x in edge) for edge in bins.hkl)
    widths = {"bin_Q_abs": bins.Q_abs, "bin_omega": bins.omega}
    return ({"bins_hkl": edges} if edges else {}) | {key: f"{width:.6g}" for key, width in widths.items() if width}


def _peaks(data: sc.DataArray) -> dict[str, Any]:
    hkl = np.stack([data.coords[c].values for c in "hkl"], axis=1)
    return {
        "name": data.name,
        "kind": "peaks",
        "shape": list(data.shape),
        "dims": list(data.dims),
        "energy_meV": span(data.values),
        **{c: span(data.coords[c].values) for c in "hkl"},
        "units": {"energy_transfer": "meV", **dict.fromkeys("hkl", "r.l.u.")},
        "wavevectors": len(np.unique(hkl, axis=0)),
        "modes": int(data.coords["mode"].values.max()) + 1,
        "sigma": span(np.sqrt(data.variances)),
        "look": doubtful(data),
        "noted": noted(data),
        "assumed": assumed(data),
    }


def _doubts(values: np.ndarray, variances: np.ndarray | None) -> list[str]:
    """What about the errors deserves a look, a sentence each; how to mend it is in each."""
    if not values.size:
        return ["every pixel is masked or missing; there is nothing to fit"]
    if variances is None:
        return ["there are no error bars, without which nothing can be fitted; give a sigma column, counts, or --sigma"]
    said = []
    if bad := int(np.sum(~np.isfinite(variances) | (variances < 0))):
        said.append(f"{bad} pixels have an error that is NaN, infinite or negative; mask or correct them")
    if zero := int(np.sum(variances == 0)):
        said.append(f"{zero} pixels have σ = 0, an infinite weight; --sigma-floor raises it")
    good = np.isfinite(variances) & (variances > 0) & np.isfinite(values)
    sigma, shown = np.sqrt(variances[good]), values[good]
    if sigma.size and sigma.max() > WIDE * sigma.min():
        said.append(
            f"σ runs from {sigma.min():.3g} to {sigma.max():.3g}; --sigma-floor and --sigma-max bound the weights"
        )
    bright = shown > 3 * sigma
    if bright.any():
        with np.errstate(over="ignore"):  # a number beyond any float shows as inf
            neutrons = float(np.median((shown[bright] / sigma[bright]) ** 2))
        said.append(
            f"(I/σ)² of the pixels above 3 σ is {neutrons:.3g} in the median: so many neutrons each, if σ is the error "
            "of counting; if it cannot be, these are variances (--errors variance) or in another scale"
        )
    return said
