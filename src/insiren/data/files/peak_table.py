"""Tables of peaks as SpinW fits them: `QH QK QL ENlim1 ENlim2 I1 EN1 sigma1 I2 EN2 sigma2 …`.

One row a wavevector, one triplet a mode: intensity, energy, and the standard deviation of the energy. A triplet
whose intensity or energy is 0 is no peak but fills the row, unless the user says otherwise. Lines such as
`[Mxx] [1 0 0]` say which correlation the rows below hold and in which plane was scattered.

Source: SpinW, sw_readspec.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.axis_names import unit_of_energy
from insiren.data.files.errors import standard
from insiren.data.files.hints import EXAMPLES, chosen, otherwise
from insiren.data.files.text import head, lines, numbers
from insiren.data.peaks import peak_list
from insiren.errors import DataError

WAVEVECTOR, WINDOW = ("qh", "qk", "ql"), ("enlim1", "enlim2")
_TAG = re.compile(r"\s*\[[A-Za-z]+\]\s*(\[[^\]]*\])?\s*")
MOST_PEAKS = 1_000_000


def is_peak_table(path: Path) -> bool:
    """Whether the first line of a text that is neither blank nor a tag names wavevector and first mode."""
    first = next((line for line in head(path) if line.strip() and not _TAG.fullmatch(line)), "")
    return {*WAVEVECTOR, "en1"} <= {cell.lower() for cell in first.split()}


def read_peak_table(
    path: Path, zeros: Any = "missing", errors: Any = "sigma", energy_unit: Any = "meV"
) -> list[sc.DataArray]:
    """The peaks of a table, marked by the coordinate kind = "peaks".

    Args:
        path: of the table.
        zeros: what a triplet with intensity or energy 0 is: "missing", or "measured" if it has an error.
        errors: what the columns sigma hold, "sigma" or "variance".
        energy_unit: of the energies and their errors.

    Raises:
        DataError: a line is damaged, a column is lacking, or no row holds a peak.
    """
    header, table, tags = _table(path)
    meant, factor = chosen("zeros", zeros), unit_of_energy(energy_unit)
    I, EN, stored = _triplets(path, header, table)
    sigma, about = standard(stored, errors, "sigma of the energies")
    there = np.isfinite(EN) & (((I != 0) & (EN != 0)) if meant == "missing" else (stored != 0))
    if not there.any():
        raise DataError(f"{path}: every peak of its {len(table)} rows is 0, so it holds none.")
    place, row = {name: n for n, name in enumerate(header)}, np.nonzero(there)[0]
    window = None
    if set(WINDOW) <= place.keys():
        low, high = (table[row, place[name]] * factor for name in WINDOW)
        window = low, high
    is_none = "is none" if meant == "missing" else "counts if it has an error"
    assumed = [
        f"a peak of energy or intensity 0 fills the row and {is_none}; {otherwise('zeros', meant)} changes it",
        about,
        f"energies and their errors are in {energy_unit}; {EXAMPLES['energy_unit'][0]} is another unit",
    ]
    noted = [f"tags were read past, the model says what scatters: {'; '.join(sorted(set(tags))[:5])}"] if tags else []
    hkl, energy, error = table[row][:, [place[c] for c in WAVEVECTOR]], EN[there] * factor, sigma[there] * factor
    return [peak_list(path.stem, hkl, energy, error, intensity=I[there], window=window, assumed=assumed, noted=noted)]


def _table(path: Path) -> tuple[list[str], np.ndarray, list[str]]:
    """The header in lower case, the numbers below it, shape (rows, columns), and the tags between them."""
    header: list[str] = []
    rows, tags = [], []
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        if _TAG.fullmatch(line):
            tags.append(line.strip())
        elif not header:
            header = [cell.lower() for cell in line.split()]
        else:
            cells = line.split()
            if len(cells) != len(header):
                raise DataError(f"{path}, line {number}: {len(cells)} values where the header names {len(header)}.")
            rows.append(numbers(path, number, cells))
        if len(rows) * len(header) > MOST_PEAKS:
            raise DataError(f"{path} has more than {MOST_PEAKS:,} values, which no list of peaks has.")
    return header, np.array(rows, float).reshape(len(rows), len(header)), tags


def _triplets(path: Path, header: list[str], table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intensity, energy and error of every mode, each of shape (rows, modes), as the table has them."""
    count = sum(cell.startswith("en") and cell[2:].isdigit() for cell in header)
    wanted = [(f"i{m}", f"en{m}", f"sigma{m}") for m in range(1, count + 1)]
    place = {name: n for n, name in enumerate(header)}
    for m, (i, en, sigma) in enumerate(wanted):
        wanted[m] = (i, en, sigma if sigma in place else f"s{m + 1}")
    needed = [*WAVEVECTOR, *(name for triplet in wanted for name in triplet)]
    if absent := [name for name in needed if name not in place]:
        raise DataError(f"{path}: the header lacks {', '.join(absent)}; every mode needs I, EN and sigma.")
    I, EN, sigma = (table[:, [place[t[n]] for t in wanted]] for n in range(3))
    return I, EN, sigma
