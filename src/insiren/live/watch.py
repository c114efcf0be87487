"""The watched directory: which files have become whole since the last look. It is never written to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", "~")
_BLOCK = 1 << 20  # bytes hashed at once


class Signature(NamedTuple):
    """What changes when a file does; times are compared for equality alone, since clocks jump."""

    size: int
    mtime: int
    inode: int


class Watch:
    """Looks at a directory again and again.

    Args:
        directory: whose files are watched, without those in folders below it.

    Attributes:
        moving: how many files changed since the last look, which the next one may find still.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.seen: dict[str, Signature] = {}
        self.done: dict[str, Signature] = {}
        self.moving = 0

    def look(self) -> list[str]:
        """Names of files that changed at some time and stood still since the last look; new ones in natural order.

        Raises:
            OSError: the directory is gone.
        """
        there: dict[str, Signature] = {}
        with os.scandir(self.directory) as found:
            for one in found:
                if one.name.startswith(".") or one.name.lower().endswith(_UNFINISHED):
                    continue
                try:
                    if one.is_file():
                        there[one.name] = signature(one.stat())
                except OSError:  # gone in between
                    continue
        still = [n for n, is_ in there.items() if self.seen.get(n) == is_ and self.done.get(n) != is_ and is_.size]
        self.moving = sum(self.seen.get(name) != at for name, at in there.items())
        self.seen = there
        self.done = {name: at for name, at in self.done.items() if name in there}
        return sorted(still, key=natural)

    def finish(self, name: str, at: Signature) -> None:
        """Says that a file, as it was then, needs no further look."""
        self.done[name] = at


def signature(stat: os.stat_result) -> Signature:
    return Signature(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts run-9 before run-10."""
    parts, digits = [], ""
    for letter in f"{name}\0":
        if letter.isdecimal():
            digits += letter
            continue
        if digits:
            parts.append((0, int(digits), digits))
            digits = ""
        parts.append((1, 0, letter))
    return parts


def digest_of(path: Path) -> str:
    """SHA-256 of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
