"""Units that a parameter of a model file may have, and what takes its value to meV, T, K and radians.

A parameter keeps its unit wherever it is quoted, given or bounded; only where an expression becomes a
coupling is it converted, so that parameters of different units may stand in one expression.
"""

from __future__ import annotations

import difflib
from typing import Literal

import numpy as np
from scipy import constants

Use = Literal["energy", "field", "temperature", "number"]

# What one unit is in meV. Source: scipy.constants, CODATA; E = k T, E = h f, E = h c / λ.
ENERGIES: dict[str, float] = {
    "meV": 1.0,
    "µeV": 1e-3,
    "K": constants.k / constants.e * 1e3,
    "THz": constants.h * 1e12 / constants.e * 1e3,
    "cm-1": constants.h * constants.c * 100 / constants.e * 1e3,
}
_NUMBERS: dict[str, float] = {"": 1.0, "rad": 1.0, "deg": np.pi / 180}
_OTHERS = ("T", "r.l.u.")
KNOWN = (*ENERGIES, *_OTHERS, *(name for name in _NUMBERS if name))
_ALIASES = {"ueV": "µeV", "μeV": "µeV", "cm^-1": "cm-1", "1/cm": "cm-1", "cm⁻¹": "cm-1"}  # one μ is Greek
# What a value of this use is given in; K is both, so that it is what its use makes of it.
UNITS_OF: dict[Use, tuple[str, ...]] = {
    "energy": tuple(ENERGIES),
    "field": ("T",),
    "temperature": ("K",),
    "number": tuple(_NUMBERS),
}


def spelt(unit: str) -> str:
    """A unit as it is spelt here; ValueError with what is known where there is none."""
    found = _ALIASES.get(unit.strip(), unit.strip())
    if found in (*KNOWN, ""):
        return found
    alike = {known.lower(): known for known in KNOWN}
    close = difflib.get_close_matches(found.lower(), alike, n=1)
    hint = f" Did you mean {alike[close[0]]!r}?" if close else ""
    raise ValueError(f'the unit {unit!r} is not known.{hint} Write one of {", ".join(KNOWN)}, or "" for a pure number')


def factor(unit: str, use: Use) -> float:
    """What a value in a unit is multiplied by where it is used: to meV in energies, to K in temperatures."""
    if use == "temperature" and unit == "K":
        return 1.0
    return ENERGIES.get(unit) or _NUMBERS.get(unit, 1.0)
