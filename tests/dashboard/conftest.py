"""Snapshot folders with the content of real fits, and the page served over them."""

import json
import os
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from insiren.dashboard.app import application
from insiren.dashboard.guard import own_names
from insiren.dashboard.watch import Watch
from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.fit.landscape import around
from insiren.fit.optimise import fit
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report.saved import _plain
from insiren.report.spectra import spectra

NEUTRONS = (300, 800, 2_000, 6_000, 20_000)
TARGETS = {"J": 0.15, "Jp": 0.1}
TRUTH = {"J": 10.4, "Jp": 1.3}


@pytest.fixture(scope="session")
def content():
    """Files of a growing measurement, one dict of file contents a snapshot, from fits of the bundled square lattice."""
    forward = exact(load_model("square-neel"))
    route = np.concatenate([np.linspace(a, b, 24)[:-1] for a, b in ROUTE])
    clean = simulate(forward, TRUTH, Points.table(route, np.linspace(1.0, 30.0, 59)))
    return [_files(forward, clean, n, index + 1) for index, n in enumerate(NEUTRONS)]


ROUTE = [((0.02, 0.0, 0.0), (0.5, 0.0, 0.0)), ((0.5, 0.0, 0.0), (0.5, 0.48, 0.0)), ((0.48, 0.48, 0.0), (0.25, 0.25, 0.0))]


def _files(forward, clean, neutrons, number):
    data = count(clean, neutrons, seed=number, background=0.1)
    data.name = "path1"
    found = fit(forward, [data], starts=4)
    grid = around(found, "J", "Jp", 25)
    files = {
        "fit.json": {**found.to_dict(), "seconds": {"fit": 1.0}, "command": "insiren live", "live": _live(found, neutrons, number)},
        "maps.json": [_map(one) for one in spectra(found)],
        "landscape.json": {
            "x": {"name": "J", "unit": "meV", "values": grid.x_values},
            "y": {"name": "Jp", "unit": "meV", "values": grid.y_values},
            "delta": (grid.objective - grid.minimum) / grid.noise,
        },
    }
    return {name: json.dumps(_plain(value), allow_nan=False) for name, value in files.items()}


def _map(one):
    residual = (one.intensity - one.model) / one.sigma
    return {
        "name": one.name,
        "x": {"label": "along the path", "unit": "", "values": np.arange(len(one.hkl)) / (len(one.hkl) - 1)},
        "y": {"label": "energy transfer", "unit": "meV", "values": one.omega},
        **{name: np.round(rows.T, 4) for name, rows in (("data", one.intensity), ("model", one.model), ("residual", residual))},
    }


def _live(found, neutrons, number):
    targets, conditions = {}, []
    for name, target in TARGETS.items():
        error = found.errors[name]
        wanted = neutrons * (error / target) ** 2
        targets[name] = {"target": target, "error": error, "neutrons": wanted, "low": 0.8 * wanted, "high": 1.2 * wanted}
        conditions.append({"name": f"target {name}", "met": error <= target, "text": f"{error:.2g} of {target:g} meV"})
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


class Run:
    """Writes a snapshot folder as `insiren live` does: each one whole, by rename."""

    def __init__(self, out, content):
        self.out, self.content, self.number = Path(out), content, 0
        (self.out / "snapshots").mkdir(parents=True)
        self.rename("live.json", json.dumps({"model": "square-neel", "forward": "exact", "directory": "data", "started": "now"}))

    def rename(self, name, text):
        partial = self.out / f".{name}.part"
        partial.write_text(text, "utf-8")
        os.replace(partial, self.out / name)

    def snapshot(self, minutes_ago=0.0, leave_out=()):
        """The next snapshot; after the last content, that one again."""
        self.number += 1
        files = self.content[min(self.number, len(self.content)) - 1]
        fitted = json.loads(files["fit.json"])
        time_of = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        fitted["live"] |= {"number": self.number, "time": time_of.isoformat(timespec="seconds")}
        partial = self.out / "snapshots" / f".{self.number:06d}.part"
        partial.mkdir()
        for name, text in {**files, "fit.json": json.dumps(fitted)}.items():
            if name not in leave_out:
                (partial / name).write_text(text, "utf-8")
        partial.rename(self.out / "snapshots" / f"{self.number:06d}")
        self.log(f"Snapshot {self.number}: {fitted['live']['neutrons']} neutrons in {self.number} files")

    def log(self, text, level="info"):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now, "level": level, "text": text}) + "\n")


@pytest.fixture
def run(tmp_path, content):
    return Run(tmp_path / "out", content)


class Served:
    """The page in a thread, at a port of its own."""

    def __init__(self, out, token=None):
        self.watch = Watch(out)
        config = uvicorn.Config(
            application(self.watch, own_names("127.0.0.1"), token), port=0, log_level="warning", lifespan="on",
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def get(self, path, method="GET", host=None, **headers):
        """Status, headers and content; the path goes out as it is written."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def close(self):
        self.server.servers[0].get_loop().call_soon_threadsafe(self.watch.close)
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture
def served():
    """Serves folders; all are closed in the end."""
    running = []

    def start(out, token=None):
        running.append(Served(out, token))
        return running[-1]

    yield start
    for one in running:
        one.close()


def until(true, seconds=20.0):
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


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
