"""The package's own table: one line a pixel, `h,k,l,E,I,sigma[,counts,norm,mask,dataset,column]`.

A powder has the column `Q_abs` (1/Å) in place of `h,k,l`.

Lines that begin with `#` come first. `# key = value` is metadata of every data set in the file, until
`# [NAME]` opens those of the data set NAME; a repeated key adds a line to its value. The keys `name`,
`layout`, `sigma_floor`, `sigma_max` and `Ei` (meV) have a meaning here, the rest is kept as text. `h, k, l` are in
r.l.u., `E` in meV. `mask` is blank or 0 where a pixel counts, otherwise 1 or the names of the masks
that exclude it. A blank or NaN I is missing. Other spellings of the columns (H,K,L; QH QK QL EN), other separators and
a `#` before their names are understood, and counts with norm alone give the intensities.

Rows that run through the same energies for one wavevector after the other are an image; where
repeated energies make that ambiguous, the integer `column` tells the wavevectors apart. Floats are
written so that they are read back exactly.
"""

from __future__ import annotations

import csv
import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.adopt import CRYSTAL, POWDER, adopt
from insiren.data.files.axis_names import unit_of_energy
from insiren.data.files.columns import counted
from insiren.data.files.errors import measured_only
from insiren.data.files.header import LEFT_OUT, Header, canonical, cells_of, header_of
from insiren.data.files.table import filled_zeros, meaning_of_zeros
from insiren.data.files.text import head, inside, lines
from insiren.data.files.whole import whole_file
from insiren.data.spectrum import UNITS, Details, image, is_image, place_of, point_list
from insiren.errors import DataError

COLUMNS = (*CRYSTAL, *POWDER, "E", "I", "sigma", "counts", "norm", "mask", "dataset", "column")
MAY_BE_BLANK = ("I", "sigma", "counts", "norm")
RESERVED = (*UNITS, "counts", "norm")
MASK_SEPARATOR = "+"
MOST_SETS = 1000  # data sets in one table; more is a column that is no name

Metadata = dict[str, dict[str, str]]


def is_long_csv(path: Path) -> bool:
    """Whether a line of a text names h, k, l or Q_abs, and E, and I or counts and norm."""
    return (header := header_of(head(path))) is not None and _is_table(header.names)


def _is_table(names: Sequence[str]) -> bool:
    there = set(names)
    place = any(set(one) <= there for one in (CRYSTAL, POWDER))
    return place and "E" in there and ("I" in there or {"counts", "norm"} <= there) and "sigma_E" not in there


def is_long_csv_folder(path: Path) -> bool:
    """Whether a folder holds such a table."""
    return path.is_dir() and any(is_long_csv(file) for file in path.glob("*.csv"))


def read_long_csv_folder(folder: Path, columns: Any = None, zeros: Any = None) -> list[sc.DataArray]:
    """The data sets of every table in a folder, in the order of the file names."""
    files = [inside(folder, file) for file in sorted(folder.glob("*.csv")) if is_long_csv(file)]
    return [data for file in files for data in read_long_csv(file, columns, zeros)]


def read_long_csv(file: Path, columns: Any = None, zeros: Any = None) -> list[sc.DataArray]:
    """The data sets of a table, in the order of their first rows.

    Args:
        file: of the table.
        columns: names of the columns in their order in place of those that it has, "-" for one that is not read.
        zeros: what a pixel of 0 ± 0 is, "measured" or "missing"; by default see `table.meaning_of_zeros`. Where the
            table has counts, they say.

    Raises:
        DataError: a line or value that cannot be read, named by its place, or an empty table.
    """
    text = lines(file)
    header = _named(file, header_of(head(file)), columns)
    metadata, rest = _before_the_rows(file, text, header)
    default = metadata.get("", {}).get("name", file.stem)
    groups: dict[str, _Rows] = {}
    for number, cells in _rows_of(file, rest, header):
        if len(cells) != len(header.names):
            raise DataError(
                f"{file}, line {number}: {len(cells)} values where the header names {len(header.names)} columns."
            )
        row = dict(zip(header.names, cells, strict=True))
        name = row.pop("dataset", default)
        if name not in groups:
            groups[name] = _Rows(file, header.names)
        groups[name].add(number, row)
        if len(groups) > MOST_SETS:
            raise DataError(
                f"{file} holds more than {MOST_SETS} data sets. Is the column dataset a name, the same in "
                "every row of a data set?"
            )
    if not groups:
        raise DataError(f"{file} has a header but no rows.")
    factor = unit_of_energy(header.unit) if header.unit else 1.0
    return [_data_set(file, name, rows, metadata, zeros, factor) for name, rows in groups.items()]


def _named(file: Path, header: Header | None, columns: Any) -> Header:
    """The names of the columns, each of which means something and stands once."""
    if header is None:
        raise DataError(f"{file} has no line that names its columns.")
    if columns is not None:
        header = header._replace(names=tuple(canonical(part) for part in str(columns).split(",")))
        if not _is_table(header.names):
            raise DataError(
                f"{file}: --columns {columns} needs h, k, l or Q_abs, and E, and I or counts and norm, in their order."
            )
    if unknown := sorted(set(header.names) - {*COLUMNS, LEFT_OUT}):
        without = ",".join(name if name in COLUMNS else LEFT_OUT for name in header.names[:20])
        raise DataError(
            f"{file}: unknown columns {', '.join(unknown)}; a table may have {', '.join(COLUMNS)}. To leave out what "
            f"is unknown, give --columns {without}."
        )
    named = [name for name in header.names if name != LEFT_OUT]
    if len(set(named)) < len(named):
        raise DataError(f"{file}: a column is named twice in the header {','.join(named)}.")
    return header


def _before_the_rows(file: Path, text: Iterator[str], header: Header) -> tuple[Metadata, Iterator[tuple[int, str]]]:
    """Metadata by data set ("" for all), and the lines after the header with their numbers."""
    notes: dict[str, dict[str, list[str]]] = {}
    section, numbered = "", enumerate(text, start=1)
    for number, line in numbered:
        if number == header.line:
            if header.comment:
                continue
            break
        if line.strip() and not line.startswith("#"):
            numbered = chain([(number, line)], numbered)
            break
        entry = line.strip("\r\n").removeprefix("#").removeprefix(" ")
        if opened := re.fullmatch(r"\[(.*)\]", entry):
            section = opened[1]
        elif "=" in entry:
            key, _, value = entry.partition("=")
            if key.strip():
                notes.setdefault(section, {}).setdefault(key.strip(), []).append(value.removeprefix(" "))
    joined = {name: {key: "\n".join(values) for key, values in of.items()} for name, of in notes.items()}
    return joined, numbered


def _rows_of(file: Path, numbered: Iterator[tuple[int, str]], header: Header) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of its (last) line."""
    last = header.line

    def plain() -> Iterator[str]:
        nonlocal last
        for number, line in numbered:
            last = number
            yield line

    if header.separator is None:
        for line in plain():
            if cells := cells_of(line, None):
                yield last, cells
        return
    table = csv.reader(plain(), delimiter=header.separator)
    try:
        for cells in table:
            if cells:
                yield last, cells
    except csv.Error as error:
        raise DataError(f"{file}, line {last}: {error}. Is a quotation mark never closed?") from error


class _Rows:
    """The rows of one data set, column by column, in eight bytes a number."""

    def __init__(self, file: Path, header: Sequence[str]) -> None:
        self.file = file
        self.columns = {c: array("d") for c in header if c not in ("mask", "dataset", LEFT_OUT)}
        self.masks: list[str] = []
        self.seen: set[str] = set()
        self.blank: dict[str, int] = {}  # the first line that leaves a column blank

    def add(self, number: int, row: dict[str, str]) -> None:
        for name, values in self.columns.items():
            cell = row[name]
            if cell.strip():
                self.seen.add(name)
                values.append(_number(self.file, f"line {number}", name, cell))
            else:
                self.blank.setdefault(name, number)
                values.append(np.nan)
        self.masks.append(sys.intern(row.get("mask", "").strip()))

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns that hold anything; blanks are NaN where they may be.

        Data sets of one table share its columns; one that has no use for a column leaves it blank throughout.
        """
        for name, number in self.blank.items():
            if name not in MAY_BE_BLANK and (name in self.seen or name == "E"):
                raise DataError(f"{self.file}, line {number}, {name}: blank where a finite number is needed.")
        keep = self.seen | ({"I"} & set(self.columns))
        return {name: np.frombuffer(values) for name, values in self.columns.items() if name in keep}


def _data_set(file: Path, name: str, rows: _Rows, metadata: Metadata, zeros: Any, factor: float) -> sc.DataArray:
    columns, assumed, found = _intensities(rows.arrays(), zeros)
    if factor != 1.0:
        columns["E"] = columns["E"] * factor
        found.append(
            f"energies were multiplied by {factor:g} to be in meV, as the unit beside the name of their column says"
        )
    notes = {**metadata.get("", {}), **metadata.get(name, {})}
    notes.pop("name", None)
    places = [place for place in (CRYSTAL, POWDER) if set(place) <= set(columns)]
    if len(places) != 1:
        raise DataError(f"{file}: {name} needs values of h, k and l, or of Q_abs for a powder; one of these.")
    at = np.stack([columns[c] for c in places[0]], axis=1)
    shape = None if notes.pop("layout", "") == "points" else _grid(at, columns["E"], columns.get("column"))
    laid = {key: values.reshape(shape or -1) for key, values in columns.items()}
    details: Details = {"counts": laid.get("counts"), "norm": laid.get("norm"), **_facts(file, notes)}
    make, at, omega = point_list, at, columns["E"]
    if shape is not None:
        make, at, omega = image, at[:: shape[1]], columns["E"][: shape[1]]
    hkl, lengths = (None, at[:, 0]) if places[0] == POWDER else (at, None)
    data = make(name, hkl, omega, laid["I"], laid.get("sigma"), Q_abs=lengths, **details)
    _add_masks(data, rows.masks)
    for key, value in notes.items():
        if key in RESERVED:
            raise DataError(f"{file}: metadata {key} has the name of a coordinate. Rename it.")
        data.coords[key] = sc.scalar(value)
    for key, said in (("assumed", assumed), ("noted", found)):
        if said:
            before = [str(data.coords[key].value)] if key in data.coords else []
            data.coords[key] = sc.scalar("\n".join([*before, *said]))
    return data


def _intensities(columns: dict[str, np.ndarray], zeros: Any) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """The columns with intensities, NaN where nothing was measured, what was assumed of them and what was found."""
    if "I" not in columns and not {"counts", "norm"} <= columns.keys():
        return columns, [], []
    intensity, sigma, assumed = counted(columns)
    intensity, sigma, found = measured_only(intensity, sigma)
    if sigma is not None and "counts" not in columns:
        meant = meaning_of_zeros(intensity, sigma, zeros)
        intensity, sigma, more = filled_zeros(intensity, sigma, columns["E"], meant)
        assumed = [*assumed, *more]
    return columns | {"I": intensity} | ({} if sigma is None else {"sigma": sigma}), assumed, found


def _facts(file: Path, notes: dict[str, str]) -> Details:
    """Takes from the metadata what has a meaning to a spectrum."""
    details: Details = {}
    for key in ("sigma_floor", "sigma_max", "Ei"):
        if key in notes:
            details[key] = _number(file, "metadata", key, notes.pop(key).removesuffix("meV"))
    return details


def _add_masks(data: sc.DataArray, cells: list[str]) -> None:
    """Adds the masks that the cells of the mask column name, one cell a pixel."""
    plain: dict[str, set[str]] = {"": set(), "0": set(), "1": {"mask"}}
    masked = {cell: plain[cell] if cell in plain else set(cell.split(MASK_SEPARATOR)) for cell in set(cells)}
    for name in sorted(set().union(*masked.values())):
        values = np.array([name in masked[cell] for cell in cells]).reshape(data.shape)
        there = data.masks[name].values if name in data.masks else False
        data.masks[name] = sc.array(dims=data.dims, values=values | there)


def _number(file: Path, line: str, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{file}, {line}, {column}: {cell[:30]!r} is not a number.") from None
    if column not in MAY_BE_BLANK and not np.isfinite(value):
        raise DataError(f"{file}, {line}, {column}: {cell.strip()} where a finite number is needed.")
    return value


def _grid(place: np.ndarray, omega: np.ndarray, column: np.ndarray | None) -> tuple[int, int] | None:
    """Shape (q, w) of rows that run through the same energies for one wavevector after the other, or None."""
    moved = np.any(place[1:] != place[:-1], axis=1)
    # A wavevector repeated in the next column shows only by the energies beginning again.
    begins = moved | (omega[1:] == omega[0]) if column is None else column[1:] != column[:-1]
    starts = np.flatnonzero(np.concatenate([[True], begins]))
    q, w = len(starts), len(omega) // len(starts)
    if q * w != len(omega) or np.any(starts != w * np.arange(q)) or moved[~begins].any():
        return None
    return (q, w) if np.all(omega.reshape(q, w) == omega[:w]) else None


def write_csv(data_sets: Sequence[sc.DataArray], path: str | Path) -> None:
    """Writes spectra as one table that reads back the same, by rename, so that no half of it is ever seen.

    Masks along one dimension only come back along all.

    Args:
        data_sets: spectra with distinct names of one line.
        path: the table to write or replace.

    Raises:
        DataError: nothing to write, or a name, a mask or metadata that the table cannot hold.
    """
    path = Path(path)
    names = [data.name for data in data_sets]
    if not names or len(set(names)) < len(names) or any(_breaks(name) for name in names):
        raise DataError(f"{path}: a table needs data sets with distinct names of one line each, not {names}.")
    data_sets = [adopt(data) for data in data_sets]
    tables = [_columns(data) for data in data_sets]
    present = {key for table in tables for key in table} | ({"dataset"} if len(tables) > 1 else set())
    header = [key for key in COLUMNS if key in present]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        for data in data_sets:
            stream.writelines(f"# {line}\n" for line in _notes(data, alone=len(data_sets) == 1))
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for name, table in zip(names, tables, strict=True):
            blank = [""] * len(table["E"])
            table["dataset"] = [name] * len(blank)
            writer.writerows(zip(*(table.get(key, blank) for key in header), strict=True))


def _breaks(text: str) -> bool:
    return len(text.splitlines()) != 1 or text != text.strip()


def _notes(data: sc.DataArray, alone: bool) -> Iterator[str]:
    """The metadata lines of one data set."""
    yield f"name = {data.name}" if alone else f"[{data.name}]"
    if "point" in data.dims:
        yield "layout = points"
    for key, coord in data.coords.items():
        if coord.ndim:
            continue
        if _breaks(key) or "=" in key or key.startswith("[") or key in ("name", "layout"):
            raise DataError(f"{data.name}: metadata cannot be called {key!r}. Rename the coordinate.")
        value = coord.value
        for line in "\n".join(value.splitlines()).split("\n") if isinstance(value, str) else [repr(float(value))]:
            yield f"{key} = {line}"


def _columns(data: sc.DataArray) -> dict[str, list[str]]:
    """The cells of one data set by column."""
    shape = None
    if is_image(data):
        data = data.transpose(["Q", "energy_transfer"])
        shape = data.shape
    names = place_of(data)
    *place, omega = (
        _spread(data, data.coords[c].to(unit=UNITS[c], dtype="float64")) for c in (*names, "energy_transfer")
    )
    table = {c: _cells(along) for c, along in zip(names, place, strict=True)}
    table |= {"E": _cells(omega), "I": _cells(data.values.ravel())}
    if data.variances is not None:
        table["sigma"] = _cells(np.sqrt(data.variances).ravel())
    for key in ("counts", "norm"):
        if key in data.coords:
            table[key] = _cells(_spread(data, data.coords[key]))
    masks = {name: _spread(data, mask) for name, mask in data.masks.items()}
    # NaN alone says that a pixel is missing.
    masks = {k: m & ~np.isnan(data.values.ravel()) if k == "missing" else m for k, m in masks.items()}
    if any(mask.any() for mask in masks.values()):
        if odd := [name for name in masks if _breaks(name) or MASK_SEPARATOR in name or name in ("0", "1")]:
            raise DataError(f"{data.name}: a mask cannot be called {odd[0]!r} in a table. Rename it.")
        pixels = zip(*masks.values(), strict=True)
        table["mask"] = [MASK_SEPARATOR.join(k for k, on in zip(masks, at, strict=True) if on) for at in pixels]
    if shape is not None and _grid(np.stack(place, axis=1), omega, None) != shape:
        table["column"] = [str(i) for i in range(shape[0]) for _ in range(shape[1])]
    return table


def _spread(data: sc.DataArray, variable: sc.Variable) -> np.ndarray:
    return sc.broadcast(variable, sizes=data.sizes).values.ravel()


def _cells(values: np.ndarray) -> list[str]:
    return ["" if np.isnan(value) else repr(value) for value in values.astype(float).tolist()]
