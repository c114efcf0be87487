"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from insiren.errors import DataError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place on success and vanishes otherwise.

    Args:
        path: the file to write or replace.

    Raises:
        DataError: its folder does not exist.
    """
    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is not a folder, so {path.name} cannot be written there. Create it first.")
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp keeps files from everyone else, a measurement is to be shared
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
