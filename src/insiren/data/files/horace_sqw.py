"""Files of Horace, .sqw and .d1d to .d4d, of the versions 2 to 4.

The image of a file is taken, not its pixels: intensity, its variance and how many pixels fell into each bin, over
straight axes that the file turns into h, k, l and energy.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import scipp as sc

from insiren.data.files import horace_v2, horace_v4
from insiren.data.files.hints import chosen
from insiren.data.files.horace_bytes import Stream
from insiren.data.files.horace_cut import Told, spectrum
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
    path: Path,
    errors: Any = "variance",
    q_origin: Any = None,
    energy: Any = None,
    zeros: Any = None,
    bins: Any = None,
) -> list[sc.DataArray]:
    """The image of a file.

    Args:
        path: of the file.
        errors: what the second array of the image is: "variance", as Horace keeps it, or "sigma", as
            scippneutron writes it.
        q_origin: r.l.u. at which all axes in Q are 0, in place of the offset of the file.
        energy: energy transfer in meV of a cut that was integrated over it.
        zeros: what bins without pixels and bins of 0 ± 0 are, "missing" or "measured"; by default the first
            are missing, the others measured.
        bins: see `axes.resized`.

    Raises:
        DataError: an option makes no sense, or the file is damaged, of another version, has no image, or axes that
            are not straight.
    """
    told = Told(chosen("errors", errors), q_origin, energy, zeros and chosen("zeros", zeros), bins)
    with path.open("rb") as file:
        order = "<" if file.read(4) == struct.pack("<I", 6) else ">"
        stream = Stream(file, path, order)
        stream.skip(4 + len(SIGNATURE))
        version = float(stream.numbers("f8", 1)[0])
        pixels, dimensions = stream.number("u4") == 1, stream.number("u4")
        if 2 <= version < 4:
            cut = horace_v2.cut_of(stream, pixels, dimensions)
        elif 4 <= version < 5:
            cut = horace_v4.cut_of(stream)
        else:
            raise DataError(
                f"{path} is of Horace's version {version:g}, and the versions 2 to 4 are read. Load and save it with a "
                "Horace of today, or save the cut from MATLAB as a struct (-v7.3)."
            )
    return [spectrum(path, cut, told)]
