"""Many lines as few: what a powder shows of thousands of directions, gathered on a grid of energies and widths.

A powder average is a sum over tens of thousands of lines at every |Q|, and almost all its time goes into their
shapes. Lines of nearly equal energy and width look alike, so their weights are put on a grid first, shared
linearly between neighbours, and the shape is worked out once a grid point. Sharing keeps the sum of weights and
the mean energy; the variance that it adds is taken off again.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.instrument.resolution import FWHM_PER_SIGMA

PER_FWHM = 8  # grid points in one FWHM, so that sharing adds 1.4 % to its square, which is taken off again
# Variances over a patch on the grid, in units of that of the resolution.
WIDTHS = np.array([0.0, 0.35, 0.8, 1.5, 3.0, 8.0, 30.0, 120.0])


def deposited(
    E: Float[Array, "q l"], I: Float[Array, "q l"], variance: Float[Array, "q l"], fwhm: Array, points: int
) -> tuple[Float[Array, "q g"], Float[Array, "q g"], Float[Array, "q g"]]:
    """The same lines on a grid of energies and widths.

    Args:
        E: energies in meV; NaN gives NaN.
        I: weights.
        variance: of each line over its patch, meV².
        fwhm: a FWHM of the resolution in meV, which sets the unit of the widths.
        points: of the grid of energies.

    Returns:
        Energies (meV), weights and variances (meV²) of `points` times eight lines. A variance may be slightly
        negative: it is the part of the resolution that the sharing stands for.
    """
    held = jax.lax.stop_gradient
    low, high = held(jnp.min(E)), held(jnp.max(E))
    step = jnp.maximum((high - low) / (points - 1), jnp.finfo(float).tiny)
    widths = jnp.asarray(WIDTHS) * held(fwhm / FWHM_PER_SIGMA) ** 2
    place, part = _between((E - low) / step, points)
    wide = jnp.interp(variance, widths, jnp.arange(len(WIDTHS), dtype=float))
    width, share = _between(wide, len(WIDTHS))
    row = jnp.arange(E.shape[0])[:, None]
    grid = jnp.zeros((E.shape[0], points, len(WIDTHS)))
    for up, along in ((0, 1 - part), (1, part)):
        for wider, across in ((0, 1 - share), (1, share)):
            grid = grid.at[row, place + up, width + wider].add(I * along * across)
    energy = low + step * jnp.arange(points)
    shape = grid.shape
    most = held(fwhm / FWHM_PER_SIGMA) ** 2 / 2  # a grid too coarse must not make a width imaginary
    added = jnp.minimum(
        step**2 / 6, most
    )  # the mean over a cell of the variance f (1 − f) of sharing in parts f and 1 − f
    at, spread = (jnp.broadcast_to(x, shape).reshape(shape[0], -1) for x in (energy[:, None], widths - added))
    return at, grid.reshape(shape[0], -1), spread


def _between(x: Array, points: int) -> tuple[Array, Array]:
    """The grid point below and the part of the way to the next."""
    below = jnp.clip(jnp.floor(jax.lax.stop_gradient(x)), 0, points - 2)
    return jnp.where(jnp.isfinite(below), below, 0).astype(int), x - below
