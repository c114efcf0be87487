"""Tables of peaks as SpinW fits them: `QH QK QL ENlim1 ENlim2 I1 EN1 sigma1 I2 EN2 sigma2 …`.

One row a wavevector, one triplet a mode: intensity, energy, and the standard deviation of the energy. A triplet
whose intensity or energy is 0 is no peak but fills the row. Lines such as `[Mxx] [1 0 0]` say which correlation
the rows below hold and in which plane was scattered.

Source: SpinW, sw_readspec.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import scipp as sc

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


def read_peak_table(path: Path) -> list[sc.DataArray]:
    """The peaks of a table, marked by the coordinate kind = "peaks".

    Raises:
        DataError: a line is damaged, a column is lacking, or no row holds a peak.
    """
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
    table = np.array(rows, float).reshape(len(rows), len(header))
    return [_peaks(path, header, table, tags)]


def _peaks(path: Path, header: list[str], table: np.ndarray, tags: list[str]) -> sc.DataArray:
    count = sum(cell.startswith("en") and cell[2:].isdigit() for cell in header)
    wanted = [(f"i{m}", f"en{m}", f"sigma{m}") for m in range(1, count + 1)]
    place = {name: n for n, name in enumerate(header)}
    for m, (i, en, sigma) in enumerate(wanted):
        wanted[m] = (i, en, sigma if sigma in place else f"s{m + 1}")
    needed = [*WAVEVECTOR, *(name for triplet in wanted for name in triplet)]
    if absent := [name for name in needed if name not in place]:
        raise DataError(f"{path}: the header lacks {', '.join(absent)}; every mode needs I, EN and sigma.")
    I, EN, sigma = (table[:, [place[t[n]] for t in wanted]] for n in range(3))
    there = (I != 0) & (EN != 0) & np.isfinite(EN)
    if not there.any():
        raise DataError(f"{path}: every peak of its {len(table)} rows is 0, so it holds none.")
    row = np.nonzero(there)[0]
    window = None
    if set(WINDOW) <= place.keys():
        window = (table[row, place["enlim1"]], table[row, place["enlim2"]])
    assumed = [
        "a peak of energy or intensity 0 fills the row and is none",
        "sigma is the standard deviation of the energy in meV",
        *([f"tags were read past: {'; '.join(sorted(set(tags))[:5])}"] if tags else []),
    ]
    hkl = table[row][:, [place[c] for c in WAVEVECTOR]]
    return peak_list(path.stem, hkl, EN[there], sigma[there], intensity=I[there], window=window, assumed=assumed)
