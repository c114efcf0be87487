"""Text of four columns: a coordinate along a line in Q, energy, intensity, standard deviation; the user may reorder.

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

from insiren.data.files.axis_names import unit_of_energy
from insiren.data.files.errors import standard, without_errors
from insiren.data.files.hints import EXAMPLES, lacking, vector
from insiren.data.files.table import laid_out
from insiren.data.files.text import head, lines, numbers
from insiren.errors import DataError

COMMENT = ("#", "!", "%")
ORDER = ("x", "E", "I", "sigma")
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


def read_columns(
    path: Path,
    q_direction: Any = None,
    q_origin: Any = None,
    columns: Any = None,
    energy_unit: Any = "meV",
    errors: Any = "sigma",
    sigma: Any = None,
) -> list[sc.DataArray]:
    """The one data set of a text of columns.

    Args:
        path: of the text.
        q_direction: wavevector in r.l.u. by which a step of 1 in the column x moves, or "powder" where
            that is |Q| in 1/Å.
        q_origin: wavevector in r.l.u. at which the column x is 0; by default (0, 0, 0).
        columns: names of the columns in their order; by default "x,E,I,sigma".
        energy_unit: of the column E.
        errors: what the column sigma holds, "sigma" or "variance".
        sigma: standard deviation of every pixel, where there is no such column.

    Raises:
        DataError: the direction is not given, an option makes no sense, or a line is damaged.
    """
    if q_direction is None:
        raise lacking(path, "q_direction", "along which direction in reciprocal space its first column runs")
    rows = _rows(path)
    order = _order(path, columns, rows.shape[1])
    column = dict(zip(order, rows.T, strict=True))
    factor = unit_of_energy(energy_unit)
    x, omega, intensity = column["x"], column["E"] * factor, column["I"]
    if bad := int(np.sum(~np.isfinite(np.stack([x, omega])))):
        raise DataError(f"{path}: {bad} values of x and E are not finite. Only intensities may be missing.")
    place, where = _placed(path, x, q_direction, q_origin)
    assumed = [
        where,
        f"the columns are {', '.join(order)}; {EXAMPLES['columns'][0]} is another order",
        f"the energy transfer is in {energy_unit}; {EXAMPLES['energy_unit'][0]} is another unit",
    ]
    if (stored := column.get("sigma")) is not None:
        stored, said = standard(stored, errors, "the column sigma")
        assumed.append(said)
    data = laid_out(path.stem, place, omega, intensity, stored, {"assumed": assumed})
    if stored is None:
        said = without_errors(data, sigma, "there is no column sigma")
        data.coords["assumed"] = sc.scalar("\n".join([*assumed, said]))
    elif sigma is not None:
        raise DataError(f"{path} has a column of errors, which sigma = {sigma!r} contradicts. Leave it out.")
    return [data]


def _order(path: Path, columns: Any, width: int) -> tuple[str, ...]:
    """The names of the columns in their order."""
    usual = ORDER[:width]
    if columns is None:
        return usual
    order = tuple(part.strip() for part in str(columns).split(","))
    if set(order) != set(usual) or len(order) != width:
        raise DataError(f"{path}: columns = {columns!r} are not {', '.join(usual)} in some order, one for each column.")
    return order


def _placed(path: Path, x: np.ndarray, q_direction: Any, q_origin: Any) -> tuple[np.ndarray, str]:
    """Wavevectors (d, 3) in r.l.u., or |Q| (d, 1) in 1/Å, and the sentence about them."""
    if isinstance(q_direction, str) and q_direction == POWDER:
        return x[:, None], "the column x is |Q| in 1/Å; --q-direction H,K,L is a direction instead"
    direction = vector("q_direction", q_direction)
    origin = vector("q_origin", (0, 0, 0) if q_origin is None else q_origin)
    if not direction.any():
        raise DataError(f"{path}: q_direction = {q_direction!r} has no direction. One component must not be 0.")
    shown = (" ".join(f"{c:g}" for c in v) for v in (origin, direction))
    said = "the column x times ({1}) from ({0}) in r.l.u.; --q-direction and --q-origin change it".format(*shown)
    return origin + x[:, None] * direction, said


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
