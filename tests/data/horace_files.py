"""Writes small files as Horace and MATLAB lay them out."""

import struct
from pathlib import Path

import h5py
import numpy as np

EDGES = [np.array([-0.15, -0.05, 0.05, 0.15]), np.array([0.0, 2.0, 4.0])]
S = np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]])
E = np.array([[0.25, 1.0], [4.0, 9.0], [16.0, 25.0]])
NPIX = np.array([[5, 5], [5, 5], [0, 5]])
# Axis 1 along (1, 1, 0) and axis 4 the energy are plotted; 2 along (1, −1, 0) and 3 along l are integrated.
MATRIX = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
PROJECTION = {
    "u_to_rlu": MATRIX,
    "uoffset": np.array([[0.0, 0.0, 1.0, 0.0]]).T,
    "pax": np.array([[1.0, 4.0]]),
    "iax": np.array([[2.0, 3.0]]),
    "iint": np.array([[0.4, -0.1], [0.6, 0.3]]),
}
SHAPE = (3, 1, 1, 4)  # of the image of a .sqw
RANGES = ((-0.3, 0.3), (-0.1, 0.1), (-0.2, 0.2), (0.0, 8.0))
TETRAGONAL = ((4.0, 4.0, 8.0), (90.0, 90.0, 90.0))


def mat(path: Path, fields, edges=EDGES, name="cut") -> Path:
    """A struct in a .mat file of version 7.3: arrays transposed, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group(name)
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        kept = [file.create_dataset(f"#refs#/{n}", data=along[:, None]) for n, along in enumerate(edges)]
        cell = group.create_dataset("p", (len(kept), 1), dtype=h5py.ref_dtype)
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
        for n, one in enumerate(kept):
            cell[n, 0] = one.ref
        for key, value in fields.items():
            group.create_dataset(key, data=np.asarray(value, float).T).attrs["MATLAB_class"] = np.bytes_("double")
        title = group.create_dataset("title", data=np.frombuffer("a cut".encode("utf-16le"), np.uint16)[:, None])
        title.attrs["MATLAB_class"] = np.bytes_("char")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116))
    return path


def pixels():
    """Intensity, second array and numbers of pixels of `SHAPE`; one bin is empty."""
    values, counts = np.arange(1.0, 13.0).reshape(SHAPE), np.full(SHAPE, 2)
    counts[1, 0, 0, 2] = 0
    return values, values.copy(), counts


def header(version, holds_pixels, dimensions, order="<") -> bytes:
    """How every file of Horace begins."""
    return struct.pack(order + "I6sdII", 6, b"horace", version, holds_pixels, dimensions)


def sqw(path: Path, *, image=None, ranges=RANGES, scales=(1.0, 1.0, 1.0, 1.0), u=(1.0, 1.0, 0.0), v=(0.0, 0.0, 1.0),
        w=(), nonorthogonal=False, offset=(0.0, 0.0, 0.0, 0.0), lattice=TETRAGONAL, kind="line_proj",
        scaled="img_scales", order="<") -> Path:  # fmt: skip
    """A file of version 4: three bins along u = (1, 1, 0) and four energies of a tetragonal crystal; one bin is empty.

    Args:
        path: where to.
        image: intensity, second array and numbers of pixels along all four axes.
        ranges: of the axes.
        scales: 1/Å of one unit along each axis, by the name `scaled`.
        u, v, w, nonorthogonal, offset, lattice: of the projection, which is of the class `kind`.
        kind, scaled: see there.
        order: of the bytes, "<" or ">".
    """
    arrays = pixels() if image is None else image
    line = _Objects(order)
    axes = {
        "serial_name": line.text("line_axes"), "version": line.numbers([7.0]), "title": line.text(""),
        "label": line.cell([line.text(x) for x in ("a", "b", "c", "E")]), scaled: line.numbers(scales),
        "img_range": line.numbers(ranges, (2, 4)), "nbins_all_dims": line.numbers(arrays[0].shape),
        "single_bin_defines_iax": line.logical([True] * 4), "dax": line.numbers([1.0, 2.0]),
    }  # fmt: skip
    proj = {
        "serial_name": line.text(kind), "alatt": line.numbers(lattice[0]), "angdeg": line.numbers(lattice[1]),
        "offset": line.numbers(offset), "u": line.numbers(u), "v": line.numbers(v), "w": line.numbers(w),
        "nonorthogonal": line.logical([nonorthogonal]), "type": line.text("aaa"),
    }  # fmt: skip
    metadata = line.struct({"axes": line.struct(axes), "proj": b"\x20" + line.struct(proj)})
    lengths = [n for n in arrays[0].shape if n > 1] or [1]
    stored = struct.pack(f"{order}{1 + len(lengths)}I", len(lengths), *lengths)
    for array, kept in zip(arrays, ("f8", "f8", "u8"), strict=True):
        stored += np.asarray(array, order + kept).tobytes(order="F")
    blocks = {("data", "metadata"): metadata, ("data", "nd_data"): stored}
    written = header(4.0, 0, len(lengths), order)
    kinds = {"metadata": "data_block", "nd_data": "dnd_data_block"}
    names = {key: b"".join(line.name(x) for x in (kinds[key[1]], *key)) for key in blocks}
    at = len(written) + 8 + sum(len(name) + 16 for name in names.values())
    table = b""
    for key, block in blocks.items():
        table += names[key] + struct.pack(order + "QII", at, len(block), 0)
        at += len(block)
    path.write_bytes(
        written + struct.pack(order + "II", len(table) + 4, len(blocks)) + table + b"".join(blocks.values())
    )
    return path


class _Objects:
    """Objects of MATLAB as a file of version 4 keeps them: a tag, a shape, what is in it."""

    def __init__(self, order):
        self.order = order

    def _tagged(self, tag, shape, content) -> bytes:
        return struct.pack(f"{self.order}BB{len(shape)}I", tag, len(shape), *shape) + content

    def name(self, value) -> bytes:
        return struct.pack(self.order + "I", len(value)) + value.encode()

    def numbers(self, values, shape=None) -> bytes:
        kept = np.asarray(values, self.order + "f8").ravel()
        return self._tagged(3, shape or ((len(kept),) if len(kept) else ()), kept.tobytes())

    def logical(self, values) -> bytes:
        return self._tagged(0, (len(values),), bytes(values))

    def text(self, value) -> bytes:
        return self._tagged(1, (len(value),) if value else (), value.encode())

    def cell(self, items) -> bytes:
        return self._tagged(23, (len(items),), b"".join(items))

    def struct(self, fields) -> bytes:
        lengths = struct.pack(f"{self.order}{1 + len(fields)}I", len(fields), *map(len, fields))
        values = self._tagged(23, (len(fields), 1), b"".join(fields.values()))
        return self._tagged(24, (1,), lengths + "".join(fields).encode() + values)


def sqw2(path: Path, *, version=2.0, runs=0, s=S, e=E, npix=NPIX, edges=EDGES, matrix=MATRIX, pax=(1, 4), iax=(2, 3),
         offset=(0.0, 0.0, 1.0, 0.0), iint=((0.4, 0.6), (-0.1, 0.3)), order="<") -> Path:  # fmt: skip
    """The cut of `PROJECTION` as a file of version 2; with `runs` that contributed to it, and pixels, a .sqw."""

    def numbers(*values, kind="f4") -> bytes:
        return np.asarray(values, order + kind).tobytes(order="F")

    def text(value) -> bytes:
        return numbers(len(value), kind="i4") + value.encode("latin-1")

    labels = numbers(4, 3, kind="i4") + b"abcdefghi\xc5  "
    content = header(version, int(runs > 0), len(pax), order)
    if runs:
        content += text("x.sqw") + text("C:\\\xc5\\") + text("") + numbers(runs, kind="i4")
        for _ in range(runs):
            content += text("run.spe") + text("") + numbers(20.0) + numbers(1, kind="i4") + numbers(*range(17))
            content += numbers(3, kind="i4") + numbers(0.0, 1.0, 2.0) + numbers(*range(24)) + labels
        content += text("x.par") + text("") + numbers(5, kind="i4") + numbers(*range(30))
    content += (
        text("x.d2d") + text("C:\\\xc5\\") + text("") + numbers(*TETRAGONAL[0], *TETRAGONAL[1]) + numbers(*offset)
    )
    content += np.asarray(matrix, order + "f4").tobytes(order="F") + numbers(1, 1, 1, 1) + labels
    content += numbers(len(pax), kind="i4") + numbers(*iax, kind="i4") + numbers(*np.ravel(iint))
    content += numbers(*pax, kind="i4") + b"".join(numbers(len(x), kind="i4") + numbers(*x) for x in edges)
    content += numbers(*range(1, len(pax) + 1), kind="i4")
    for array, kind in ((s, "f4"), (e, "f4"), (npix, "u8")):
        content += np.asarray(array, order + kind).tobytes(order="F")
    path.write_bytes(content + (bytes(48) if runs else b""))
    return path
