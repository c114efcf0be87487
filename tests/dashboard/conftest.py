"""Snapshot folders with the content of real fits, and the page served over them."""

import json
import os
import shutil

import numpy as np
import pytest
from live_folder import Run, Served

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.fit.landscape import around
from insiren.fit.optimise import fit
from insiren.fit.plain import plain
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report.spectra import spectra

NEUTRONS = (100, 1_000, 20_000)
TARGETS = {"J": 0.003, "width": 0.01}


@pytest.fixture(scope="session")
def content():
    """Files of a growing measurement, one dict of file contents a snapshot, from fits of the bundled chain."""
    forward = exact(load_model("chain"))
    points = Points.table(np.linspace([0.05, 0, 0], [0.95, 0, 0], 24), np.linspace(0.5, 8.0, 31))
    clean = simulate(forward, {"J": 1.1}, points)
    return [_files(forward, clean, n, index + 1) for index, n in enumerate(NEUTRONS)]


def _files(forward, clean, neutrons, number):
    data = count(clean, neutrons, seed=number, background=0.1)
    data.name = "chain"
    found = fit(forward, [data], starts=4, free=["J", "width"])
    grid = around(found, "J", "width", 17)
    files = {
        "fit.json": {
            **found.to_dict(),
            "seconds": {"fit": 1.0},
            "command": "insiren live",
            "live": _live(found, neutrons, number),
        },
        "maps.json": [_map(one) for one in spectra(found)],
        "landscape.json": {
            "x": {"name": "J", "unit": "meV", "values": grid.x_values},
            "y": {"name": "width", "unit": "", "values": grid.y_values},
            "delta": (grid.objective - grid.minimum) / grid.noise,
        },
    }
    return {name: json.dumps(plain(value), allow_nan=False) for name, value in files.items()}


def _map(one):
    residual = (one.intensity - one.model) / one.sigma
    return {
        "name": one.name,
        "x": {"label": "h", "unit": "r.l.u.", "values": one.hkl[:, 0]},
        "y": {"label": "energy transfer", "unit": "meV", "values": one.omega},
        **{
            name: np.round(rows.T, 4)
            for name, rows in (("data", one.intensity), ("model", one.model), ("residual", residual))
        },
    }


def _live(found, neutrons, number):
    targets, conditions = {}, []
    for name, target in TARGETS.items():
        error = found.errors[name]
        wanted = neutrons * (error / target) ** 2
        targets[name] = {
            "target": target,
            "error": error,
            "neutrons": wanted,
            "low": 0.8 * wanted,
            "high": 1.2 * wanted,
        }
        conditions.append({"name": f"target {name}", "met": error <= target, "text": f"{error:.2g} of {target:g}"})
    missing = [f"{one['name']}: {one['text']}" for one in conditions if not one["met"]]
    return {
        "number": number,
        "neutrons": neutrons,
        "files": number,
        "stop": {"advised": not missing, "missing": missing, "conditions": conditions},
        "targets": targets,
        "mode_share": 1.0,
        "tension": {"sigma": 0.7, "text": "the newest data agree with the earlier ones"},
        "searched": number == 1,
        "events": [],
        "new_files": [f"run{number:03d}.nxs"],
    }


@pytest.fixture
def run(tmp_path, content):
    return Run(tmp_path / "out", content)


@pytest.fixture
def served():
    """Serves folders; all are closed in the end."""
    running = []

    def start(out, token=None, port=0):
        running.append(Served(out, token, port))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture(scope="session")
def chromium():
    """Where the browser is. Where tests run unattended it must be there; elsewhere these tests are skipped without."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None and os.environ.get("CI"):
        pytest.fail("No Chromium is installed, so that the page cannot be tested: apt-get install chromium")
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    return path
