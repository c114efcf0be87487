"""What an axis measures, from its name and unit."""

from __future__ import annotations

import re
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
# Units as reductions write them, as scipp knows them.
SPELLINGS = {
    "deltae": "meV",
    "mev": "meV",
    "millielectronvolt": "meV",
    "uev": "ueV",
    "µev": "ueV",
    "ev": "eV",
    "thz": "THz",
    "1/cm": "1/cm",
    "cm^-1": "1/cm",
    "deltaeinwavenumber": "1/cm",
}
INVERSE_ANGSTROM = re.compile(
    r"(1/(angstrom|ang|å|a)|(angstrom|ang|å|a)s?(\^|\*\*)?\(?-1\)?|invang|momentumtransfer)", re.I
)
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
    plain, unit = re.sub(r"[\s_]", "", name.strip()).lower(), unit.strip()
    if (factor := energy_factor(unit)) is not None and plain in ENERGY:
        return Meaning("energy", factor)
    if is_inverse_angstrom(unit):
        return Meaning("Q_abs", 1.0) if plain in MODULUS else None
    if not RLU.fullmatch(unit.lower()):
        return None
    if plain in ("h", "k", "l"):
        return Meaning("hkl", 1.0, np.eye(3)["hkl".index(plain)])
    direction = parse(name)
    return None if direction is None else Meaning("hkl", 1.0, direction)


def energy_factor(unit: str) -> float | None:
    """How many meV a unit of energy is, or None where it is none; an axis without a unit is in meV."""
    spelled = re.sub(r"[\s_]", "", unit).lower()
    if not spelled:
        return 1.0
    if spelled not in SPELLINGS:
        return None
    one = sc.scalar(1.0, unit=SPELLINGS[spelled])
    if spelled in ("thz", "1/cm", "cm^-1", "deltaeinwavenumber"):
        h = constants.h if spelled == "thz" else constants.h * constants.c
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
    return INVERSE_ANGSTROM.fullmatch(re.sub(r"[\s_]", "", unit)) is not None
