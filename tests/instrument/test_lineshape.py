"""Line shapes: their integrals, their limits, and gradients that stay right there."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import voigt_profile

from insiren.instrument import lineshape
from insiren.instrument.lineshape import BOLTZMANN
from insiren.instrument.resolution import FWHM_PER_SIGMA, gaussian

# Compiled once for all tests, which otherwise spend their time on compiling one operation after another.
lorentzian = jax.jit(lineshape.lorentzian)
voigt = jax.jit(lineshape.voigt)
damped_oscillator = jax.jit(lineshape.damped_oscillator)
oscillator_per_omega = jax.jit(lineshape.oscillator_per_omega)
resolved_oscillator = jax.jit(lineshape.resolved_oscillator)
binned_gaussian = jax.jit(lineshape.binned_gaussian)
bose = jax.jit(lineshape.bose)
omega_bose = jax.jit(lineshape.omega_bose)

# Away from every limit: each function with arguments at which all its gradients are checked.
REGULAR: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "lorentzian": (lorentzian, (21.0, 20.0, 3.0)),
    "voigt": (voigt, (21.0, 20.0, 4.0, 1.5)),
    "voigt, far": (voigt, (80.0, 20.0, 2.0, 0.1)),
    "damped": (damped_oscillator, (4.0, 5.0, 3.0)),
    "per omega": (oscillator_per_omega, (4.0, 5.0, 3.0)),
    "oscillator in a resolution": (resolved_oscillator, (4.0, 5.0, 2.0, 3.0)),
    "binned, narrow": (binned_gaussian, (21.0, 20.0, 6.0, 1.0)),
    "binned, wide": (binned_gaussian, (21.0, 20.0, 2.0, 5.0)),
    "bose, loss": (bose, (3.0, 2.0)),
    "bose, gain": (bose, (-3.0, 2.0)),
    "omega_bose, series": (omega_bose, (0.01, 2.0)),
    "omega_bose": (omega_bose, (-3.0, 2.0)),
}


def integral(shape: Callable, *args: float) -> float:
    """∫ shape(ω) dω over all ω."""
    one = jax.jit(lambda w: shape(w, *args))
    centre = args[0]
    return sum(
        integrate.quad(lambda w: float(one(w)), *ends, epsabs=1e-11, epsrel=1e-10, limit=200)[0]
        for ends in ((-np.inf, centre - 30), (centre - 30, centre), (centre, centre + 30), (centre + 30, np.inf))
    )


@pytest.mark.parametrize("name", REGULAR)
def test_gradients_forward_and_reverse_are_those_of_finite_differences(name: str):
    f, args = REGULAR[name]
    every = tuple(range(len(args)))
    step = 1e-5 * np.maximum(1.0, np.abs(args))
    up, down = (f(*(np.array(args)[:, None] + side * np.diag(step))) for side in (1, -1))
    for derivative in (jax.jacfwd, jax.grad):
        found = jax.jit(derivative(f, every))(*args)
        np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=2e-7, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "args"),
    [(lorentzian, (5.0, 3.0)), (voigt, (5.0, 3.0, 1.0)), (voigt, (5.0, 3.0, 0.0)), (binned_gaussian, (5.0, 3.0, 4.0))],
)
def test_the_lines_integrate_to_one(shape: Callable, args: tuple[float, ...]):
    np.testing.assert_allclose(integral(shape, *args), 1.0, rtol=1e-8)


def test_the_fwhm_of_the_lorentzian_is_its_full_width_at_half_maximum():
    np.testing.assert_allclose(lorentzian(21.5, 20.0, 3.0), lorentzian(20.0, 20.0, 3.0) / 2, rtol=1e-14)


def test_the_voigt_line_is_that_of_scipy():
    omega = np.linspace(-200, 200, 801)
    for gauss, lorentz in ((4.0, 1.5), (0.5, 8.0), (6.0, 1e-3)):
        expected = voigt_profile(omega, gauss / FWHM_PER_SIGMA, lorentz / 2)
        np.testing.assert_allclose(voigt(omega, 0.0, gauss, lorentz), expected, rtol=1e-10, atol=1e-15)


def test_the_voigt_line_is_a_gaussian_where_the_lorentzian_has_no_width():
    omega = jnp.linspace(-40.0, 40.0, 401)
    expected = gaussian(omega, 3.0, jnp.asarray(4.0))
    np.testing.assert_allclose(voigt(omega, 3.0, 4.0, 0.0), expected, rtol=0, atol=1e-14 * float(expected.max()))


def test_the_voigt_line_is_a_lorentzian_where_the_resolution_is_fine():
    omega = jnp.linspace(-40.0, 40.0, 401)
    np.testing.assert_allclose(voigt(omega, 3.0, 1e-7, 4.0), lorentzian(omega, 3.0, 4.0), rtol=1e-12)


def test_gradients_are_right_where_the_lorentzian_has_no_width():
    for omega in (3.0, 4.5, 30.0):
        args = (omega, 3.0, 4.0)
        of_voigt = jax.grad(voigt, (0, 1, 2))(*args, 0.0)
        np.testing.assert_allclose(of_voigt, jax.grad(gaussian, (0, 1, 2))(*args), rtol=1e-9, atol=1e-14)
        ahead = [float(voigt(*args, n * 1e-4)) for n in range(3)]
        one_sided = (-3 * ahead[0] + 4 * ahead[1] - ahead[2]) / 2e-4
        np.testing.assert_allclose(jax.grad(voigt, 3)(*args, 0.0), one_sided, rtol=1e-6)


def test_the_damped_line_is_the_difference_of_two_lorentzians():
    omega = jnp.linspace(-20.0, 20.0, 82)
    expected = lorentzian(omega, 5.0, 3.0) - lorentzian(omega, -5.0, 3.0)
    np.testing.assert_allclose(damped_oscillator(omega, 5.0, 3.0), expected, rtol=1e-12)
    np.testing.assert_allclose(damped_oscillator(-omega, 5.0, 3.0), -expected, rtol=1e-12)


def test_the_damped_line_tends_to_a_delta_function_on_the_loss_side():
    near = integrate.quad(lambda w: float(damped_oscillator(w, 5.0, 1e-4)), 0, 20, points=[4.99, 5.0, 5.01], limit=500)[
        0
    ]
    np.testing.assert_allclose(near, 1.0, atol=2e-5)


@pytest.mark.parametrize("fwhm", [0.5, 3.0, 20.0])
def test_half_the_first_moment_of_the_damped_line_is_its_energy(fwhm: float):
    one = jax.jit(lambda w: w * damped_oscillator(w, 5.0, fwhm))
    half = integrate.quad(lambda w: float(one(w)), 0, 10, epsrel=1e-10, limit=200)[0]
    half += integrate.quad(lambda w: float(one(w)), 10, np.inf, epsrel=1e-10, limit=200)[0]
    np.testing.assert_allclose(half, 5.0, rtol=1e-7)


def test_the_damped_line_of_no_energy_is_nothing_but_has_a_slope():
    assert damped_oscillator(1.0, 0.0, 2.0) == 0.0
    np.testing.assert_allclose(jax.grad(damped_oscillator, 1)(1.0, 0.0, 2.0), 4 / np.pi / 4, rtol=1e-12)


def test_the_resolved_oscillator_is_the_convolution_of_the_damped_one():
    for omega in (-3.0, 0.5, 6.0):
        expected = integrate.quad(
            lambda w, at=omega: float(damped_oscillator(w, 5.0, 1.5) * gaussian(at, w, jnp.asarray(2.0))),
            *(-30, 30),
            points=[-5, omega, 5],
            limit=300,
        )[0]
        np.testing.assert_allclose(resolved_oscillator(omega, 5.0, 2.0, 1.5), expected, rtol=1e-8, atol=1e-10)


def test_the_resolved_oscillator_without_damping_is_two_gaussians():
    omega = jnp.linspace(-20.0, 20.0, 81)
    width = jnp.asarray(2.0)
    expected = gaussian(omega, 5.0, width) - gaussian(omega, -5.0, width)
    np.testing.assert_allclose(resolved_oscillator(omega, 5.0, 2.0, 0.0), expected, atol=1e-14)
    assert np.all(np.isfinite(jax.grad(resolved_oscillator, (0, 1, 2, 3))(0.0, 5.0, 2.0, 0.0)))


@given(st.floats(-8, 8), st.floats(0.01, 12))
def test_the_binned_line_is_the_mean_over_the_bin(u: float, width: float):
    # Widths in standard deviations: both ways of computing it, and both sides of where they meet, at one of them.
    nodes, weight = np.polynomial.legendre.leggauss(60)
    expected = np.sum(weight / 2 * np.asarray(gaussian(u + width / 2 * nodes, 0.0, jnp.asarray(FWHM_PER_SIGMA))))
    np.testing.assert_allclose(binned_gaussian(u, 0.0, FWHM_PER_SIGMA, width), expected, rtol=0, atol=1e-13)


def test_both_ways_to_the_binned_line_meet_in_value_and_gradient():
    omega = jnp.linspace(-6.0, 6.0, 121)
    below, above = 1 - 1e-12, 1 + 1e-12
    every = jax.jit(jax.jacfwd(lambda w, f: binned_gaussian(omega, 0.0, f, w), (0, 1)))
    for lower, upper in zip(every(below, FWHM_PER_SIGMA), every(above, FWHM_PER_SIGMA), strict=True):
        np.testing.assert_allclose(lower, upper, rtol=0, atol=1e-11)


def test_narrow_and_wide_bins_may_stand_side_by_side():
    widths = jnp.array([0.0, 1e-6, 0.3, 1.0, 30.0])
    both = jax.value_and_grad(lambda w: jnp.sum(binned_gaussian(1.0, 0.0, 2.0, w)))
    one = jax.jit(both)
    alone = [one(w) for w in widths]
    together = binned_gaussian(1.0, 0.0, 2.0, widths)
    np.testing.assert_allclose(together, [value for value, _ in alone], rtol=1e-12)
    np.testing.assert_allclose(jax.jit(both)(widths)[1], [slope for _, slope in alone], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(jax.vmap(lambda w: binned_gaussian(1.0, 0.0, 2.0, w))(widths), together, rtol=1e-12)


def test_a_bin_without_width_is_a_point():
    omega = jnp.linspace(-10.0, 10.0, 41)
    np.testing.assert_array_equal(binned_gaussian(omega, 1.0, 3.0, 0.0), gaussian(omega, 1.0, jnp.asarray(3.0)))
    assert jax.grad(binned_gaussian, 3)(2.0, 1.0, 3.0, 0.0) == 0.0
    curvature = jax.jit(jax.grad(jax.grad(binned_gaussian, 3), 3))(2.0, 1.0, 3.0, 0.0)
    np.testing.assert_allclose(curvature, jax.grad(jax.grad(gaussian))(2.0, 1.0, 3.0) / 12, rtol=1e-12)


def test_bins_that_tile_the_energy_hold_the_whole_line():
    for width in (0.5, 5.0, 40.0):
        centres = jnp.arange(-400.0, 400.0, width) + width / 2
        np.testing.assert_allclose(jnp.sum(binned_gaussian(centres, 3.3, 4.0, width)) * width, 1.0, rtol=1e-12)


@given(st.floats(-60, 60).filter(lambda w: abs(w) > 1e-3), st.floats(0.1, 50))
def test_loss_and_gain_obey_detailed_balance(omega: float, kT: float):
    np.testing.assert_allclose(bose(omega, kT) + bose(-omega, kT), 1.0, rtol=1e-12, atol=1e-12 * kT / abs(omega))
    ratio = -bose(-omega, kT) / bose(omega, kT)
    np.testing.assert_allclose(ratio, np.exp(-omega / kT), rtol=1e-12)


def test_the_bose_factor_is_that_of_the_occupation():
    kT = BOLTZMANN * 100.0
    n = 1 / np.expm1(5.0 / kT)
    np.testing.assert_allclose([bose(5.0, kT), bose(-5.0, kT)], [n + 1, -n], rtol=1e-12)
    np.testing.assert_allclose(BOLTZMANN * 11.604518, 1.0, rtol=1e-7)  # 1 meV in K. Source: CODATA 2018


def test_the_smooth_form_of_the_bose_factor_is_exact_where_its_series_ends():
    x = np.array([-0.0200001, -0.0199999, -1e-8, 1e-8, 0.0199999, 0.0200001])
    np.testing.assert_allclose(omega_bose(3.0 * x, 3.0), -3.0 * x / np.expm1(-x), rtol=1e-14)
    slope = jax.vmap(jax.grad(omega_bose), (0, None))
    np.testing.assert_allclose(slope(3.0 * x[:1], 3.0), slope(3.0 * x[1:2], 3.0), rtol=1e-6)


def test_at_zero_temperature_the_bose_factor_is_a_step():
    omega = jnp.array([-1e3, -1e-9, 0.0, 1e-9, 1e3])
    np.testing.assert_array_equal(bose(omega, 0.0), [0.0, 0.0, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(omega_bose(omega, 0.0), jnp.maximum(omega, 0.0))
    np.testing.assert_allclose(bose(omega[:2], 1e-12), 0.0, atol=1e-300)


def test_at_no_energy_only_the_smooth_form_is_finite():
    assert bose(0.0, 2.0) == jnp.inf
    assert omega_bose(0.0, 2.0) == 2.0
    np.testing.assert_allclose(jax.grad(omega_bose, (0, 1))(0.0, 2.0), (0.5, 1.0), rtol=1e-12)


@pytest.mark.parametrize("kT", [0.0, 1e-12, 1e-3, 2.0])
def test_no_gradient_of_the_bose_factor_is_nan(kT: float):
    for f in (bose, omega_bose):
        gradient = jax.jit(jax.grad(f, (0, 1)))
        for omega in (-1e3, -1e-9, 0.0, 1e-9, 1e3):
            assert np.all(np.isfinite(gradient(omega, kT))), omega


def test_a_damped_mode_at_a_temperature_is_finite_and_in_balance_through_zero_energy():
    omega = jnp.linspace(-15.0, 15.0, 301)
    S = oscillator_per_omega(omega, 5.0, 2.0) * omega_bose(omega, 3.0)
    assert np.all(np.asarray(S) > 0)
    np.testing.assert_allclose(S[::-1] / S, np.exp(-np.asarray(omega) / 3.0), rtol=1e-10)
    away = np.abs(np.asarray(omega)) > 1e-9
    np.testing.assert_allclose(S[away], (damped_oscillator(omega, 5.0, 2.0) * bose(omega, 3.0))[away], rtol=1e-12)
