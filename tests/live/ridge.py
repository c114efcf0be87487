"""A theory with a closed form that compiles in a second, its measurement, and a run of it as a process of its own."""

import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.fit.pose import Wanted
from insiren.fit.treatment import Treatment
from insiren.forward import Parameter, Points, forward
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import only_writer
from insiren.live.update import Asked

TRUTH = 2.0  # meV
SIGMA = 0.4  # meV of the line


def line(params, points):
    """A line of Gaussian shape at E = J |sin 2πh|."""
    energy = params["J"] * jnp.abs(jnp.sin(2 * jnp.pi * points.hkl[:, 0]))[points.index]
    return jnp.exp(-(((points.omega - energy) / SIGMA) ** 2))


RIDGE = forward(line, (Parameter("J", 1.5, 0.5, 3.5, "meV", free=True),))
PLACES = Points.table(np.linspace([0.06, 0, 0], [0.24, 0, 0], 8), np.linspace(0.2, 4.0, 20))


def counted(neutrons, seed=1, name="ridge"):
    """A measurement with so many neutrons, about."""
    found = count(simulate(RIDGE, {"J": TRUTH}, PLACES), neutrons, seed, background=0.05)
    found.name = name
    return found


def asked(**wanted):
    wish = Treatment(None, "per-energy", "data", False, None, None)
    return Asked(RIDGE, wish, Wanted(**wanted), starts=3)


def live(directory, out, incremental=False, targets=None, **more):
    return Live(asked(), Wishes(Path(directory), Path(out), targets or {}, 0.68, incremental), **more)


def follow(directory, out, incremental):
    """Looks and updates until it is killed."""
    with only_writer(Path(out)):
        run = live(directory, out, incremental)
        while True:
            if run.look():
                run.update()
            time.sleep(0.005)


if __name__ == "__main__":
    follow(sys.argv[1], sys.argv[2], sys.argv[3] == "incremental")
