"""Spectra into files, the format chosen by the suffix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.files.long_csv import write_csv
from insiren.data.files.mdhisto_writer import write_mdhisto
from insiren.data.files.whole import whole_file
from insiren.data.peaks import is_peaks
from insiren.errors import DataError


def write(data: sc.DataArray | Sequence[sc.DataArray], path: str | Path) -> Path:
    """Writes spectra to a file that appears whole or not at all.

    `.csv` is the package's own table, `.h5` (or `.hdf5`) scipp's HDF5 with everything that the arrays carry,
    `.nxs` an MDHistoWorkspace of Mantid, which holds one image on an even grid.

    Args:
        data: one spectrum, or several with distinct names.
        path: of the file; an existing one is replaced.

    Returns:
        The path.

    Raises:
        DataError: another suffix, or what the format cannot hold.
    """
    path, sets = Path(path), [data] if isinstance(data, sc.DataArray) else list(data)
    writers: dict[str, Callable[[list[sc.DataArray], Path], None]] = {
        ".csv": _csv, ".h5": _hdf5, ".hdf5": _hdf5, ".nxs": _nxs,
    }  # fmt: skip
    if (suffix := path.suffix.lower()) not in writers:
        raise DataError(f"{path}: the suffix {suffix or '(none)'} names no format; choose one of {', '.join(writers)}.")
    if not sets:
        raise DataError(f"{path}: there is nothing to write.")
    writers[suffix](sets, path)
    return path


def _csv(sets: list[sc.DataArray], path: Path) -> None:
    write_csv([adopt(one) for one in sets], path)


def _hdf5(sets: list[sc.DataArray], path: Path) -> None:
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        raise DataError(f"{path}: the data sets {', '.join(names)} need distinct names. Rename them.")
    sets = [one if is_peaks(one) else adopt(one) for one in sets]
    with whole_file(path) as temporary:
        (sets[0] if len(sets) == 1 else sc.DataGroup(dict(zip(names, sets, strict=True)))).save_hdf5(temporary)


def _nxs(sets: list[sc.DataArray], path: Path) -> None:
    if len(sets) != 1:
        raise DataError(f"{path}: an MDHistoWorkspace holds one data set, not {len(sets)}. Write each to its own file.")
    with whole_file(path) as temporary:
        write_mdhisto(adopt(sets[0]), temporary)
