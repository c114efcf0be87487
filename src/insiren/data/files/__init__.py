"""Reading measurements: the content of a file or folder decides which reader takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import scipp as sc

from insiren.data.files.long_csv import is_long_csv, is_long_csv_folder, read_long_csv, read_long_csv_folder, write_csv
from insiren.data.files.sqw_folder import is_sqw_folder, read_sqw_folder
from insiren.errors import DataError

__all__ = ["READERS", "Reader", "read", "write_csv"]


class Reader(NamedTuple):
    """One format: what it is called, how to recognise it, how to read it, and what it may be told."""

    what: str
    recognises: Callable[[Path], bool]
    read: Callable[..., list[sc.DataArray]]
    options: tuple[str, ...] = ()


READERS = (
    Reader("a folder of Sqw_NAME.csv with Qlist, Elist and Err files", is_sqw_folder, read_sqw_folder, ("variant",)),
    Reader("a folder of CSV tables", is_long_csv_folder, read_long_csv_folder),
    Reader("a CSV table with the columns h,k,l,E,I,sigma", is_long_csv, read_long_csv),
)


def read(path: str | Path, **options: Any) -> list[sc.DataArray]:
    """The data sets of a file or folder, as labelled arrays.

    Args:
        path: file or folder.
        **options: what the format takes, for example `variant="woBG"` for a folder of Sqw files.

    Raises:
        DataError: the path does not exist, nothing recognises it, an option is not one of the
            format's, or the content is damaged.
    """
    path = Path(path)
    known = "; ".join(reader.what for reader in READERS)
    if not path.exists():
        raise DataError(f"{path} does not exist. What can be read: {known}.")
    for reader in READERS:
        if reader.recognises(path):
            if unknown := [name for name in options if name not in reader.options]:
                takes = ", ".join(reader.options) or "no options"
                raise DataError(f"{path} is {reader.what}, which has no option {', '.join(unknown)}; it takes {takes}.")
            return reader.read(path, **options)
    raise DataError(f"{path} is of no known format. What can be read: {known}.")
