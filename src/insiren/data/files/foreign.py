"""Texts of instruments and programmes that are known and not read yet: what they are, and what to make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from insiren.data.files.text import head

COLUMNS = "h,k,l,E,counts,norm"
SCAN = (
    f"Write its points as a table under the line {COLUMNS} (wavevector in r.l.u., energy transfer in meV, detector and "
    "monitor counts), which insiren reads"
)
SLICE = (
    "Save the slice as rows of intensity, error, Q and energy (.iexy) and give --columns I,sigma,x,E and --q-direction"
)
_ANGLES = re.compile(r"phi|theta|angle|grid|spectr|detector", re.IGNORECASE)


class Foreign(NamedTuple):
    """One layout: what it is called, how to recognise its first lines, and what to do with such a file."""

    what: str
    recognises: Callable[[Sequence[str]], bool]
    remedy: str


def foreign(path: Path) -> str | None:
    """What a text is that another programme wrote and nothing here reads, and what to do; None where it is none."""
    if not (first := [line for line in head(path) if line.strip()]):
        return None
    found = next((one for one in LAYOUTS if one.recognises(first)), None)
    return None if found is None else f"{found.what}, which insiren does not read yet. {found.remedy}."


def _begins(first: Sequence[str], *starts: str) -> bool:
    """Whether there are lines that begin so, one for each."""
    return all(any(line.lstrip().startswith(start) for line in first[:200]) for start in starts)


def _is_spice(first: Sequence[str]) -> bool:
    return _begins(first, "# scan", "# col_headers")


def _is_ill(first: Sequence[str]) -> bool:
    return _begins(first, "INSTR:", "PARAM:") or _begins(first, "COMND:", "POSQE:")


def _is_ice(first: Sequence[str]) -> bool:
    return first[0].startswith("#ICE") or _begins(first, "#Columns", "#InstrName")


def _is_icp(first: Sequence[str]) -> bool:
    return first[0].startswith("'") and len(first) > 1 and {"Filename", "Mon", "Prf"} <= set(first[1].split())


def _is_nicos(first: Sequence[str]) -> bool:
    return first[0].startswith("### NICOS data file")


def _is_dave_spe(first: Sequence[str]) -> bool:
    """As a .spe, but over a coordinate in Q in place of the angles of detectors."""
    title = first[1].lstrip("# ").strip() if len(first) > 1 and first[1].startswith("###") else ""
    return bool(_integers(first[0], 2)) and bool(title) and not _ANGLES.search(title)


def _is_xyie(first: Sequence[str]) -> bool:
    """The lengths of two axes, then each axis, a number a line."""
    sizes = _integers(first[0], 2)
    return bool(sizes) and len(first) > 2 and all(len(line.split()) == 1 for line in first[1:3]) and sum(sizes) > 2


def _is_detectors(first: Sequence[str]) -> bool:
    """The number of detectors, then a row of numbers for each."""
    rows = [line.split() for line in first[1:4]]
    return bool(_integers(first[0], 1)) and bool(rows) and all(len(row) in (5, 6, 7) for row in rows)


def _integers(line: str, count: int) -> list[int]:
    """So many integers that a line holds and nothing else, or none."""
    cells = line.split()
    return (
        [int(cell) for cell in cells] if len(cells) == count and all(re.fullmatch(r"\d{1,9}", c) for c in cells) else []
    )


LAYOUTS = (
    Foreign("a scan of a triple-axis spectrometer of HFIR, ANSTO or another that writes SPICE's text", _is_spice, SCAN),
    Foreign("a scan of a triple-axis spectrometer in the ASCII format of the ILL", _is_ill, SCAN),
    Foreign("a scan of a spectrometer of the NCNR, written by its programme ICE (.bt7, .ng0)", _is_ice, SCAN),
    Foreign("a scan of a spectrometer of the NCNR, written by its programme ICP (.ng5, .bt2)", _is_icp, SCAN),
    Foreign("a scan that NICOS wrote", _is_nicos, SCAN),
    Foreign("a slice that DAVE or MSlice saved as .spe, over a coordinate in Q and no angles", _is_dave_spe, SLICE),
    Foreign("a slice that DAVE saved as .xyie, axes first and then two matrices", _is_xyie, SLICE),
    Foreign(
        "a table of detectors (.par or .phx), which holds no intensities", _is_detectors,
        "Give the .spe of the run; a .par beside it, or given as --hint par=FILE, is read with it",
    ),
)  # fmt: skip
