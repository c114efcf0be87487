"""Which modes of neighbouring nodes are one band: by continuity, not by rank, so that bands may cross."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from insiren.model.domains import domains
from insiren.model.spec import Model
from insiren.simulate.lswt import branches, line_runs, spin_waves

_WEIGHTS = 0.1  # how much a jump of the weight counts beside a kink of the energy, both squared and relative
_SURE = 0.5  # a swap has to leave less than so much of the jumps and kinks: what does not cross stays as it is
_PASSES = 4  # over all neighbours in rank: so many ranks a band may climb from one node to the next

Modes = tuple[Array, Array]  # energies and weights


def together(model: Model, lines: int) -> Bool[np.ndarray, " l"] | None:
    """Which of so many lines at a node, as `magnons` orders them, come from one diagonalisation with the one after.

    Only these are in order of energy and may swap where bands cross; None where there are none. Domains follow one
    another, each with the diagonalisations of its own Hamiltonian and branch by branch.
    """
    found = []
    for domain in domains(model):
        runs = np.concatenate([np.arange(n) < n - 1 for n in line_runs(domain.model)])
        found.append(np.tile(runs, len(branches(spin_waves(domain.model).cell)[0])))
    one = np.concatenate(found)
    return np.tile(one, lines // len(one)) if one.any() else None


def continued(
    E: Float[Array, "*g n"],
    weight: Float[Array, "*g n"],
    beside: Iterable[Modes],
    mates: Bool[np.ndarray, " n"] | None,
    views: int = 1,
) -> Iterator[Modes]:
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
    sides = iter(beside)
    for down, up in zip(sides, sides, strict=True):
        yield from (down, up) if mates is None else _paired((E, weight), down, up, mates, views)


def _paired(node: Modes, down: Modes, up: Modes, mates: np.ndarray, views: int) -> tuple[Modes, Modes]:
    rank = _rank(mates)
    edge = jnp.all(down[0] == node[0], -1) | jnp.all(up[0] == node[0], -1)  # one neighbour: no line of three nodes
    inner = ~jax.lax.stop_gradient(edge)[..., None]
    here = _seen(node, views)
    for turn in range(2 * min(_PASSES, int(rank.max()))):
        first = mates & (rank % 2 == turn % 2)  # of each pair that may swap
        if not first.any():
            continue
        below, above = _seen(down, views), _seen(up, views)
        stay = _kinks(here, below, above)
        lower = _kinks(here, below, above, (True, False))
        upper = _kinks(here, below, above, (False, True))
        swap = inner & first & (jnp.minimum(lower, upper) < _SURE * stay)
        down = _swapped(down, swap & (lower <= upper))
        up = _swapped(up, swap & (lower > upper))
    return down, up


def _seen(modes: Modes, views: int) -> Modes:
    """What the choice is made by: constants, the mean of all views in each."""
    E, weight = (jax.lax.stop_gradient(x) for x in modes)
    if views == 1:
        return E, weight
    mean = jnp.mean(weight.reshape(*weight.shape[:-1], views, -1), -2)
    return E, jnp.concatenate([mean] * views, -1)


def _after(values: Array) -> Array:
    """For each mode what the next one in rank has; the last one keeps its own."""
    return jnp.concatenate([values[..., 1:], values[..., -1:]], -1)


def _before(values: Array) -> Array:
    return jnp.concatenate([values[..., :1], values[..., :-1]], -1)


def _kinks(node: Modes, down: Modes, up: Modes, swap: tuple[bool, bool] = (False, False)) -> Array:
    """Kinks of the energies and jumps of the weights along each mode and the next one, squared and relative.

    Args:
        node, down, up: energies and weights along a line of three nodes.
        swap: whether the two modes are swapped below, and above.
    """
    total = jnp.zeros(())
    for n, share in enumerate((1.0, _WEIGHTS)):
        x, y, z = ((side[n], _after(side[n])) for side in (node, down, up))
        every = (*x, *y, *z)
        size = functools.reduce(jnp.maximum, every) - (functools.reduce(jnp.minimum, every) if n == 0 else 0.0)
        y, z = y[::-1] if swap[0] else y, z[::-1] if swap[1] else z
        kink = sum((b + c - 2 * a) ** 2 for a, b, c in zip(x, y, z, strict=True))
        total = total + share * kink / jnp.where(size > 0, size, 1.0) ** 2
    return total


def _swapped(modes: Modes, where: Array) -> Modes:
    """The same with each mode and the next one in each other's place where that is asked for."""
    moved = jnp.concatenate([jnp.zeros_like(where[..., :1]), where[..., :-1]], -1)
    E, weight = (jnp.where(where, _after(x), jnp.where(moved, _before(x), x)) for x in modes)
    return E, weight


def _rank(mates: np.ndarray) -> np.ndarray:
    """The place of each line among those of its diagonalisation."""
    count = np.zeros(len(mates), int)
    for n in range(1, len(mates)):
        count[n] = count[n - 1] + 1 if mates[n - 1] else 0
    return count
