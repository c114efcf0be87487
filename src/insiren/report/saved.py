"""A fit on disk as JSON, and every file of this stage by rename."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insiren.errors import FitError
from insiren.fit.plain import plain
from insiren.fit.result import Fit


@dataclasses.dataclass(frozen=True, eq=False)
class SavedFit:
    """What a file keeps of a fit.

    Attributes:
        values: of every parameter by name, in its unit.
        errors: standard errors by name; None where there is none.
        names: of the free parameters, in the order of the covariance.
        covariance: of the free parameters, in their units, shape (p, p); NaN at a bound.
        content: the whole file.
    """

    values: dict[str, float]
    errors: dict[str, float | None]
    names: tuple[str, ...]
    covariance: np.ndarray
    content: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The content of the file, as `Fit.to_dict` and whoever saved it gave it."""
        return self.content


def save_fit(fit: Fit, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> Path:
    """Writes a fit as JSON, all at once.

    Args:
        fit: the answer of a fit.
        path: of the file; an existing one is replaced.
        extra: further entries, such as timings; they win over entries of the same name.

    Returns:
        The path. Numbers that are not finite are null in the file.

    Raises:
        FitError: the file cannot be written.
    """
    content = plain({**fit.to_dict(), **(extra or {})})
    return write(path, (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def load_fit(path: str | os.PathLike[str]) -> SavedFit:
    """A fit that `save_fit` wrote.

    Raises:
        FitError: the file is not there, damaged, or not a fit.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise FitError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise FitError(f"{path} is not whole JSON ({error}). Save the fit again.") from error
    try:
        parameters = content["parameters"]
        names = tuple(str(name) for name in content["free"])
        saved = SavedFit(
            values={name: float(entry["value"]) for name, entry in parameters.items()},
            errors={name: None if (e := entry["error"]) is None else float(e) for name, entry in parameters.items()},
            names=names,
            covariance=np.array(content["covariance"], float).reshape(len(names), len(names)),
            content=content,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FitError(f"{path} is JSON but not a saved fit ({type(error).__name__}: {error}).") from error
    if strange := [name for name in names if name not in saved.values]:
        raise FitError(f"{path} frees {', '.join(strange)} but gives no value for it, so it is damaged.")
    return saved


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Puts a file in place by rename, so that no reader meets half of it.

    Raises:
        FitError: the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")  # in the same folder: a rename must not cross disks
    try:
        try:
            partial.write_bytes(content)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FitError(f"{path} cannot be written: {error.strerror or error}. Choose another place.") from error
    return path
