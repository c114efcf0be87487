"""A training that is killed again and again, beside one that is not."""

import importlib
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def killed_and_resumed(kills, tmp_path, monkeypatch):
    """Fails unless both end with the same weights."""
    folder = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *sys.path]))
    monkeypatch.syspath_prepend(folder)
    processes = multiprocessing.get_context("forkserver")  # each is a process of its own, whose imports are done
    processes.set_forkserver_preload(["victim"])
    victim = importlib.import_module("victim")

    def begin(path):
        here, there = processes.Pipe(duplex=False)
        process = processes.Process(target=victim.main, args=(path, there.send))
        process.start()
        return process, here

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    process, _ = begin(whole)
    process.join()
    assert process.exitcode == 0
    moments, reached = random.Random(0), []
    for _ in range(kills):
        process, steps = begin(killed)
        reached.append(steps.recv())  # where it goes on from
        for _ in range(moments.randint(0, 2)):
            steps.recv()
        time.sleep(moments.uniform(0.0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -9  # it had not ended
    assert reached == sorted(reached) and len(set(reached)) > kills // 2 - 1  # most came further than the one before
    process, _ = begin(killed)
    process.join()
    assert process.exitcode == 0
    one, other = (load_file(path / "end.insiren") for path in (whole, killed))
    assert one.keys() == other.keys() and len(one) > 4
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
