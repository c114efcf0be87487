"""Which (|Q|, ω) are reached, against closed numbers and the scattering triangle."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import ModelError
from insiren.instrument.kinematics import NEUTRON, covered, kf_over_ki, q_range, scattering_angle, wavenumbers
from insiren.simulate.formfactor import form_factor

A, C = 3.89, 12.55  # Å, La2NiO4
EI, LEAST = 190.0, 3.0  # meV and degrees


def at_x(l: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|Q| in 1/Å of (1/2, 0, l), and the share of Qz² in Q²."""
    Qz = 2 * np.pi * l / C
    Q = np.hypot(np.pi / A, Qz)
    return Q, (Qz / Q) ** 2


def test_a_thermal_neutron_has_its_textbook_wavenumber():
    # 25.3 meV, 2200 m/s, 1.798 Å. Source: International Tables for Crystallography C, section 4.4.
    ki, _ = wavenumbers(0.0, 25.3)
    np.testing.assert_allclose(2 * np.pi / ki, 1.798, rtol=2e-4)
    np.testing.assert_allclose(NEUTRON, 2.0721, rtol=2e-5)


@pytest.mark.parametrize(("omega", "least"), [(60.0, 3.0), (112.0, 6.7), (140.0, 9.2)])
def test_x_of_la2nio4_is_covered_only_from_a_certain_l(omega: float, least: float):
    l = np.linspace(0, 10, 10_001)
    seen = np.asarray(covered(at_x(l)[0], omega, EI, LEAST))
    assert not seen[0] and seen[-1]
    np.testing.assert_allclose(l[seen].min(), least, atol=0.05)


def test_form_factor_and_in_plane_polarisation_average_to_the_known_intensities_at_x():
    # Fluctuations in the plane, averaged over the two twins, are seen by (1 + Qz²/Q²) / 2, with the square of <j0>
    # of Ni²⁺; the mean is over the part of |l| ≤ 10 that is covered.
    Q, share = at_x(np.linspace(0, 10, 10_001))
    weight = np.asarray(form_factor("Ni2", Q)) ** 2 * (1 + share) / 2
    means = [weight[np.asarray(covered(Q, omega, EI, LEAST))].mean() for omega in (20.0, 60.0, 112.0)]
    np.testing.assert_allclose(means, [0.43, 0.35, 0.20], atol=0.005)


def test_the_range_is_that_of_the_scattering_triangle():
    omega = np.array([-50.0, 0.0, 20.0, 150.0, 189.0])
    ki, kf = (np.asarray(k) for k in wavenumbers(omega, EI))
    np.testing.assert_allclose(NEUTRON * (ki**2 - kf**2), omega, atol=1e-11)
    for edge, degrees in zip(q_range(omega, EI, 5.0, 60.0), (5.0, 60.0), strict=True):
        out = np.stack([kf * np.cos(np.radians(degrees)), kf * np.sin(np.radians(degrees))])
        np.testing.assert_allclose(edge, np.hypot(ki - out[0], out[1]), rtol=1e-12)


def test_all_angles_reach_from_the_difference_to_the_sum_of_the_wavenumbers():
    ki, kf = wavenumbers(80.0, EI)
    np.testing.assert_allclose(q_range(80.0, EI, 0.0), (ki - kf, ki + kf), rtol=1e-13)


def test_a_small_angle_loses_no_digits():
    ki, _ = wavenumbers(0.0, EI)
    low, _ = q_range(0.0, EI, 1e-7)
    np.testing.assert_allclose(low, ki * np.radians(1e-7), rtol=1e-9)
    np.testing.assert_allclose(scattering_angle(low, 0.0, EI), 1e-7, rtol=1e-9)


def test_the_angle_is_the_inverse_of_the_range():
    omega = jnp.array([-30.0, 0.0, 60.0, 180.0])
    for degrees in (0.5, 3.0, 90.0, 179.0):
        Q, _ = q_range(omega, EI, degrees)
        np.testing.assert_allclose(scattering_angle(Q, omega, EI), degrees, rtol=1e-9)


def test_out_of_reach_is_neither_covered_nor_nan():
    Q = jnp.array([0.0, 0.5, 5.0, 50.0])
    for omega in (112.0, EI, 500.0):
        low, high = q_range(omega, EI, LEAST)
        assert np.all(np.isfinite([low, high]))
        angle = scattering_angle(Q, omega, EI)
        assert np.all(np.isfinite(angle)) and angle[0] == 0.0 and angle[-1] == 180.0
        assert not covered(Q, omega, EI, LEAST)[jnp.array([0, 1, 3])].any()
    assert not covered(q_range(EI, EI, LEAST)[0], EI, EI, LEAST)


def test_the_mask_broadcasts_and_compiles():
    Q, omega = jnp.linspace(0.1, 12.0, 5)[:, None], jnp.linspace(0.0, 200.0, 7)
    seen = jax.jit(lambda q, w: covered(q, w, EI, LEAST, 60.0))(Q, omega)
    assert seen.shape == (5, 7) and seen.dtype == bool
    angle = scattering_angle(Q, omega, EI)
    np.testing.assert_array_equal(seen, (angle >= LEAST) & (angle <= 60.0) & (omega < EI))


def test_gradients_are_those_of_finite_differences():
    step = 1e-5
    cases = {
        "kf_over_ki": (lambda w: kf_over_ki(w, EI), 60.0),
        "low": (lambda w: q_range(w, EI, LEAST)[0], 60.0),
        "angle in Q": (lambda q: scattering_angle(q, 60.0, EI), 4.0),
        "angle in omega": (lambda w: scattering_angle(4.0, w, EI), 60.0),
    }
    for name, (f, x) in cases.items():
        slope = (f(x + step) - f(x - step)) / (2 * step)
        np.testing.assert_allclose(jax.grad(f)(x), slope, rtol=1e-7, err_msg=name)


def test_gradients_at_and_beyond_the_limits_are_zero_and_not_nan():
    for omega in (EI, 500.0):
        assert jax.grad(lambda w: kf_over_ki(w, EI))(omega) == 0.0
        assert jax.grad(lambda w: q_range(w, EI, LEAST)[0])(omega) == 0.0
    assert jax.grad(lambda w: q_range(w, EI, 0.0)[0])(0.0) == 0.0
    for Q in (0.0, 0.1, 50.0):
        assert jax.grad(lambda q: scattering_angle(q, 60.0, EI))(Q) == 0.0


def test_the_ratio_is_one_for_elastic_scattering_and_above_one_for_energy_gain():
    np.testing.assert_allclose(kf_over_ki(jnp.array([0.0, -190.0, 142.5, 190.0]), EI), [1.0, np.sqrt(2), 0.5, 0.0])


@pytest.mark.parametrize("Ei", [0.0, -5.0, float("nan")])
def test_an_incident_energy_that_is_not_positive_is_refused(Ei: float):
    with pytest.raises(ModelError, match=r"Ei is .* meV.*positive"):
        covered(1.0, 1.0, Ei, LEAST)


@pytest.mark.parametrize("angles", [(60.0, 3.0), (-1.0, 60.0), (3.0, 200.0), (3.0, 3.0)])
def test_angles_that_are_no_range_are_refused(angles: tuple[float, float]):
    with pytest.raises(ModelError, match=r"no range within 0° to 180°"):
        q_range(1.0, EI, *angles)
