"""How far H(Q) is from an unstable structure at its worst: a grid over the zone, descents from its lowest points."""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from insiren.forward import Parameters
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.lswt import blocks, closed_form, hamiltonian, spin_waves, weights

ZERO = 1e-9  # relative to the largest diagonal element: eigenvalues above minus this are zero; rounding stays below
# The same between the points of the grid, where a torque that is just allowed leaves as much; and near the k of a
# spiral. If that k is off by δ r.l.u. the eigenvalue there is about −(2π δ)² of the couplings, and a diffraction
# experiment gives two or three digits.
NEARLY, NEARLY_TURNING = 1e-5, 1e-3
_STEPS = {0: 1, 1: 120, 2: 24, 3: 12}  # along each of so many axes: halves, thirds, quarters, sixths
_WAVE = 4  # steps, at least, of the shortest wave that a bond puts into H(Q)
_LARGE = 16  # rows of H beyond which three axes have no more than the fractions themselves
_FRACTIONS = np.array([0, 2, 3, 4, 6, 8, 9, 10]) / 12
_STARTS, _HALVINGS = 12, 9  # descents, and how often each halves its step: to 2e-4 of the zone, 1e-6 of the couplings
_CHUNK_ELEMENTS = 2**16  # of H at once


class Zone(NamedTuple):
    """Where H(Q) is looked at; H(−Q) has the eigenvalues of H(Q), so that half of a grid is enough.

    Attributes:
        points: half of the grid in crystal r.l.u., shape (h, 3).
        shape: of the whole grid.
        half: which of the points stands for each one of the grid, shape (g,).
        first: which one of the grid each of the points is, shape (h,).
        moves: to the neighbours of a point, itself included, half a step away, shape (n, 3).
    """

    points: np.ndarray
    shape: tuple[int, ...]
    half: np.ndarray
    first: np.ndarray
    moves: np.ndarray


@functools.lru_cache(maxsize=64)
def zone(model: Model) -> Zone:
    """The zone of the magnetic cell, of a rotating frame in that frame; directions without a bond have one point."""
    waves = spin_waves(model)
    inverse = np.linalg.inv(model.structure.cell)
    reach = np.round(np.abs(waves.offsets @ inverse).max(0), 9)
    moving = reach > 0
    steps = _STEPS[int(moving.sum())]
    along = [steps * int(np.ceil(_WAVE * cells / steps)) if cells else 1 for cells in reach]
    axes = [np.arange(n) / n for n in along]
    if moving.all() and 2 * len(waves.cell.site) > _LARGE:
        axes = [_FRACTIONS if n == steps else x for n, x in zip(along, axes, strict=True)]
    shape = tuple(map(len, axes))
    number = np.arange(np.prod(shape)).reshape(shape)
    mirrored = number[np.ix_(*(-np.arange(n) % n for n in shape))]
    first, half = np.unique(np.minimum(number, mirrored), return_inverse=True)
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ inverse.T
    gaps = [float(np.max(np.diff(x, append=1))) / 2 if len(x) > 1 else 0.0 for x in axes]
    moves = np.array(list(itertools.product(*([-g, 0, g] if g else [0] for g in gaps)))) @ inverse.T
    return Zone(mesh[first], shape, half.reshape(-1), first, moves)


def largest_level(W: Complex[Array, "o m m"]) -> Float[Array, ""]:
    """A bound on the diagonal elements of H(Q) in meV, which eigenvalues are compared with."""
    return jnp.max(2 * jnp.sum(jnp.abs(jnp.diagonal(W, axis1=1, axis2=2)), axis=0))


def worst(model: Model, params: Parameters) -> tuple[Float[Array, ""], Float[Array, "3"]]:
    """How far H(Q) is from an unstable structure at its worst wavevector, and that wavevector; traceable.

    A grid over the zone, then descents from its lowest local minima: each tries the neighbours of its
    point, moves to the lowest, and halves its step. Neither a level that is degenerate nor a point of symmetry
    stops them, as they would stop a gradient.

    Returns:
        meV, negative where H(Q) has an eigenvalue below zero, NaN where it has none; and Q in crystal r.l.u., of
        a rotating frame in that frame.
    """
    params = jax.lax.stop_gradient(params)
    W, found = weights(model, params), zone(model)
    unit = largest_level(W)
    chunk = max(1, _CHUNK_ELEMENTS // W.shape[-1] ** 2)
    on_grid = in_chunks(lambda hkl: margin(model, W, hkl, ZERO * unit), chunk, jnp.asarray(found.points))
    nearly = NEARLY if spin_waves(model).cell.k is None else NEARLY_TURNING
    low, Q = _descended(model, W, jnp.asarray(found.points)[_lowest(found, on_grid, unit)], nearly * unit)
    at, of = jnp.argmin(on_grid), jnp.argmin(low)
    better = jnp.isnan(on_grid[at]) | ((on_grid[at] < 0) & (on_grid[at] <= low[of]))
    return jnp.where(better, on_grid[at], low[of]), jnp.where(better, jnp.asarray(found.points)[at], Q[of])


def margin(model: Model, W: Complex[Array, "o m m"], hkl: Float[Array, "q 3"], shift: Array) -> Float[Array, " q"]:
    """A smooth stand-in for the least eigenvalue of H(Q) + shift, of its sign and within a factor of its size, in meV.

    1 / Tr H⁻¹ from the Cholesky factor, which costs a tenth of the eigenvalues; of blocks of two the least eigenvalue
    itself. Where it is negative its size says nothing with the Cholesky factor.
    """
    H = hamiltonian(model, W, hkl)
    if closed_form(model):
        parts = [_least_of_two(H, block) for block in blocks(model)]
        return jnp.min(jnp.stack(parts), axis=0) + shift
    L = jnp.linalg.cholesky(H + shift * jnp.eye(H.shape[-1]), symmetrize_input=False)
    inverse = jax.lax.linalg.triangular_solve(L, jnp.broadcast_to(jnp.eye(L.shape[-1], dtype=L.dtype), L.shape))
    room = 1 / jnp.sum(jnp.abs(inverse) ** 2, axis=(1, 2))
    broken = jnp.where(jnp.all(jnp.isfinite(H), axis=(1, 2)), -jnp.max(jnp.abs(H), axis=(1, 2)), jnp.nan)
    return jnp.where(jnp.isfinite(room), room, broken)


def _least_of_two(H: Complex[Array, "q m m"], block: tuple[int, ...]) -> Float[Array, " q"]:
    a, d, c = (H[:, block[i], block[j]] for i, j in ((0, 0), (-1, -1), (0, -1)))
    size = jnp.abs(c) ** 2 if len(block) == 2 else 0.0
    return (a + d).real / 2 - jnp.sqrt((a - d).real ** 2 / 4 + size)


def _lowest(found: Zone, values: Float[Array, " h"], unit: Array) -> Array:
    """The numbers of the lowest local minima of the grid; of a flat one, some at random."""
    even = np.random.default_rng(0).uniform(size=len(found.points))
    raised = values + ZERO * unit * even
    grid = raised[found.half].reshape(found.shape)
    is_least = jnp.ones(found.shape, bool)
    for move in itertools.product(*([-1, 0, 1] if n > 1 else [0] for n in found.shape)):
        is_least &= ~(jnp.roll(grid, move, (0, 1, 2)) < grid)
    is_least = is_least.reshape(-1)[found.first]
    return jax.lax.top_k(jnp.where(is_least, -raised, -jnp.inf), min(_STARTS, len(values)))[1]


def _descended(model: Model, W: Array, start: Float[Array, "k 3"], shift: Array) -> tuple[Array, Array]:
    moves = jnp.asarray(zone(model).moves)
    chunk = max(1, _CHUNK_ELEMENTS // W.shape[-1] ** 2)

    def closer(n: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        tried = state[1][:, None] + moves * 0.5**n
        values = in_chunks(lambda hkl: margin(model, W, hkl, shift), chunk, tried.reshape(-1, 3))
        values = values.reshape(tried.shape[:2])
        least = jnp.argmin(values, axis=1)[:, None]
        best = jnp.take_along_axis(tried, least[..., None], 1)[:, 0]
        return jnp.take_along_axis(values, least, 1)[:, 0], best

    return jax.lax.fori_loop(0, _HALVINGS, closer, (jnp.full(len(start), jnp.inf), start))
