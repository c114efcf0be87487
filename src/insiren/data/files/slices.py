"""Slices in text as reductions of the SNS print them: a header, usually after `#`, then intensity, error and the axes.

The header names the axes, `# Intensity Error [H,0,0] DeltaE`, and often their lengths, `# shape: 40x60`;
it may hold Ei and a lattice. Every row is one bin: intensity, standard deviation, then the centre of the bin
along every axis. nan and −1e20 are not measured.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.adopt import CRYSTAL
from insiren.data.files.errors import measured_only, standard
from insiren.data.files.header import canonical
from insiren.data.files.hints import EXAMPLES, chosen, lacking, vector
from insiren.data.files.projection import parse
from insiren.data.files.table import filled_zeros, laid_out
from insiren.data.files.text import head, lines, numbers
from insiren.data.spectrum import Details
from insiren.errors import DataError

_HEADER = re.compile(r"#?\s*Intensity\s+Error\s+(\S.*)", re.IGNORECASE)
_SHAPE = re.compile(r"#\s*shape\s*:\s*(\d+(?:x\d+)*)\s*", re.IGNORECASE)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_EI = re.compile(rf"#.*\bEi\b\s*[:=]?\s*({_NUMBER})", re.IGNORECASE)


def is_slice(path: Path) -> bool:
    """Whether the header of a text names intensity, error and axes."""
    first = head(path)
    named = (line for line in first if not line.startswith("#") and line.strip())
    return any(_HEADER.match(line) for line in [*(line for line in first if line.startswith("#")), next(named, "")])


def read_slice(
    path: Path,
    q_origin: Any = None,
    energy: Any = None,
    lattice: Any = None,
    errors: Any = "sigma",
    zeros: Any = "measured",
) -> list[sc.DataArray]:
    """The one data set of a slice in text.

    Args:
        path: of the text.
        q_origin: wavevector in r.l.u. added to every row, for the axes that were integrated and are not
            printed; by default (0, 0, 0).
        energy: energy transfer in meV of a slice without an axis of energy.
        lattice: a, b, c in Å and alpha, beta, gamma in degrees, where the header has none.
        errors: what the second column holds, "sigma" or "variance".
        zeros: what a bin of 0 ± 0 is, "measured" or "missing".

    Raises:
        DataError: an axis means nothing, a line is damaged, rows are missing, or there is no energy.
    """
    axes, shape, details = _header(path)
    rows = _rows(path, len(axes) + 2)
    if shape and (n := int(np.prod(shape, dtype=object))) != len(rows):
        raise DataError(f"{path} has {len(rows)} rows where its header promises {n}. Is it truncated?")
    if bad := int(np.sum(~np.isfinite(rows[:, 2:]))):
        raise DataError(f"{path}: {bad} coordinates are not finite; only intensities and errors may be missing.")
    place, energies, assumed = _coordinates(path, axes, rows[:, 2:], q_origin, energy)
    intensity, stored, noted = measured_only(np.where(np.isnan(rows[:, 1]), np.nan, rows[:, 0]), rows[:, 1])
    sigma, about = standard(np.where(np.isnan(intensity), 0.0, stored), errors, "the second column")
    intensity, sigma, said = filled_zeros(intensity, sigma, energies, chosen("zeros", zeros))
    if lattice is not None:
        details["lattice"] = vector("lattice", lattice, 6).tolist()
    details["assumed"], details["noted"] = [*assumed, about, *said], noted
    return [laid_out(path.stem, place, energies, intensity, sigma, details)]


def _header(path: Path) -> tuple[list[str], tuple[int, ...], Details]:
    """Names of the axes, their lengths if they are given, and what else the header knows."""
    axes, shape, details = [], (), Details()
    for line in head(path):
        named = _HEADER.match(line)
        if line.strip() and not line.startswith("#") and not named:
            break
        if named:
            axes = named[1].split()
        elif lengths := _SHAPE.match(line):
            shape = _lengths(path, lengths[1])
        elif "lattice" in line.lower() and len(six := re.findall(rf"(?<![\w.]){_NUMBER}", line)) == 6:
            details["lattice"] = [float(x) for x in six]
        elif Ei := _EI.match(line):
            details["Ei"] = float(Ei[1])
    if shape and len(shape) != len(axes):
        raise DataError(f"{path}: the header names {len(axes)} axes but gives the lengths of {len(shape)}.")
    return axes, shape, details


def _lengths(path: Path, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.split("x"))
    except ValueError:
        raise DataError(f"{path}: the header gives lengths of axes that are no numbers, {text[:40]!r}.") from None


def _rows(path: Path, width: int) -> np.ndarray:
    found = array("d")
    for number, line in enumerate(lines(path), start=1):
        if line.startswith("#") or not (cells := line.replace(",", " ").split()) or (not found and _HEADER.match(line)):
            continue
        if len(cells) != width:
            raise DataError(f"{path}, line {number}: {len(cells)} values where the header names {width} columns.")
        found.extend(numbers(path, number, cells))
    if not found:
        raise DataError(f"{path} has a header but no rows.")
    return np.frombuffer(found).reshape(-1, width)


def _coordinates(
    path: Path, axes: list[str], values: np.ndarray, q_origin: Any, energy: Any
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Place (d, 3) in r.l.u. or (d, 1) in 1/Å, energy (d,) in meV, and what was assumed."""
    energies, lengths, directions, along = None, None, [], []
    for axis, column in zip(axes, values.T, strict=True):
        name = canonical(axis)
        direction = np.eye(3)[CRYSTAL.index(name)] if name in CRYSTAL else parse(axis)
        if name == "E":
            energies = column
        elif name == "Q_abs":
            lengths = column
        elif direction is not None:
            directions.append(direction)
            along.append(column)
        else:
            raise DataError(
                f"{path}: the axis {axis!r} is neither an energy (DeltaE), |Q|, nor a direction such as [H,0,0]. "
                "Print the slice over directions in reciprocal lattice units."
            )
    assumed = []
    if energies is None:
        if energy is None:
            raise lacking(path, "energy", "at what energy transfer it was taken; its axes are " + ", ".join(axes))
        energies = np.full(len(values), vector("energy", (energy,), 1)[0])
        assumed.append(f"the energy transfer is {energies[0]:g} meV; --energy changes it")
    if lengths is not None:
        return lengths[:, None], energies, assumed
    origin = vector("q_origin", (0, 0, 0) if q_origin is None else q_origin)
    if q_origin is not None or np.linalg.matrix_rank(np.array([*directions, np.zeros(3)])) < 3:
        shown = " ".join(f"{c:g}" for c in origin)
        assumed.append(f"what the axes leave open in Q is ({shown}) in r.l.u.; {EXAMPLES['q_origin'][0]} changes it")
    place = origin + sum((x[:, None] * d for x, d in zip(along, directions, strict=True)), np.zeros((len(values), 3)))
    return place, energies, assumed
