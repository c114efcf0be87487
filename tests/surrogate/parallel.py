"""A few steps on as many devices as there are, in a process of its own: python parallel.py RESULT.npz

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

STEPS = 200


def main(path: str) -> None:
    recipe = Recipe(steps=STEPS, width=16, layers=2, spectra=16)
    taught = Taught.of(line_samples(), recipe, "kl")
    state = taught.advance(taught.start(), STEPS, 1.0)
    first = taught.start()
    whole = State(first.net, first.optimiser, taught.pool, first.step, first.key, first.share)
    program = training._descend.lower(recipe, STEPS, sharing(recipe.spectra), whole, jnp.asarray(1.0)).compile()
    np.savez(
        path,
        *map(np.asarray, jax.tree.leaves(state.net)),
        devices=len(jax.devices()),
        holding=len(state.net.weights[0].sharding.device_set),
        sums="all-reduce" in program.as_text(),
        error=taught.error(state),
    )


if __name__ == "__main__":
    main(sys.argv[1])
