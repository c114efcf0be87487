"""Arrays of a file of unknown origin, from a process that can be lost."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from insiren.data.files import horace_server
from insiren.data.files.tree import printable
from insiren.errors import DataError

LARGEST = 1 << 30  # bytes of an answer
PATIENCE = 60.0  # seconds of wall time, for slow disks and busy machines; computing is limited to less
SAID = 400  # bytes of a refusal


class Answer(NamedTuple):
    """What a child left behind: its exit status (−n: signal n), its answer, and what it said of a refusal."""

    status: int
    content: bytes
    said: bytes


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a MAT-file by name, as `horace_server` takes them out.

    Args:
        path: of the file.

    Raises:
        DataError: the file is refused, damaged, or ended the process that read it.
    """
    status, answer, said = run(path.absolute())
    if status == horace_server.REFUSED:
        raise DataError(f"{path} {printable(said.decode('utf-8', errors='replace')).strip()}.")
    if status or len(answer) > LARGEST:
        raise DataError(f"{path} ended the process that read it (status {status}); it is damaged or hostile.")
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            return {str(name): archive[f"a{n}"] for n, name in enumerate(archive["names"])}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the arrays that were read from it make no sense ({error}).") from None


def run(path: Path) -> Answer:
    """Starts a child on a file and waits for it, no longer than `PATIENCE` and for no more than `LARGEST` bytes."""
    command = [sys.executable, "-P", str(horace_server.__file__), str(path)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as child,
    ):
        assert child.stdout
        watch = threading.Timer(PATIENCE, child.kill)
        watch.start()
        try:
            # A child that the file took over might never stop talking.
            content = child.stdout.read(LARGEST + 1)
            if len(content) > LARGEST:
                child.kill()
            status = child.wait()
        finally:
            watch.cancel()
        errors.seek(0)
        return Answer(status, content, errors.read(SAID))
