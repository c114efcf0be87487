"""Reading and writing measurements: the content of a file or folder decides which reader takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipp as sc

from insiren.data.files.columns import is_columns, read_columns
from insiren.data.files.foreign import foreign
from insiren.data.files.horace_mat import is_mat, read_mat
from insiren.data.files.horace_sqw import is_sqw, read_sqw
from insiren.data.files.long_csv import is_long_csv, is_long_csv_folder, read_long_csv, read_long_csv_folder, write_csv
from insiren.data.files.mdhisto import is_mdhisto, read_mdhisto
from insiren.data.files.nxdata import is_nxdata, read_nxdata
from insiren.data.files.nxspe import is_nxspe, read_nxspe
from insiren.data.files.peak_table import is_peak_table, read_peak_table
from insiren.data.files.sandbox import is_hdf5, opened
from insiren.data.files.scipp_hdf5 import is_scipp, read_scipp
from insiren.data.files.slices import is_slice, read_slice
from insiren.data.files.spe import is_spe, read_spe
from insiren.data.files.sqw_folder import is_sqw_folder, read_sqw_folder
from insiren.data.files.tree import Node
from insiren.data.files.unread import unread
from insiren.data.files.writing import write
from insiren.errors import DataError

__all__ = [
    "HDF5_READERS",
    "READERS",
    "Hdf5Reader",
    "Reader",
    "options_of",
    "read",
    "read_tree",
    "reader_of",
    "write",
    "write_csv",
]


_SHOWN = 5  # names of a folder that a message lists


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
    Reader(
        "a folder of Sqw_NAME.csv with Qlist, Elist and Err files",
        is_sqw_folder,
        read_sqw_folder,
        ("variant", "zeros", "errors"),
    ),
    Reader("a folder of CSV tables", is_long_csv_folder, read_long_csv_folder, ("columns", "zeros")),
    Reader(
        "a slice in text with its axes in a # header",
        is_slice,
        read_slice,
        ("q_origin", "energy", "lattice", "errors", "zeros"),
    ),
    Reader("a CSV table with the columns h,k,l,E,I,sigma", is_long_csv, read_long_csv, ("columns", "zeros")),
    Reader("an ASCII .spe with its .par", is_spe, read_spe, ("Ei", "par", "q_step", "kf_over_ki", "zeros", "bins")),
    Reader(
        "a table of peaks with the columns QH QK QL I1 EN1 sigma1",
        is_peak_table,
        read_peak_table,
        ("zeros", "errors", "energy_unit"),
    ),
    Reader(
        "a text of columns, such as x E I sigma, or h k l E sigma of peaks",
        is_columns,
        read_columns,
        ("q_direction", "q_origin", "columns", "energy_unit", "errors", "sigma", "energy", "zeros"),
    ),
    Reader(
        "a MAT-file (v7.3) with Horace cuts as structs",
        is_mat,
        read_mat,
        ("q_direction", "q_origin", "energy", "errors", "zeros"),
    ),
    Reader("a Horace .sqw file", is_sqw, read_sqw, ("q_origin", "energy", "errors", "zeros", "bins")),
)

PLACE = ("q_origin", "Q_abs", "energy")
CELLS = ("cut", "sample", "seed", "normalisation", "signal", "zeros")

# The first that recognises a file reads it, so that plain NXdata, which most others contain, comes last.
HDF5_READERS = (
    Hdf5Reader(
        "an MDHistoWorkspace of Mantid or SpinW",
        is_mdhisto,
        read_mdhisto,
        (*CELLS, "sigma", "lattice", "q_convention", "directions", *PLACE, "bins"),
    ),
    Hdf5Reader(
        "an NXSPE file",
        is_nxspe,
        read_nxspe,
        ("Ei", "geometry", "q_step", "lattice", "u", "v", "psi", "kf_over_ki", "zeros", "bins"),
    ),
    Hdf5Reader("an HDF5 file of scipp", is_scipp, read_scipp, ("q_direction", *PLACE, "bins", "sigma")),
    Hdf5Reader(
        "a NeXus file with NXdata of one or two dimensions",
        is_nxdata,
        read_nxdata,
        ("entry", "q_direction", *PLACE, "bins", "errors", "sigma"),
    ),
)


def reader_of(path: str | Path) -> Reader | Hdf5Reader:
    """The format that recognises a file or folder by its content.

    An HDF5 file is opened for it, in a confined child process, and no array of it is read: about 0.2 s.

    Raises:
        DataError: the path does not exist, or nothing recognises it.
    """
    path = _existing(path)
    if _is_nexus(path):
        with opened(path) as root:
            return _layout_of(root)
    return _format_of(path)


def options_of(path: str | Path) -> tuple[str, ...]:
    """The options that `read` takes for a file or folder.

    Raises:
        DataError: the path does not exist, or nothing recognises it.
    """
    return reader_of(path).options


def read(path: str | Path, *, trusted: bool = False, **options: Any) -> list[sc.DataArray]:
    """The data sets of a file or folder, as labelled arrays.

    Args:
        path: file or folder.
        trusted: read an HDF5 file in this process, without the child that confines it: 0.2 s sooner,
            but a damaged file can then crash Python.
        **options: what the format takes, for example `variant="woBG"` for a folder of Sqw files, or
            `cut={"h": (0, 0.5)}` for an MDHistoWorkspace; a reader that needs what the file lacks asks
            for it by name.

    Raises:
        DataError: the path does not exist, nothing recognises it, an option is not one of the
            format's, or the content is damaged.
    """
    path = _existing(path)
    # Numbers beyond any float become inf or NaN, which is what is looked for afterwards.
    with np.errstate(all="ignore"):
        if _is_nexus(path):
            with opened(path, trusted) as root:
                return read_tree(root, path.stem, options)
        reader = _format_of(path)
        _check_options(str(path), reader, options)
        return reader.read(path, **options)


def read_tree(root: Node, name: str, options: Mapping[str, Any]) -> list[sc.DataArray]:
    """The data sets of an open HDF5 file.

    Args:
        root: of the file.
        name: of data sets that have none.
        options: what the format takes.

    Raises:
        DataError: see `read`.
    """
    reader = _layout_of(root)
    _check_options(str(root.file), reader, options)
    return reader.read(root, name, **options)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist. What can be read: {_known()}.")
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{path} is empty.")
    return path


def _is_nexus(path: Path) -> bool:
    # A MAT-file is HDF5 behind a block of text, and has a reader of its own.
    return not is_mat(path) and is_hdf5(path)


def _format_of(path: Path) -> Reader:
    if what := foreign(path):
        raise DataError(f"{path} is {what}")
    for reader in READERS:
        if reader.recognises(path):
            return reader
    inside = ""
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        held = [one.name for one in files]
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        what = foreign(files[0]) if files else None
        first = f"The first is {what} " if what else ""
        inside = (
            f"It is a folder of {', '.join(held[:_SHOWN])}{more}; name the files to be read. {first}" if held else ""
        )
    raise DataError(f"{path} is of no known format. {inside}What can be read: {_known()}.")


def _layout_of(root: Node) -> Hdf5Reader:
    for reader in HDF5_READERS:
        # What is known and not read holds plain NXdata too, which says too little of it.
        if reader.read is read_nxdata and (what := unread(root)) is not None:
            raise DataError(f"{root.file} {what}.")
        if reader.recognises(root):
            return reader
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


def _check_options(path: str, reader: Reader | Hdf5Reader, options: Mapping[str, Any]) -> None:
    if unknown := [name for name in options if name not in reader.options]:
        takes = ", ".join(reader.options) or "no options"
        raise DataError(f"{path} is {reader.what}, which has no option {', '.join(unknown)}; it takes {takes}.")
