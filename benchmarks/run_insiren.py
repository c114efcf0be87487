"""insiren on a problem of the speed table, in a process of its own (see comparison/serve.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from serve import serve
from speed import built

from insiren.forward import complete
from insiren.simulate.intensity import magnons


def prepare(problem: Any) -> Callable[[], Any]:
    model = built(len(problem["spin"]), mixed=bool(problem["exchange"][:, 0, 1].any()))
    params, hkl = complete(model.all_parameters, {}), jnp.asarray(problem["hkl"])
    solve = jax.jit(lambda params, hkl: magnons(model, params, hkl)).lower(params, hkl).compile()
    return lambda: jax.block_until_ready(solve(params, hkl))


if __name__ == "__main__":
    serve(prepare, lambda _, found: {"energies": found[0], "intensities": found[1]})
