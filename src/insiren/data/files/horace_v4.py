"""The image of a .sqw file of Horace's version 4.

A table at the beginning says where each block lies; "data", "metadata" holds the axes and the projection as structs of
MATLAB, "data", "nd_data" the image. One unit along axis i is img_scales[i] 1/Å (`ulen` in the first files of this
version): along u; in the plane of u and v, across u; and along u × v; or along u, v and w themselves where the
projection calls itself nonorthogonal.

Source: scippneutron, description of SQW 4.0; Horace, classes line_proj and line_axes; two files that Horace wrote.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from insiren.data.files.horace_bytes import Stream
from insiren.data.files.horace_cut import ENERGY, MOST, Cut, cut_axis
from insiren.data.files.orientation import orientation, reciprocal
from insiren.data.files.tree import printable
from insiren.errors import DataError

METADATA, IMAGE = ("data", "metadata"), ("data", "nd_data")
BLOCKS = 1000  # of a file, at most
LARGEST = 1 << 22  # bytes of a block of metadata
DEPTH, FIELDS = 16, 10_000  # structs in structs, and what one may hold
LOGICAL, CHAR, CELL, STRUCT, ITSELF = 0, 1, 23, 24, 32  # an object that is written as "itself" has a tag of its own
KINDS = {LOGICAL: "u1", 3: "f8", 4: "f4", 5: "i1", 6: "u1", 7: "i2", 8: "u2", 9: "i4", 10: "u4", 11: "i8", 12: "u8"}
STRAIGHT = ("line_proj", "ortho_proj")  # projections whose axes are straight, by the name of their class
REMEDY = "Cut it again with a projection along straight lines (line_proj)"


def cut_of(stream: Stream) -> Cut:
    """The image.

    Args:
        stream: after the header.

    Raises:
        DataError: the file is damaged, has no image, or a projection that is not along straight lines.
    """
    blocks = _blocks(stream)
    if not {METADATA, IMAGE} <= blocks.keys():
        raise DataError(f"{stream.path} has no image (its blocks: {', '.join(map('/'.join, blocks)) or 'none'}).")
    at, size = blocks[METADATA]
    stream.seek(at)
    if size > LARGEST:
        raise stream.damaged(f"its axes take {size} bytes")
    found = _object(Stream(io.BytesIO(stream.take(size)), stream.path, stream.order), 0)
    axes, proj = (found.get(key) if isinstance(found, dict) else None for key in ("axes", "proj"))
    if not isinstance(axes, dict) or not isinstance(proj, dict):
        raise stream.damaged("it has no axes or no projection")
    called = proj.get("serial_name")
    if not isinstance(called, str) or called not in STRAIGHT:
        kind = called if isinstance(called, str) and called else "without a name"
        raise DataError(f"{stream.path} has a projection of the kind {printable(kind)}, which is not read. {REMEDY}.")
    lengths = _lengths(stream, axes)
    stream.seek(blocks[IMAGE][0])
    image = _image(stream, lengths)
    offset = _numbers(stream, proj, "offset", 4)
    lattice = np.concatenate([_numbers(stream, proj, "alatt", 3), _numbers(stream, proj, "angdeg", 3)])
    scales = _numbers(stream, axes, "img_scales" if "img_scales" in axes else "ulen", 4)
    if not (np.isfinite(scales).all() and np.all(scales > 0)):
        raise stream.damaged(f"its axes have the scales {scales}")
    directions = np.vstack([_directions(stream, proj, lattice, scales), np.zeros(3)])
    along, endless = [], []
    for i, (n, ends) in enumerate(zip(lengths, _numbers(stream, axes, "img_range", 8).reshape(4, 2), strict=True)):
        if np.isfinite(ends).all():
            low, high = ends * (scales[ENERGY] if i == ENERGY else 1.0)
            along.append(cut_axis(stream.path, i, np.linspace(low, high, n + 1), n, directions[i], offset[ENERGY]))
        elif n == 1:
            endless.append(i)
        else:
            raise stream.damaged(f"axis {i + 1} runs from {ends[0]} to {ends[1]}")
    return Cut(lattice, offset, along, endless, *(np.squeeze(array, axis=tuple(endless)) for array in image))


def _lengths(stream: Stream, axes: dict[str, Any]) -> list[int]:
    """The number of bins along each of the four axes."""
    stated = _numbers(stream, axes, "nbins_all_dims", 4)
    if not np.all((stated >= 1) & (stated <= MOST) & (stated == np.round(stated))):
        raise stream.damaged(f"its axes have {stated} bins")
    return [int(n) for n in stated]


def _directions(stream: Stream, proj: dict[str, Any], lattice: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """r.l.u. of one unit along each of the three axes in Q, as rows."""
    name = str(stream.path)
    B = reciprocal(name, lattice)
    u, v = _numbers(stream, proj, "u", 3), _numbers(stream, proj, "v", 3)
    frame = orientation(name, B, u, v)
    w = _numbers(stream, proj, "w", None)
    third = B @ w if len(w) == 3 else frame[2]
    if third @ frame[2] <= 0:
        raise DataError(f"{name}: u, v and w of its projection are no right-handed axes. {REMEDY} and w along u × v.")
    if np.any(_numbers(stream, proj, "nonorthogonal", None)):
        frame = np.stack([vector / np.linalg.norm(vector) for vector in (B @ u, B @ v, third)])
    return scales[:3, None] * frame @ np.linalg.inv(B).T


def _numbers(stream: Stream, of: dict[str, Any], key: str, n: int | None) -> np.ndarray:
    """The numbers of a field, n of them; as many as there are where n is None."""
    found = of.get(key)
    numbers = found.astype(float) if isinstance(found, np.ndarray) else np.zeros(0)
    if n is not None and len(numbers) != n:
        raise stream.damaged(f"{key} of its axes or its projection has {len(numbers)} numbers where {n} are needed")
    return numbers


def _blocks(stream: Stream) -> dict[tuple[str, str], tuple[int, int]]:
    """Where each block begins and how many bytes it has, by its two names."""
    stream.number("u4")  # bytes of the table
    found = {}
    for _ in range(stream.count("blocks", BLOCKS)):
        stream.text()  # its kind
        name = (stream.text(), stream.text())
        found[name] = (stream.number("u8"), stream.number("u4"))
        stream.number("u4")  # whether it is being written
    return found


def _image(stream: Stream, lengths: list[int]) -> list[np.ndarray]:
    """Intensity, variance and number of pixels over four axes."""
    stored = stream.numbers("u4", stream.count("axes of the image", 4))
    size = math.prod(lengths)
    if math.prod(int(n) for n in stored) != size:
        raise stream.damaged(f"its axes have {lengths} bins, its image {stored.tolist()}")
    if size > MOST:
        raise DataError(f"{stream.path} has {size:,} bins, above the {MOST:,} that are read. Cut a part of it.")
    stream.check(size * 24)
    return [stream.numbers(kind, size).reshape(lengths, order="F") for kind in ("f8", "f8", "u8")]


def _object(stream: Stream, depth: int) -> Any:
    """What follows: a row of numbers, text, a cell as a list, a struct as a dict; of several structs the first."""
    tag = stream.number("u1")
    if depth > DEPTH:
        raise stream.damaged(f"its structs lie deeper than {DEPTH} within each other")
    if tag == ITSELF:
        return _object(stream, depth + 1)
    shape = [int(n) for n in stream.numbers("u4", stream.number("u1"))]
    size = math.prod(shape) if shape else 0
    if tag in KINDS:
        return stream.numbers(KINDS[tag], size)
    if tag == CHAR:
        return stream.take(size).decode("utf-8", "replace")
    if tag == CELL and size <= FIELDS:
        return [_object(stream, depth + 1) for _ in range(size)]
    if tag == STRUCT and size <= FIELDS:
        return _struct(stream, depth) if size else {}
    raise stream.damaged(f"there is an object of the kind {tag} and size {size}")


def _struct(stream: Stream, depth: int) -> dict[str, Any]:
    lengths = [stream.count("characters of a name", FIELDS) for _ in range(stream.count("fields", FIELDS))]
    names = [stream.take(n).decode("utf-8", "replace") for n in lengths]
    values = _object(stream, depth + 1)
    if not isinstance(values, list) or len(values) < len(names):
        raise stream.damaged(f"a struct of {len(names)} fields lacks some of them")
    return dict(zip(names, values, strict=False))
