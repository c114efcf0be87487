"""Small healthy files of every format that can be read, for tests that damage them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import horace_files
import numpy as np
from nexus_files import EDGES, cells, mdhisto, nxdata, nxspe
from text_files import par, spe

from insiren.data.files import write_csv
from insiren.data.peaks import peak_list
from insiren.data.spectrum import image, point_list

SMALL = [EDGES[0][:3], EDGES[1][:3], EDGES[2], EDGES[3][:4]]
ENERGY, POLAR = np.linspace(-2, 4, 7), np.linspace(10, 100, 5)
FLAT = np.ones((5, 6))
ENERGIES = (1.0, 2.0, 4.0)


class Layout(NamedTuple):
    """One format: what writes a healthy example into a folder, what of it is read, and with which options."""

    write: Callable[[Path], Any]
    read: str
    options: Mapping[str, Any] = {}

    @property
    def is_text(self) -> bool:
        return Path(self.read).suffix in ("", ".csv", ".txt", ".dat", ".spe")


def _image(name="one", errors=True, **details):
    values = np.arange(12.0).reshape(4, 3) - 1
    values[2, 1] = np.nan
    hkl = np.array([[0.1 * i, 0, 1] for i in range(4)])
    return image(name, hkl, ENERGIES, values, np.abs(values) + 0.5 if errors else None, **details)


def _table(folder: Path) -> None:
    counted = np.arange(12.0).reshape(4, 3)
    one = _image(counts=counted, norm=counted + 1, Ei=20.0, assumed=["of a test"])
    lattice = (4, 4, 8, 90, 90, 120)
    two = image("two", None, ENERGIES, FLAT[:2, :3], FLAT[:2, :3], Q_abs=[0.5, 1.0], sigma_floor=0.1, lattice=lattice)
    write_csv([one, two], folder / "table.csv")


def _points(folder: Path) -> None:
    hkl = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    write_csv([point_list("p", hkl, [1, 2, 3], [4, 5, np.nan], [1, 2, 3], missing=[0, 1, 0])], folder / "points.csv")


def _tables(folder: Path) -> None:
    for name in ("one", "two"):
        write_csv([_image(name)], folder / f"{name}.csv")


def _rows(line: str, values) -> str:
    return "".join(line.format(*row) + "\n" for row in values)


def _slice(folder: Path, axes: str, values) -> None:
    head = f"# Name: a slice\n# Ei = 20\n# lattice 4 4 8 90 90 90\n# Intensity Error {axes}\n#  shape: 3x3\n"
    (folder / "slice.txt").write_text(head + _rows("{:g} {:g} {:g} {:g}", values))


def _grid(along) -> list[tuple[float, float, float, float]]:
    return [(x + e, 0.5, x, e) for x in along for e in ENERGIES]


def _columns(folder: Path) -> None:
    rows = [(x, e, 2.0, 0.5) for x in (0.0, 0.25, 0.5) for e in ENERGIES]
    (folder / "map.dat").write_text("# x E I sigma\n" + _rows("{:g} {:g} {:g} {:g}", rows))


def _spe(folder: Path) -> None:
    intensity = np.array([[1.0, 2.0, 3.0], [6.0, 7.0, 8.0], [9.0, -1e30, 11.0]])
    (folder / "run.spe").write_text(spe(intensity, np.ones((3, 3))))
    (folder / "run.par").write_text(par([10.0, 40.0, 80.0]))


def _peaks(folder: Path) -> None:
    head = "QH QK QL ENlim1 ENlim2 I1 EN1 sigma1 I2 EN2 sigma2\n"
    rows = "0 0 1 0 20 1.5 4.5 0.2 2 9 0.3\n[Mxx] [1 0 0]\n0 0.1 1 0 20 1 5 0.2 0 0 0\n"
    (folder / "modes.txt").write_text(head + rows)


def _sqw_folder(folder: Path) -> None:
    values = np.arange(6.0).reshape(3, 2)
    tables = {"Qlist_a": np.ones((3, 2)), "Elist_a": np.array([[1.0], [2], [3]]), "Sqw_a": values, "Err_a": values / 9}
    for name, table in {**tables, "Sqw_a_woBG": values - 1}.items():
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", fmt="%.6g")


def _mantid(**how) -> Callable[[Path], Any]:
    return lambda folder: mdhisto(folder / "x.nxs", cells(SMALL), edges=SMALL, **how)


def _spinw(folder: Path) -> None:
    signal, nothing = cells(SMALL)[0], np.zeros_like(cells(SMALL)[0])
    labels = ("[1 0 0]", "[0 1 0]", "[0 0 1]", "DeltaE")
    mdhisto(folder / "x.nxs", (signal, nothing, nothing), edges=SMALL, labels=labels, spinw=True)


def _powder(folder: Path) -> None:
    edges = [EDGES[0], EDGES[3]]
    mdhisto(folder / "x.nxs", cells(edges), edges=edges, labels=("|Q|", "DeltaE"))


def _nxspe(folder: Path) -> None:
    nxspe(folder / "x.nxspe", FLAT, FLAT, ENERGY, POLAR, np.zeros(5), psi=10.0)


def _nxdata(folder: Path, old: bool) -> None:
    axes = [("Q", POLAR, "1/angstrom"), ("E", ENERGY, "meV")]
    nxdata(folder / "x.nxs", FLAT, axes, errors=FLAT, old=old)


def _scipp_peaks(folder: Path) -> None:
    peak_list("modes", np.eye(3), [1.0, 2, 3], [0.1, 0.1, 0.2], assumed=["of a test"]).save_hdf5(folder / "x.h5")


LAYOUTS: Mapping[str, Layout] = {
    "table": Layout(_table, "table.csv"),
    "points": Layout(_points, "points.csv"),
    "folder of tables": Layout(_tables, ""),
    "slice": Layout(
        lambda f: _slice(f, "[H,H,0] DeltaE", _grid((0.0, 0.5, 1.0))), "slice.txt", {"q_origin": (0, 0, 1)}
    ),
    "powder slice": Layout(lambda f: _slice(f, "|Q| DeltaE", _grid((0.5, 1.0, 1.5))), "slice.txt"),
    "spe": Layout(_spe, "run.spe", {"Ei": 20}),
    "peak table": Layout(_peaks, "modes.txt"),
    "columns": Layout(_columns, "map.dat", {"q_direction": (0, 0, 1)}),
    "folder of Sqw": Layout(_sqw_folder, ""),
    "MDHisto": Layout(_mantid(W=np.eye(3), lattice=(4, 4, 4, 90, 90, 90), Ei=10), "x.nxs"),
    "MDHisto sums": Layout(_mantid(normalisation=2, convention="Crystallography"), "x.nxs"),
    "MDHisto cut": Layout(_mantid(normalisation=0), "x.nxs", {"cut": {"h": (0, 0.3)}, "sample": 3}),
    "MDHisto of SpinW": Layout(_spinw, "x.nxs"),
    "MDHisto of a powder": Layout(_powder, "x.nxs"),
    "nxspe": Layout(_nxspe, "x.nxspe"),
    "nxspe of a crystal": Layout(_nxspe, "x.nxspe", {"lattice": (4, 4, 4, 90, 90, 90), "u": (1, 0, 0), "v": (0, 1, 0)}),
    "NXdata": Layout(lambda f: _nxdata(f, False), "x.nxs"),
    "old NXdata": Layout(lambda f: _nxdata(f, True), "x.nxs"),
    "scipp": Layout(lambda f: _image(lattice=(4, 4, 8, 90, 90, 90)).save_hdf5(f / "x.h5"), "x.h5"),
    "scipp peaks": Layout(_scipp_peaks, "x.h5"),
    "mat": Layout(
        lambda f: horace_files.mat(
            f / "x.mat",
            {"s": horace_files.S, "e": horace_files.E, "npix": horace_files.NPIX, **horace_files.PROJECTION},
        ),
        "x.mat",
    ),
    "sqw": Layout(lambda f: horace_files.sqw(f / "x.sqw"), "x.sqw"),
}
