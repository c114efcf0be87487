"""Which modes of neighbouring nodes are one band: by continuity, not by rank, so that bands may cross."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from insiren.model.spec import Model
from insiren.simulate.lswt import line_runs

_WEIGHTS = 0.1  # how much a jump of the weight counts beside a kink of the energy, both squared and relative
_SURE = 0.5  # a swap has to leave less than so much of the jumps and kinks: what does not cross stays as it is
_PASSES = 4  # over all neighbours in rank: so many ranks a band may climb from one node to the next


def together(model: Model, lines: int) -> Bool[np.ndarray, " l"] | None:
    """Which of so many lines at a node, as `magnons` orders them, come from one diagonalisation with the one after.

    Only these are in order of energy and may swap where bands cross; None where there are none.
    """
    runs = line_runs(model)
    one = np.concatenate([np.arange(n) < n - 1 for n in runs])
    return np.tile(one, lines // len(one)) if one.any() else None


def continued(
    E: Float[Array, "*g n"],
    weight: Float[Array, "*g n"],
    beside: Iterable[tuple[Array, Array]],
    mates: Bool[np.ndarray, " n"] | None,
    views: int = 1,
) -> Iterator[tuple[Array, Array]]:
    """Energies and weights at the neighbours of each node, each in the place of the band at the node that it continues.

    Along a line of three nodes a band has no kink: of two modes next to each other in rank those at one neighbour
    are swapped where that leaves less kinks of the energies and jumps of the weights. The choice is a
    constant in derivatives.

    Args:
        E: energies at the nodes in meV.
        weight: their weights.
        beside: energies and weights at the neighbours, two an axis; at an edge the node itself.
        mates: which lines may swap with the next one, see `together`.
        views: how many sets of weights of the same modes stand one after the other along the last axis; their
            energies go together, by the mean weight.
    """

    def seen(energies: Array, weights: Array) -> tuple[Array, Array]:
        shape = (*energies.shape[:-1], views, -1)
        energies, weights = (jax.lax.stop_gradient(x).reshape(shape) for x in (energies, weights))
        return energies[..., 0, :], jnp.mean(weights, -2)

    sides = iter(beside)
    for one, other in zip(sides, sides, strict=True):
        if mates is None:
            yield from (one, other)
            continue
        places = _places(seen(E, weight), seen(*one), seen(*other), mates[: len(mates) // views])
        for (energies, weights), place in zip((one, other), places, strict=True):
            every = jnp.concatenate([place + n * place.shape[-1] for n in range(views)], -1)
            yield jnp.take_along_axis(energies, every, -1), jnp.take_along_axis(weights, every, -1)


def _places(
    node: tuple[Array, Array], down: tuple[Array, Array], up: tuple[Array, Array], mates: np.ndarray
) -> tuple[Int[Array, "*g n"], Int[Array, "*g n"]]:
    """Where to look for the continuation of each band on either side."""
    E = node[0]
    number = jnp.broadcast_to(jnp.arange(E.shape[-1]), E.shape)
    inner = ~(jnp.all(down[0] == E, -1) | jnp.all(up[0] == E, -1))[..., None]  # an edge has one neighbour: no line
    one, other, rank = (*down, number), (*up, number), _rank(mates)
    for turn in range(2 * min(_PASSES, int(rank.max()))):
        low = np.flatnonzero(mates & (rank % 2 == turn % 2))
        if not len(low):
            continue
        pair = [tuple(jnp.stack([x[..., low], x[..., low + 1]]) for x in s) for s in (node, one[:2], other[:2])]
        swapped = [tuple(x[::-1] for x in side) for side in pair]
        cost = _uneven(pair[0], pair[1], pair[2])
        cost1, cost2 = _uneven(pair[0], swapped[1], pair[2]), _uneven(pair[0], pair[1], swapped[2])
        first = inner & (cost1 < _SURE * cost) & (cost1 <= cost2)
        second = inner & (cost2 < _SURE * cost) & (cost2 < cost1)
        one, other = (tuple(_swapped(x, low, where) for x in side) for side, where in ((one, first), (other, second)))
    return one[2], other[2]


def _uneven(middle: tuple[Array, ...], one: tuple[Array, ...], other: tuple[Array, ...]) -> Array:
    """Kinks of energies and jumps of weights along two bands, squared and relative; bands first."""
    total = 0.0
    for values, share in zip(range(2), (1.0, _WEIGHTS), strict=True):
        x, y, z = middle[values], one[values], other[values]
        all_ = jnp.concatenate([x, y, z])
        size = jnp.max(all_, 0) - (jnp.min(all_, 0) if values == 0 else 0.0)
        kink = jnp.sum((y + z - 2 * x) ** 2, 0)
        total = total + share * kink / jnp.where(size > 0, size, 1.0) ** 2
    return jnp.asarray(total)


def _swapped(values: Array, low: np.ndarray, where: Array) -> Array:
    one, other = values[..., low], values[..., low + 1]
    values = values.at[..., low].set(jnp.where(where, other, one))
    return values.at[..., low + 1].set(jnp.where(where, one, other))


def _rank(mates: np.ndarray) -> Int[np.ndarray, " n"]:
    """The place of each line among those of its diagonalisation."""
    count = np.zeros(len(mates), int)
    for n in range(1, len(mates)):
        count[n] = count[n - 1] + 1 if mates[n - 1] else 0
    return count
