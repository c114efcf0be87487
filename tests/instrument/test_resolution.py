"""Energy resolution and line shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.errors import ModelError
from insiren.instrument.resolution import (
    PATCH,
    Moved,
    energy_resolution,
    gaussian,
    instruments,
    own_neighbours,
    patch_moments,
    q_quadrature,
    with_patch,
)
from insiren.model.spec import Model, load_model


def with_instrument(**instrument) -> Model:
    return Model.from_dict(systems.square() | {"instrument": instrument})


def test_the_line_integrates_to_one_on_any_energy_grid():
    for step in (0.1, 0.25, 1.0):
        omega = np.arange(0, 100, step)
        np.testing.assert_allclose(np.sum(gaussian(jnp.asarray(omega), 50.0, 6.0)) * step, 1.0, rtol=1e-9)


def test_the_fwhm_is_the_full_width_at_half_maximum():
    peak, half = (float(gaussian(50.0 + x, 50.0, 6.0)) for x in (0.0, 3.0))
    np.testing.assert_allclose(half, peak / 2, rtol=1e-12)
    omega = np.linspace(0, 100, 10_001)
    S = np.asarray(gaussian(jnp.asarray(omega), 50.0, 6.0))
    sigma = np.sqrt(np.average((omega - 50.0) ** 2, weights=S))
    np.testing.assert_allclose(sigma, 6.0 / 2.3548, rtol=1e-4)


def test_sequoia_has_its_published_widths():
    sequoia = energy_resolution(load_model("la2nio4"))
    for omega in (0.0, 20.0, 112.0, 190.0):
        wanted = 1.4858e-7 * omega**3 + 1.2873e-4 * omega**2 - 0.084492 * omega + 14.324
        np.testing.assert_allclose(sequoia.fwhm(jnp.asarray(omega)), wanted, rtol=1e-12)


def test_the_width_stays_as_it_is_above_the_incident_energy():
    sequoia = energy_resolution(load_model("la2nio4"))
    assert sequoia.Ei == 190.0
    np.testing.assert_array_equal(sequoia.fwhm(jnp.array([190.0, 250.0, 1e4])), sequoia.fwhm(jnp.array([190.0] * 3)))


def test_a_constant_width_is_constant():
    found = energy_resolution(with_instrument(resolution={"constant": 3.0}))
    np.testing.assert_array_equal(found.fwhm(jnp.array([0.0, 500.0])), 3.0)


def test_a_polynomial_without_incident_energy_is_refused():
    with pytest.raises(ModelError, match=r"instrument\.Ei: .*polynomial"):
        energy_resolution(with_instrument(resolution={"polynomial": [3.0, -0.02]}))


def test_a_width_that_falls_to_zero_is_refused():
    with pytest.raises(ModelError, match=r"instrument\.resolution: .*not positive"):
        energy_resolution(with_instrument(resolution={"polynomial": [3.0, -0.02]}, Ei=190.0))


def test_a_width_that_dips_below_zero_between_two_energies_is_refused_at_the_bottom():
    dip = [2.4e-4, -0.01, 0.1]  # 0.1 (E − 0.05)² − 1e-5: negative for a fiftieth of Ei
    with pytest.raises(ModelError, match=r"the FWHM is -1e-05 meV at 0\.05 meV, which is not positive"):
        energy_resolution(with_instrument(resolution={"polynomial": dip}, Ei=1.0))


def test_a_width_must_hold_where_absorbed_magnons_are_seen():
    content = systems.square() | {"instrument": {"resolution": {"polynomial": [3.0, 0.02]}, "Ei": 190.0}}
    assert float(energy_resolution(Model.from_dict(content)).fwhm(jnp.asarray(190.0))) == pytest.approx(6.8)
    warm = content | {"scattering": {"temperature": 300.0}}
    with pytest.raises(ModelError, match=r"FWHM is -0\.8 meV at -190 meV, .*between -Ei and Ei.*temperature out of"):
        energy_resolution(Model.from_dict(warm))


def test_the_width_stays_as_it_is_beyond_the_incident_energy_on_the_side_of_absorption_too():
    sequoia = energy_resolution(load_model("la2nio4"))
    np.testing.assert_array_equal(sequoia.fwhm(jnp.array([-190.0, -1e4])), sequoia.fwhm(jnp.array([-190.0] * 2)))


def test_a_width_beyond_the_incident_energy_is_refused():
    with pytest.raises(ModelError, match=r"instrument\.resolution: .*wider than Ei = 190 meV"):
        energy_resolution(with_instrument(resolution={"polynomial": [300.0, 0.01]}, Ei=190.0))


def test_an_unknown_instrument_is_named_with_the_nearest_one():
    assert "sequoia-190meV" in instruments()
    with pytest.raises(ModelError, match=r"instrument\.resolution: no instrument 'sequoia-190'.*'sequoia-190meV'"):
        energy_resolution(with_instrument(resolution="sequoia-190"))


def test_nodes_and_patches_together_have_the_width_that_was_asked():
    offsets, weight = q_quadrature(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), 8)
    assert offsets.shape == (64, 3)
    np.testing.assert_allclose(weight.sum(), 1.0, rtol=1e-12)
    step = offsets[1, 1] - offsets[0, 1]
    sigma2 = 1 / (8 * np.log(2)) - (PATCH * step) ** 2
    np.testing.assert_allclose(
        np.einsum("m,ma,mb->ab", weight, offsets, offsets), np.diag([sigma2, sigma2, 0]), atol=1e-12
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_moved_nodes_keep_the_width_and_what_they_miss_averages_out(axes):
    """A wave that a grid of so few nodes cannot integrate is integrated by the mean over many."""
    along, nodes = np.eye(3)[:axes], 5
    move = jax.vmap(lambda key: q_quadrature(tuple(map(tuple, along)), nodes, Moved.random(key, axes)))
    offsets, weight = move(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(weight.sum(1), 1.0, rtol=1e-12)
    step = 2 * (2.4 + 0.05 * nodes) / (nodes - 1)
    spread = np.sqrt(1 + (PATCH * step) ** 2)  # nearly: that of the nodes alone is 1 standard deviation
    node_sigma = 1 / np.sqrt(8 * np.log(2)) / spread
    second = np.einsum("nm,nma,nmb->ab", weight, offsets, offsets) / len(weight)
    np.testing.assert_allclose(second[:axes, :axes], node_sigma**2 * np.eye(axes), rtol=0.05, atol=0.03 * node_sigma**2)
    assert not second[axes:].any()
    k = 6.0 / node_sigma / step  # a node sees nearly every period of the wave once
    waves = np.sum(weight * np.cos(k * offsets[..., 0]), 1)
    expected = np.exp(-0.5 * (k * node_sigma) ** 2)
    straight, its = (np.asarray(x) for x in q_quadrature(tuple(map(tuple, along)), nodes))
    wrong = abs(np.sum(its * np.cos(k * straight[:, 0])) - expected)
    assert abs(waves.mean() - expected) < 0.1 * wrong


def test_a_steep_straight_ridge_comes_out_as_its_gaussian_from_few_nodes():
    slope, fwhm = 100.0, 1.0  # meV per r.l.u. and meV: the ridge crosses many widths between two nodes
    offsets, weight = q_quadrature(((1.0, 0.0, 0.0),), 16)
    E, one = slope * jnp.asarray(offsets[:, :1]), jnp.ones((16, 1))
    E, seen, variance = patch_moments(E, one, zip(own_neighbours(E, 1), own_neighbours(one, 1), strict=True))
    omega = np.linspace(-40.0, 40.0, 161)
    S = np.sum(weight * np.asarray(gaussian(omega[:, None], E[:, 0], with_patch(fwhm, variance[:, 0]))), axis=1)
    expected = np.asarray(gaussian(omega, 0.0, np.hypot(fwhm, slope)))
    np.testing.assert_allclose(seen, 1.0)
    np.testing.assert_allclose(S, expected, atol=0.01 * expected.max())
