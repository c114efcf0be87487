"""Arrays of a file of unknown origin, from a process that can be lost."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from insiren.data.files import horace_server
from insiren.errors import DataError

LARGEST = 1 << 30  # bytes of an answer
PATIENCE = 60.0  # seconds of wall time, for slow disks and busy machines; computing is limited to less


def arrays_of(kind: Literal["mat", "sqw"], path: Path) -> dict[str, np.ndarray]:
    """The arrays of a binary file of Horace by name, as `horace_server` takes them out.

    Args:
        kind: of the file.
        path: of the file.

    Raises:
        DataError: the file is refused, damaged, or ended the process that read it.
    """
    command = [sys.executable, "-P", str(horace_server.__file__), kind, str(path.absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            answer, said = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            raise DataError(f"{path} was not read within {PATIENCE:.0f} s; it is damaged or hostile.") from None
    if child.returncode == 3:
        raise DataError(f"{path} {said.decode('utf-8', errors='replace').strip()[:400]}.")
    if child.returncode or len(answer) > LARGEST:
        raise DataError(f"{path} ended the process that read it (status {child.returncode}); it is damaged or hostile.")
    try:
        with np.load(io.BytesIO(answer), allow_pickle=False) as archive:
            return {str(name): archive[f"a{n}"] for n, name in enumerate(archive["names"])}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: the arrays that were read from it make no sense ({error}).") from None
