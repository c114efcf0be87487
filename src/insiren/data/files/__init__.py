"""Reading measurements: the content of a file or folder decides which reader takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import scipp as sc

from insiren.data.files.columns import is_columns, read_columns
from insiren.data.files.horace_mat import is_mat, read_mat
from insiren.data.files.horace_sqw import is_sqw, read_sqw
from insiren.data.files.long_csv import is_long_csv, is_long_csv_folder, read_long_csv, read_long_csv_folder, write_csv
from insiren.data.files.peak_table import is_peak_table, read_peak_table
from insiren.data.files.slices import is_slice, read_slice
from insiren.data.files.spe import is_spe, read_spe
from insiren.data.files.sqw_folder import is_sqw_folder, read_sqw_folder
from insiren.data.files.writing import write
from insiren.errors import DataError

__all__ = ["READERS", "Reader", "options_of", "read", "reader_of", "write", "write_csv"]


class Reader(NamedTuple):
    """One format: what it is called, how to recognise it, how to read it, and what it may be told."""

    what: str
    recognises: Callable[[Path], bool]
    read: Callable[..., list[sc.DataArray]]
    options: tuple[str, ...] = ()


READERS = (
    Reader(
        "a folder of Sqw_NAME.csv with Qlist, Elist and Err files", is_sqw_folder, read_sqw_folder, ("variant", "zeros")
    ),
    Reader("a folder of CSV tables", is_long_csv_folder, read_long_csv_folder),
    Reader("a CSV table with the columns h,k,l,E,I,sigma", is_long_csv, read_long_csv),
    Reader("a slice in text with its axes in a # header", is_slice, read_slice, ("q_origin", "energy", "lattice")),
    Reader("an ASCII .spe with its .par", is_spe, read_spe, ("Ei", "par", "q_step")),
    Reader("a table of peaks with the columns QH QK QL I1 EN1 sigma1", is_peak_table, read_peak_table),
    Reader("a text of four columns x E I sigma", is_columns, read_columns, ("q_direction", "q_origin")),
    Reader("a MAT-file (v7.3) with Horace cuts as structs", is_mat, read_mat, ("q_direction", "q_origin")),
    Reader("a Horace .sqw file", is_sqw, read_sqw, ("errors",)),
)


def reader_of(path: str | Path) -> Reader:
    """The format that recognises a file or folder by its content.

    Raises:
        DataError: the path does not exist, or nothing recognises it.
    """
    path = Path(path)
    known = "; ".join(reader.what for reader in READERS)
    if not path.exists():
        raise DataError(f"{path} does not exist. What can be read: {known}.")
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{path} is empty.")
    for reader in READERS:
        if reader.recognises(path):
            return reader
    raise DataError(f"{path} is of no known format. What can be read: {known}.")


def options_of(path: str | Path) -> tuple[str, ...]:
    """The options that `read` takes for a file or folder.

    Raises:
        DataError: the path does not exist, or nothing recognises it.
    """
    return reader_of(path).options


def read(path: str | Path, **options: Any) -> list[sc.DataArray]:
    """The data sets of a file or folder, as labelled arrays.

    Args:
        path: file or folder.
        **options: what the format takes, for example `variant="woBG"` for a folder of Sqw files; a
            reader that needs what the file lacks asks for it by name.

    Raises:
        DataError: the path does not exist, nothing recognises it, an option is not one of the
            format's, or the content is damaged.
    """
    reader = reader_of(path)
    if unknown := [name for name in options if name not in reader.options]:
        takes = ", ".join(reader.options) or "no options"
        raise DataError(f"{path} is {reader.what}, which has no option {', '.join(unknown)}; it takes {takes}.")
    return reader.read(Path(path), **options)
