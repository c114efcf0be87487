"""Binary files of Horace, read number by number: no length in them is believed that the file is too short for."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from insiren.data.files.tree import printable
from insiren.errors import DataError

TEXT = 1 << 16  # bytes of a name, a title or all labels
LIST = 1 << 20  # numbers of an axis, or of the energies of a run


class Stream:
    """A file, or a part of one, at a place that moves on with whatever is read."""

    def __init__(self, file: BinaryIO, path: Path, order: str):
        """Begins at the first byte.

        Args:
            file: open for reading bytes.
            path: of the file, for errors.
            order: of the bytes of a number, "<" or ">".
        """
        self.file, self.path, self.order = file, path, order
        self.size = file.seek(0, 2)
        file.seek(0)

    def take(self, n: int) -> bytes:
        """The next n bytes.

        Raises:
            DataError: the file ends before.
        """
        self.check(n)
        return self.file.read(n)

    def skip(self, n: int) -> None:
        """Moves on by n bytes.

        Raises:
            DataError: the file ends before.
        """
        self.check(n)
        self.file.seek(n, 1)

    def seek(self, at: int) -> None:
        """Moves to a place in the file."""
        if not 0 <= at <= self.size:
            raise self.damaged(f"something is promised at byte {at} of {self.size}")
        self.file.seek(at)

    def check(self, n: int) -> None:
        """Nothing where the next n bytes are there, else an error."""
        at = self.file.tell()
        if not 0 <= n <= self.size - at:
            raise self.damaged(f"{n} bytes are promised at byte {at} of {self.size}")

    def numbers(self, kind: str, n: int) -> np.ndarray:
        """The next n numbers of a kind such as "f4", as numpy calls it."""
        dtype = np.dtype(self.order + kind)
        return np.frombuffer(self.take(n * dtype.itemsize), dtype)

    def number(self, kind: str) -> int:
        """The next whole number."""
        return int(self.numbers(kind, 1)[0])

    def count(self, what: str, most: int) -> int:
        """The next whole number, of something there is no more of than makes sense."""
        n = self.number("u4")
        if n > most:
            raise self.damaged(f"it promises {n} {what} where at most {most} make sense")
        return n

    def text(self) -> str:
        """The next text, which its length goes before."""
        return self.take(self.count("characters", TEXT)).decode("utf-8", "replace")

    def texts(self, n: int) -> list[str]:
        """The next n texts."""
        return [self.text() for _ in range(n)]

    def damaged(self, what: str) -> DataError:
        """The error that says what makes no sense."""
        return DataError(
            printable(f"{self.path} is damaged, or was not written to the end: {what}. Copy it, or save it, again.")
        )
