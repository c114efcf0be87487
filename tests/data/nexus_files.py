"""Writes small files of each HDF5 layout, from the descriptions that their programs give of them."""

from pathlib import Path

import h5py
import numpy as np

HKL_LABELS = ("[H,0,0]", "[0,K,0]", "[0,0,L]", "DeltaE")
EDGES = (
    np.linspace(0, 1, 5),
    np.linspace(-0.2, 0.4, 4),
    np.array([-0.5, 0.5]),
    np.linspace(0, 12, 7),
)


def text(value: str) -> np.bytes_:
    """As the NeXus library writes attributes."""
    return np.bytes_(value.encode())


def cells(edges=EDGES, seed=1):
    """Signal, squared errors and numbers of events in the order of D0, D1, ..., none of them zero."""
    rng = np.random.default_rng(seed)
    events = rng.integers(1, 50, [len(e) - 1 for e in edges]).astype(float)
    return events * 0.25, events * 0.0625, events


def mdhisto(
    path: Path,
    arrays,
    *,
    edges=EDGES,
    labels=HKL_LABELS,
    units=None,
    order=None,
    normalisation=0,
    convention="Inelastic",
    mask=None,
    spinw=False,
    entry="MDHistoWorkspace",
    W=None,
    UB=None,
    lattice=None,
    Ei=None,
) -> Path:
    """A workspace as SaveMD writes it.

    Args:
        path: where to.
        arrays: signal, squared errors and numbers of events, along D0, D1, ...
        edges: of the bins of D0, D1, ...
        labels: of the axes.
        units: of the axes.
        order: in which the arrays run through the axes; by default the last first, as Mantid's do.
        normalisation: Mantid's number, None to leave it out.
        convention: QConvention, None to leave it out.
        mask: along D0, D1, ...
        spinw: with the attribute spelled as SpinW does.
        entry: name of the group.
        W: the nine numbers of W_MATRIX.
        UB: (3, 3) without 2π.
        lattice: six numbers.
        Ei: in meV.
    """
    n = len(edges)
    order = tuple(range(n))[::-1] if order is None else order
    with h5py.File(path, "w") as file:
        group = file.create_group(entry)
        group.attrs["NX_class"] = text("NXentry")
        group.attrs["SaveMDVersion"] = np.int32(2)
        if convention:
            group.attrs["Qconvention" if spinw else "QConvention"] = text(convention)
        if normalisation is not None:
            group["visual_normalization"] = np.array([normalisation], np.uint32)
        data = group.create_group("data")
        for i, (edge, label) in enumerate(zip(edges, labels, strict=True)):
            axis = data.create_dataset(f"D{i}", data=edge)
            axis.attrs["long_name"] = text(label)
            axis.attrs["frame"] = text("General Frame" if label == "DeltaE" else label if spinw else "HKL")
            usual = "DeltaE" if label == "DeltaE" else "r.l.u." if label[0] == "[" else "Angstrom^-1"
            axis.attrs["units"] = text(units[i] if units else usual)
        for name, array in zip(("signal", "errors_squared", "num_events"), arrays, strict=True):
            stored = np.transpose(array, order)
            data.create_dataset(name, data=stored, compression="gzip", chunks=stored.shape)
        data["signal"].attrs["signal"] = np.int32(1)
        data["signal"].attrs["axes"] = text(":".join(f"D{i}" for i in order))
        hidden = np.zeros([len(e) - 1 for e in edges], np.int8) if mask is None else np.asarray(mask, np.int8)
        data.create_dataset("mask", data=np.transpose(hidden, order))
        if W is not None:
            group["experiment0/logs/W_MATRIX/value"] = np.ravel(W).astype(float)
        if Ei is not None:
            group["experiment0/logs/Ei/value"] = np.array([Ei], float)
        crystal = "experiment0/sample/oriented_lattice"
        if UB is not None:
            group[f"{crystal}/orientation_matrix"] = UB
        for key, value in zip(("a", "b", "c", "alpha", "beta", "gamma"), lattice or (), strict=False):
            group[f"{crystal}/unit_cell_{key}"] = np.array([value], float)
    return path


def nxspe(path: Path, intensity, sigma, energy, polar, azimuthal, *, Ei=20.0, psi=np.nan, scaling=1) -> Path:
    """A file as SaveNXSPE writes it; None leaves Ei or the scaling out."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("some_name")
        entry.attrs["NX_class"] = text("NXentry")
        entry["definition"] = np.array([b"NXSPE"])
        entry["definition"].attrs["version"] = text("1.2")
        info = entry.create_group("NXSPE_info")
        if Ei is not None:
            info["fixed_energy"] = np.atleast_1d(Ei).astype(float)
        info["psi"] = np.array([psi])
        if scaling is not None:
            info["ki_over_kf_scaling"] = np.array([scaling], np.int32)
        data = entry.create_group("data")
        data.attrs["NX_class"] = text("NXdata")
        for name, values in (
            ("data", intensity),
            ("error", sigma),
            ("energy", energy),
            ("polar", polar),
            ("azimuthal", azimuthal),
        ):
            data[name] = np.asarray(values, float)
    return path


def nxdata(path: Path, signal, axes, *, errors=None, old=False) -> Path:
    """One NXdata group; `axes` are (name, values, unit) in the order of the dimensions; `old` as before 2014."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = text("NXentry")
        data = entry.create_group("data")
        data.attrs["NX_class"] = text("NXdata")
        data["intensity"] = signal
        names = [name for name, _, _ in axes]
        if old:
            data["intensity"].attrs["signal"] = np.int32(1)
            data["intensity"].attrs["axes"] = text(":".join(names))
        else:
            data.attrs["signal"] = "intensity"
            data.attrs["axes"] = names
        for name, values, unit in axes:
            data[name] = values
            data[name].attrs["units"] = unit
        if errors is not None:
            data["errors" if old else "intensity_errors"] = errors
    return path
