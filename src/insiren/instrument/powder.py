"""The average over the orientations of a powder.

Directions form an even grid in θ and φ, weighted by Fejér's rule, and each stands for a patch of the
sphere as nodes of a Q broadening do for a patch of the zone: energy and weight are described to second
order between the nodes, so that a few thousand directions replace many times as many.

Source: Fejér, Math. Z. 37, 287 (1933), for the weights.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from insiren.instrument.resolution import own_neighbours
from insiren.model.crystal import lattice
from insiren.model.spec import Model
from insiren.simulate.intensity import magnons

FIRST_RINGS = 16  # rings of directions a plan begins with
MOST_RINGS = 256  # and ends with at the latest
GROWTH = 2  # from one attempt to the next
_TRIED = 5  # wavevectors at which a symmetry must hold
_REACHES = (0.05, 0.01, 0.002)  # of the bounds: how far parameters are drawn; nearer where the structure is unstable
_EQUAL = 1e-7  # relative
TOLERANCE = 0.005  # of the largest intensity: a plan is done when an attempt changes no pixel by more


def directions(rings: int, octant: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (rings, 2 rings, 3), θ first and φ fastest, and weights that sum to 1 (rings, 2 rings).

    Of an octant, which stands for all where three mirrors do, a half of the rings and a quarter of each.
    """
    theta = (np.arange(rings) + 0.5) * np.pi / rings
    phi = (np.arange(2 * rings) + 0.5) * np.pi / rings
    k = np.arange(1, rings // 2 + 1)
    share = (1 - 2 * np.sum(np.cos(2 * k * theta[:, None]) / (4 * k**2 - 1), axis=1)) / rings  # of the sphere
    across = np.sin(theta)[:, None]
    z = np.broadcast_to(np.cos(theta)[:, None], (rings, 2 * rings))
    weight = np.broadcast_to(share[:, None] / (2 * rings), z.shape)
    vectors, weight = np.stack([across * np.cos(phi), across * np.sin(phi), z], -1), weight / weight.sum()
    if not octant:
        return vectors, weight
    part = np.s_[: rings // 2, : rings // 2]
    return vectors[part], weight[part] / weight[part].sum()


def beside(values: Array, octant: bool = False) -> Iterator[Array]:
    """Values (…, rings, 2 rings, n) moved by one direction towards each pole, over which θ goes on, and around.

    At the mirrors of an octant the neighbour is the direction itself, since nodes lie half a step from them.
    """
    if octant:
        yield from own_neighbours(values, 2)
        return
    half = values.shape[-2] // 2
    first, last = (jnp.roll(values[..., ring, :, :], half, -2)[..., None, :, :] for ring in (0, -1))
    yield jnp.concatenate([first, values[..., :-1, :, :]], -3)
    yield jnp.concatenate([values[..., 1:, :, :], last], -3)
    yield jnp.roll(values, 1, -2)
    yield jnp.roll(values, -1, -2)


@functools.lru_cache(maxsize=64)
def has_octant(model: Model) -> bool:
    """Whether the modes of Q are those of Q with any Cartesian component reversed, so that an octant is enough.

    Tried at wavevectors and parameters at random, so that no special value pretends to a symmetry.
    """
    rng = np.random.default_rng(0)
    Q = rng.normal(size=(_TRIED, 3))
    signs = np.concatenate([np.ones((1, 3)), 1 - 2 * np.eye(3)])
    hkl = (signs[:, None] * Q).reshape(-1, 3) @ np.linalg.inv(lattice(model).reciprocal)
    compiled = None
    for reach in _REACHES:
        params = {
            p.name: np.asarray(np.clip(p.value + reach * (p.max - p.min) * rng.uniform(-1, 1), p.min, p.max))
            for p in model.all_parameters
        }
        # Compiled ahead, it runs also while another function is traced.
        compiled = compiled or jax.jit(magnons, static_argnums=0).lower(model, params, hkl).compile()
        E, I = (np.asarray(x).reshape(len(signs), _TRIED, -1) for x in compiled(params, hkl))
        if np.all(np.isfinite(E)):
            moments = np.stack([np.sum(I * E**n, -1) for n in range(3)])
            return bool(np.allclose(moments, moments[:, :1], rtol=_EQUAL))
    return False
