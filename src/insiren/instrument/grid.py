"""Q broadening by a grid of nodes that neighbouring wavevectors share.

A Gaussian average on an even grid converges exponentially (the trapezoidal rule of a smooth
function), and the nodes stay where they are when the width changes: the magnons of a node
are found once for all wavevectors near it, and the spectrum is smooth in the width. Nodes
that moved with the width would sweep over the Goldstone points, where the intensity diverges.

Source: Trefethen and Weideman, SIAM Review 56, 385 (2014).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float, Int

from insiren.forward import Points, on_device
from insiren.instrument.resolution import FWHM_PER_SIGMA, PATCH

RANGE = 1.6  # a plan holds for widths this factor up and down from the one it was made for
_REACH = 3.5  # standard deviations; the Gaussian beyond holds 2e-3 of its weight in a plane, renormalised
_DIGITS = 5  # binary ones that a number of steps may have: few plans mean few compiled functions
_PAD = 2048  # node numbers are rounded up to it, so that like data share a compiled function
_BLOCK = 16  # wavevectors averaged at once: neighbours need nearly the same nodes
_PAD_BLOCK = 256  # the same for the nodes of a block
_ALIKE = 1e-9  # lengths and angles of axes, relative: rounding
_MOST_NODES = 200_000  # beyond this the grid costs more than nodes of each wavevector's own


class SharedGrid(eqx.Module):
    """Nodes around a set of wavevectors.

    Attributes:
        nodes: wavevectors in r.l.u., shape (g, 3); padding repeats the first.
        node_place: their coordinates along the broadening axes, shape (g, a).
        place: the same of the wanted wavevectors in blocks of neighbours, the last one repeated, shape (b, n, a).
        within: the nodes that a block needs, shape (b, m); padding repeats the first.
        near: which of these are in reach of a wavevector and no padding, shape (b, n, m).
        count: of wavevectors.
        omega: the energies that all wavevectors share in meV, shape (w,).
        step: distance of neighbouring nodes along each axis, r.l.u.
        beside: the next node down and up along each axis, or the node itself, shape (g, a, 2).
        edges: full width of the bins along each axis, r.l.u.
    """

    nodes: Float[Array, "g 3"]
    node_place: Float[Array, "g a"]
    place: Float[Array, "b n a"]
    within: Int[Array, "b m"]
    near: Bool[Array, "b n m"]
    omega: Float[Array, " w"]
    step: Float[Array, ""]
    beside: Int[Array, "g a 2"]
    edges: tuple[float, ...] = eqx.field(static=True)
    count: int = eqx.field(static=True)

    def beside_nodes(self, values: Float[Array, "g n"]) -> Iterator[Float[Array, "g n"]]:
        """Values at the neighbours of each node, two an axis; at an edge the node's own."""
        for axis in range(self.beside.shape[1]):
            for side in range(2):
                yield values[self.beside[:, axis, side]]

    def average(self, values: Float[Array, "g w"], q_fwhm: Float[Array, ""]) -> Float[Array, "q w"]:
        """The mean around each wavevector, over its bin too, of values at the nodes; q_fwhm in r.l.u."""
        of_nodes = jnp.sqrt(q_fwhm**2 - (FWHM_PER_SIGMA * PATCH * self.step) ** 2)  # the patches are the rest

        def around(block: tuple[Array, Array, Array]) -> Array:
            place, within, near = block
            apart = jnp.moveaxis(place[:, None] - self.node_place[within], -1, 0)
            return _average(self.edges, values[within], of_nodes, apart, near)

        means = jax.lax.map(around, (self.place, self.within, self.near))
        return means.reshape(-1, values.shape[1])[: self.count]


def _kernel(edges: tuple[float, ...], q_fwhm: Array, apart: Float[Array, "a q g"], near: Array) -> Float[Array, "q g"]:
    """A Gaussian, folded with the bin along each axis that has one; not normalised."""
    sigma = q_fwhm / FWHM_PER_SIGMA
    product = jnp.where(near, 1.0, 0.0)
    square = sum((apart[n] ** 2 for n, edge in enumerate(edges) if edge == 0), jnp.zeros_like(apart[0]))
    product = product * jnp.exp(-0.5 * square / sigma**2)
    for n, edge in enumerate(edges):
        if edge > 0:
            low, high = ((apart[n] + side * edge / 2) / sigma for side in (-1, 1))
            product = product * (ndtr(high) - ndtr(low))
    return product


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _average(edges: tuple[float, ...], values: Array, q_fwhm: Array, apart: Array, near: Array) -> Array:
    weight = _kernel(edges, q_fwhm, apart, near)
    return (weight @ values) / jnp.sum(weight, axis=1)[:, None]


@_average.defjvp
def _average_jvp(edges, primals, tangents):
    # Without this rule every parameter's derivative would differentiate the weights again.
    values, q_fwhm, apart, near = primals
    dvalues, dq_fwhm, _, _ = tangents
    weight, slope = jax.jvp(lambda width: _kernel(edges, width, apart, near), (q_fwhm,), (jnp.ones_like(q_fwhm),))
    total = jnp.sum(weight, axis=1)[:, None]
    weight = weight / total
    slope = slope / total - weight * (jnp.sum(slope, axis=1)[:, None] / total)
    return weight @ values, weight @ dvalues + (slope @ values) * dq_fwhm


def shared_grid(
    points: Points, axes: tuple[tuple[float, float, float], ...], q_fwhm: float, nodes: int
) -> SharedGrid | None:
    """A grid for a full table whose wavevectors share their energies.

    Args:
        points: where the spectrum is wanted, concrete.
        axes: directions in r.l.u. along which Q is broadened.
        q_fwhm: a width in r.l.u. near the ones that will be asked for (within `RANGE`).
        nodes: grid points in one FWHM along each axis.

    Returns:
        The grid, or None where there is none: no table, energies that differ, dependent
        axes, bins across them, or more nodes than it is worth.
    """
    if not points.is_table or q_fwhm <= 0:
        return None
    rows, hkl, basis = np.asarray(points.rows), np.asarray(points.hkl), np.array(axes, float)
    if np.any(rows != rows[0]) or np.linalg.matrix_rank(basis) < len(basis):
        return None
    basis = _turned(points, basis)
    edges = _edges(points, basis)
    if edges is None:
        return None
    place = hkl @ np.linalg.pinv(basis)
    planes, plane = np.unique(np.round(hkl - place @ basis, 6), axis=0, return_inverse=True)  # r.l.u., beyond rounding
    # A multiple of four steps in a cell, nodes at half steps: none sits on a half, third, quarter or sixth.
    steps = int(np.ceil(0.25 * nodes / q_fwhm))
    unit = 1 << max(0, steps.bit_length() - _DIGITS)
    steps = -(-steps // unit) * unit
    step = 0.25 / steps
    widest = nodes * steps / (steps - unit) if steps > unit else q_fwhm / step  # in steps, of those planned so
    reach = _REACH * RANGE * widest / FWHM_PER_SIGMA
    furthest = int(np.ceil(reach + max(edges) / 2 / step))
    around = np.arange(-furthest, furthest + 1)
    cube = np.stack(np.meshgrid(*[around] * len(basis), indexing="ij"), -1).reshape(-1, len(basis))
    beyond = np.maximum(np.abs(cube) - np.array(edges) / 2 / step, 0)  # of the bin
    cube = cube[np.sum(beyond**2, axis=1) <= (reach + 1) ** 2]
    corner = np.floor(place / step).astype(int)
    found, home, beside = [], [], []
    for n in range(len(planes)):
        distinct = np.unique(corner[plane.reshape(-1) == n], axis=0)
        if len(distinct) * len(cube) > 50 * _MOST_NODES:  # elements of the list below, before repeats are dropped
            return None
        unique = _sums(distinct, cube)
        beside.append(_neighbours(unique) + sum(len(x) for x in found))
        found.append(unique)
        home.append(np.full(len(unique), n))
    node, home = np.concatenate(found), np.concatenate(home)
    count = len(node)
    if count > _MOST_NODES:
        return None

    def in_reach(some: np.ndarray) -> np.ndarray:
        """Which nodes are in reach of some wavevectors, (n, count)."""
        outside = np.maximum(np.abs(node - corner[some, None]) - np.array(edges) / 2 / step, 0)
        return (np.sum(outside**2, axis=-1) <= (reach + 1) ** 2) & (home == plane.reshape(-1)[some, None])

    fill = -count % _PAD
    next_to = np.concatenate([np.concatenate(beside), np.zeros((fill, len(basis), 2), int)])
    node, home = np.concatenate([node, np.repeat(node[:1], fill, 0)]), np.concatenate([home, np.repeat(home[:1], fill)])
    order, within, near = _in_blocks(len(place), lambda some: in_reach(some) & (np.arange(count + fill) < count))
    return SharedGrid(
        nodes=on_device((node + 0.5) * step @ basis + planes[home]),
        node_place=on_device((node + 0.5) * step),
        place=on_device(place[order]),
        within=on_device(within),
        near=on_device(near),
        omega=on_device(rows[0]),
        step=on_device(step),
        beside=on_device(next_to),
        edges=edges,
        count=len(place),
    )


def _sums(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The distinct sums of two lists of integer vectors (n, a), in order; by one number each, which sorts fast."""
    low = some.min(axis=0) + others.min(axis=0)
    shape = tuple(some.max(axis=0) + others.max(axis=0) - low + 1)
    numbers = np.ravel_multi_index(tuple((some - low)[:, None, a] + others[:, a] for a in range(len(shape))), shape)
    return np.stack(np.unravel_index(np.unique(numbers), shape), axis=-1) + low


def _in_blocks(count: int, in_reach: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavevectors in blocks of neighbours, of which each needs a part of the nodes only.

    Returns:
        The numbers of the wavevectors, (b, n), those of the nodes, (b, m), and which of these are in reach of which
        wavevector, (b, n, m).
    """
    blocks = -(-count // _BLOCK)
    order = np.minimum(np.arange(blocks * _BLOCK), count - 1).reshape(blocks, _BLOCK)
    reached = [in_reach(some) for some in order]
    needed = [np.flatnonzero(one.any(axis=0)) for one in reached]
    most = max(map(len, needed))
    most += -most % _PAD_BLOCK
    within, near = np.zeros((blocks, most), int), np.zeros((blocks, _BLOCK, most), bool)
    for n, (one, found) in enumerate(zip(reached, needed, strict=True)):
        within[n, : len(found)], near[n, :, : len(found)] = found, one[:, found]
    return order, within, near


def _turned(points: Points, basis: np.ndarray) -> np.ndarray:
    """Axes of the same broadening, the first along a bin that lies between them, where they are alike.

    A Gaussian that is equally wide along two perpendicular axes of one length is so along any other two of their plane.
    """
    if len(basis) != 2 or not points.bins.hkl:
        return basis
    square = basis @ basis.T
    along = np.array(points.bins.hkl[0]) @ np.linalg.pinv(basis)
    length = float(np.linalg.norm(along))
    alike = np.allclose(square, square[0, 0] * np.eye(2), atol=_ALIKE * square[0, 0])
    if not alike or length == 0 or np.max(np.abs(along)) > (1 - _ALIKE) * length:
        return basis
    cos, sin = along / length
    return np.array([[cos, sin], [-sin, cos]]) @ basis


def _edges(points: Points, basis: np.ndarray) -> tuple[float, ...] | None:
    """The width of the bins along each axis; None where a bin has no part along them or more than one."""
    edges = [0.0] * len(basis)
    for bin_ in np.array(points.bins.hkl).reshape(-1, 3):
        along = bin_ @ np.linalg.pinv(basis)
        axis = int(np.argmax(np.abs(along)))
        if edges[axis] or np.max(np.abs(bin_ - along[axis] * basis[axis])) > 1e-9:  # r.l.u., rounding
            return None
        edges[axis] = abs(float(along[axis]))
    return tuple(edges)


def _neighbours(places: np.ndarray) -> np.ndarray:
    """For distinct integer places (m, a), which is one down and one up along each axis, or itself, (m, a, 2)."""
    low = places.min(axis=0) - 1
    extent = places.max(axis=0) - low + 2
    stride = np.concatenate([np.cumprod(extent[::-1])[-2::-1], [1]])
    key = (places - low) @ stride
    order = np.argsort(key)
    beside = np.empty((*places.shape, 2), int)
    for axis in range(places.shape[1]):
        for side, sign in enumerate((-1, 1)):
            wanted = key + sign * stride[axis]
            at = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
            beside[:, axis, side] = np.where(key[order][at] == wanted, order[at], np.arange(len(key)))
    return beside
