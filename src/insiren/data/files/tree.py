"""What an HDF5 file holds, as groups and data that say by their place what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insiren.data.files import hdf5_server
from insiren.errors import DataError

if TYPE_CHECKING:
    from insiren.data.files.sandbox import Source

# Deflate cannot do better than 1032 to 1, so that a data set that declares more has never been written.
COMPRESSION = 1032
UNWRITTEN = 1 << 20  # bytes that may be declared and never written; a few axes, not a spectrum
BLOCK = 1 << 25  # bytes, decompressed, that are read at once where the chunks of the file allow it
NUMBERS = 1 << 24  # of an axis or a list of detectors


def printable(text: str) -> str:
    """Text that any terminal takes: names in a damaged file may hold bytes that are no text."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in shown)


class Node:
    """A group or data set of an open HDF5 file.

    What it is, its attributes and the names of its members are asked for once; numbers whenever
    they are read.
    """

    def __init__(self, source: Source, path: str):
        self.source = source
        self.path = path

    @cached_property
    def _facts(self) -> dict[str, Any]:
        return self.source.ask("describe", self.path)

    @property
    def file(self) -> Path:
        return self.source.path

    @property
    def is_group(self) -> bool:
        return self._facts["kind"] == "group"

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes as numbers, text, lists and dicts; a list of one is that one."""
        return self._facts["attrs"]

    def attribute(self, name: str) -> str:
        """An attribute as text, "" where there is none."""
        value = self.attrs.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def members(self) -> list[str]:
        return self._facts.get("members", [])

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._facts.get("shape") or ())

    @property
    def is_text(self) -> bool:
        return self._facts.get("dtype") == "text"

    @property
    def is_numeric(self) -> bool:
        return self._facts.get("dtype", "other") not in ("text", "other") and self._facts["shape"] is not None

    @property
    def chunks(self) -> tuple[int, ...] | None:
        found = self._facts.get("chunks")
        return tuple(found) if found else None

    def __truediv__(self, path: str) -> Node:
        return Node(self.source, f"{self.path}/{path}")

    def get(self, path: str) -> Node | None:
        """What lies at a relative path, or None where nothing does.

        Raises:
            DataError: something lies there that cannot be read.
        """
        node = self
        for part in path.split("/"):
            if not node.is_group or part not in node.members:
                return None
            node = node / part
        return node

    def groups(self) -> Iterator[Node]:
        """The members that are groups, in the order of the file."""
        for name in self.members:
            node = self / name
            if node.is_group:
                yield node

    def need(self, path: str) -> Node:
        """What lies at a relative path.

        Raises:
            DataError: nothing lies there.
        """
        if (node := self.get(path)) is None:
            raise self.error(f"has no {path}, which this format needs")
        return node

    def error(self, what: str) -> DataError:
        """An error that names the file and this place in it."""
        return DataError(printable(f"{self.file}: {self.path.strip('/') or 'the file'} {what}."))

    def text(self) -> str:
        """The text of a data set, its first where it has several.

        Raises:
            DataError: it holds no text.
        """
        texts = self.source.ask("text", self.path)["text"]
        return texts[0] if texts else ""

    def numbers(self, most: int = NUMBERS) -> np.ndarray:
        """All numbers of a data set as floats, in its shape.

        Raises:
            DataError: there are more than `most`, or none that can be read.
        """
        self.check_written()
        if np.prod(self.shape, dtype=float) > most:
            raise self.error(f"has the shape {self.shape}, above the {most} numbers that it may hold")
        whole = np.empty(self.shape)
        for part in self.blocks(tuple(slice(0, n) for n in self.shape)):
            whole[part] = self.block(part)
        return whole

    def number(self) -> float:
        """The only number of a data set, or the one that all of them are.

        Raises:
            DataError: there is none, or they differ.
        """
        values = np.unique(self.numbers())
        if len(values) != 1:
            raise self.error(f"holds {len(values)} different numbers where one is needed")
        return float(values[0])

    def block(self, where: tuple[slice, ...]) -> np.ndarray:
        """The numbers in slices with start and stop along every dimension, in the type of the file."""
        self._check_numeric()
        for part, size in zip(where, self.shape, strict=True):
            if not 0 <= part.start <= part.stop <= size:
                raise self.error(f"has {size} numbers along a dimension, so that {part} is outside")
        return self.source.ask("block", self.path, [p.start for p in where], [p.stop for p in where])

    def blocks(self, where: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        """Slices that cover `where`, each of about `BLOCK` bytes of floats and of whole chunks of the file."""
        sizes = [part.stop - part.start for part in where]
        chunk = self.chunks or (1,) * len(sizes)
        steps = list(sizes)
        for axis, whole in enumerate(sizes):
            others = math.prod(steps[:axis] + steps[axis + 1 :]) * 8
            fits = max(1, BLOCK // max(1, others)) // chunk[axis] * chunk[axis]
            # A chunk read in parts is decompressed once a part.
            steps[axis] = min(whole, max(fits, chunk[axis]))
            if fits >= whole or steps[axis] > chunk[axis]:
                break
        return _cover(where, steps, chunk)

    def _check_numeric(self) -> None:
        if not self.is_numeric:
            raise self.error(f"holds {'a group' if self.is_group else 'text or records'} where numbers are needed")

    def check_written(self) -> None:
        """Nothing, where the data set can be as large as it says.

        Raises:
            DataError: it holds no numbers, or declares more than it can have stored.
        """
        self._check_numeric()
        itemsize = np.dtype(self._facts["dtype"]).itemsize
        declared = np.prod(self.shape, dtype=float) * itemsize
        if self.chunks and (chunk := math.prod(self.chunks) * itemsize) > hdf5_server.BLOCK:
            raise self.error(
                f"is stored in chunks of {chunk:.3g} bytes, above the {hdf5_server.BLOCK} that are decompressed at once"
            )
        if declared > UNWRITTEN + COMPRESSION * self._facts["stored"]:
            raise self.error(
                f"declares {declared:.3g} bytes (shape {self.shape}) and stores {self._facts['stored']}: it is "
                "damaged, or was never written to the end"
            )


def _cover(where: tuple[slice, ...], steps: list[int], chunk: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    if not where:
        yield ()
        return
    low, high = where[0].start, where[0].stop
    while low < high:
        end = min(high, low + max(1, steps[0]))
        # A step ends where a chunk ends, so that the next one does not read that chunk again.
        if end < high and end - end % chunk[0] > low:
            end -= end % chunk[0]
        for rest in _cover(where[1:], steps[1:], chunk[1:]):
            yield (slice(low, end), *rest)
        low = end
