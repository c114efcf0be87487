"""The Faddeeva function against scipy's, which is another algorithm (continued fractions and Taylor series)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import wofz

from insiren.instrument.faddeeva import faddeeva

_SIDE = np.concatenate([[0.0], np.logspace(-8, 8, 161)])
X, Y = (
    jnp.asarray(a) for a in np.meshgrid(np.concatenate([-_SIDE[:0:-1], _SIDE]), np.append(0, np.logspace(-12, 8, 81)))
)
Z = np.asarray(X) + 1j * np.asarray(Y)


def test_it_agrees_with_scipy_over_sixteen_decades():
    real, imag = faddeeva(X, Y)
    expected = wofz(Z)
    np.testing.assert_array_less(np.abs(np.asarray(real) + 1j * np.asarray(imag) - expected), 5e-14 * np.abs(expected))


def test_the_real_part_keeps_ten_digits_away_from_the_axis():
    above = np.asarray(Y) > 1e-3
    np.testing.assert_allclose(np.asarray(faddeeva(X, Y)[0])[above], wofz(Z).real[above], rtol=1e-10)


def test_the_real_part_is_not_negative_beyond_rounding():
    assert float(jnp.min(faddeeva(X, Y)[0])) > -1e-15


def test_the_derivative_satisfies_the_differential_equation():
    # w′ = −2zw + 2i/√π, which loses digits where |z| is large.
    # There w′ → −i / (√π z²) (1 + 3/2z² + 15/4z⁴ + 105/8z⁶ + …).
    one, zero = jnp.ones_like(X), jnp.zeros_like(X)
    _, (real, imag) = jax.jvp(faddeeva, (X, Y), (one, zero))
    found = np.asarray(real) + 1j * np.asarray(imag)
    near = np.abs(Z) < 10
    np.testing.assert_allclose(found[near], (-2 * Z * wofz(Z) + 2j / np.sqrt(np.pi))[near], rtol=1e-11, atol=1e-14)
    far = np.abs(Z) > 100
    z2 = Z[far] ** -2
    series = 1 + 1.5 * z2 + 3.75 * z2**2 + 13.125 * z2**3
    np.testing.assert_allclose(found[far], -1j / np.sqrt(np.pi) * z2 * series, rtol=1e-11)


def test_the_derivative_along_the_imaginary_axis_is_i_times_that_along_the_real_one():
    one, zero = jnp.ones_like(X), jnp.zeros_like(X)
    _, (along_x, along_x_imag) = jax.jvp(faddeeva, (X, Y), (one, zero))
    _, (along_y, along_y_imag) = jax.jvp(faddeeva, (X, Y), (zero, one))
    np.testing.assert_array_equal(along_y, -along_x_imag)
    np.testing.assert_array_equal(along_y_imag, along_x)


def test_the_second_derivative_is_that_of_finite_differences():
    slope = jax.jit(jax.grad(lambda x: faddeeva(x, jnp.asarray(0.3))[0]))
    curvature, step = jax.jit(jax.grad(slope)), 1e-5
    for x in (-2.0, 0.0, 0.7, 5.0):
        expected = (slope(x + step) - slope(x - step)) / (2 * step)
        np.testing.assert_allclose(curvature(x), expected, rtol=1e-7, atol=1e-9)
