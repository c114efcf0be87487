"""Horace .sqw files of version 4, read by scippneutron (the extra `horace`).

The image of the file is taken, not its pixels: intensity, its error and how many pixels fell into each bin, over
the axes of an orthogonal projection in 1/Å that the lattice turns into h, k, l.

Source: scippneutron, scippneutron.io.sqw.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.files.axes import scalar
from insiren.data.files.confined import arrays_of
from insiren.data.files.errors import standard
from insiren.data.files.hints import chosen, vector
from insiren.data.files.orientation import orientation, reciprocal
from insiren.data.files.table import empty_bins
from insiren.data.spectrum import image
from insiren.errors import DataError

SIGNATURE = b"horace"


def is_sqw(path: Path) -> bool:
    """Whether a file begins with the header of Horace, in either byte order."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(4 + len(SIGNATURE))
    return start[4:] == SIGNATURE and start[:4] in (struct.pack("<I", 6), struct.pack(">I", 6))


def read_sqw(
    path: Path, errors: Any = "variance", q_origin: Any = None, energy: Any = None, zeros: Any = None
) -> list[sc.DataArray]:
    """The image of a .sqw file.

    Args:
        path: of the file.
        errors: what the second array of the image is: "variance", as Horace keeps it, or "sigma", as
            scippneutron writes it.
        q_origin: r.l.u. at which all axes in Q are 0, in place of the offset of the file.
        energy: energy transfer in meV of a cut that was integrated over it.
        zeros: what bins without pixels and bins of 0 ± 0 are, "missing" or "measured"; by default the first
            are missing, the others measured.

    Raises:
        DataError: an option makes no sense, scippneutron is not installed, the file is damaged, of another
            version, has no image, or a projection that scippneutron does not know.
    """
    errors, zeros = chosen("errors", errors), zeros and chosen("zeros", zeros)
    if importlib.util.find_spec("scippneutron") is None:
        raise DataError(
            f"{path} is a .sqw file, which scippneutron reads; it is not installed. Install it with pip install "
            "'insiren[horace]', or save the cut from MATLAB as a struct (-v7.3)."
        )
    found = arrays_of("sqw", path)
    if not all(np.isfinite(found[key]).all() for key in ("ranges", "offset", "u", "v", "lattice")):
        raise DataError(f"{path}: its axes or its projection hold numbers that are not finite.")
    if np.any(found["scales"] != 1):
        raise DataError(f"{path}: its axes are scaled, which is not understood. Save the cut from MATLAB (-v7.3).")
    lengths, ranges, lattice = found["lengths"].astype(int), found["ranges"], found["lattice"].tolist()
    edges = [np.linspace(low, high, n + 1) for (low, high), n in zip(ranges, lengths, strict=True)]
    centres = [(x[1:] + x[:-1]) / 2 for x in edges]
    grid = np.stack(np.meshgrid(*centres[:3], indexing="ij"), axis=-1).reshape(-1, 3)
    B = reciprocal(str(path), lattice)
    # h, k, l of one 1/Å along each axis of the projection, as rows.
    directions = orientation(str(path), B, found["u"], found["v"]) @ np.linalg.inv(B).T
    hkl = grid @ directions + (found["offset"][:3] if q_origin is None else vector("q_origin", q_origin))
    omega = centres[3] + found["offset"][3]
    if energy is not None:
        if len(omega) > 1:
            raise DataError(f"{path} has an axis of energy transfer; energy = {energy} contradicts it.")
        omega = np.array([scalar(str(path), "energy", energy)])
    values, npix, second = (found[key].reshape(len(hkl), -1) for key in ("values", "npix", "second"))
    missing = (npix == 0) | ~np.isfinite(values)
    second = np.where(missing, 0.0, second)
    if not np.isfinite(second).all() or np.any(second < 0):
        raise DataError(f"{path}: some of its errors are negative or not finite. Save the file again.")
    stored, said = standard(second, errors, "the second array of the image")
    intensity, sigma, about = empty_bins(np.where(missing, np.nan, values), stored, omega, npix, zeros)
    assumed = [said, *about, *_integrated(lengths, ranges)]
    return [image(path.stem, hkl, omega, intensity, sigma, assumed=assumed, lattice=lattice)]


def _integrated(lengths: np.ndarray, ranges: np.ndarray) -> list[str]:
    return [
        f"axis {n + 1} was integrated from {low:g} to {high:g} {'meV' if n == 3 else '1/Å'} and counts as its middle; "
        f"{'--energy' if n == 3 else '--q-origin'} moves it"
        for n, (length, (low, high)) in enumerate(zip(lengths, ranges, strict=True))
        if length == 1
    ]
