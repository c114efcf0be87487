"""Text of four columns: a coordinate along a line in Q, energy (meV), intensity, standard deviation.

What gnuplot draws as a map: blanks or commas between the numbers, lines of `#`, `!` or `%` ignored, blank
lines between blocks of any order. Where the line lies in reciprocal space must be said; a third column
alone is an intensity without error.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.hints import lacking, vector
from insiren.data.files.table import laid_out
from insiren.data.files.text import head, lines, numbers
from insiren.errors import DataError

COMMENT = ("#", "!", "%")
POWDER = "powder"  # as a direction: the first column is |Q|


def is_columns(path: Path) -> bool:
    """Whether a text holds nothing but rows of three or of four numbers, as far as its beginning shows."""
    rows = [_cells(line) for line in head(path)[:200] if _cells(line)]
    if not rows or len(rows[0]) not in (3, 4):
        return False
    complete = rows[:-1] or rows  # the last line may be cut short
    return all(len(row) == len(rows[0]) and all(map(_is_number, row)) for row in complete)


def _cells(line: str) -> list[str]:
    return [] if line.lstrip().startswith(COMMENT) else line.replace(",", " ").split()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_columns(path: Path, q_direction: Any = None, q_origin: Any = None) -> list[sc.DataArray]:
    """The one data set of a text of columns.

    Args:
        path: of the text.
        q_direction: wavevector in r.l.u. by which a step of 1 in the first column moves, or "powder" where
            that is |Q| in 1/Å.
        q_origin: wavevector in r.l.u. at which the first column is 0; by default (0, 0, 0).

    Raises:
        DataError: the direction is not given, or a line is damaged.
    """
    if q_direction is None:
        raise lacking(path, "q_direction", "along which direction in reciprocal space its first column runs")
    rows = _rows(path)
    x, omega, intensity = rows[:, 0], rows[:, 1], rows[:, 2]
    if bad := int(np.sum(~np.isfinite(rows[:, :2]))):
        raise DataError(
            f"{path}: {bad} values of the first two columns are not finite. Only intensities may be missing."
        )
    if isinstance(q_direction, str) and q_direction == POWDER:
        place, where = x[:, None], "column 1 is |Q| in 1/Å"
    else:
        direction = vector("q_direction", q_direction)
        origin = vector("q_origin", (0, 0, 0) if q_origin is None else q_origin)
        if not direction.any():
            raise DataError(f"{path}: q_direction = {q_direction!r} has no direction. One component must not be 0.")
        place = origin + x[:, None] * direction
        shown = (" ".join(f"{c:g}" for c in v) for v in (origin, direction))
        where = "column 1 times ({1}) from ({0}) in r.l.u.; --q-direction and --q-origin change it".format(*shown)
    assumed = [where, "column 2 is the energy transfer in meV, column 3 the intensity"]
    sigma = None
    if rows.shape[1] == 4:
        sigma = rows[:, 3]
        assumed.append("column 4 is the standard deviation")
    return [laid_out(path.stem, place, omega, intensity, sigma, {"assumed": assumed})]


def _rows(path: Path) -> np.ndarray:
    """The numbers of the text, shape (rows, columns)."""
    found, width = array("d"), 0
    for number, line in enumerate(lines(path), start=1):
        if not (cells := _cells(line)):
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise DataError(f"{path}, line {number}: {len(cells)} values where the lines above have {width}.")
        found.extend(numbers(path, number, cells))
    if not found:
        raise DataError(f"{path} has no rows.")
    return np.frombuffer(found).reshape(-1, width)
