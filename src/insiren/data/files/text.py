"""Text from strangers, line by line, within bounds of memory and time.

A line longer than any table has, a file larger than any table is, or bytes that no text holds are
refused before they are read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from insiren.errors import DataError

MAX_BYTES = 2**29  # a table of eight million pixels; what is larger is not meant to be fitted pixel by pixel
MAX_LINE = 2**20  # bytes: fifty thousand numbers side by side
HEAD = 2**16  # bytes by which a format is recognised


def head(path: Path) -> list[str]:
    """The first lines of a text, the last perhaps cut short; none where it is no regular file or no text."""
    if not path.is_file():
        return []
    with path.open("rb") as stream:
        start = stream.read(HEAD)
    return [] if b"\0" in start else start.decode("utf-8-sig", errors="replace").splitlines()


def lines(path: Path) -> Iterator[str]:
    """The lines of a text, with their ends, as they are read.

    Raises:
        DataError: the file is too large, a line is too long, or there are bytes that no text holds.
    """
    check_size(path)
    with path.open("rb") as stream:
        for number in range(1, MAX_BYTES):
            line = stream.readline(MAX_LINE + 1)
            if not line:
                return
            if len(line) > MAX_LINE:
                raise DataError(
                    f"{path}, line {number} is longer than {MAX_LINE:,} bytes, which no table of measurements is. "
                    "Write one pixel a line."
                )
            if b"\0" in line:
                raise DataError(f"{path}, line {number} holds bytes that are no text. Is it the right file?")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")


def check_size(path: Path) -> None:
    """Refuses a text that is larger than `MAX_BYTES`."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DataError(
            f"{path} has {size / 2**20:,.0f} MB; a text of more than {MAX_BYTES / 2**20:.0f} MB is not read. "
            "Cut it to what is to be fitted, rebin it, or give it as HDF5."
        )


def numbers(path: Path, number: int, cells: list[str]) -> list[float]:
    """The cells of one line as numbers; nan and inf are numbers.

    Raises:
        DataError: a cell is none, named by its line and column.
    """
    found = []
    for column, cell in enumerate(cells, start=1):
        try:
            found.append(float(cell))
        except ValueError:
            raise DataError(f"{path}, line {number}, column {column}: {cell.strip()[:30]!r} is not a number.") from None
    return found


def inside(folder: Path, file: Path) -> Path:
    """A file of a folder, refused where a link leads out of it.

    Raises:
        DataError: the file lies elsewhere.
    """
    if not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{file} is a link that leads out of {folder}; what a folder holds is read, nothing else. "
            "Copy the file there."
        )
    return file
