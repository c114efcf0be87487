"""A path through reciprocal space: where it turns, and what stands below it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

_BEND = 0.05  # of a unit vector: a turn by more than 3 degrees is a corner, less is rounding
_JUMP = 3.0  # median steps: a longer step begins another piece of path
_MOST_CORNERS = 14  # more is no path but a scattered set of wavevectors
_CLOSE = 0.06  # of the axis: labels nearer than this would touch
_SAME = 2e-3  # r.l.u.: rounding of wavevectors in files


def corners(hkl: Float[np.ndarray, "q 3"]) -> list[int]:
    """Columns where a path begins, turns and ends.

    Args:
        hkl: wavevectors in their order, in r.l.u.

    Returns:
        Column numbers, ascending; five even ones where the wavevectors follow no path.
    """
    last = len(hkl) - 1
    if last < 1:
        return [0]
    step = np.diff(hkl, axis=0)
    length = np.linalg.norm(step, axis=1)
    moving = np.flatnonzero(length > 0)
    found = [0, last]
    usual = np.median(length[moving]) if len(moving) else 1.0
    for before, after in itertools.pairwise(moving):
        turn = np.linalg.norm(step[after] / length[after] - step[before] / length[before])
        if length[after] > _JUMP * usual:
            found.append(int(after) + 1)
        elif turn > _BEND and length[before] <= _JUMP * usual:
            found.append(int(after))
    found = sorted(set(found))
    return found if len(found) <= _MOST_CORNERS else sorted({round(x) for x in np.linspace(0, last, 5)})


def ticks(
    hkl: Float[np.ndarray, "q 3"], named: Mapping[str, Sequence[float]] | None = None
) -> tuple[list[int], list[str], str]:
    """Corners of a path with their labels, and a label for the axis.

    Args:
        hkl: wavevectors in their order, in r.l.u.
        named: points with names, in r.l.u.

    Returns:
        Columns, labels of those (the name, then the components that vary, each in a line of its
        own) and the label of the axis. Corners closer than a label is wide are left out.
    """
    at = _apart(corners(hkl), len(hkl))
    varies = np.ptp(hkl, axis=0) > _SAME
    if not varies.any():
        varies[0] = True
    labels = []
    for column in at:
        lines = [_number(x) for x in hkl[column][varies]]
        name = next((n for n, p in (named or {}).items() if np.allclose(hkl[column], p, atol=_SAME)), None)
        labels.append("\n".join([*([name] if name else []), *lines]))
    letters = [letter if v else _number(x) for letter, v, x in zip("hkl", varies, hkl[0], strict=True)]
    return at, labels, f"Q = ({', '.join(letters)}) in r.l.u."


def powder_ticks(Q_abs: Float[np.ndarray, " q"]) -> tuple[list[float], list[str], str]:
    """Round values of |Q| with their places along the columns, and a label for the axis.

    Args:
        Q_abs: |Q| of each column in 1/Å.

    Returns:
        Places (column numbers, between two columns a fraction), labels and the label of the axis. Where
        |Q| does not rise along the columns, five of these are labelled with what they hold.
    """
    label = "|Q| (1/Å)"
    if len(Q_abs) > 1 and np.all(np.diff(Q_abs) > 0):
        low, high = Q_abs[[0, -1]]
        values = [x for x in MaxNLocator(8).tick_values(low, high) if low <= x <= high]
        return [float(x) for x in np.interp(values, Q_abs, np.arange(len(Q_abs)))], [f"{x:g}" for x in values], label
    columns = sorted({round(x) for x in np.linspace(0, len(Q_abs) - 1, 5)})
    return [float(c) for c in columns], [f"{Q_abs[c]:.3g}" for c in columns], label


def _apart(at: list[int], columns: int) -> list[int]:
    """Corners far enough apart for labels; the last one stays."""
    kept: list[int] = []
    for column in at:
        if not kept or column - kept[-1] >= _CLOSE * columns:
            kept.append(column)
        elif column == at[-1] and len(kept) > 1:
            kept[-1] = column
    return kept


def _number(x: float) -> str:
    """A component in r.l.u.: a simple fraction as such, else two decimals."""
    simple = Fraction(float(x)).limit_denominator(4)
    if abs(float(simple) - x) > _SAME:
        return f"{x:.2f}".replace("-", "−")
    glyph = {"1/2": "½", "1/3": "⅓", "2/3": "⅔", "1/4": "¼", "3/4": "¾"}
    sign, size = ("−" if simple < 0 else ""), str(abs(simple))
    return sign + glyph.get(size, size)
