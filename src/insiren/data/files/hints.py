"""What a reader may be told because its file does not say it, and how it asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from insiren.errors import DataError

# The option of the command line and the argument in Python, with an example of each.
EXAMPLES: dict[str, tuple[str, str]] = {
    "lattice": ("--lattice 3.89,3.89,12.55,90,90,90", "lattice=(3.89, 3.89, 12.55, 90, 90, 90)"),
    "Ei": ("--Ei 190", "Ei=190.0"),
    "q_direction": ("--q-direction 0,0,1", "q_direction=(0, 0, 1)"),
    "q_origin": ("--q-origin 0.5,0.5,0", "q_origin=(0.5, 0.5, 0)"),
    "q_step": ("--q-step 0.02", "q_step=0.02"),
    "energy": ("--energy 10", "energy=10.0"),
    "par": ("--hint par=detectors.par", 'par="detectors.par"'),
    "u": ("--u 1,0,0", "u=(1, 0, 0)"),
    "v": ("--v 0,1,0", "v=(0, 1, 0)"),
    "psi": ("--psi 30", "psi=30.0"),
    "cut": ('--cut "h=0:0.5; energy_transfer=5:20"', 'cut={"h": (0, 0.5), "energy_transfer": (5, 20)}'),
    "Q_abs": ("--hint Q_abs=1.5", "Q_abs=1.5"),
    "sample": ("--hint sample=100000", "sample=100000"),
    "normalisation": ("--hint normalisation=num_events", 'normalisation="num_events"'),
    "geometry": ("--hint geometry=indirect", 'geometry="indirect"'),
    "entry": ("--hint entry=entry/data", 'entry="entry/data"'),
}


def lacking(path: Path, hint: str, what: str) -> DataError:
    """The error that asks for what a file lacks.

    Args:
        path: of the file.
        hint: name of the option that gives it.
        what: it is, as the end of "does not say …".
    """
    return DataError(f"{path} does not say {what}. Give it as {how(hint)}.")


def how(*hints: str) -> str:
    """How something is said that a file lacks: the options of the command line, and the arguments in Python."""
    options, arguments = zip(*(EXAMPLES[hint] for hint in hints), strict=True)
    return f"{' '.join(options)}, or {', '.join(arguments)} in Python"


def vector(hint: str, value: Any, length: int = 3) -> np.ndarray:
    """A hint as so many finite numbers, shape (length,).

    Raises:
        DataError: it is anything else.
    """
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and len(value) == length:
        found = np.asarray(value)
        if found.shape == (length,) and found.dtype.kind in "iuf" and np.isfinite(found).all():
            return found.astype(float)
    raise DataError(f"{hint} = {value!r} is not made of {length} numbers. Write it as in {EXAMPLES[hint][0]}.")


def positive(hint: str, value: Any) -> float:
    """A hint as a positive finite number.

    Raises:
        DataError: it is anything else.
    """
    if isinstance(value, int | float | np.number) and 0 < float(value) < np.inf:
        return float(value)
    raise DataError(f"{hint} = {value!r} is not a positive number. Write it as in {EXAMPLES[hint][0]}.")
