"""Maps of data, model and residual for a page: coarse enough to be sent, exact in what they sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from insiren.fit.result import Fit, Map

MOST = 20_000  # pixels of a map
_DIGITS = 4


def maps(fit: Fit) -> list[dict[str, Any]]:
    """Every image of a fit as JSON holds it; lists of points have no map."""
    return [_map(one) for one in fit.maps if one.measured.shape is not None]


def _map(one: Map) -> dict[str, Any]:
    measured = one.measured
    assert measured.shape is not None
    q, w = shape = measured.shape
    used, model, intensity = (
        np.asarray(x).reshape(shape) for x in (measured.used, one.profile.model, one.intensity)
    )  # fmt: skip
    if measured.norm is not None and measured.counts is not None:
        exposure = np.where(used, measured.norm.reshape(shape), 0.0)
        variance = np.where(used, exposure * np.maximum(model, 0), 0.0)
        off = np.where(used, exposure * (intensity - model), 0.0)
    else:
        exposure = used.astype(float)
        sigma = measured.sigma.reshape(shape)
        variance, off = exposure, np.where(used, (intensity - model) / sigma, 0.0)
    along = 1 if w >= 2 * q else 0
    step = [1, 1]
    while -(-q // step[0]) * -(-w // step[1]) > MOST:
        step[along], along = step[along] + 1, 1 - along
    cells = lambda x: _summed(x, step)  # noqa: E731
    weight, noise = cells(exposure), cells(variance)
    there = weight > 0
    safe = np.where(there, weight, 1.0)
    shown = {
        "data": np.where(there, cells(exposure * np.where(used, intensity, 0.0)) / safe, np.nan),
        "model": np.where(there, cells(exposure * model) / safe, np.nan),
        "residual": np.where(there & (noise > 0), cells(off) / np.sqrt(np.where(noise > 0, noise, 1.0)), np.nan),
    }
    x, place = _axis(one)
    omega = np.asarray(measured.points.rows)[0]
    return {
        "name": measured.name,
        "x": {**x, "values": _rounded(_means(place, step[0]))},
        "y": {"label": "energy transfer", "unit": "meV", "values": _rounded(_means(omega, step[1]))},
        **{name: _table(values.T) for name, values in shown.items()},
    }


def _axis(one: Map) -> tuple[dict[str, Any], np.ndarray]:
    """Where the columns are: |Q| of a powder, the one index that varies, or the length of the path in r.l.u."""
    points = one.measured.points
    if points.Q_abs is not None:
        return {"label": "|Q|", "unit": "1/Å"}, np.asarray(points.Q_abs)
    hkl = np.asarray(points.hkl)
    varies = np.flatnonzero(np.ptp(hkl, axis=0) > 0)
    if len(varies) == 1 and np.all(np.diff(hkl[:, varies[0]]) > 0):
        return {"label": "hkl"[varies[0]], "unit": "r.l.u."}, hkl[:, varies[0]]
    steps = np.linalg.norm(np.diff(hkl, axis=0), axis=1)
    return {"label": "along the path", "unit": "r.l.u."}, np.concatenate([[0.0], np.cumsum(steps)])


def _summed(values: np.ndarray, step: list[int]) -> np.ndarray:
    for axis, size in enumerate(step):
        if size > 1:
            values = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return values


def _means(values: np.ndarray, size: int) -> np.ndarray:
    begins = np.arange(0, len(values), size)
    return np.add.reduceat(values, begins) / np.diff(np.append(begins, len(values)))


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{x:.6g}") for x in values]


def _table(values: np.ndarray) -> list[list[float | None]]:
    """Rows with four digits, None for what is missing."""
    there = np.isfinite(values)
    size = np.abs(np.where(there & (values != 0), values, 1.0))
    unit = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(size)))
    # divided, not multiplied by a power below 1: 0.3 and not 0.30000000000000004
    rounded = (np.round(np.where(there, values, 0.0) * unit) / unit).astype(object)
    rounded[~there] = None
    return rounded.tolist()
