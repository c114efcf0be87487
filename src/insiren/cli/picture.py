"""A small picture of a data set in the terminal, drawn with blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import scipp as sc

SHADES, BARS, NOTHING = " ░▒▓█", "▁▂▃▄▅▆▇█", "·"
WIDTH, HEIGHT = 64, 14  # characters
BRIGHT = 99.0  # percentile of the intensity that is drawn full


def picture(data: sc.DataArray) -> list[str]:
    """Lines of text: an image as shades over Q and energy, points, peaks and single cuts as bars in their order."""
    import numpy as np

    from insiren.data.peaks import is_peaks
    from insiren.data.spectrum import is_image, left_out

    if is_peaks(data):
        return [f"{'energies':>9} {_bars(data.values)}"]
    values = np.where(left_out(data) | ~np.isfinite(data.values), np.nan, data.values)
    if not np.isfinite(values).any():
        return []
    if not is_image(data) or 1 in values.shape:
        return [f"{'intensity':>9} {_bars(values.ravel())}"]
    values = values if data.dims[0] == "Q" else values.T
    order = np.argsort(data.coords["energy_transfer"].values)
    omega, values = data.coords["energy_transfer"].values[order], values[:, order]
    small = _shrunk(_shrunk(values, WIDTH, 0), HEIGHT, 1)
    known = small[np.isfinite(small)]
    top = float(np.percentile(known, BRIGHT))
    top = top if top > 0 else 1.0
    rows = np.array_split(omega, small.shape[1])
    lines = []
    for n in reversed(range(small.shape[1])):
        label = f"{rows[n].mean():.4g} meV" if n in (0, small.shape[1] - 1) else ""
        cells = "".join(_shade(float(value) / top) for value in small[:, n])
        lines.append(f"{label:>12} │{cells}")
    return [*lines, f"{'':>12} └{'─' * small.shape[0]}", f"{'':>13} {_ends(data)}"]


def _shade(share: float) -> str:
    if share != share:  # NaN: nothing was measured there
        return NOTHING
    return SHADES[min(len(SHADES) - 1, int(min(max(share, 0.0), 1.0) * len(SHADES)))]


def _bars(values: np.ndarray) -> str:
    import numpy as np

    small = _shrunk(np.asarray(values, float), WIDTH, 0)
    known = small[np.isfinite(small)]
    low, high = min(0.0, float(known.min())), float(known.max())
    steps = (small - low) / ((high - low) or 1.0) * (len(BARS) - 1)
    return "".join(NOTHING if not np.isfinite(step) else BARS[round(float(step))] for step in steps)


def _shrunk(values: np.ndarray, most: int, axis: int) -> np.ndarray:
    """Means over neighbours along an axis, so that at most so many remain; NaN where nothing was measured."""
    import numpy as np

    parts = np.array_split(values, min(most, values.shape[axis]), axis=axis)
    known = [np.isfinite(part) for part in parts]
    means: Any = [
        np.where(k.any(axis), np.where(k, p, 0.0).sum(axis) / np.maximum(k.sum(axis), 1), np.nan)
        for p, k in zip(parts, known, strict=True)
    ]
    return np.stack(means, axis=axis)


def _ends(data: sc.DataArray) -> str:
    """The first and the last place along Q."""
    from insiren.data.spectrum import place_of

    names = place_of(data)
    first, last = ([float(data.coords[c].values[n]) for c in names] for n in (0, -1))
    if len(names) == 1:
        return f"|Q| {first[0]:.3g} … {last[0]:.3g} 1/Å"
    return " … ".join(f"({', '.join(f'{x:.3g}' for x in end)})" for end in (first, last)) + " r.l.u."
