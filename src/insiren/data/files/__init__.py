"""Reading measurements: the content of a file or folder decides which reader takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import scipp as sc

from insiren.data.files.long_csv import is_long_csv, is_long_csv_folder, read_long_csv, read_long_csv_folder, write_csv
from insiren.data.files.mdhisto import is_mdhisto, read_mdhisto
from insiren.data.files.nxdata import is_nxdata, read_nxdata
from insiren.data.files.nxspe import is_nxspe, read_nxspe
from insiren.data.files.sandbox import is_hdf5, opened
from insiren.data.files.scipp_hdf5 import is_scipp, read_scipp
from insiren.data.files.sqw_folder import is_sqw_folder, read_sqw_folder
from insiren.data.files.tree import Node
from insiren.errors import DataError

__all__ = ["HDF5_READERS", "READERS", "Hdf5Reader", "Reader", "read", "read_tree", "write_csv"]


class Reader(NamedTuple):
    """One format: what it is called, how to recognise it, how to read it, and what it may be told."""

    what: str
    recognises: Callable[[Path], bool]
    read: Callable[..., list[sc.DataArray]]
    options: tuple[str, ...] = ()


class Hdf5Reader(NamedTuple):
    """One layout of HDF5 files; it sees the open file and never its path."""

    what: str
    recognises: Callable[[Node], bool]
    read: Callable[..., list[sc.DataArray]]
    options: tuple[str, ...] = ()


READERS = (
    Reader("a folder of Sqw_NAME.csv with Qlist, Elist and Err files", is_sqw_folder, read_sqw_folder, ("variant",)),
    Reader("a folder of CSV tables", is_long_csv_folder, read_long_csv_folder),
    Reader("a CSV table with the columns h,k,l,E,I,sigma", is_long_csv, read_long_csv),
)

PLACE = ("q_origin", "Q_abs", "energy")

# The first that recognises a file reads it, so that plain NXdata, which most others contain, comes last.
HDF5_READERS = (
    Hdf5Reader(
        "an MDHistoWorkspace of Mantid or SpinW",
        is_mdhisto,
        read_mdhisto,
        ("cut", "sample", "seed", "normalisation", "lattice", *PLACE),
    ),
    Hdf5Reader(
        "an NXSPE file", is_nxspe, read_nxspe, ("Ei", "geometry", "q_step", "lattice", "u", "v", "psi")
    ),
    Hdf5Reader("an HDF5 file of scipp", is_scipp, read_scipp, ("q_direction", *PLACE)),
    Hdf5Reader("a NeXus file with NXdata of one or two dimensions", is_nxdata, read_nxdata,
               ("entry", "q_direction", *PLACE)),
)  # fmt: skip


def read(path: str | Path, *, trusted: bool = False, **options: Any) -> list[sc.DataArray]:
    """The data sets of a file or folder, as labelled arrays.

    Args:
        path: file or folder.
        trusted: read an HDF5 file in this process, without the child that confines it: 0.2 s sooner,
            but a damaged file can then crash Python.
        **options: what the format takes, for example `variant="woBG"` for a folder of Sqw files, or
            `cut={"h": (0, 0.5)}` for an MDHistoWorkspace.

    Raises:
        DataError: the path does not exist, nothing recognises it, an option is not one of the
            format's, or the content is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist. What can be read: {_known()}.")
    if is_hdf5(path):
        with opened(path, trusted) as root:
            return read_tree(root, path.stem, options)
    for reader in READERS:
        if reader.recognises(path):
            _check_options(str(path), reader.what, reader.options, options)
            return reader.read(path, **options)
    raise DataError(f"{path} is of no known format. What can be read: {_known()}.")


def read_tree(root: Node, name: str, options: Mapping[str, Any]) -> list[sc.DataArray]:
    """The data sets of an open HDF5 file.

    Args:
        root: of the file.
        name: of data sets that have none.
        options: what the format takes.

    Raises:
        DataError: see `read`.
    """
    for reader in HDF5_READERS:
        if reader.recognises(root):
            _check_options(str(root.file), reader.what, reader.options, options)
            return reader.read(root, name, **options)
    found = ", ".join(_shown(root / member) for member in root.members[:10]) or "nothing"
    more = f" and {len(root.members) - 10} more" if len(root.members) > 10 else ""
    raise root.error(f"is HDF5 of no known layout: it holds {found}{more}. What can be read: {_known()}")


def _known() -> str:
    return "; ".join(reader.what for reader in (*READERS, *HDF5_READERS))


def _shown(node: Node) -> str:
    if not node.is_group:
        return f"data {node.path.strip('/')} {node.shape}"
    kind = node.attribute("NX_class")
    return f"group {node.path.strip('/')}{f' ({kind})' if kind else ''}"


def _check_options(path: str, what: str, known: tuple[str, ...], options: Mapping[str, Any]) -> None:
    if unknown := [name for name in options if name not in known]:
        takes = ", ".join(known) or "no options"
        raise DataError(f"{path} is {what}, which has no option {', '.join(unknown)}; it takes {takes}.")
