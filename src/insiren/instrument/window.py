"""Q broadening in a window: a block of nodes around a place, as wide as the broadening asks for.

Where many wavevectors are wanted but none in particular, as for the labels of a surrogate, they
can be put where nodes are. One block then serves all wavevectors inside it, and since its size goes
with the width of the broadening, a function of it is compiled once for all widths.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Parameters, Points
from insiren.instrument.exact import GRID_NODES, Exact, on_grid
from insiren.instrument.grid import REACH, SharedGrid
from insiren.instrument.resolution import FWHM_PER_SIGMA

_ALONG = {1: 256, 2: 48, 3: 36}  # nodes along each axis: about as many in all, and some inside the reach at each end
_MARGIN = int(np.ceil(REACH * GRID_NODES / FWHM_PER_SIGMA))  # nodes that the Gaussian of a wavevector covers


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """An even block of nodes along the broadening axes, in steps.

    Attributes:
        place: of each node, shape (g, a).
        beside: the next node down and up along each axis, or the node itself, shape (g, a, 2).
        inner: (lowest, highest) place at which the average of a wavevector lies within the block.
    """

    place: np.ndarray
    beside: np.ndarray
    inner: tuple[float, float]


@functools.cache
def block(axes: int) -> Block:
    """The block of nodes along so many axes."""
    along = _ALONG[axes]
    number = np.arange(along**axes).reshape([along] * axes)
    place = np.stack(np.unravel_index(number.reshape(-1), number.shape), -1)
    steps = np.arange(along)
    ends = [np.clip(steps + side, 0, along - 1) for side in (-1, 1)]
    beside = np.stack([np.stack([number.take(end, a).reshape(-1) for end in ends], -1) for a in range(axes)], 1)
    return Block(place, beside, (float(_MARGIN), float(along - 1 - _MARGIN)))


def in_window(
    exact: Exact, params: Parameters, corner: Float[Array, " 3"], place: Float[Array, "q a"]
) -> Float[Array, "q 3"]:
    """Wavevectors in r.l.u. at places in steps from the corner; see `spectrum_in_window`."""
    return corner + _step(params) * place @ jnp.asarray(exact.model.instrument.q_axes, float)


def spectrum_in_window(
    exact: Exact,
    params: Parameters,
    corner: Float[Array, " 3"],
    place: Float[Array, "q a"],
    omega: Float[Array, " w"],
) -> Float[Array, "q w"]:
    """S(Q, ω) per meV and crystal cell at wavevectors within one window.

    Args:
        exact: the simulator, with a Q broadening.
        params: every parameter by name; traceable, q_fwhm > 0 too.
        corner: wavevector of the first node in r.l.u.
        place: of the wavevectors, in steps from the corner along the broadening axes; within `Block.inner`.
        omega: energies in meV, common to all.
    """
    nodes, step = block(len(exact.model.instrument.q_axes)), _step(params)
    grid = SharedGrid(
        nodes=in_window(exact, params, corner, jnp.asarray(nodes.place)),
        node_place=step * nodes.place,
        place=step * place,
        near=jnp.ones((len(place), len(nodes.place)), bool),
        omega=omega,
        step=step,
        beside=jnp.asarray(nodes.beside),
        edges=(0.0,) * place.shape[1],
    )
    points = Points.table(in_window(exact, params, corner, place), omega)
    return on_grid(exact, grid).spectrum(params, points).reshape(len(place), len(omega))


def _step(params: Parameters) -> Float[Array, ""]:
    return jnp.asarray(params["q_fwhm"]) / GRID_NODES
