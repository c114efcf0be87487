"""ASCII .spe with its .par: intensity of every detector against energy transfer, as a powder over |Q|.

The .spe holds, after `ndet ne`, the edges of the energy bins and then intensities and standard deviations of one
detector after the other, in fields of ten characters, set left or right, that may touch; −1e30 is not measured. Where
the detectors stand is in the .par: distance, 2θ, azimuth, width and height in m and degrees. Neither knows Ei. A .phx,
which begins with distance, an unused number and 2θ, is another table.

Source: Horace, readers and writers of spe and par files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.axes import axis, resized, said_of_bins
from insiren.data.files.errors import NOTHING
from insiren.data.files.hints import EXAMPLES, chosen, lacking, positive
from insiren.data.files.histogram import described
from insiren.data.files.powder import powder_map
from insiren.data.files.scattering import (
    Detectors,
    Pixels,
    modulus,
    said_of_dark,
    said_of_kf_over_ki,
    without_kf_over_ki,
)
from insiren.data.files.text import MAX_BYTES, MAX_LINE, head, inside, lines, numbers
from insiren.errors import DataError

FIELDS = (10, 11)  # characters; the second where exponents have three digits
PAR = (5, 6)  # columns of a .par, the last the number of the detector; a .phx has seven
WIDEST = 40  # characters that anybody prints for a number


def is_spe(path: Path) -> bool:
    """Whether a text begins with two integers and a grid of angles."""
    first = head(path)[:2]
    return len(first) == 2 and bool(re.fullmatch(r"\s*\d+\s+\d+\s*", first[0])) and first[1].startswith("###")


def read_spe(
    path: Path,
    Ei: Any = None,
    par: Any = None,
    q_step: Any = None,
    kf_over_ki: Any = "divided",
    zeros: Any = None,
    bins: Any = None,
) -> list[sc.DataArray]:
    """The map of |Q| and energy of a powder.

    Args:
        path: of the .spe.
        Ei: incident energy in meV, which the file does not know.
        par: path of the .par; by default the one of the same name, or the only one beside it.
        q_step: width of the bins in |Q|, 1/Å; by default twice the distance of neighbouring detectors.
        kf_over_ki: whether that factor is "divided" out of the intensities or "contained" in them.
        zeros: what detectors of nothing but 0 and bins without neutrons are, "missing" or "measured"; by
            default the first are missing, the others measured.
        bins: see `axes.resized`.

    Raises:
        DataError: Ei or the .par is lacking, a file is damaged, or nothing was measured.
    """
    if Ei is None:
        raise lacking(path, "Ei", "the incident energy in meV")
    incident = positive("Ei", Ei)
    step = None if q_step is None else positive("q_step", q_step)
    edges, intensity, sigma = _blocks(path)
    par_file = _par_of(path, par)
    polar = _polar(par_file, len(intensity))
    with np.errstate(invalid="ignore"):
        there = np.isfinite(intensity) & (intensity > NOTHING) & np.isfinite(sigma) & (sigma >= 0)
    meant, contained = zeros and chosen("zeros", zeros), chosen("kf_over_ki", kf_over_ki) == "contained"
    dark = there.any(axis=1) & ~np.any((intensity != 0) & there, axis=1)
    there &= ~dark[:, None] | (meant == "measured")
    stored = axis("energy", "energy", edges, intensity.shape[1], f"{path}: energy")
    energy = resized(stored, bins)
    assumed = [
        f"detectors from {par_file.name}; {EXAMPLES['par'][0]} changes it",
        f"Ei is {incident:g} meV, as --Ei says",
        said_of_kf_over_ki(contained, "the file does not say"),
        "a powder, whose crystals point everywhere; for a crystal convert it to NXSPE and give --lattice, --u and --v",
        *said_of_bins(stored, bins),
        *said_of_dark(int(dark.sum()), len(dark), meant),
    ]
    off = int(np.sum(~there.any(axis=1) & ~dark))
    noted = [f"{off} of {len(there)} detectors are masked (−1e30 or NaN)"] if off else []
    # The map needs no azimuth.
    detectors = Detectors(polar, np.zeros(len(polar)), np.full(len(polar), incident), False)
    kept = (np.where(there, one, 0.0) for one in (intensity, sigma))
    intensity, sigma = without_kf_over_ki(path.stem, detectors, energy.centres, contained, *kept)
    pixels = Pixels(detectors, energy, intensity, sigma**2, ~there, np.nan, assumed, noted)
    Q = modulus(path.stem, detectors, energy.centres)
    data = powder_map(path.stem, pixels, Q, step, meant or "measured")
    return [described(data, pixels.assumed, {"Ei": incident}, pixels.noted)]


def _blocks(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy edges (w + 1,) in meV, intensities and standard deviations (n, w)."""
    text = _Text(path)
    first = text.take().split()
    # Python refuses to read integers of thousands of digits.
    n, w = (int(cell) if len(cell) < 20 else MAX_BYTES for cell in first[:2])
    if not (n and w) or 2 * n * w > MAX_BYTES:
        raise DataError(f"{path}, line 1: {n} detectors and {w} energies are not what one file can hold.")
    _, edges = (_block(text, count) for count in (n + 1, w + 1))
    # What the header promises must fit into what is there, before room is made for it: a digit a number.
    if 2 * n * w > (size := path.stat().st_size):
        raise DataError(f"{path}: {n} detectors and {w} energies do not fit into its {size} bytes. Is it truncated?")
    pixels = np.empty((n, 2, w))
    for detector in range(n):
        for which in (0, 1):
            pixels[detector, which] = _block(text, w)
    if not np.isfinite(edges).all() or np.any(np.diff(edges) <= 0):
        raise DataError(f"{path}: the edges of its energies do not rise through finite numbers.")
    return edges, pixels[:, 0], pixels[:, 1]


class _Text:
    """The lines of a text as they are taken, one of which can be looked at before."""

    def __init__(self, path: Path):
        self.path, self.lines, self.number = path, lines(path), 0
        self.next: str | None = next(self.lines, None)

    def take(self) -> str:
        line, self.next = self.next or "", next(self.lines, None)
        self.number += 1
        return line.rstrip("\r\n")


def _block(text: _Text, count: int) -> np.ndarray:
    """The numbers below a line of ###."""
    path, start = text.path, text.number + 1
    if not text.take().startswith("###"):
        raise DataError(f"{path}, line {start}: a line of ### is needed before the next {count} numbers.")
    block, size = [], 0
    while text.next is not None and not text.next.startswith("###"):
        block.append(text.take())
        size += len(block[-1])
        if size > WIDEST * count + MAX_LINE:
            raise DataError(f"{path}, line {text.number}: more numbers where {count} are needed. Is it damaged?")
    cells = " ".join(block).split()
    for width in FIELDS:
        if len(cells) == count:
            break
        # Fields touch.
        cells = [line[i : i + width].strip() for line in block for i in range(0, len(line.rstrip()), width)]
    if len(cells) != count:
        raise DataError(f"{path}, line {start + 1}: {len(cells)} numbers where {count} are needed. Is it truncated?")
    try:
        return np.array(cells, float)
    except ValueError:
        return np.array(numbers(path, start + 1, list(map(str, cells))))


def _par_of(path: Path, given: Any) -> Path:
    if given is not None:
        if not (file := Path(given)).is_file():
            raise DataError(f"{file} does not exist. Give the .par of the detectors of {path}.")
        return file
    beside = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".par")
    same = [file for file in beside if file.stem == path.stem]
    if len(found := same or beside) != 1:
        raise lacking(path, "par", f"where its detectors stand, and {len(found)} .par files lie beside it")
    return inside(path.parent, found[0])


def _polar(file: Path, n: int) -> np.ndarray:
    """The scattering angle of each detector in degrees, shape (n,)."""
    rows = []
    for number, line in enumerate(lines(file), start=1):
        cells = line.split()
        if number == 1 and len(cells) == 1:
            continue  # the number of detectors, which the rows give as well
        if cells:
            if len(cells) not in PAR:
                phx = " It is a .phx, whose third column is 2θ: give the .par of the same detectors."
                raise DataError(
                    f"{file}, line {number}: {len(cells)} values where a .par has {PAR[0]} or {PAR[1]}: distance, 2θ, "
                    f"azimuth, width, height and number of a detector.{phx if len(cells) == PAR[1] + 1 else ''}"
                )
            rows.append(numbers(file, number, cells)[1])
        if len(rows) > n:
            break
    polar = np.array(rows)
    if len(polar) != n or not np.isfinite(polar).all():
        raise DataError(
            f"{file} places {len(polar)} detectors, finite or not, where the .spe has {n}. Is it of another run?"
        )
    if np.any(np.abs(polar) > 180) or (n > 1 and not polar.any()):
        raise DataError(
            f"{file}: its second column, 2θ in degrees, runs from {polar.min():g} to {polar.max():g}, where no "
            "instrument has all of its detectors. Give the .par of this run; a .phx has 2θ in its third column."
        )
    return polar
