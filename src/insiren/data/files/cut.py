"""Which part of a histogram is wanted, so that the rest is never read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from insiren.data.files.axes import Axis, vector
from insiren.errors import DataError

ENERGY = ("energy_transfer", "omega", "E")


def slices(name: str, axes: Sequence[Axis], cut: Mapping[str, Any] | None) -> tuple[slice, ...]:
    """The bins of each axis whose centres lie in the ranges wanted.

    Args:
        name: of the data set, for errors.
        axes: in the order of the file.
        cut: by the label of an axis, or by h, k, l, Q_abs or energy_transfer where one axis alone
            has it: (low, high) in the unit of the axis, r.l.u., 1/Å or meV; or one number for the
            bin that contains it.

    Returns:
        A slice for each axis.

    Raises:
        DataError: no axis is called so, or no bin lies there.
    """
    parts = [slice(0, len(a.centres)) for a in axes]
    for key, wanted in (cut or {}).items():
        i, factor = _named(name, axes, key)
        centres = axes[i].centres * factor
        single = np.ndim(wanted) == 0
        low, high = vector(name, f"cut of {key}", [wanted, wanted] if single else wanted, 2)
        if low > high:
            raise DataError(f"{name}: the cut of {key} from {low:g} to {high:g} ends before it begins.")
        inside = np.flatnonzero((centres >= low) & (centres <= high))
        if single:
            nearest = int(np.argmin(np.abs(centres - low)))
            widths = axes[i].widths
            reach = np.inf if widths is None else abs(factor) * widths[nearest] / 2
            inside = np.array([nearest] if abs(centres[nearest] - low) <= reach * (1 + 1e-9) else [], int)
        if not inside.size:
            ends = f"{centres.min():g} to {centres.max():g}"
            raise DataError(f"{name}: no bin along {axes[i].label} lies at {key} = {wanted}; its centres are {ends}.")
        parts[i] = slice(max(parts[i].start, int(inside[0])), min(parts[i].stop, int(inside[-1]) + 1))
        if parts[i].start >= parts[i].stop:
            raise DataError(f"{name}: two cuts along {axes[i].label} leave nothing. Give one.")
    return tuple(parts)


def _named(name: str, axes: Sequence[Axis], key: str) -> tuple[int, float]:
    """Which axis a key means, and the factor from its coordinate to what the key counts."""
    for i, a in enumerate(axes):
        if key == a.label or (a.kind == "energy" and key in ENERGY) or (a.kind == "Q_abs" and key == "Q_abs"):
            return i, 1.0
    if key in ("h", "k", "l"):
        component = "hkl".index(key)
        having = [i for i, a in enumerate(axes) if a.direction is not None and a.direction[component]]
        if len(having) == 1:
            direction = axes[having[0]].direction
            assert direction is not None
            return having[0], float(direction[component])
    known = ", ".join(a.label for a in axes)
    raise DataError(
        f"{name}: a cut of {key!r} is along no one axis of the file. Its axes are {known}; cut them by these labels, "
        "in multiples of what the label says."
    )
