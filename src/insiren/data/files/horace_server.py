"""Takes the arrays out of one MAT-file with cuts of Horace, as a confined process of its own.

HDF5, which MAT-files are, is a large C library that a damaged or hostile file can crash or lead astray. So `confined`
runs this file as a script: the path is its argument, an uncompressed .npz of numbers (or a line of text on standard
error and status 3) is its answer. It imports nothing of this package. Nothing outside the file is opened: only hard
links and references within it are followed.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import h5py
import numpy as np

try:
    import resource  # not on Windows, where the process is bounded in wall time alone
except ImportError:
    resource = None

MEMORY = 3 << 30  # bytes of address space
SECONDS = 10  # of computing; 512 MB take two
NUMBERS = 1 << 26  # of all arrays together; 512 MB
MOST = 1000  # objects, fields and elements of a cell
DEPTH = 3  # cells in cells
REFUSED = 3  # exit status that comes with a sentence


class Refused(Exception):
    """The file asks for something that is never done."""


class Budget:
    """How many numbers may still be read."""

    def __init__(self) -> None:
        self.left = NUMBERS

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise Refused(f"holds more than {NUMBERS:,} numbers")


def mat(path: str) -> dict[str, np.ndarray]:
    """The numbers of every struct of a MAT-file by "object/field", elements of cells as "object/field/n"."""
    with h5py.File(path, "r", locking=False) as file:
        return _structs(file)


def _structs(file: h5py.File) -> dict[str, np.ndarray]:
    """The numbers of every struct by "object/field".

    Elements of cells are "object/field/n". Arrays have the shape that MATLAB shows. Texts and whatever is no number
    are left out.
    """
    found: dict[str, np.ndarray] = {}
    budget = Budget()
    for name in list(file)[:MOST]:
        if name.startswith("#") or not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        group = file[name]
        if not isinstance(group, h5py.Group):
            continue
        for field in list(group)[:MOST]:
            if isinstance(group.get(field, getlink=True), h5py.HardLink):
                _take(file, group[field], f"{name}/{field}", found, budget, 0)
    return found


def _take(file: h5py.File, item: Any, key: str, found: dict[str, np.ndarray], budget: Budget, depth: int) -> None:
    if not isinstance(item, h5py.Dataset) or depth > DEPTH or len(found) > MOST:
        return
    if item.is_virtual or item.external:
        raise Refused(f"keeps {key} in another file, which is never opened")
    size = item.size or 0
    budget.take(size)
    if h5py.check_ref_dtype(item.dtype) is h5py.Reference:
        if size > MOST:
            raise Refused(f"has {size} elements in the cell {key}")
        # MATLAB counts the elements of a cell down its columns.
        for n, reference in enumerate(item[()].T.ravel(order="F")):
            if reference:
                _take(file, file[reference], f"{key}/{n}", found, budget, depth + 1)
    elif item.attrs.get("MATLAB_empty", 0):
        found[key] = np.zeros(0)
    elif item.dtype.kind in "biuf" and item.attrs.get("MATLAB_class", b"") != b"char":
        found[key] = np.asarray(item[()], float).T


def main(path: str) -> int:
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        found = mat(path)
        buffer = io.BytesIO()
        # Names inside an archive are paths; a number instead is the same for every file.
        names = np.array(list(found), dtype="U200")
        arrays: dict[str, Any] = {f"a{n}": np.asarray(array, float) for n, array in enumerate(found.values())}
        np.savez(buffer, names=names, **arrays)
        sys.stdout.buffer.write(buffer.getbuffer())
    except Refused as error:
        print(error, file=sys.stderr)
        return REFUSED
    except MemoryError:
        print("would need more memory than a reader may take", file=sys.stderr)
        return REFUSED
    # The libraries raise whatever came to pass first; a damaged file must not get further than this.
    except Exception as error:
        print(f"cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
