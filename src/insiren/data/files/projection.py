"""Directions in reciprocal space as reductions write them: "[H,H,0]", "[-0.5K,K,0]", "[1 0 0]"."""

from __future__ import annotations

import re

import numpy as np

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FIELD = re.compile(rf"({_NUMBER}|[+-])?\s*\*?\s*([HKLhkl])?")
_LIST = re.compile(rf"\[\s*({_NUMBER})[\s,;]+({_NUMBER})[\s,;]+({_NUMBER})\s*\]")
ROUNDING = 5e-3  # labels carry three digits


def parse(label: str) -> np.ndarray | None:
    """The wavevector in r.l.u. of one unit along an axis with this label, shape (3,).

    A letter stands for the coordinate along the axis, whichever letter it is, so that two different
    ones make no sense; a number alone is a factor where no field has a letter ("[1 0 0]") and must
    be 0 where one has.

    Returns:
        The direction, or None where the label names none.
    """
    label = label.strip()
    if len(label) > 200:  # characters; three numbers at full precision take 80
        return None
    if plain := _LIST.fullmatch(label):
        found = np.array([float(number) for number in plain.groups()])
        return found if np.isfinite(found).all() and found.any() else None
    if not (label.startswith("[") and label.endswith("]")):
        return None
    fields = [_FIELD.fullmatch(field.strip()) for field in label[1:-1].split(",")]
    if len(fields) != 3 or not all(fields):
        return None
    direction, letters = np.zeros(3), set()
    for i, field in enumerate(fields):
        assert field is not None
        number, letter = field.groups()
        if letter is None:
            if number is None or number in "+-" or float(number) != 0:
                return None
            continue
        letters.add(letter.upper())
        direction[i] = {"-": -1.0, "+": 1.0, None: 1.0}[number] if number in ("-", "+", None) else float(number)
    return direction if len(letters) == 1 and np.isfinite(direction).all() and direction.any() else None


def refined(directions: list[np.ndarray], matrix: np.ndarray) -> list[np.ndarray] | None:
    """The directions at full precision, from a matrix that holds them as columns or as rows.

    Writers disagree about which of the two it is, and some copy a matrix that belongs to something
    else. So it is believed only where it agrees with every label to the rounding of the labels.

    Args:
        directions: as parsed, in r.l.u., each of shape (3,).
        matrix: shape (3, 3), in r.l.u.

    Returns:
        The directions in the same order, or None where the matrix says something else.
    """
    for candidates in (matrix.T, matrix):
        near = [[c for c in candidates if np.allclose(c, d, rtol=0, atol=ROUNDING)] for d in directions]
        if all(near):
            return [found[0] for found in near]
    return None
