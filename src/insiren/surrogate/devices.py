"""Batches over all devices of this machine: each takes some rows, and the gradients are summed.

The network is small and lies on every device; only the rows of a batch are parted.
"""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

_ROWS = "rows"


def sharing(rows: int) -> int:
    """How many of the devices can share a batch of so many rows evenly."""
    return max(n for n in range(1, len(jax.devices()) + 1) if rows % n == 0)


def parted(x: Array, devices: int) -> Array:
    """The same rows, laid over so many devices; to be used within a compiled function."""
    if devices == 1:
        return x
    mesh = Mesh(np.array(jax.devices()[:devices]), (_ROWS,))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(_ROWS)))
