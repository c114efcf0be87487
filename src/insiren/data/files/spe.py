"""ASCII .spe with its .par: intensity of every detector against energy transfer, as a powder over |Q|.

The .spe holds, after `ndet ne`, the edges of the energy bins and then intensities and standard deviations of one
detector after the other, in fields of ten characters that may touch; −1e30 is not measured. Where the detectors
stand is in the .par: distance, 2θ, azimuth, width and height in m and degrees. Neither knows Ei.

Source: Horace, readers of spe and par files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.hints import EXAMPLES, lacking, positive
from insiren.data.files.table import filled_zeros
from insiren.data.files.text import MAX_BYTES, check_size, head, lines, numbers
from insiren.data.spectrum import image
from insiren.errors import DataError

MEV = 2.0721248  # E = ħ²k²/2m in meV for k in 1/Å. Source: CODATA 2018.
NOTHING = -1e29  # intensities at or below it were not measured; the format writes −1e30
FIELD = 10  # characters
MOST_BINS = 10_000  # in |Q|; a step that gives more is a slip of the pen


def is_spe(path: Path) -> bool:
    """Whether a text begins with two integers and a grid of angles."""
    first = head(path)[:2]
    return len(first) == 2 and bool(re.fullmatch(r"\s*\d+\s+\d+\s*", first[0])) and first[1].startswith("###")


def read_spe(path: Path, Ei: Any = None, par: Any = None, q_step: Any = None) -> list[sc.DataArray]:
    """The map of |Q| and energy of a powder.

    Args:
        path: of the .spe.
        Ei: incident energy in meV, which the file does not know.
        par: path of the .par; by default the one of the same name, or the only one beside it.
        q_step: width of the bins in |Q|, 1/Å; by default twice the distance of neighbouring detectors.

    Raises:
        DataError: Ei or the .par is lacking, a file is damaged, or nothing was measured.
    """
    if Ei is None:
        raise lacking(path, "Ei", "the incident energy in meV")
    incident = positive("Ei", Ei)
    edges, intensity, sigma = _blocks(path)
    par_file = _par_of(path, par)
    polar = _polar(par_file, len(intensity))
    omega = (edges[1:] + edges[:-1]) / 2
    if omega.max() >= incident:
        raise DataError(
            f"{path}: energies run to {omega.max():g} meV, so no neutron of Ei = {incident:g} meV is left. Give the "
            f"right {EXAMPLES['Ei'][0].split()[0]}."
        )
    with np.errstate(invalid="ignore"):
        there = np.isfinite(intensity) & (intensity > NOTHING) & np.isfinite(sigma) & (sigma >= 0)
    there &= np.any((intensity != 0) & there, axis=1, keepdims=True)  # a detector behind nothing is all zero
    if not there.any():
        raise DataError(f"{path}: all {there.size} pixels are masked, zero or NaN, so nothing was measured.")
    ki, kf = np.sqrt(incident / MEV), np.sqrt((incident - omega) / MEV)
    Q = np.sqrt(np.maximum(ki**2 + kf**2 - 2 * ki * kf * np.cos(np.radians(polar))[:, None], 0.0))
    step = _usual_step(Q, there) if q_step is None else positive("q_step", q_step)
    dark = int(np.sum(~there.any(axis=1)))
    assumed = [
        f"detectors from {par_file.name}; --hint par=FILE changes it",
        f"a powder, in bins of {step:g} 1/Å in |Q|; --q-step changes it",
        f"Ei is {incident:g} meV, and the factor ki/kf is contained in the intensities",
        *([f"{dark} of {len(there)} detectors were off (−1e30), or behind nothing (all zero)"] if dark else []),
    ]
    data = _powder(path, omega, Q, intensity, sigma, there, step, {"Ei": incident, "assumed": assumed})
    widths = np.diff(edges)
    if np.ptp(widths) <= 1e-4 * widths.max():  # relative; edges are printed with about four digits
        data.coords["bin_omega"] = sc.scalar(float(widths.mean()), unit="meV")
    data.coords["bin_Q_abs"] = sc.scalar(step, unit="1/angstrom")
    return [data]


def _blocks(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy edges (w + 1,) in meV, intensities and standard deviations (n, w)."""
    check_size(path)
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    n, w = (int(cell) for cell in text[0].split()[:2])
    if not (n and w) or 2 * n * w > MAX_BYTES:
        raise DataError(f"{path}, line 1: {n} detectors and {w} energies are not what one file can hold.")
    at, blocks = 1, []
    for count in (n + 1, w + 1):
        values, at = _block(path, text, at, count)
        blocks.append(values)
    # What the header promises must fit into what is there, before room is made for it: a digit a number.
    if 2 * n * w > (size := path.stat().st_size):
        raise DataError(f"{path}: {n} detectors and {w} energies do not fit into its {size} bytes. Is it truncated?")
    pixels = np.empty((n, 2, w))
    for detector in range(n):
        for which in (0, 1):
            pixels[detector, which], at = _block(path, text, at, w)
    edges = blocks[1]
    if not np.isfinite(edges).all() or np.any(np.diff(edges) <= 0):
        raise DataError(f"{path}: the edges of its energies do not rise through finite numbers.")
    return edges, pixels[:, 0], pixels[:, 1]


def _block(path: Path, text: list[str], at: int, count: int) -> tuple[np.ndarray, int]:
    """The numbers below a line of ###, and the line after them."""
    if at >= len(text) or not text[at].startswith("###"):
        raise DataError(f"{path}, line {at + 1}: a line of ### is needed before the next {count} numbers.")
    last = at + 1
    while last < len(text) and not text[last].startswith("###"):
        last += 1
    cells = " ".join(text[at + 1 : last]).split()
    if len(cells) != count:  # fields touch
        cells = [cell for line in text[at + 1 : last] for cell in _fields(line)]
    if len(cells) != count:
        raise DataError(f"{path}, line {at + 2}: {len(cells)} numbers where {count} are needed. Is it truncated?")
    try:
        return np.array(cells, float), last
    except ValueError:
        return np.array(numbers(path, at + 2, cells)), last


def _fields(line: str) -> list[str]:
    """The fields of a line that are ten characters wide, eleven where an exponent has three digits."""
    line = line.rstrip()
    full = len(line) % FIELD and not len(line) % (FIELD + 1)
    width = FIELD + 1 if full else FIELD
    return [line[i : i + width].strip() for i in range(0, len(line), width)]


def _par_of(path: Path, given: Any) -> Path:
    if given is not None:
        if not (file := Path(given)).is_file():
            raise DataError(f"{file} does not exist. Give the .par of the detectors of {path}.")
        return file
    beside = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".par")
    same = [file for file in beside if file.stem == path.stem]
    if len(found := same or beside) != 1:
        raise lacking(path, "par", f"where its detectors stand, and {len(found)} .par files lie beside it")
    return found[0]


def _polar(file: Path, n: int) -> np.ndarray:
    """The scattering angle of each detector in degrees, shape (n,)."""
    rows = []
    for number, line in enumerate(lines(file), start=1):
        cells = line.split()
        if number == 1 and len(cells) == 1:
            continue  # the number of detectors, which the rows give as well
        if cells:
            if len(cells) < 3:
                raise DataError(
                    f"{file}, line {number}: {len(cells)} values where distance, 2θ and azimuth are needed."
                )
            rows.append(numbers(file, number, cells[:3])[1])
        if len(rows) > n:
            break
    polar = np.array(rows)
    if len(polar) != n or not np.isfinite(polar).all():
        raise DataError(
            f"{file} places {len(polar)} detectors, finite or not, where the .spe has {n}. Is it of another run?"
        )
    return polar


def _powder(path, omega, Q, intensity, sigma, there, step, details) -> sc.DataArray:
    """The mean intensity of the detectors in each bin of |Q|; σ² of a mean of n is Σσ²/n²."""
    # Bins begin at multiples of the step, so that runs with other angles have the same.
    first, last = np.floor(Q[there].min() / step), np.floor(Q[there].max() / step)
    if last - first >= MOST_BINS:
        raise DataError(f"{path}: q_step = {step:g} 1/Å gives {last - first:.3g} bins. Make it larger.")
    bins, w = int(last - first) + 1, len(omega)
    cell = ((np.floor(Q / step) - first).astype(int) * w + np.arange(w))[there]

    def total(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(cell, weights, minlength=bins * w).reshape(bins, w)

    n = total(None)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, error = total(intensity[there]) / n, np.sqrt(total(sigma[there] ** 2)) / n
    centres = (first + np.arange(bins) + 0.5) * step
    mean, error = np.where(n == 0, np.nan, mean), np.where(n == 0, 0.0, error)
    sigma, said = filled_zeros(mean.ravel(), error.ravel(), np.tile(omega, bins))
    details["assumed"] += said
    return image(path.stem, None, omega, mean, sigma.reshape(mean.shape), Q_abs=centres, **details)


def _usual_step(Q: np.ndarray, there: np.ndarray) -> float:
    """Twice the median distance of neighbouring detectors in |Q|, rounded up to 1, 2 or 5 times a power of ten."""
    column = int(np.argmax(there.sum(axis=0)))
    values = np.unique(np.round(Q[there[:, column], column], 5))  # 1/Å; detectors in one ring have one |Q|
    wanted = 2 * float(np.median(np.diff(values))) if len(values) > 1 else 0.1
    wanted = max(wanted, 2 * float(np.ptp(Q[there])) / MOST_BINS)
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9)))
