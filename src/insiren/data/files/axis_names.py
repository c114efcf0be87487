"""What an axis measures, from its name and unit."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
import scipp as sc
from scipp import constants

from insiren.data.files.axes import Kind
from insiren.data.files.hints import EXAMPLES
from insiren.data.files.projection import parse
from insiren.errors import DataError

ENERGY = {"energytransfer", "deltae", "energy", "e", "en", "omega", "hw", "hbaromega", "w", "ω", "ħω", "dhw"}
MODULUS = {"qabs", "q", "|q|", "modq", "mod_q", "qmod", "momentumtransfer"}
# Units as reductions write them, without blanks and in small letters, as scipp knows them.
SPELLINGS = {
    **dict.fromkeys(("mev", "deltae", "millielectronvolt", "millielectronvolts", "milli-electronvolt"), "meV"),
    **dict.fromkeys(("uev", "μev", "muev", "microev", "microelectronvolt", "microelectronvolts"), "ueV"),
    **dict.fromkeys(("ev", "electronvolt", "electronvolts"), "eV"),
    "thz": "THz",
    "ghz": "GHz",
    **dict.fromkeys(("1/cm", "cm^-1", "cm-1", "cm**-1", "cm^{-1}", "wavenumber", "deltaeinwavenumber"), "1/cm"),
}
_FREQUENCIES = ("THz", "GHz")
_ANGSTROM, _NANOMETRE = "(?:angstr(?:om|oem|öm)s?|ang|å|a)", "(?:nm|nanomet(?:er|re)s?)"
_INVERSE = r"1/\(?{0}\)?|{0}(?:\^|\*\*)?[({{]?-1[)}}]?|(?:inv|inverse|reciprocal|per)-?{0}"
# Units of |Q| and how many 1/Å they are.
LENGTHS = (
    (re.compile(f"{_INVERSE.format(_ANGSTROM)}|momentumtransfer"), 1.0),
    (re.compile(_INVERSE.format(_NANOMETRE)), 0.1),
)
_NAMED = re.compile(r"(?P<name>[^()]*[^()\s])\s*\((?P<unit>[^()]+)\)")  # "Q (1/Å)"
RLU = re.compile(r"(in )?r\.?l\.?u\.?|dimensionless|one|")


class Meaning(NamedTuple):
    """What an axis measures: its kind, the factor to the unit of the package, and its direction in r.l.u."""

    kind: Kind
    factor: float
    direction: np.ndarray | None = None


def meaning(name: str, unit: str) -> Meaning | None:
    """What an axis measures, or None where name and unit do not say.

    Args:
        name: of the axis.
        unit: as the file writes it, "" where it does not.
    """
    if both := _NAMED.fullmatch(name.strip()):
        name, unit = both["name"], unit.strip() or both["unit"]
    plain, unit = re.sub(r"[\s_]", "", name.strip()).lower(), unit.strip()
    if (factor := energy_factor(unit)) is not None and plain in ENERGY:
        return Meaning("energy", factor)
    if (per := per_angstrom(unit)) is not None:
        return Meaning("Q_abs", per) if plain in MODULUS else None
    if not RLU.fullmatch(unit.lower()):
        return None
    if plain in ("h", "k", "l"):
        return Meaning("hkl", 1.0, np.eye(3)["hkl".index(plain)])
    direction = parse(name)
    return None if direction is None else Meaning("hkl", 1.0, direction)


def energy_factor(unit: str) -> float | None:
    """How many meV a unit of energy is, or None where it is none; an axis without a unit is in meV."""
    spelled = _spelled(unit)
    if not spelled:
        return 1.0
    if spelled not in SPELLINGS:
        return None
    known = SPELLINGS[spelled]
    one = sc.scalar(1.0, unit=known)
    if known in _FREQUENCIES or known == "1/cm":
        h = constants.h if known in _FREQUENCIES else constants.h * constants.c
        return float((one * h).to(unit="meV").value)
    return float(one.to(unit="meV").value)


def unit_of_energy(unit: object) -> float:
    """How many meV the unit of energy is that the user names.

    Raises:
        DataError: it is none.
    """
    if not isinstance(unit, str) or not unit.strip() or (factor := energy_factor(unit)) is None:
        raise DataError(
            f"energy_unit = {unit!r} is no unit of energy that is known: meV, eV, ueV, THz, 1/cm. Write it as in "
            f"{EXAMPLES['energy_unit'][0]}."
        )
    return factor


def is_inverse_angstrom(unit: str) -> bool:
    """Whether a unit is 1/Å in one of its many spellings."""
    return per_angstrom(unit) == 1.0


def may_be_rlu(unit: str) -> bool:
    """Whether an axis in a unit can be a multiple of a wavevector in r.l.u., which energies and lengths cannot."""
    return per_angstrom(unit) is None and (not unit.strip() or energy_factor(unit) is None)


def per_angstrom(unit: str) -> float | None:
    """How many 1/Å a unit of |Q| is, or None where it is none."""
    spelled = _spelled(unit)
    return next((factor for spelling, factor in LENGTHS if spelling.fullmatch(spelled)), None)


def _spelled(unit: str) -> str:
    """A unit without blanks, in small letters, and with one kind of µ, Å, minus and raised digit."""
    plain = unicodedata.normalize("NFKC", re.sub(r"[\s_]", "", unit)).replace("−", "-")
    return plain.lower()
