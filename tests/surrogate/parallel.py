"""A few steps on one device and on all there are, in a process of its own: python parallel.py RESULT.npz

The number of devices of a CPU is set by the environment, before JAX starts.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from victim import line_samples

from insiren.surrogate import training
from insiren.surrogate.devices import sharing
from insiren.surrogate.taught import Taught
from insiren.surrogate.training import Recipe, State

STEPS = 100


def main(path: str) -> None:
    recipe = Recipe(steps=STEPS, width=16, layers=2, spectra=16)
    taught = Taught.of(line_samples(), recipe, "kl")
    first = taught.start()
    whole = State(first.net, first.optimiser, taught.pool, first.step, first.key, first.share)
    found = {"devices": len(jax.devices()), "sharing": sharing(recipe.spectra)}
    for devices in (1, sharing(recipe.spectra)):
        program = training._descend.lower(recipe, STEPS, devices, whole, jnp.asarray(1.0)).compile()
        net = program(whole, jnp.asarray(1.0)).net
        found |= {
            f"sums{devices}": "all-reduce" in program.as_text(),
            f"error{devices}": training.rms(net, *taught.held_out),
        }
        found[f"holding{devices}"] = len(net.weights[0].sharding.device_set)
        found |= {f"weights{devices}.{n}": np.asarray(x) for n, x in enumerate(jax.tree.leaves(net))}
    found["error_at_first"] = taught.error(first)
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
