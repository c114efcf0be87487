"""The image of a .sqw or .d1d to .d4d file of Horace's versions 2 and 3.

One thing follows another: the header; where there are pixels a main header, a header for each run and the detectors;
then names, lattice, projection, axes and image, and the pixels, which are not read. A wavevector is
uoffset + Σ u_to_rlu[:, i] xᵢ, all numbers are of single precision.

Source: Horace's description of its files, versions 2 and 3; decoded to the last byte of a file of version 2.
"""

from __future__ import annotations

import math

import numpy as np

from insiren.data.files.horace_bytes import LIST, TEXT, Stream
from insiren.data.files.horace_cut import ENERGY, MOST, Cut, cut_axis
from insiren.errors import DataError

AXES = 4
RUNS = 100_000  # at most
RUN = 19 * 4  # bytes: energy, mode, lattice, orientation; five angles of the goniometer
FRAME = 24 * 4  # bytes: offset, matrix and lengths of the axes of a run


def cut_of(stream: Stream, pixels: bool, dimensions: int) -> Cut:
    """The image.

    Args:
        stream: after the header.
        pixels: whether the file has them.
        dimensions: as the header says.

    Raises:
        DataError: the file is damaged, or its axes mix wavevector and energy.
    """
    if pixels:
        _skip_runs(stream)
    stream.texts(3)  # name, folder and title
    lattice, offset = stream.numbers("f4", 6).astype(float), stream.numbers("f4", 4).astype(float)
    matrix = stream.numbers("f4", 16).reshape(AXES, AXES).T.astype(float)
    if not np.isfinite(matrix).all() or np.any(matrix[ENERGY, :3]) or np.any(matrix[:3, ENERGY]) or matrix[3, 3] != 1:
        raise DataError(
            f"{stream.path}: its projection (u_to_rlu) mixes wavevector and energy, or is none. Cut it again along "
            "directions of h, k, l and the energy."
        )
    stream.skip(4 * AXES)  # lengths of the axes in 1/Å
    _skip_labels(stream)
    plotted, integrated, ranges, edges = _axes(stream, dimensions)
    axes = [
        cut_axis(stream.path, i, x, len(x) - 1, matrix[:3, i], offset[ENERGY])
        for i, x in zip([*plotted, *integrated], [*edges, *ranges], strict=True)
        if np.isfinite(x).all()
    ]
    lengths = [len(x) - 1 for x in edges] + [1] * (len(axes) - len(plotted))
    size = math.prod(lengths)
    if size > MOST:
        raise DataError(f"{stream.path} has {size:,} bins, above the {MOST:,} that are read. Cut a part of it.")
    stream.check(size * 16)
    values, second, npix = (stream.numbers(kind, size).reshape(lengths, order="F") for kind in ("f4", "f4", "u8"))
    endless = [i for i, x in zip(integrated, ranges, strict=True) if not np.isfinite(x).all()]
    return Cut(lattice, offset, axes, endless, values, second, npix)


def _axes(stream: Stream, dimensions: int) -> tuple[list[int], list[int], list[np.ndarray], list[np.ndarray]]:
    """Numbers of the plotted and the integrated axes from 0, ranges of the latter, edges of the former."""
    n = stream.count("plotted axes", AXES)
    if n != dimensions or not n:
        raise stream.damaged(f"it has {n} plotted axes and a header that says {dimensions}, where 1 to 4 make sense")
    integrated = [int(i) - 1 for i in stream.numbers("i4", AXES - n)]
    ranges = list(stream.numbers("f4", 2 * (AXES - n)).reshape(-1, 2))
    plotted = [int(i) - 1 for i in stream.numbers("i4", n)]
    if sorted([*plotted, *integrated]) != list(range(AXES)):
        raise stream.damaged(f"its axes are numbered {[i + 1 for i in (*plotted, *integrated)]}, not 1 to 4")
    edges = [stream.numbers("f4", stream.count("edges", LIST)) for _ in plotted]
    if bad := [i + 1 for i, x in zip(plotted, edges, strict=True) if len(x) < 2 or not np.isfinite(x).all()]:
        raise stream.damaged(f"axis {bad[0]} has no bins, or edges that are not finite")
    stream.skip(4 * n)  # in which order they are drawn
    return plotted, integrated, ranges, edges


def _skip_runs(stream: Stream) -> None:
    """Passes the main header, the runs and the detectors."""
    stream.texts(3)
    for _ in range(stream.count("runs", RUNS)):
        stream.texts(2)
        stream.skip(RUN)
        stream.skip(4 * stream.count("energies", LIST))
        stream.skip(FRAME)
        _skip_labels(stream)
    stream.texts(2)
    stream.skip(6 * 4 * stream.number("u4"))  # detectors: group, distance, two angles, width, height


def _skip_labels(stream: Stream) -> None:
    rows, columns = stream.count("labels", TEXT), stream.count("characters", TEXT)
    stream.skip(rows * columns)
