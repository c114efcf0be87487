"""Writes small files as Horace and MATLAB lay them out."""

from pathlib import Path

import h5py
import numpy as np
import scipp as sc

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


def sqw(path: Path) -> Path:
    """A file of three bins along u = (1, 1, 0) and four energies of a tetragonal crystal; one bin is empty."""
    from scippneutron.io import sqw  # an extra, and slow to import

    values = np.arange(1.0, 13.0).reshape(SHAPE)
    data = sc.array(dims=["u1", "u2", "u3", "u4"], values=values, variances=values**2)
    counts = np.full(SHAPE, 2)
    counts[1, 0, 0, 2] = 0

    def each(numbers, energy):
        return [*(sc.scalar(x, unit="1/angstrom") for x in numbers), sc.scalar(energy, unit="meV")]

    ranges = [sc.array(dims=["range"], values=r, unit="1/angstrom") for r in ([-0.3, 0.3], [-0.1, 0.1], [-0.2, 0.2])]
    metadata = sqw.SqwDndMetadata(
        axes=sqw.SqwLineAxes(
            title="", label=["a", "b", "c", "d"], img_scales=each([1.0, 1.0, 1.0], 1.0),
            img_range=[*ranges, sc.array(dims=["range"], values=[0.0, 8.0], unit="meV")],
            n_bins_all_dims=sc.array(dims=["axis"], values=list(SHAPE), unit=None),
            single_bin_defines_iax=sc.array(dims=["axis"], values=[True] * 4),
            dax=sc.arange("axis", 4, unit=None), offset=each([0.0, 0.0, 0.0], 0.0), changes_aspect_ratio=True,
        ),
        proj=sqw.SqwLineProj(
            title="", lattice_spacing=sc.vector([4.0, 4.0, 8.0], unit="angstrom"),
            lattice_angle=sc.vector([90.0, 90.0, 90.0], unit="deg"), offset=each([0.0, 0.0, 0.0], 0.0),
            label=["a", "b", "c", "d"], u=sc.vector([1.0, 1.0, 0.0], unit="1/angstrom"),
            v=sc.vector([0.0, 0.0, 1.0], unit="1/angstrom"), w=None, non_orthogonal=False, type="aaa",
        ),
    )  # fmt: skip
    counted = sc.array(dims=["u1", "u2", "u3", "u4"], values=counts)
    sqw.Sqw.build(path, title="cut").add_dnd_data(metadata, data=data, counts=counted).create()
    return path
