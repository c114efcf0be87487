"""The package's own table: one line a pixel, `h,k,l,E,I,sigma[,counts,norm,mask,dataset,column]`.

Lines that begin with `#` come first. `# key = value` is metadata of every data set in the file, until
`# [NAME]` opens those of the data set NAME; a repeated key adds a line to its value. The keys `name`,
`layout`, `sigma_floor` and `sigma_max` have a meaning here, the rest is kept as text. `h, k, l` are in
r.l.u., `E` in meV. `mask` is blank or 0 where a pixel counts, otherwise 1 or the names of the masks
that exclude it. A blank or NaN I is missing.

Rows that run through the same energies for one wavevector after the other are an image; where
repeated energies make that ambiguous, the integer `column` tells the wavevectors apart. Floats are
written so that they are read back exactly.
"""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import scipp as sc

from insiren.data.spectrum import Details, image, is_image, point_list
from insiren.errors import DataError

REQUIRED = ("h", "k", "l", "E", "I")
OPTIONAL = ("sigma", "counts", "norm", "mask", "dataset", "column")
MAY_BE_BLANK = ("I", "sigma", "counts", "norm")
RESERVED = ("h", "k", "l", "energy_transfer", "counts", "norm")
MASK_SEPARATOR = "+"

Metadata = dict[str, dict[str, str]]


def is_long_csv(path: Path) -> bool:
    """Whether a file begins, after its `#` lines, with a header that names h, k, l, E and I."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = next((line for line in stream if line.strip() and not line.startswith("#")), "")
    return set(REQUIRED) <= {cell.strip() for cell in header.split(",")}


def is_long_csv_folder(path: Path) -> bool:
    """Whether a folder holds such a table."""
    return path.is_dir() and any(is_long_csv(file) for file in path.glob("*.csv"))


def read_long_csv_folder(folder: Path) -> list[sc.DataArray]:
    """The data sets of every table in a folder, in the order of the file names."""
    return [data for file in sorted(folder.glob("*.csv")) if is_long_csv(file) for data in read_long_csv(file)]


def read_long_csv(file: Path) -> list[sc.DataArray]:
    """The data sets of a table, in the order of their first rows.

    Raises:
        DataError: a line or value that cannot be read, named by its place, or an empty table.
    """
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        metadata, header, rows = _split(file, stream)
    groups: dict[str, list[tuple[int, dict[str, str]]]] = {}
    default = metadata.get("", {}).get("name", file.stem)
    for number, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{file}, line {number}: {len(cells)} values where the header names {len(header)} columns.")
        row = dict(zip(header, cells, strict=True))
        groups.setdefault(row.get("dataset", default), []).append((number, row))
    if not groups:
        raise DataError(f"{file} has a header but no rows.")
    return [_data_set(file, name, header, group, metadata) for name, group in groups.items()]


def _split(file: Path, stream: TextIO) -> tuple[Metadata, list[str], list[tuple[int, list[str]]]]:
    """Metadata by data set ("" for all), column names, and numbered rows."""
    metadata: Metadata = {}
    section = ""
    lines = list(stream)
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    for line in lines[:start]:
        text = line.strip("\r\n").removeprefix("#").removeprefix(" ")
        if opened := re.fullmatch(r"\[(.*)\]", text):
            section = opened[1]
        elif entry := re.fullmatch(r"\s*([^=]+?)\s*=(.*)", text):
            values = metadata.setdefault(section, {})
            value = entry[2].removeprefix(" ")
            values[entry[1]] = f"{values[entry[1]]}\n{value}" if entry[1] in values else value
    table = csv.reader(lines[start:])
    header = [cell.strip() for cell in next(table, [])]
    if unknown := sorted(set(header) - {*REQUIRED, *OPTIONAL}):
        raise DataError(
            f"{file}: unknown columns {', '.join(unknown)}; a table may have {', '.join(REQUIRED + OPTIONAL)}."
        )
    if len(set(header)) < len(header):
        raise DataError(f"{file}: a column is named twice in the header {','.join(header)}.")
    return metadata, header, [(start + table.line_num, cells) for cells in table if cells]


def _data_set(file: Path, name: str, header: list[str], rows: list, metadata: Metadata) -> sc.DataArray:
    # Data sets of one table share its columns; one that has no use for a column leaves it blank throughout.
    needless = {c for c in OPTIONAL if not any(row.get(c, "").strip() for _, row in rows)}
    numeric = [c for c in header if c not in {"mask", "dataset"} | needless]
    columns = {c: np.array([_number(file, f"line {number}", c, row[c]) for number, row in rows]) for c in numeric}
    notes = {**metadata.get("", {}), **metadata.get(name, {})}
    notes.pop("name", None)
    hkl = np.stack([columns[c] for c in "hkl"], axis=1)
    shape = None if notes.pop("layout", "") == "points" else _grid(hkl, columns["E"], columns.get("column"))
    laid = {key: values.reshape(shape or -1) for key, values in columns.items()}
    details: Details = {"counts": laid.get("counts"), "norm": laid.get("norm")}
    for key in ("sigma_floor", "sigma_max"):
        if key in notes:
            details[key] = _number(file, "metadata", key, notes.pop(key))
    make, where = point_list, (hkl, columns["E"])
    if shape is not None:
        make, where = image, (hkl[:: shape[1]], columns["E"][: shape[1]])
    data = make(name, *where, laid["I"], laid.get("sigma"), **details)
    _add_masks(data, [row.get("mask", "").strip() for _, row in rows])
    for key, value in notes.items():
        if key in RESERVED:
            raise DataError(f"{file}: metadata {key} has the name of a coordinate. Rename it.")
        data.coords[key] = sc.scalar(value)
    return data


def _add_masks(data: sc.DataArray, cells: list[str]) -> None:
    """Adds the masks that the cells of the mask column name, one cell a pixel."""
    plain: dict[str, set[str]] = {"": set(), "0": set(), "1": {"mask"}}
    masked = [plain[cell] if cell in plain else set(cell.split(MASK_SEPARATOR)) for cell in cells]
    for name in sorted(set().union(*masked)):
        values = np.array([name in names for names in masked]).reshape(data.shape)
        there = data.masks[name].values if name in data.masks else False
        data.masks[name] = sc.array(dims=data.dims, values=values | there)


def _number(file: Path, line: str, column: str, cell: str) -> float:
    try:
        value = float(cell) if cell.strip() or column not in MAY_BE_BLANK else np.nan
    except ValueError:
        raise DataError(f"{file}, {line}, {column}: {cell[:30]!r} is not a number.") from None
    if column not in MAY_BE_BLANK and not np.isfinite(value):
        raise DataError(f"{file}, {line}, {column}: {cell.strip()} where a finite number is needed.")
    return value


def _grid(hkl: np.ndarray, omega: np.ndarray, column: np.ndarray | None) -> tuple[int, int] | None:
    """Shape (q, w) of rows that run through the same energies for one wavevector after the other, or None."""
    moved = np.any(hkl[1:] != hkl[:-1], axis=1)
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
    tables = [_columns(data) for data in data_sets]
    present = {key for table in tables for key in table} | ({"dataset"} if len(tables) > 1 else set())
    header = [key for key in REQUIRED + OPTIONAL if key in present]
    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is not a folder, so no table can be written there. Create it first.")
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            for data in data_sets:
                stream.writelines(f"# {line}\n" for line in _notes(data, alone=len(data_sets) == 1))
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            for name, table in zip(names, tables, strict=True):
                blank = [""] * len(table["E"])
                table["dataset"] = [name] * len(blank)
                writer.writerows(zip(*(table.get(key, blank) for key in header), strict=True))
        os.chmod(temporary, 0o644)  # mkstemp keeps files from everyone else, a measurement is to be shared
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


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
    hkl = np.stack([_spread(data, data.coords[c]) for c in "hkl"], axis=1)
    omega = _spread(data, data.coords["energy_transfer"].to(unit="meV", dtype="float64"))
    table = {c: _cells(hkl[:, i]) for i, c in enumerate("hkl")} | {"E": _cells(omega), "I": _cells(data.values.ravel())}
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
    if shape is not None and _grid(hkl, omega, None) != shape:
        table["column"] = [str(i) for i in range(shape[0]) for _ in range(shape[1])]
    return table


def _spread(data: sc.DataArray, variable: sc.Variable) -> np.ndarray:
    return sc.broadcast(variable, sizes=data.sizes).values.ravel()


def _cells(values: np.ndarray) -> list[str]:
    return ["" if np.isnan(value) else repr(value) for value in values.astype(float).tolist()]
