"""Scale and background of counted neutrons, at the maximum of the Poisson likelihood.

Counts n of pixels with exposures m (counts for intensity 1) are expected to be μ = m (s S + b) + ε. For a model
spectrum S the likelihood is concave in the scale s ≥ 0 and the background values b ≥ 0, so that they are eliminated by
Newton steps; a zero count speaks, and few neutrons leave no weights to guess. ε, a small part of the mean count, keeps
the likelihood finite where the model says nothing at all.

Source: Cash, Astrophys. J. 228, 939 (1979), for the likelihood; McCullagh and Nelder, Generalized Linear Models, 2nd
ed. (1989), chapter 2, for the information of expected counts.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

LEAST = 1e-4  # ε in units of the mean count
_FIRST = 2  # steps of expectation and maximisation, which only ever go up, from any start
_STEPS = 14  # of Newton after them, at most; from 600 to 10⁶ neutrons ten reach rounding
_STILL = 1e-9  # relative: a shorter step is the last, since the next would be of the order of its square
_SHARE = 0.2  # of the signal, at the start
_SHRINK = 0.1  # a step makes nothing smaller than this times itself, so that all stays above zero
_NONE = 0.02  # of the mean intensity of its pixels: a background below, that wants to fall, is on its way to zero
_ZERO = 1e-6  # of the mean intensity: less is none


class Counts(NamedTuple):
    """Counts of one data set and what belongs to them.

    Attributes:
        n: counts, 0 where left out, shape (d,).
        m: exposures, 0 where left out, shape (d,).
        group: which background value a pixel has, shape (d,).
        groups: number of background values.
    """

    n: Float[Array, " d"]
    m: Float[Array, " d"]
    group: Int[Array, " d"]
    groups: int

    @property
    def least(self) -> Float[Array, ""]:
        """ε."""
        return LEAST * jnp.maximum(jnp.sum(self.n), 1.0) / jnp.maximum(jnp.sum(self.m > 0), 1)

    def total(self, x: Float[Array, " d"]) -> Float[Array, " b"]:
        """Σ x over the pixels of each background value."""
        return jax.ops.segment_sum(x, self.group, self.groups) if self.groups else jnp.zeros(0)

    def spread(self, b: Float[Array, " b"]) -> Float[Array, " d"]:
        """The background value of each pixel."""
        return b[self.group] if self.groups else jnp.zeros(self.n.shape)


class Likeliest(NamedTuple):
    """The scale and background of the greatest likelihood.

    Attributes:
        scale: in units of intensity per unit of S.
        background: of each group, shape (b,).
        model: intensity scale · S + background, shape (d,).
        weight: 1/variance of the intensity of each pixel, as the model has it; 0 where left out, shape (d,).
        free: whether each background value is above zero, shape (b,).
    """

    scale: Float[Array, ""]
    background: Float[Array, " b"]
    model: Float[Array, " d"]
    weight: Float[Array, " d"]
    free: Bool[Array, " b"]


def likeliest(S: Float[Array, " d"], counts: Counts) -> Likeliest:
    """The scale and background of the greatest likelihood for a model spectrum, without derivatives.

    Args:
        S: model spectrum at every pixel, any unit; NaN leaves NaN, and less than nothing, as a surrogate may say
            where there is nothing, is nothing.
        counts: of the data set.
    """
    S = jnp.maximum(jax.lax.stop_gradient(S), 0.0)
    x = jnp.where(counts.m > 0, counts.m * S, 0.0)
    M, N = counts.total(counts.m), counts.total(counts.n)
    mean = jnp.where(M > 0, N / jnp.where(M > 0, M, 1), 0.0)
    whole = jnp.sum(x)
    start = _SHARE * jnp.sum(counts.n) / jnp.where(whole > 0, whole, 1), (1 - _SHARE) * mean

    at = jax.lax.fori_loop(0, _FIRST, lambda _, at: _maximised(at, x, whole, M, counts), start)

    def step(state: tuple[Array, Array, tuple[Array, Array]]) -> tuple[Array, Array, tuple[Array, Array]]:
        k, _, (s, b) = state
        new, other = _newton((s, b), x, whole, M, mean, counts)
        still = (jnp.abs(new - s) <= _STILL * s) & jnp.all(jnp.abs(other - b) <= _STILL * mean)
        return k + 1, still, (new, other)

    # a spectrum of NaN is never still
    going = lambda state: (state[0] < _STEPS) & ~state[1]  # noqa: E731
    _, _, (s, b) = jax.lax.while_loop(going, step, (jnp.zeros((), int), jnp.zeros((), bool), at))
    free = b > _ZERO * mean
    b = jnp.where(free, b, 0.0)
    model = s * S + counts.spread(b)
    return Likeliest(s, b, model, information(model, counts), free)


def _ratios(at: tuple[Array, Array], x: Array, counts: Counts) -> tuple[Array, Array]:
    """n/μ and n/μ², 0 where n is."""
    s, b = at
    mu = s * x + counts.m * counts.spread(b) + counts.least
    mu = jnp.where(counts.n > 0, mu, 1.0)
    return counts.n / mu, counts.n / mu**2


def _maximised(at: tuple[Array, Array], x: Array, whole: Array, M: Array, counts: Counts) -> tuple[Array, Array]:
    """A step of expectation and maximisation: each neutron is shared among signal and background."""
    s, b = at
    w, _ = _ratios(at, x, counts)
    up = jnp.where(whole > 0, jnp.sum(w * x) / jnp.where(whole > 0, whole, 1), 0.0)
    return s * up, b * jnp.where(M > 0, counts.total(w * counts.m) / jnp.where(M > 0, M, 1), 0.0)


def _newton(
    at: tuple[Array, Array], x: Array, whole: Array, M: Array, mean: Array, counts: Counts
) -> tuple[Array, Array]:
    """A Newton step; background values meet only in the scale, so that the matrix has one full row."""
    s, b = at
    y = counts.m
    w, w2 = _ratios(at, x, counts)
    of_s, of_b = whole - jnp.sum(w * x), M - counts.total(w * y)
    curve, mixed, bb = jnp.sum(w2 * x * x), counts.total(w2 * x * y), counts.total(w2 * y * y)
    free = (bb > 0) & ~((b < _NONE * mean) & (of_b > 0))
    inverse = jnp.where(free, 1 / jnp.where(free, bb, 1), 0.0)
    curve = curve - jnp.sum(mixed**2 * inverse)
    ds = jnp.where(curve > 0, (-of_s + jnp.sum(mixed * inverse * of_b)) / jnp.where(curve > 0, curve, 1), -s)
    new = jnp.maximum(s + ds, _SHRINK * s)
    db = -inverse * (of_b + mixed * (new - s))
    return new, jnp.maximum(jnp.where(free, b + db, 0.0), _SHRINK * b)


def moved(S: Float[Array, " d"], best: Likeliest, counts: Counts) -> Float[Array, " d"]:
    """0 at every pixel, with the derivative that the model has by S once scale and background have followed.

    They follow by least squares with the weights of the expected counts, as in the Fisher information.
    """
    S = jnp.maximum(S, 0.0)
    V = best.scale * (S - jax.lax.stop_gradient(S))
    w, fixed = best.weight, jax.lax.stop_gradient(S)
    W = counts.total(w)
    share = jnp.where(best.free & (W > 0), 1 / jnp.where(W > 0, W, 1), 0.0)

    def rest(f: Array) -> Array:
        return f - counts.spread(share * counts.total(w * f))

    along, left = rest(fixed), rest(V)
    size = jnp.sum(w * along**2)
    return left - along * jnp.where(size > 0, jnp.sum(w * along * left) / jnp.where(size > 0, size, 1), 0.0)


def expected(model: Float[Array, " d"], counts: Counts) -> Float[Array, " d"]:
    """μ = m·I + ε of each pixel, 1 where left out; a model below zero, as a penalised background allows, is none."""
    return jnp.where(counts.m > 0, counts.m * jnp.where(model < 0, 0.0, model) + counts.least, 1.0)


def information(model: Float[Array, " d"], counts: Counts) -> Float[Array, " d"]:
    """1/variance of the intensity of each pixel, as a model has it; 0 where left out."""
    return jnp.where(counts.m > 0, counts.m**2 / expected(model, counts), 0.0)


def poisson_deviance(model: Float[Array, " d"], counts: Counts) -> Float[Array, ""]:
    """2 Σ [μ − n + n log(n/μ)] of the counts."""
    mu = expected(model, counts)
    n = counts.n
    each = mu - n + jnp.where(n > 0, n * jnp.log(jnp.where(n > 0, n, 1.0) / mu), 0.0)
    return 2 * jnp.sum(jnp.where(counts.m > 0, each, 0.0))


def counts_of(intensity: np.ndarray | Array, exposure: Array, group: Array, groups: int) -> Counts:
    """The counts behind intensities.

    Args:
        intensity: counts per exposure, shape (d,).
        exposure: 0 where left out, shape (d,).
        group: which background value a pixel has, shape (d,).
        groups: number of background values.
    """
    return Counts(jnp.where(exposure > 0, intensity * exposure, 0.0), exposure, group, groups)
