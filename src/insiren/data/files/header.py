"""The line of a text that names its columns, in the spellings that people and programmes use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from insiren.data.adopt import CRYSTAL, POWDER
from insiren.data.files.axis_names import ENERGY, is_inverse_angstrom

COMMENT = ("#", "!", "%")
LEFT_OUT = "-"  # the name of a column that is not read
FEW = 2  # columns that must be known by name before a line is taken for one that names them
FEWEST = 3  # columns of a table whose names are all unknown

# What each column may be called, without case, blanks, underscores and units.
SPELLINGS: dict[str, frozenset[str]] = {
    "h": frozenset({"h", "qh"}),
    "k": frozenset({"k", "qk"}),
    "l": frozenset({"l", "ql"}),
    "Q_abs": frozenset({"qabs", "|q|", "modq", "qmod", "absq"}),
    "x": frozenset({"x", "q", "xi", "ξ", "zeta", "ζ"}),
    "E": frozenset(re.sub("_", "", name) for name in ENERGY),
    "I": frozenset({"i", "int", "intensity", "signal", "sqw", "s(q,w)", "s(q,ω)"}),
    "sigma": frozenset(
        {"sigma", "sig", "σ", "err", "error", "errors", "std", "stdev", "stddev", "uncertainty", "standarddeviation"}
        | {"sigmai", "isigma", "di", "dint", "ierr", "erri", "interr", "interror", "intensityerror", "errorintensity"}
    ),
    "sigma_E": frozenset(
        {"sigmae", "esigma", "erre", "eerr", "errore", "eerror", "energyerror", "errorenergy", "sigmaen", "enerr"}
    ),
    "counts": frozenset({"counts", "count", "cnts"}),
    "norm": frozenset({"norm", "monitor", "mon", "normalization", "normalisation"}),
    "mask": frozenset({"mask"}),
    "dataset": frozenset({"dataset"}),
    "column": frozenset({"column"}),
    LEFT_OUT: frozenset({LEFT_OUT}),
}
_CALLED = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}
_UNIT = re.compile(r"\s*[(\[{]([^()\[\]{}]*)[)\]}]\s*$")


class Header(NamedTuple):
    """What the columns of a text are called, and what stands between them.

    Attributes:
        names: of the package where they are known, else as the text has them.
        separator: a comma, a semicolon, a tab, or None for blanks.
        line: its number, counted from 1.
        unit: of the column E, as the text writes it, "" where it does not.
        comment: whether it stands behind a sign of comment.
    """

    names: tuple[str, ...]
    separator: str | None
    line: int
    unit: str = ""
    comment: bool = False

    @property
    def unknown(self) -> list[str]:
        """What is called by no name of the package."""
        return [name for name in self.names if name not in SPELLINGS]


def header_of(first: Sequence[str]) -> Header | None:
    """The line that names the columns of a text, or None where there is none.

    It is the first line that is no comment, unless that holds numbers; then the last comment before it that has
    as many words as the line has numbers, two of them known. The first line may have any words, as many as the rows
    have numbers.

    Args:
        first: lines of the text.
    """
    comments: list[tuple[int, str]] = []
    for number, line in enumerate(first, start=1):
        if not line.strip():
            continue
        if line.lstrip().startswith(COMMENT):
            comments.append((number, line.lstrip().lstrip("#!% \t")))
            continue
        width = len(cells_of(line, separator_of(line)))
        behind = (_named(text, n, True, width) for n, text in reversed(comments) if "=" not in text)
        behind = (found for found in behind if found is not None)
        return next(behind, None) if is_row(line) else _of_words(line, number, first[number:]) or next(behind, None)
    return None


def _of_words(line: str, number: int, rest: Sequence[str]) -> Header | None:
    """A line of words as names of the columns below it, where two are known or there are as many as columns."""
    row = next((row for row in rest if row.strip() and is_row(row)), None)
    width = None if row is None else len(cells_of(row, separator_of(row)))
    known = _named(line, number, False, width) or _named(line, number, False, None)
    return known or (_named(line, number, False, width, 0) if width and width >= FEWEST else None)


def canonical(name: str) -> str:
    """A column as the package calls it, or the name itself where that is none of its own."""
    name = name.strip()
    whole, bare = (re.sub(r"[\s_]", "", text).lower() for text in (name, _UNIT.sub("", name)))
    found = _CALLED.get(whole) or _CALLED.get(bare, name)
    unit = _UNIT.search(name)
    return "Q_abs" if found == "x" and unit and is_inverse_angstrom(unit[1]) else found


def places(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Which of h, k, l, Q_abs and x columns of these names give, whole ones."""
    return [place for place in (CRYSTAL, POWDER, ("x",)) if set(place) <= set(names)]


def separator_of(line: str) -> str | None:
    """What stands between the cells of a line: a semicolon, a comma or a tab where there is one, else blanks."""
    return next((one for one in ";,\t" if one in line), None)


def cells_of(line: str, separator: str | None) -> list[str]:
    """The cells of a line without the blanks around them."""
    return line.split() if separator is None else [cell.strip() for cell in line.strip("\r\n").split(separator)]


def is_row(line: str) -> bool:
    """Whether a line holds numbers, and blank cells between them, alone."""
    cells = [cell for cell in cells_of(line, separator_of(line)) if cell]
    return bool(cells) and all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _named(line: str, number: int, comment: bool, width: int | None, few: int = FEW) -> Header | None:
    """A line as names of so many columns, of which a few are known, whatever stands between them."""
    tight = re.sub(r"\s+(?=[(\[{])", "", line.strip())  # a unit belongs to the name before it
    for separator in dict.fromkeys((separator_of(line), ",", ";", "\t", None)):
        raw = cells_of(tight, separator)
        if width is not None and len(raw) != width:
            continue
        names = tuple(canonical(name) for name in raw)
        if sum(name in SPELLINGS for name in names) < few:
            continue
        units = [
            found[1] for cell, name in zip(raw, names, strict=True) if name == "E" and (found := _UNIT.search(cell))
        ]
        return Header(names, separator, number, units[0] if units else "", comment)
    return None
