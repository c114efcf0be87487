"""Runs that are killed at any moment lose nothing and count nothing twice."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ridge import counted, live

from insiren.data.files import write
from insiren.data.replay import stream

SCRIPT = Path(__file__).with_name("ridge.py")


def started(place, incremental):
    mode = "incremental" if incremental else "cumulative"
    return subprocess.Popen([sys.executable, SCRIPT, place.counts, place.run, mode], stderr=subprocess.DEVNULL)


def killed_often(place, kills, incremental, seed):
    """A stream of files into a run that is killed again and again; the last of it, in the end."""
    rng, sets = np.random.default_rng(seed), list(stream([counted(8000)], 400, None, 6 * kills, 1, incremental))
    process = started(place, incremental)
    for n, (one,) in enumerate(sets):
        write(one, place.counts / f"{n:03d}.h5")
        time.sleep(rng.uniform(0.02, 0.2))
        if n % 6 == 5:
            deadline, shot = time.monotonic() + 60, place.run / "ledger.jsonl"
            size = shot.stat().st_size if shot.exists() else 0
            while time.monotonic() < deadline and (shot.stat().st_size if shot.exists() else 0) == size:
                time.sleep(0.01)  # until it is at work
            time.sleep(rng.uniform(0, 1.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = started(place, incremental)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return float(counted(8000).coords["counts"].values.sum())


def ends_right(place, incremental, total):
    run = live(place.counts, place.run, incremental)
    run.look(), run.look()
    run.update()
    assert run.state.neutrons == total
    last = json.loads((run.folder.path(run.number) / "fit.json").read_text())
    assert last["live"]["neutrons"] == total
    numbers = run.folder.numbers()
    assert numbers == list(range(1, len(numbers) + 1))
    assert live(place.counts, place.run, incremental).state.neutrons == total
    assert all(len(list(run.folder.path(n).iterdir())) >= 2 for n in numbers)


def test_a_run_that_is_killed_once_ends_with_the_right_neutrons(place):
    ends_right(place, True, killed_often(place, 1, True, 5))
