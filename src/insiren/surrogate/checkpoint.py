"""Checkpoints: the state of a training in a file that is whole whenever the process is killed.

Weights, moments of the optimiser, random key, step, share of the schedule and, where labels are drawn
as training goes, the pool of labels. Going on from one repeats the uninterrupted training bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from insiren.errors import SurrogateError
from insiren.surrogate.loop import Training
from insiren.surrogate.store import FORMAT, read_tensors, write_tensors

_LARGEST = 4_000_000_000  # bytes; a pool of 65,536 × 16 labels has 30 million


class Kept(NamedTuple):
    """What a checkpoint holds: the state, and the seconds of training that led to it."""

    state: Any
    seconds: float


def save_checkpoint(state: Any, training: Training, path: str | Path, seconds: float = 0.0) -> None:
    """Writes the state of a training so that it can go on as if never stopped."""
    tensors = {f"leaf{n}": np.asarray(_plain(x)) for n, x in enumerate(jax.tree.leaves(state))}
    write_tensors(
        Path(path), tensors, {"format": FORMAT, "training": training.fingerprint(), "seconds": float(seconds)}
    )


def load_checkpoint(path: str | Path, training: Training) -> Kept:
    """The state of an interrupted training.

    Raises:
        SurrogateError: the file is damaged, or belongs to another model, domain, recipe or version.
    """
    tensors, facts = read_tensors(Path(path), _LARGEST)
    found, wanted = facts.get("training"), training.fingerprint()
    if found != wanted:
        known = found if isinstance(found, dict) else {}
        differ = ", ".join(sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name)))
        raise SurrogateError(
            f"{path} belongs to another training: {differ} differ. Give the same options, or remove the file and train "
            "without --resume."
        )
    like, tree = jax.tree.flatten(jax.eval_shape(training.start))
    leaves = [tensors.get(f"leaf{n}") for n in range(len(tensors))]
    shapes = [jax.eval_shape(_plain, x) for x in like]
    if [(x.shape, x.dtype) for x in leaves if x is not None] != [(x.shape, x.dtype) for x in shapes]:
        raise SurrogateError(f"{path} is not a whole checkpoint. Remove it, and train without --resume.")
    whole = [
        jax.random.wrap_key_data(jnp.asarray(x)) if _is_key(y) else jnp.asarray(x)
        for x, y in zip(leaves, like, strict=True)
    ]
    return Kept(jax.tree.unflatten(tree, whole), float(facts["seconds"]))


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _plain(x: Any) -> Any:
    return jax.random.key_data(x) if _is_key(x) else x
