"""The average over the orientations of a powder.

Directions form an even grid in θ and φ, weighted by Fejér's rule, and each stands for a patch of the
sphere as nodes of a Q broadening do for a patch of the zone: energy and weight are described to second
order between the nodes, so that a few thousand directions replace many times as many.

Source: Fejér, Math. Z. 37, 287 (1933), for the weights.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

FIRST_RINGS = 8  # rings of directions a plan begins with
MOST_RINGS = 140  # and ends with at the latest
GROWTH = 1.5  # from one attempt to the next
TOLERANCE = 0.005  # of the largest intensity: a plan is done when an attempt changes no pixel by more


def directions(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (rings, 2 rings, 3), θ first and φ fastest, and weights that sum to 1 (rings, 2 rings)."""
    theta = (np.arange(rings) + 0.5) * np.pi / rings
    phi = (np.arange(2 * rings) + 0.5) * np.pi / rings
    k = np.arange(1, rings // 2 + 1)
    share = (1 - 2 * np.sum(np.cos(2 * k * theta[:, None]) / (4 * k**2 - 1), axis=1)) / rings  # of the sphere
    across = np.sin(theta)[:, None]
    z = np.broadcast_to(np.cos(theta)[:, None], (rings, 2 * rings))
    weight = np.broadcast_to(share[:, None] / (2 * rings), z.shape)
    return np.stack([across * np.cos(phi), across * np.sin(phi), z], -1), weight / weight.sum()


def beside(values: Array) -> Iterator[Array]:
    """Values (…, rings, 2 rings, n) moved by one direction towards each pole, over which θ goes on, and around."""
    half = values.shape[-2] // 2
    first, last = (jnp.roll(values[..., ring, :, :], half, -2)[..., None, :, :] for ring in (0, -1))
    yield jnp.concatenate([first, values[..., :-1, :, :]], -3)
    yield jnp.concatenate([values[..., 1:, :, :], last], -3)
    yield jnp.roll(values, 1, -2)
    yield jnp.roll(values, -1, -2)
