"""Line shapes in energy, normalised, and the Bose factor that goes with the damped one.

All are in 1/meV and broadcast over their arguments; every width is a FWHM in meV. The plain
Gaussian stands with the resolution it belongs to.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from scipy import constants

from insiren.instrument.faddeeva import faddeeva
from insiren.instrument.resolution import FWHM_PER_SIGMA, gaussian

BOLTZMANN = constants.k / constants.e * 1e3  # meV/K, 0.0861733. Source: CODATA (exact since 2019), through scipy.

_HALF_BIN = 0.5  # standard deviations: below it the series is right to 1e-13 of the peak
_SERIES_TERMS = 8
_COLD = 700.0  # |ω|/kT beyond which exp(−|ω|/kT) is nothing, and its inverse nearly overflows
_SMALL = 0.02  # |ω|/kT below which the series of x/(1 − e⁻ˣ) is exact in double precision


def lorentzian(
    omega: Float[ArrayLike, " ..."], energy: Float[ArrayLike, " ..."], fwhm: Float[ArrayLike, " ..."]
) -> Float[Array, " ..."]:
    """A normalised Lorentzian (1/π) γ / ((ω − E)² + γ²) in 1/meV, with γ = fwhm / 2 > 0; all arguments in meV."""
    gamma = jnp.asarray(fwhm, float) / 2
    return gamma / np.pi / ((omega - jnp.asarray(energy, float)) ** 2 + gamma**2)


def voigt(
    omega: Float[ArrayLike, " ..."],
    energy: Float[ArrayLike, " ..."],
    gauss_fwhm: Float[ArrayLike, " ..."],
    lorentz_fwhm: Float[ArrayLike, " ..."],
) -> Float[Array, " ..."]:
    """A Lorentzian seen through a Gaussian resolution: Re w(z) / (σ √2π), z = (ω − E + iγ) / (σ √2), in 1/meV.

    Args:
        omega: energy transfer in meV.
        energy: of the line in meV.
        gauss_fwhm: of the resolution in meV, > 0.
        lorentz_fwhm: of the line in meV, ≥ 0; at 0 the value is the Gaussian and the gradients are right.

    Returns:
        The line within 1e-14 of its height at its centre.

    Source: Olver et al., NIST Handbook of Mathematical Functions (2010), section 7.19.
    """
    rate = FWHM_PER_SIGMA / np.sqrt(2) / jnp.asarray(gauss_fwhm, float)
    x = (omega - jnp.asarray(energy, float)) * rate
    return rate / np.sqrt(np.pi) * faddeeva(x, jnp.asarray(lorentz_fwhm, float) / 2 * rate)[0]


def damped_oscillator(
    omega: Float[ArrayLike, " ..."], energy: Float[ArrayLike, " ..."], fwhm: Float[ArrayLike, " ..."]
) -> Float[Array, " ..."]:
    """A damped mode without its Bose factor: a Lorentzian at E less one at −E, in 1/meV.

    With Γ = fwhm / 2,

        (1/π) [Γ / ((ω − E)² + Γ²) − Γ / ((ω + E)² + Γ²)] = (4/π) ω E Γ / {[(ω − E)² + Γ²] [(ω + E)² + Γ²]}.

    It is odd in ω; times `bose` it is S(ω), which obeys detailed balance and without damping is
    (n + 1) δ(ω − E) + n δ(ω + E). Half its first moment is E whatever the damping. E is where the
    Lorentzians stand; the oscillator without its damping has the frequency √(E² + Γ²), and one
    that is overdamped is not described.

    Args:
        omega: energy transfer in meV.
        energy: E in meV, ≥ 0.
        fwhm: of each Lorentzian in meV, > 0.

    Source: Fåk and Dorner, Physica B 234, 1107 (1997).
    """
    return jnp.asarray(omega, float) * oscillator_per_omega(omega, energy, fwhm)


def oscillator_per_omega(
    omega: Float[ArrayLike, " ..."], energy: Float[ArrayLike, " ..."], fwhm: Float[ArrayLike, " ..."]
) -> Float[Array, " ..."]:
    """`damped_oscillator` divided by ω, in 1/meV²; times `omega_bose` it is S(ω), finite at ω = 0 as well."""
    E, gamma = jnp.asarray(energy, float), jnp.asarray(fwhm, float) / 2
    return 4 / np.pi * E * gamma / (((omega - E) ** 2 + gamma**2) * ((omega + E) ** 2 + gamma**2))


def resolved_oscillator(
    omega: Float[ArrayLike, " ..."],
    energy: Float[ArrayLike, " ..."],
    gauss_fwhm: Float[ArrayLike, " ..."],
    lorentz_fwhm: Float[ArrayLike, " ..."],
) -> Float[Array, " ..."]:
    """`damped_oscillator` seen through a Gaussian resolution: a Voigt line at E less one at −E, in 1/meV.

    The Bose factor stands outside, so the resolution must be narrow against kT where both matter.
    The damping may be 0. Arguments as for `voigt`.
    """
    mirrored = voigt(omega, -jnp.asarray(energy, float), gauss_fwhm, lorentz_fwhm)
    return voigt(omega, energy, gauss_fwhm, lorentz_fwhm) - mirrored


def binned_gaussian(
    omega: Float[ArrayLike, " ..."],
    energy: Float[ArrayLike, " ..."],
    fwhm: Float[ArrayLike, " ..."],
    width: Float[ArrayLike, " ..."],
) -> Float[Array, " ..."]:
    """The mean of a normalised Gaussian line over an energy bin, in 1/meV.

    Where all bins are narrower than a standard deviation, a series in the width costs less than
    two Gaussians; else error functions, three times as dear. Below `jax.vmap` both are computed.

    Args:
        omega: centres of the bins in meV.
        energy: of the line in meV.
        fwhm: of the line in meV, > 0.
        width: of the bins in meV, ≥ 0; at 0 this is the Gaussian.

    Returns:
        The mean within 1e-13 of the height of the line.
    """
    given = [jnp.asarray(x, float) for x in (omega, energy, fwhm, width)]
    half = FWHM_PER_SIGMA / 2 * given[3] / given[2]
    narrow = jnp.max(half, initial=0.0) <= _HALF_BIN
    return jax.lax.cond(narrow, _by_series, _by_either, *given)


def _by_series(omega: Array, energy: Array, fwhm: Array, width: Array) -> Array:
    """Taylor's series, integrated: g(u) Σₖ h²ᵏ He₂ₖ(u) / (2k + 1)!, u and half the bin h in standard deviations."""
    rate = FWHM_PER_SIGMA / fwhm
    u, h2 = (omega - energy) * rate, (width * rate / 2) ** 2
    even, odd, power = jnp.ones_like(u), u, 1.0  # He₀ and He₁
    total = even
    for k in range(1, _SERIES_TERMS):
        even = u * odd - (2 * k - 1) * even
        odd = u * even - 2 * k * odd
        power = power * h2
        total = total + power / math.factorial(2 * k + 1) * even
    return gaussian(omega, energy, fwhm) * total


def _by_either(omega: Array, energy: Array, fwhm: Array, width: Array) -> Array:
    """The difference of two error functions where the bin is wide enough for it, else the series."""
    sigma = fwhm / FWHM_PER_SIGMA
    wide = width > 2 * _HALF_BIN * sigma
    safe = jnp.where(wide, width, 2 * sigma)
    low, high = ((omega - energy + side * safe / 2) / (np.sqrt(2) * sigma) for side in (-1, 1))
    difference = (erfc(low) - erfc(high)) / (2 * safe)  # erfc is three times as fast as erf here
    return jnp.where(wide, difference, _by_series(omega, energy, fwhm, jnp.where(wide, 0.0, width)))


def bose(omega: Float[ArrayLike, " ..."], kT: Float[ArrayLike, " ..."]) -> Float[Array, " ..."]:
    """The factor 1 / (1 − exp(−ω/kT)) from a response odd in ω to what is scattered.

    It is n + 1 where the neutron loses energy and −n where it gains, n being the number of bosons.

    Args:
        omega: energy transfer in meV, of either sign.
        kT: temperature times `BOLTZMANN`, meV, ≥ 0.

    Returns:
        At kT = 0 a step from 0 to 1. At ω = 0 it diverges, and is inf with gradient 0 (1/2 at kT = 0):
        multiply a response by `omega_bose` and divide it by ω instead.
    """
    omega, kT = jnp.asarray(omega, float), jnp.asarray(kT, float)
    still = omega == 0
    value = omega_bose(omega, kT) / jnp.where(still, 1.0, omega)
    return jnp.where(still, jnp.where(kT > 0, jnp.inf, 0.5), value)


def omega_bose(omega: Float[ArrayLike, " ..."], kT: Float[ArrayLike, " ..."]) -> Float[Array, " ..."]:
    """ω / (1 − exp(−ω/kT)) in meV: `bose` in the form that is smooth in ω, kT at ω = 0 and max(ω, 0) at kT = 0."""
    omega, kT = jnp.asarray(omega, float), jnp.asarray(kT, float)
    cold = jnp.abs(omega) >= _COLD * kT
    small = jnp.abs(omega) < _SMALL * kT
    warm = jnp.where(cold, 1.0, kT)
    x = jnp.where(cold, 1.0, omega) / warm
    series = 1 + x / 2 + x**2 / 12 - x**4 / 720 + x**6 / 30240  # Bernoulli numbers
    y = jnp.where(small, 1.0, x)
    closed = jnp.abs(y) * jnp.exp(jnp.minimum(y, 0.0)) / -jnp.expm1(-jnp.abs(y))
    return jnp.where(cold, jnp.maximum(omega, 0.0), warm * jnp.where(small, series, closed))
