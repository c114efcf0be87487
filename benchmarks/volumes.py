"""Time and memory of large histograms: opened, cut, sampled and fitted.

The histograms are laid out as Mantid's SaveMD lays them out, three arrays of doubles and one of bytes, deflated in
chunks of one energy each. They hold the spectrum of a square lattice in Néel order (J, and a small easy axis) with
counting noise, and some cells that were never covered.

Every measurement runs in a process of its own. Memory is the largest that this process and its confined child ever
had, the child's added; what the same work takes with a volume a hundredth of the size, mostly the compiler of the fit,
is printed beside it. Seconds are those of the processors, both processes together: on an idle machine
no less than by the clock.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

J = 12.0  # meV, of the volume that is fitted
SHAPES = {"5e5": (100, 100, 1, 50), "1e7": (100, 100, 20, 50), "5e7": (100, 100, 100, 50)}  # h, k, l, energy
SIZE = 17  # bytes a cell of a spectrum in memory: intensity, variance and mask
MODEL = {
    "name": "square",
    "crystal": {"a": 4.0, "b": 4.0, "c": 12.0},
    "site": [{"position": [0, 0, 0], "spin": 1.0}],
    "bond": [{"i": 0, "j": 0, "offset": d, "exchange": "J"} for d in ([1, 0, 0], [0, 1, 0])],
    "anisotropy": [{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, "D"]]}],
    "structure": {
        "directions": [[0, 0, 1]],
        "k": [0.5, 0.5, 0],
        "axis": [1, 0, 0],
        "supercell": [[1, 1, 0], [1, -1, 0], [0, 0, 1]],
    },
    "parameters": {
        "J": {"value": 10.0, "min": 5.0, "max": 20.0, "unit": "meV", "free": True},
        "D": {"value": -0.5, "min": -2.0, "max": 0.0, "unit": "meV"},
    },
    "scattering": {"correlation": "trace"},
    "instrument": {"resolution": {"constant": 4.0}},
}


def write_volume(path: Path, shape: tuple[int, ...], seed: int = 0) -> None:
    """A histogram of so many bins along h, k, l and energy; it does not depend on l but for the noise."""
    from insiren import Model, Points, exact

    h, k, l, w = shape
    edges = [np.linspace(0.0, 1.0, h + 1), np.linspace(0.0, 1.0, k + 1), np.linspace(-2, 2, l + 1)]
    edges.append(np.linspace(1.0, 61.0, w + 1))
    centres = [(x[1:] + x[:-1]) / 2 for x in edges]
    plane = np.stack([*np.meshgrid(centres[1], centres[0], indexing="ij"), np.zeros((k, h))], axis=-1)[..., [1, 0, 2]]
    points = Points.table(plane.reshape(-1, 3), centres[3])
    S = np.asarray(exact(Model.from_dict(MODEL))({"J": J}, points)).reshape(k, h, w)
    random = np.random.default_rng(seed)
    norm = 20.0 / S.max()  # counts of intensity 1: twenty at the brightest
    names = {"D0": "[H,0,0]", "D1": "[0,K,0]", "D2": "[0,0,L]", "D3": "DeltaE"}
    with h5py.File(path, "w") as file:
        entry = file.create_group("MDHistoWorkspace")
        entry.attrs["NX_class"], entry.attrs["SaveMDVersion"] = np.bytes_("NXentry"), np.int32(2)
        entry.attrs["QConvention"] = np.bytes_("Inelastic")
        entry["visual_normalization"] = np.array([0], np.uint32)
        data = entry.create_group("data")
        for (key, name), edge in zip(names.items(), edges, strict=True):
            data[key] = edge
            data[key].attrs["long_name"] = np.bytes_(name)
            data[key].attrs["frame"] = np.bytes_("General Frame" if name == "DeltaE" else "HKL")
            data[key].attrs["units"] = np.bytes_("DeltaE" if name == "DeltaE" else "r.l.u.")
        how = {"compression": "gzip", "compression_opts": 1, "chunks": (1, l, k, h)}
        arrays = {key: data.create_dataset(key, (w, l, k, h), "f8", **how) for key in
                  ("signal", "errors_squared", "num_events")}  # fmt: skip
        arrays["mask"] = data.create_dataset("mask", (w, l, k, h), "i1", **how)
        arrays["signal"].attrs["signal"], arrays["signal"].attrs["axes"] = np.int32(1), np.bytes_("D3:D2:D1:D0")
        for i in range(w):
            counts = random.poisson(norm * S[None, :, :, i] + 1.0, (l, k, h)).astype(float)
            signal, variance = counts / norm, counts / norm**2
            signal[:, :5, :5] = variance[:, :5, :5] = np.nan  # never covered
            arrays["signal"][i], arrays["errors_squared"][i], arrays["num_events"][i] = signal, variance, counts


def measure(what: str, path: str) -> None:
    """Prints what was found, the seconds, and the largest memory in MB before and after."""
    import insiren as ins

    _ = ins.read, ins.fit, ins.exact  # names load when first used, which is not counted
    before, start = _memory(), _seconds()
    if what == "plane":
        (data,) = ins.read(path, cut={"energy_transfer": 20.0})
        found = "×".join(map(str, data.shape))
    elif what == "column":
        (data,) = ins.read(path, cut={"k": 0.5, "l": 0.0})
        found = "×".join(map(str, data.shape))
    else:
        found = _opened_cut_fitted(path)
    print(found, _seconds() - start, before, _memory())


def _opened_cut_fitted(path: str) -> str:
    import scipp as sc

    import insiren as ins

    (data,) = ins.read(path)
    cut = data["energy_transfer", sc.scalar(20.0, unit="meV") : sc.scalar(40.0, unit="meV")]
    assert cut.sizes["energy_transfer"] < data.sizes["energy_transfer"]
    samples = [ins.subset(part, 5_000) for part in (cut, data)]
    found = [str(_memory())]
    model = ins.exact(ins.Model.from_dict(MODEL))
    for drawn in samples:
        fit = ins.fit(model, drawn, starts=2)
        found += [str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)]
        found += [f"{fit.values['J']:.3f} ± {fit.errors['J']:.3f}"]
    return ";".join(x.replace(" ", "_") for x in found)


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def _memory() -> int:
    """MB that this process had at most, and the largest of its children."""
    return sum(resource.getrusage(of).ru_maxrss for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024


def volume_rows():
    """Rows of the table."""
    from speed import alone

    def rows():
        with tempfile.TemporaryDirectory() as folder:
            for size in SHAPES:
                alone_write(Path(folder) / size, size)
            little, small, large = (Path(folder) / size for size in SHAPES)
            for what, name in (("plane", "one energy"), ("column", "one line and all energies")):
                runs = [alone_here(what, small) for _ in range(3)]
                seconds = sorted(float(run[1]) for run in runs)
                yield f"1e7 cells, {name}", f"{seconds[1]:.2f} s", runs[0][0], f"({seconds[0]:.2f} … {seconds[2]:.2f})"
            found, seconds, before, _ = alone_here("fit", large)
            of_cut, of_all = found.replace("_", " ").split(";")[2::2]
            yield (
                "5e7 cells: opened, cut, fitted",
                f"{float(seconds):.0f} s",
                f"J = {of_cut}, of all {of_all}",
                f"true {J:g}",
            )
            fixed, _, least, _ = alone_here("fit", little)
            for n, name in ((0, "opened, cut, drawn from"), (1, "a sample of the cut fitted"), (3, "and one of all")):
                large_MB, little_MB = int(found.split(";")[n]) - int(before), int(fixed.split(";")[n]) - int(least)
                share = (large_MB - little_MB) / (SIZE * np.prod(SHAPES["5e7"]) / 2**20)
                yield f"memory, {name}", f"{large_MB} MB", f"{little_MB} MB, 5e5 cells", f"{share:.2f} of its size more"

    def alone_here(what: str, path: Path) -> list[str]:
        return alone(what, str(path), str.split, __file__)

    def alone_write(path: Path, size: str) -> None:
        alone("write", f"{path} {size}", str, __file__)

    yield lambda: list(rows())


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write_volume(Path(sys.argv[2]), SHAPES[sys.argv[3]])
    else:
        measure(*sys.argv[1:3])
