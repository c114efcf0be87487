"""Magnons that mix with one hole each: energies and weights in closed form, with their derivatives.

Source: Colpa, Physica A 93, 327 (1978), for a block of one magnon and one hole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

# Lifts the zero mode of a Goldstone point just enough for the Cholesky factor, relative to the
# largest diagonal element of H. A shift of 1e-9 would change energies in the fourth digit.
GOLDSTONE_SHIFT = 1e-12


@jax.custom_jvp
def lines_of_pairs(H: Float[Array, "*q n 4"], w: Complex[Array, "*q n 2 3"], P: Float[Array, "*q v 3 3"]):
    """`lines` of 2×2 blocks in the metric (1, −1), in closed form; NaN where one is unstable.

    Sums over components are written out: products of matrices so small cost ten times their numbers.

    Args:
        H: the diagonal elements of each block, and the real and the imaginary part of the one above them.
        w: amplitudes of the magnon and of the hole.
        P: weights of the correlations in each view.
    """
    return _pairs(H, w, P)[:2]


def _pairs(H: Array, w: Array, P: Array):
    """Energies and weights, and what their derivatives need."""
    a, d, c = H[..., None, :, 0], H[..., None, :, 1], jax.lax.complex(H[..., None, :, 2], H[..., None, :, 3])
    shift = GOLDSTONE_SHIFT * jnp.maximum(jnp.abs(a), jnp.abs(d))
    a, d = a + shift, d + shift
    mean, size2 = (a + d) / 2, c.real**2 + c.imag**2
    size = jnp.sqrt(size2)
    stable = (mean > size) & (a * d > size2)
    r = jnp.sqrt(jnp.where(stable, (mean - size) * (mean + size), jnp.nan))
    magnon, hole = w[..., None, :, 0, :], w[..., None, :, 1, :]
    Pm, Ph = _seen_through(P, magnon), _seen_through(P, hole)
    first, second, both = _inner(magnon, Pm).real, _inner(hole, Ph).real, _inner(magnon, Ph)
    top = mean + r
    I = (top * first + size2 / top * second - 2 * (c * both).real) / (2 * r)
    return jnp.broadcast_to((a - d) / 2 + r, I.shape), I, (c, mean, size2, r, top, Pm, Ph, first, second, both)


@lines_of_pairs.defjvp
def _lines_of_pairs_jvp(primals, tangents):
    # What all tangents share is worked out once; each then costs two products of vectors.
    (H, w, P), (dH, dw, dP) = primals, tangents
    E, I, (c, mean, size2, r, top, Pm, Ph, first, second, both) = _pairs(H, w, P)
    by_mean = mean / r  # r² = mean² − |c|²
    by_top = (first - size2 / top**2 * second) / (2 * r)
    of_r = by_top - I / r
    of_mean = by_top + of_r * by_mean
    of_c = (second / top - of_r) / r * c.conj() - both / r  # dI = Re(of_c dc)
    of_magnon = (top / r)[..., None] * Pm - (c / r)[..., None] * Ph
    of_hole = (size2 / top / r)[..., None] * Ph - (c.conj() / r)[..., None] * Pm
    magnon, hole = w[..., None, :, 0, :], w[..., None, :, 1, :]

    da, dd, dre, dim = (dH[..., None, :, n] for n in range(4))
    dmean = (da + dd) / 2
    dE = (da - dd) / 2 + by_mean * dmean - (c.real * dre + c.imag * dim) / r
    dI = of_mean * dmean + of_c.real * dre - of_c.imag * dim
    dI += _inner(of_magnon, dw[..., None, :, 0, :]).real + _inner(of_hole, dw[..., None, :, 1, :]).real
    dPm, dPh = _seen_through(dP, magnon), _seen_through(dP, hole)
    dI += (top * _inner(magnon, dPm).real + size2 / top * _inner(hole, dPh).real) / (2 * r)
    dI -= (c * _inner(magnon, dPh)).real / r
    return (E, I), (jnp.broadcast_to(dE, I.shape), dI)


def _seen_through(P: Float[Array, "*q v 3 3"], vector: Complex[Array, "*q 1 n 3"]) -> Complex[Array, "*q v n 3"]:
    """P times each vector, in each view."""
    rows = (sum(P[..., i, j, None] * vector[..., j] for j in range(3)) for i in range(3))
    return jnp.stack(list(rows), -1)


def _inner(left: Complex[Array, "*q n 3"], right: Complex[Array, "*q n 3"]) -> Complex[Array, "*q n"]:
    """Σ_a l̄_a r_a, over the last axis."""
    return sum((left[..., a].conj() * right[..., a] for a in range(1, 3)), left[..., 0].conj() * right[..., 0])
