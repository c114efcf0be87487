"""Memory of a live fit over a night's updates.

    python benchmarks/live_endurance.py [UPDATES]

A file of 20 × 30 pixels (La2NiO4, simulated counts) is replaced by itself with a few more neutrons, read, folded and
fitted by the exact simulator, UPDATES (10,000) times; the memory of the process is printed after every tenth of them.
One file in twenty is read as always, by a process of its own, the others by scipp in this one, to spare the time that
starting a process takes. Snapshots are removed, since only the process is to be measured.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipp as sc
from live_study import PLAIN

import insiren as ins
from insiren.data.files import read, write
from insiren.fit.pose import Wanted
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import only_writer
from insiren.live.update import Asked

NEUTRONS = 5_000
MORE = 1.0002  # factor in neutrons from one update to the next: sevenfold over all, so that the box is searched again


def resident() -> float:
    """Memory of this process in MB (Linux)."""
    fields = Path("/proc/self/status").read_text().split("\n")
    return next(int(line.split()[1]) for line in fields if line.startswith("VmRSS")) / 1024


class Reader:
    """Reads one file in so many as a run does, and the others without a process of their own."""

    def __init__(self, every: int):
        self.every, self.read = every, 0

    def __call__(self, path: Path) -> list[sc.DataArray]:
        self.read += 1
        return read(path) if self.read % self.every == 0 else [sc.io.load_hdf5(path)]


def main(updates: int) -> None:
    model = ins.load_model("la2nio4")
    hkl = np.linspace([0.3, 0.5, 0.0], [0.7, 0.5, 0.0], 20)
    asked = Asked(ins.exact(model), PLAIN, Wanted(fixed={"q_fwhm": 0.0}))
    clean = ins.simulate(asked.forward, {}, ins.Points.table(hkl, np.linspace(20.0, 120.0, 30)))
    rng = np.random.default_rng(0)
    data = ins.count(clean, NEUTRONS, 0)
    with tempfile.TemporaryDirectory() as place, only_writer(Path(place) / "run"):
        counts = Path(place) / "counts"
        counts.mkdir()
        run = Live(asked, Wishes(counts, Path(place) / "run", {"J": 0.3}), Reader(20))
        began, first = time.perf_counter(), 0.0
        for n in range(updates):
            held, norm = data.coords["counts"].values, data.coords["norm"].values
            held += rng.poisson((MORE - 1) * norm * clean.values)
            held[0, 0] += 1  # no two contents are the same
            norm *= MORE
            data.values, data.variances = held / norm, np.maximum(held, 1) / norm**2
            write(data, counts / "now.h5")
            run.look()
            assert run.look() and run.update()
            shutil.rmtree(run.folder.path(run.number))
            if n == 99:
                first = resident()
            if n == 99 or (n + 1) % (updates // 10) == 0:
                print(
                    f"{n + 1:6d} updates, {run.state.neutrons:,.0f} neutrons: {resident():.0f} MB "
                    f"({resident() - first:+.1f}), {(time.perf_counter() - began) / (n + 1):.3f} s each",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
