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
    "seed": ("--hint seed=1", "seed=1"),
    "variant": ("--hint variant=woBG", 'variant="woBG"'),
    "errors": ("--errors variance", 'errors="variance"'),
    "sigma": ("--sigma 0.1", "sigma=0.1"),
    "zeros": ("--zeros missing", 'zeros="missing"'),
    "bins": ("--bins points", 'bins="points"'),
    "signal": ("--signal integral", 'signal="integral"'),
    "q_convention": ("--q-convention crystallography", 'q_convention="crystallography"'),
    "directions": ("--directions labels", 'directions="labels"'),
    "kf_over_ki": ("--kf-over-ki contained", 'kf_over_ki="contained"'),
    "columns": ("--columns E,x,I,sigma", 'columns="E,x,I,sigma"'),
    "energy_unit": ("--energy-unit THz", 'energy_unit="THz"'),
}

# What the options that choose between a few words may be, the same for every reader that takes them.
CHOICES: dict[str, tuple[str, ...]] = {
    "errors": ("sigma", "variance"),  # what is stored beside the intensities
    "zeros": ("missing", "measured"),  # what a pixel is that caught nothing
    "bins": ("averaged", "points"),  # whether a pixel is averaged over its bin or stands for its centre
    "signal": ("density", "integral"),  # per meV, or over each bin of energy
    "q_convention": ("inelastic", "crystallography"),  # Q = ki − kf, or kf − ki
    "directions": ("labels", "columns", "rows"),  # of the axes: what they are called, or a part of W_MATRIX
    "kf_over_ki": ("divided", "contained"),  # the factor of the cross section: out of the intensities, or in them
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


def chosen(hint: str, value: Any) -> str:
    """A hint that is one of a few words.

    Raises:
        DataError: it is anything else.
    """
    allowed = CHOICES[hint]
    if not isinstance(value, str) or value not in allowed:
        raise DataError(f"{hint} = {value!r} is none of {', '.join(allowed)}. Write it as in {EXAMPLES[hint][0]}.")
    return value


def otherwise(hint: str, value: str) -> str:
    """The option as it is written to choose the word after the one that was taken."""
    allowed = CHOICES[hint]
    return f"--{hint.replace('_', '-')} {allowed[(allowed.index(value) + 1) % len(allowed)]}"


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
