"""Text in columns: a place in Q, energy, intensity and standard deviation a row, or energies of peaks.

What gnuplot draws as a map: blanks, commas, semicolons or tabs between the numbers, lines of `#`, `!` or `%` ignored,
blank lines between blocks of any order. A line above the rows may name the columns (see `header`), or the user does;
three or four without a name are x E I sigma, unless that cannot be. The place is h, k and l, |Q|, or a coordinate x
along a line, whose direction in reciprocal space must be said. Energies with errors and without intensities are peaks.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.adopt import CRYSTAL, POWDER
from insiren.data.files.axis_names import unit_of_energy
from insiren.data.files.errors import NOTHING, measured_only, standard, without_errors
from insiren.data.files.header import (
    COMMENT,
    LEFT_OUT,
    SPELLINGS,
    Header,
    canonical,
    cells_of,
    header_of,
    is_row,
    places,
    separator_of,
)
from insiren.data.files.hints import EXAMPLES, lacking, vector
from insiren.data.files.table import filled_zeros, laid_out, meaning_of_zeros
from insiren.data.files.text import head, lines, numbers
from insiren.data.peaks import peak_list
from insiren.data.spectrum import Details
from insiren.errors import DataError

ORDER = ("x", "E", "I", "sigma")
POWDER_LINE = "powder"  # as a direction: the column x is |Q|
WIDEST = 30  # columns of a text that anybody names one by one
FAR = 1e3  # r.l.u. or 1/Å: no neutron reaches a wavevector beyond it
GRID = 20  # rows from which on a grid can be told from a coincidence

Columns = Mapping[str, np.ndarray]


def is_columns(path: Path) -> bool:
    """Whether a text holds nothing but rows of so many numbers, after a line that may name them."""
    first = head(path)[:200]
    header = header_of(first)
    skipped = header.line if header is not None and not header.comment else 0
    rows = [_cells(line, header) for line in first[skipped:] if _is_content(line)]
    if not rows or not (2 if header else 3) <= len(rows[0]) <= WIDEST:
        return False
    complete = rows[:-1] or rows  # the last line may be cut short
    return all(len(row) == len(rows[0]) and is_row(",".join(row)) for row in complete)


def read_columns(
    path: Path,
    q_direction: Any = None,
    q_origin: Any = None,
    columns: Any = None,
    energy_unit: Any = None,
    errors: Any = "sigma",
    sigma: Any = None,
    energy: Any = None,
    zeros: Any = None,
) -> list[sc.DataArray]:
    """The one data set of a text of columns, a list of peaks where energies have errors and no intensities.

    Args:
        path: of the text.
        q_direction: wavevector in r.l.u. by which a step of 1 in the column x moves, or "powder" where
            that is |Q| in 1/Å.
        q_origin: wavevector in r.l.u. at which the column x is 0, by default (0, 0, 0), or that of every row where no
            column is a place.
        columns: names of the columns in their order, "-" for one that is not read; by default what the text says,
            else "x,E,I,sigma".
        energy_unit: of the column E.
        errors: what the column sigma holds, "sigma" or "variance".
        sigma: standard deviation of every pixel, where there is no such column.
        energy: energy transfer in meV of every row, where there is no column E.
        zeros: what a pixel of 0 ± 0 is, "measured" or "missing"; by default the first where neutrons are so few that
            some pixels caught one or two, else the second.

    Raises:
        DataError: the direction is not given, an option makes no sense, a line is damaged, or the columns cannot
            be what they are taken for.
    """
    header = header_of(head(path))
    rows = _rows(path, header)
    order, said = _order(path, columns, header, rows)
    column = {name: values for name, values in zip(order, rows.T, strict=True) if name != LEFT_OUT}
    unit = energy_unit if energy_unit is not None else (header and header.unit) or "meV"
    place, where = _placed(path, column, len(rows), q_direction, q_origin)
    assumed = [where, said] if where else [said]
    omega = _energies(path, column, unit, energy)
    assumed.append(
        f"the energy transfer is in {unit}; {EXAMPLES['energy_unit'][0]} is another unit"
        if "E" in column
        else f"the energy transfer is {omega[0]:g} meV; --energy changes it"
    )
    if bad := int(np.sum(~np.isfinite(np.column_stack([place, omega])).all(axis=1))):
        raise DataError(f"{path}: {bad} rows have a wavevector or energy that is not finite. Only intensities may be.")
    if "sigma_E" in column or not {"I", "counts"} & column.keys():
        return [_peaks(path, column, place, omega, unit_of_energy(unit), errors, assumed)]
    return [_spectrum(path, column, place, omega, errors, sigma, zeros, assumed)]


def _spectrum(
    path: Path, column: Columns, place: np.ndarray, omega: np.ndarray, errors: Any, sigma: Any, zeros: Any,
    assumed: list[str],
) -> sc.DataArray:  # fmt: skip
    details = Details()
    if {"counts", "norm"} <= column.keys():
        details["counts"], details["norm"] = column["counts"], column["norm"]
    intensity, stored, said = counted(column)
    assumed += said
    intensity, stored, noted = measured_only(intensity, stored)
    if stored is not None:
        if "sigma" in column:
            stored, said = standard(stored, errors, "the column sigma")
            assumed.append(said)
        if "counts" not in details:
            meant = meaning_of_zeros(intensity, stored, zeros)
            intensity, stored, more = filled_zeros(intensity, stored, omega, meant)
            assumed += more
    details |= {"assumed": assumed, "noted": noted}
    data = laid_out(path.stem, place, omega, intensity, stored, details)
    if stored is None:
        said = without_errors(data, sigma, "there is no column sigma")
        data.coords["assumed"] = sc.scalar("\n".join([*assumed, said]))
    elif sigma is not None:
        raise DataError(f"{path} has a column of errors, which sigma = {sigma!r} contradicts. Leave it out.")
    return data


def counted(column: Columns) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Intensities and errors, those of counts over norm where the columns hold no others, and the sentence about it.

    A pixel without counts has the error of one, as `insiren.data.counts` gives it; one without a norm was not measured.
    """
    if "I" in column:
        return column["I"], column.get("sigma"), []
    counts, norm = column["counts"], column["norm"]
    with np.errstate(all="ignore"):
        seen = norm > 0
        intensity = np.where(seen, counts / norm, np.nan)
        sigma = np.where(seen, np.sqrt(np.maximum(counts, 1.0)) / norm, 0.0)
    said = "the intensity is counts over norm, and σ the root of the counts, of one at least, over norm"
    return intensity, column.get("sigma", sigma), [f"{said}; columns I and sigma would go first"]


def _peaks(
    path: Path, column: Columns, place: np.ndarray, energies: np.ndarray, factor: float, errors: Any, assumed: list[str]
) -> sc.DataArray:
    """Energies with errors as a list of peaks."""
    which = "sigma_E" if "sigma_E" in column else "sigma"
    if place.shape[1] != 3:
        raise DataError(
            f"{path} holds energies of peaks against |Q|, but peaks are fitted at wavevectors of a crystal. Give h, k "
            "and l, or the direction of the column x as --q-direction 0,0,1."
        )
    sigma, said = standard(column[which], errors, f"the column {which}")
    assumed = [*assumed, said, "there is no column of intensities, so that these are energies of peaks"]
    return peak_list(path.stem, place, energies, sigma * factor, intensity=column.get("I"), assumed=assumed)


def _energies(path: Path, column: Columns, unit: Any, energy: Any) -> np.ndarray:
    """Energy transfers in meV, shape (rows,)."""
    factor = unit_of_energy(unit)
    if "E" in column:
        if energy is not None:
            raise DataError(f"{path} has a column of energies, which energy = {energy!r} contradicts. Leave it out.")
        return column["E"] * factor
    if energy is None:
        raise lacking(path, "energy", f"at what energy transfer it was taken; its columns are {', '.join(column)}")
    return np.full(len(next(iter(column.values()))), vector("energy", (energy,), 1)[0])


def _order(path: Path, columns: Any, header: Header | None, rows: np.ndarray) -> tuple[tuple[str, ...], str]:
    """The names of the columns in their order, and who says so."""
    width, change = rows.shape[1], f"{EXAMPLES['columns'][0]} is another order"
    if columns is not None:
        order = tuple(canonical(part) for part in str(columns).split(","))
        _check(path, order, width, f"columns = {columns!r}")
        return order, f"the columns are {', '.join(order)}, as --columns says"
    if header is not None:
        _check(path, header.names, width, f"line {header.line}, which names the columns,")
        return header.names, f"the columns are {', '.join(header.names)}, as line {header.line} says; {change}"
    if width not in (3, 4):
        raise DataError(
            f"{path} has {width} columns and no line that names them. Name them in their order, and by - what is not "
            f"to be read: for a spectrum such as --columns {_example(width)}; for energies of peaks such as --columns "
            f"{_example(width, True)}, or with x for a coordinate along --q-direction in place of h,k,l."
        )
    usual = ORDER[:width]
    wrong = impossible(dict(zip(usual, rows.T, strict=True)))
    if not wrong:
        return usual, f"the columns are {', '.join(usual)}; {change}"
    other = ("I", "sigma", "x", "E")
    fits = width == 4 and not impossible(dict(zip(other, rows.T, strict=True)))
    if fits and np.any(rows[:, 0] <= NOTHING):  # what was not measured tells the intensity
        return other, f"the columns are {', '.join(other)}, since −1e20, not measured, stands in the first; {change}"
    example = ",".join(other) if fits else EXAMPLES["columns"][0].split()[1]
    raise DataError(
        f"{path}: its columns cannot be {', '.join(usual)}: {'; '.join(wrong)}. Say what they are, for example "
        f"--columns {example}, - for one that is not read; --columns {','.join(usual)} reads them so all the same."
    )


def _example(width: int, peaks: bool = False) -> str:
    """Columns that a text of so many may have."""
    names = ("h", "k", "l", "E", "sigma") if peaks else ("h", "k", "l", "E", "I", "sigma")
    short = ("x", "E", "sigma") if peaks else ORDER
    names = names if width >= len(names) else short[:width]
    return ",".join([*names, *[LEFT_OUT] * (width - len(names))])


def _check(path: Path, order: tuple[str, ...], width: int, what: str) -> None:
    """Refuses names that are none, too few, or say a thing twice or not at all."""
    known = [name for name in order if name != LEFT_OUT]
    why = ""
    if len(order) != width:
        why = f"names {len(order)} columns where a row has {width}"
    elif unknown := [name for name in order if name not in SPELLINGS or name in ("mask", "dataset", "column")]:
        why = f"names {', '.join(unknown)}, which is read as nothing"
    elif len(set(known)) < len(known):
        why = "names a column twice"
    elif len(places(known)) > 1:
        why = "names more than one place of a row in Q"
    elif not (
        {"I"} <= set(known) or {"counts", "norm"} <= set(known) or {"E", "sigma"} <= set(known) or "sigma_E" in known
    ):
        why = "names neither an intensity, nor counts with their norm, nor energies with errors"
    if why:
        raise DataError(
            f"{path}: {what} {why}. Write --columns with a name for each of the {width} columns in their order: h,k,l "
            "or Q_abs or x (along --q-direction), E, I, sigma, counts, norm, and - for what is not read, such as "
            f"--columns {_example(width)}."
        )


def impossible(column: Columns) -> list[str]:
    """Why columns x, E, I and sigma cannot be what they are taken for, a phrase each."""
    said = []
    intensity, sigma = column["I"], column.get("sigma")
    for name in ("x", "E"):
        if (top := float(np.max(np.abs(column[name]), initial=0.0, where=np.isfinite(column[name])))) >= -NOTHING:
            said.append(f"{name} reaches {top:.3g}, which stands for not measured")
        elif name == "x" and top > FAR:
            said.append(f"x reaches {top:.3g}, where no neutron scatters")
    measured, _, _ = measured_only(intensity, None)
    known = np.isfinite(measured)
    if known.any() and np.all(measured[known] < 0):
        said.append("every intensity is negative")
    if sigma is not None and (negative := int(np.sum(sigma[known] < 0))):
        said.append(f"{negative} standard deviations are negative")
    if sigma is not None and _is_grid(intensity, sigma) and not _is_grid(column["x"], column["E"]):
        said.append("the last two columns run through a grid, and the first two do not")
    return said


def _is_grid(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two columns run through each other's values, every pair once."""
    if len(a) < GRID or not (_repeats(a) and _repeats(b)):
        return False
    return len(np.unique(np.stack([a, b], axis=1), axis=0)) == len(a)


def _repeats(values: np.ndarray) -> bool:
    return len(np.unique(values)) * 3 < len(values)


def _placed(path: Path, column: Columns, n: int, q_direction: Any, q_origin: Any) -> tuple[np.ndarray, str]:
    """Wavevectors (d, 3) in r.l.u., or |Q| (d, 1) in 1/Å, and the sentence about them."""
    there = next(iter(places(list(column))), None)
    if there in (CRYSTAL, POWDER):
        if q_direction is not None or q_origin is not None:
            raise DataError(f"{path} has columns {', '.join(there)}. Leave --q-direction and --q-origin out.")
        return np.stack([column[c] for c in there], axis=1), ""
    if there is None:
        if q_origin is None:
            raise lacking(path, "q_origin", f"at which wavevector it was taken; its columns are {', '.join(column)}")
        origin = vector("q_origin", q_origin)
        said = f"the wavevector is ({' '.join(f'{c:g}' for c in origin)}) in r.l.u.; --q-origin changes it"
        return np.tile(origin, (n, 1)), said
    x = column["x"]
    if q_direction is None:
        raise lacking(path, "q_direction", "along which direction in reciprocal space its column x runs")
    if isinstance(q_direction, str) and q_direction == POWDER_LINE:
        return x[:, None], "the column x is |Q| in 1/Å; --q-direction H,K,L is a direction instead"
    direction = vector("q_direction", q_direction)
    origin = vector("q_origin", (0, 0, 0) if q_origin is None else q_origin)
    if not direction.any():
        raise DataError(f"{path}: q_direction = {q_direction!r} has no direction. One component must not be 0.")
    shown = (" ".join(f"{c:g}" for c in v) for v in (origin, direction))
    said = "the column x times ({1}) from ({0}) in r.l.u.; --q-direction and --q-origin change it".format(*shown)
    return origin + x[:, None] * direction, said


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(COMMENT)


def _cells(line: str, header: Header | None) -> list[str]:
    """The cells of a row; a blank one is no number."""
    if header is None or header.separator is None:
        return line.replace(",", " ").replace(";", " ").split()
    return [
        cell or "nan" for cell in cells_of(line, header.separator if header.separator in line else separator_of(line))
    ]


def _rows(path: Path, header: Header | None) -> np.ndarray:
    """The numbers of the text, shape (rows, columns)."""
    found, width = array("d"), 0
    for number, line in enumerate(lines(path), start=1):
        if not _is_content(line) or (header is not None and number == header.line):
            continue
        cells = _cells(line, header)
        width = width or len(cells)
        if len(cells) != width:
            raise DataError(f"{path}, line {number}: {len(cells)} values where the lines above have {width}.")
        found.extend(numbers(path, number, cells))
    if not found:
        raise DataError(f"{path} has no rows.")
    return np.frombuffer(found).reshape(-1, width)
