"""The maps of a snapshot as one picture: data, model and residual side by side, data sets below each other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

_WIDE, _HIGH = 320, 240  # pixels of a panel, at least; cells are whole multiples
_GAP = 6  # pixels of white between panels
_TOP = 99.0  # percentile of the data at which colours end
_SIGMAS = 5.0  # residuals at which colours end
_MISSING, _WHITE = (204, 204, 204, 255), 255  # bytes, as are all colours here


def picture(shown: Sequence[dict[str, Any]]) -> bytes | None:
    """A PNG of maps as `maps` gives them; None without any. Energy goes up, residuals from −5 σ (blue) to 5 (red)."""
    if not shown:
        return None
    from matplotlib.image import imsave

    rows = [_row(one) for one in shown]
    wide = max(row.shape[1] for row in rows)
    whole = np.concatenate(
        [np.pad(row, ((_GAP, 0), (0, wide - row.shape[1]), (0, 0)), constant_values=_WHITE) for row in rows]
    )
    buffer = io.BytesIO()
    imsave(buffer, whole, format="png", pil_kwargs={"compress_level": 1})  # pictures are wanted at once
    return buffer.getvalue()


def _row(one: dict[str, Any]) -> np.ndarray:
    """The three panels of a data set, (y, x, 4)."""
    data, model, residual = (np.array(one[name], float) for name in ("data", "model", "residual"))
    there = data[np.isfinite(data)]
    top = float(np.percentile(there, _TOP)) if there.size else 1.0
    top = top if top > 0 else 1.0
    coloured = [_coloured(x / top, "viridis") for x in (data, model)]
    coloured.append(_coloured(residual / (2 * _SIGMAS) + 0.5, "RdBu_r"))
    gap = np.full((coloured[0].shape[0], _GAP, 4), _WHITE, np.uint8)
    return np.concatenate([gap, *(part for panel in coloured for part in (panel, gap))], axis=1)


def _coloured(share: np.ndarray, name: str) -> np.ndarray:
    """Colours of values in 0 … 1, energy upwards, each cell a block of pixels."""
    from matplotlib import colormaps

    colours = colormaps[name](np.clip(np.nan_to_num(share), 0, 1), bytes=True)
    colours[~np.isfinite(share)] = _MISSING
    tall, across = (-(-least // size) for least, size in zip((_HIGH, _WIDE), share.shape, strict=True))
    return colours[::-1].repeat(tall, axis=0).repeat(across, axis=1)
