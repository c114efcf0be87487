"""The folder of a run: numbered snapshots that appear whole or not at all, its log, and one writer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insiren.errors import InsirenError
from insiren.fit.plain import plain

_DIGITS = 6  # of a number in a folder's name; more are fine


class LiveError(InsirenError):
    """A run cannot begin or go on."""


def now() -> str:
    """The time for people, in UTC; nothing is ordered by it, since clocks jump."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def encoded(value: Any) -> bytes:
    """JSON on one line, in UTF-8."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):  # an array, or what is not finite, somewhere
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    return text.encode()


def put(path: Path, content: bytes) -> None:
    """A file that is on the disk when this returns; for a place where nobody looks yet."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def replace(path: Path, content: bytes) -> None:
    """A file in place of another, whole at every moment."""
    partial = path.with_name(f".{path.name}.part")
    try:
        put(partial, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append(path: Path, entry: Mapping[str, Any], lasting: bool) -> None:
    """One more line of JSON, written at once; a torn line of an earlier writer is ended first."""
    with path.open("ab+") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size:
            stream.seek(size - 1)
            torn = stream.read(1) != b"\n"
        else:
            torn = False
        stream.write((b"\n" if torn else b"") + encoded(entry) + b"\n")
        stream.flush()
        if lasting:
            os.fsync(stream.fileno())


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of JSON in a file; what was torn is left out."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


@contextlib.contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Holds the run for this process; the lock goes with the process, however it ends.

    Raises:
        LiveError: another process writes this run.
    """
    fresh = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            who = stream.read().strip() or "unknown"
            raise LiveError(
                f"{out} is being written by another process (number {who}), and two would count twice; "
                "stop it, or name another --out."
            ) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        try:
            yield
        finally:
            if not (out / "live.json").exists():  # refused before it began: nothing is left behind
                (out / ".lock").unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    if fresh:
                        out.rmdir()


class Folder:
    """The snapshots and the log of a run.

    Args:
        out: the folder of the run, held by this process.
    """

    def __init__(self, out: Path):
        self.out, self.snapshots = out, out / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        for left in self.snapshots.glob(".*"):  # of a writer that was killed
            shutil.rmtree(left, ignore_errors=True)

    def numbers(self) -> list[int]:
        """Of the snapshots that are there, ascending."""
        return sorted(int(one.name) for one in self.snapshots.iterdir() if one.name.isdecimal())

    def path(self, number: int) -> Path:
        return self.snapshots / f"{number:0{_DIGITS}d}"

    def fit(self, number: int) -> dict[str, Any]:
        """The fit of a snapshot, as JSON."""
        return json.loads((self.path(number) / "fit.json").read_bytes())

    def write(self, number: int, content: Mapping[str, Any]) -> Path:
        """A snapshot from its files by name, bytes or what JSON holds; nothing is there of it if this fails.

        Raises:
            OSError: the disk is full, or the folder gone.
        """
        temporary = self.snapshots / f".{number:0{_DIGITS}d}.{os.getpid()}"
        try:
            temporary.mkdir()
            for name, value in content.items():
                put(temporary / name, value if isinstance(value, bytes) else encoded(value))
            sync_folder(temporary)
            temporary.rename(self.path(number))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(self.snapshots)
        return self.path(number)

    def log(self, level: str, text: str) -> None:
        """One line of the log; a log that cannot be written stops nothing."""
        with contextlib.suppress(OSError):
            append(self.out / "log.jsonl", {"time": now(), "level": level, "text": text}, lasting=False)
