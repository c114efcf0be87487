"""A file of unknown origin opened where it can do no harm.

HDF5 files from elsewhere are read in a child process with little memory and time, which passes back
numbers and text. The child costs about 0.2 s a file, once, unless it was started ahead (`prepare`), and
copies numbers through a pipe at about 1 GB/s; a crash of the C library, an endless loop or a decompression
bomb ends the child and becomes a `DataError`. `trusted=True` saves that for files of one's own.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import h5py
import numpy as np

from insiren.data.files import hdf5_server
from insiren.data.files.tree import Node, printable
from insiren.errors import DataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAD = 1 << 24  # bytes of JSON at most; MEMBERS names and SMALL attributes stay below
SECONDS = 3.0  # of computing that any request may take; honest ones take milliseconds,
BYTES_PER_SECOND = 2e7  # and what is added for every number read; deflate gives ten times as many
KEPT, SHORT = 1000, 10_000  # descriptions of a file that are not asked for twice, and bytes of each at most
GRACE = 10.0  # s of wall time until the system has buried a child
PATIENCE = 6.0  # wall time over computing time, for slow disks and busy machines

_waiting: list[subprocess.Popen[bytes]] = []  # children that were started ahead


class Source(Protocol):
    """Whatever answers requests about one file."""

    path: Path

    def ask(self, do: str, path: str, start: list[int] | None = None, stop: list[int] | None = None) -> Any:
        """The reply as `hdf5_server.answer` describes it: a dict, or the numbers of a block."""
        ...


def is_hdf5(path: Path) -> bool:
    """Whether a file has the signature of HDF5, at its start or behind a user block."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        # The format allows the signature at 0 and at doubling offsets from 512.
        for offset in (0, 512, 1024, 2048, 4096):
            stream.seek(offset)
            if stream.read(len(SIGNATURE)) == SIGNATURE:
                return True
    return False


@contextmanager
def opened(path: Path, trusted: bool = False) -> Iterator[Node]:
    """The root of an HDF5 file, open until the context ends.

    Args:
        path: an existing file.
        trusted: read it in this process, without limits.

    Raises:
        DataError: it cannot be opened; and later, wherever it cannot be read.
    """
    if trusted:
        try:
            file = h5py.File(path, "r")
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{path} cannot be opened as HDF5 ({error}).") from None
        with file:
            yield Node(_Direct(path, file), "")
    else:
        with Child() as child:
            yield child.open(path)


class _Direct:
    """Answers from this process."""

    def __init__(self, path: Path, file: h5py.File):
        self.path, self.file = path, file

    def ask(self, do: str, path: str, start: list[int] | None = None, stop: list[int] | None = None) -> Any:
        reply, block = hdf5_server.answer(self.file, {"do": do, "path": path, "start": start, "stop": stop})
        if "error" in reply:
            raise DataError(_sentence(self.path, path, reply["error"]))
        return reply if block is None else block


def prepare(many: int) -> None:
    """Starts children for files that are about to come, so that so many wait in all; each reads one file."""
    while len(_waiting) < many:
        _waiting.append(_started())


def _taken() -> subprocess.Popen[bytes]:
    """A child that waits for a file, started now unless there is one."""
    while _waiting:
        process = _waiting.pop()
        if process.poll() is None:
            return process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    return _started()


def _started() -> subprocess.Popen[bytes]:
    """A child that waits for a file; it ends with this process, whose pipe it reads."""
    # Plugins of HDF5 are libraries that a file can ask for by number.
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(hdf5_server.__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **quiet, "HDF5_USE_FILE_LOCKING": "BEST_EFFORT"},
        )
    except OSError as error:
        raise DataError(
            f"No process could be started to read HDF5 in ({error}). If you trust the file, read it with trusted."
        ) from None


class Child:
    """A confined process that reads one HDF5 file after another.

    A context manager; leaving it ends the process. One file a child is what keeps files apart, so
    only tests open several.
    """

    def __enter__(self) -> Child:
        self.path = Path()
        self.told: dict[str, Any] = {}
        self.process = _taken()
        assert self.process.stdin and self.process.stdout
        self.requests: IO[bytes] = self.process.stdin
        self.replies: IO[bytes] = self.process.stdout
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.replies.close()
        try:
            self.requests.close()
        except OSError:  # a request that the dead child never took
            return

    def open(self, path: Path) -> Node:
        """The root of a file; what an earlier file gave is of no use from now on."""
        self.path, self.told = path, {}
        self._exchange({"do": "open", "path": str(path.absolute())}, "", SECONDS)
        return Node(self, "")

    def ask(self, do: str, path: str, start: list[int] | None = None, stop: list[int] | None = None) -> Any:
        if do == "describe" and path in self.told:
            return self.told[path]
        size = float(np.prod([high - low for low, high in zip(start or [], stop or [], strict=True)]))
        request = {"do": do, "path": path, "start": start, "stop": stop}
        return self._exchange(request, path, SECONDS + 8 * size / BYTES_PER_SECOND)

    def _exchange(self, request: dict[str, Any], path: str, seconds: float) -> Any:
        watch = threading.Timer(PATIENCE * seconds, self.process.kill)
        watch.start()
        try:
            self.requests.write(json.dumps({**request, "seconds": seconds}).encode() + b"\n")
            (length,) = struct.unpack("<Q", self._receive(8))
            if length > HEAD:
                raise DataError(_sentence(self.path, path, f"has {length} bytes of description, above {HEAD}"))
            reply = json.loads(self._receive(length))
            if "error" in reply:
                raise DataError(_sentence(self.path, path, reply["error"]))
            if request["do"] == "describe" and length < SHORT and len(self.told) < KEPT:
                self.told[path] = reply
            return reply if request["do"] != "block" else self._numbers(request, reply)
        except (OSError, EOFError):
            raise DataError(_sentence(self.path, path, self._end(seconds))) from None
        finally:
            watch.cancel()

    def _numbers(self, request: dict[str, Any], reply: dict[str, Any]) -> np.ndarray:
        dtype = np.dtype(reply["dtype"])
        shape = tuple(high - low for low, high in zip(request["start"], request["stop"], strict=True))
        # The child has seen the file, so that its word about what follows is not taken.
        if dtype.kind not in "biuf" or tuple(reply["shape"]) != shape:
            found = tuple(reply["shape"])
            raise DataError(_sentence(self.path, request["path"], f"gave numbers of shape {found}, not {shape}"))
        block = np.empty(shape, dtype)
        self._fill(block.reshape(-1).view(np.uint8).data)
        return block

    def _receive(self, length: int) -> bytearray:
        received = bytearray(length)
        self._fill(memoryview(received))
        return received

    def _fill(self, buffer: memoryview) -> None:
        at = 0
        while at < len(buffer):
            got = self.replies.readinto(buffer[at:])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            at += got

    def _end(self, seconds: float) -> str:
        """Why the child is no more."""
        try:
            code = self.process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            code = None
        if code in (-9, -24):  # killed by the watch, or SIGXCPU from the system
            return f"was not read within {seconds:.0f} s of computing, so that the file is damaged or hostile"
        return f"ended the process that read it (status {code}), so that the file is damaged or hostile"


def _sentence(file: Path, path: str, what: str) -> str:
    return printable(f"{file}: {path.strip('/') or 'the file'} {what}.")
