"""The exact Forward: magnons seen through resolution and Q broadening."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.errors import UnstableStructure
from insiren.forward import Points
from insiren.instrument.exact import Exact, exact
from insiren.instrument.grid import SharedGrid, shared_grid
from insiren.instrument.profile import line_sum
from insiren.model.spec import Model, load_model

SQUARE = Model.from_dict(systems.square())
AXES = SQUARE.instrument.q_axes
HKL = np.array([[0.13, 0.21, 0.0], [0.2, 0.0, 0.0], [0.75, 0.25, 0.0]])  # away from Goldstone points
OMEGA = np.linspace(20.0, 130.0, 45)
BROAD = load_model("la2nio4")  # the resolution of SEQUOIA, for which the number of nodes was chosen


def test_the_spectrum_is_the_closed_form_with_a_gaussian_of_the_width_at_the_modes_energy():
    S = np.asarray(exact(SQUARE)({"q_fwhm": 0.0}, Points.table(HKL, OMEGA))).reshape(len(HKL), -1)
    E, I = systems.square_energies(HKL, 29.0, 1.67)[:, :1], systems.square_weight(HKL, 29.0, 1.67)[:, None]
    sigma = (4.0 - 0.01 * E) / np.sqrt(8 * np.log(2))
    np.testing.assert_allclose(
        S, I / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * ((OMEGA - E) / sigma) ** 2), rtol=1e-7, atol=1e-12
    )


def test_regridding_the_energies_does_not_change_the_spectrum_per_mev():
    forward = exact(SQUARE)
    coarse, fine = (
        np.asarray(forward({"q_fwhm": 0.05}, Points.table(HKL, omega))).reshape(len(HKL), -1)
        for omega in (np.arange(0, 160, 1.0), np.arange(0, 160, 0.5))
    )
    np.testing.assert_allclose(fine[:, ::2], coarse, rtol=1e-10, atol=1e-100)
    np.testing.assert_allclose(coarse.sum(1), fine.sum(1) * 0.5, rtol=1e-6)


def test_a_table_and_the_same_points_in_any_order_agree():
    forward = exact(SQUARE)
    table = np.asarray(forward({"q_fwhm": 0.0}, Points.table(HKL, OMEGA)))
    order = np.random.default_rng(0).permutation(table.size)
    hkl, omega = np.repeat(HKL, len(OMEGA), 0)[order], np.tile(OMEGA, len(HKL))[order]
    np.testing.assert_allclose(forward({"q_fwhm": 0.0}, Points(hkl, omega)), table[order], rtol=1e-12)


@pytest.mark.parametrize("q_fwhm", [0.03, 0.07])
def test_the_shared_grid_agrees_with_many_nodes_of_each_wavevectors_own(q_fwhm: float):
    forward = exact(BROAD)
    points = Points.table(HKL, OMEGA)
    params = {p.name: jnp.asarray(p.value) for p in BROAD.all_parameters} | {"q_fwhm": jnp.asarray(q_fwhm)}
    grid = forward.at(points, params)
    assert not isinstance(grid, Exact)
    own = dataclasses.replace(forward, own_nodes=32).spectrum(params, points)
    # the grid ends at 3.5 standard deviations and is renormalised
    np.testing.assert_allclose(grid.spectrum(params, points), own, atol=2e-3 * np.max(own))


def test_twice_the_nodes_change_little_and_leave_a_third_of_the_error_at_most():
    points = Points.table(HKL, OMEGA)
    once, twice, finest = (np.asarray(exact(BROAD, refine)({"q_fwhm": 0.07}, points)) for refine in (1, 2, 5))
    error, rest = (np.max(np.abs(S - finest)) / np.max(finest) for S in (once, twice))
    assert error < 1e-3
    assert rest < error / 3


def test_the_spectrum_is_smooth_in_the_width_across_the_grids_of_different_widths():
    points = Points.table(HKL, OMEGA)
    params = {p.name: jnp.asarray(p.value) for p in BROAD.all_parameters} | {"q_fwhm": jnp.asarray(0.05)}
    plans = [exact(BROAD).at(points, params | {"q_fwhm": jnp.asarray(x)}) for x in (0.04, 0.07)]
    assert all(plan.covers(params) for plan in plans) and not plans[0].covers(params | {"q_fwhm": jnp.asarray(0.1)})
    first, second = (np.asarray(plan.spectrum(params, points)) for plan in plans)
    np.testing.assert_allclose(first, second, atol=2e-3 * np.max(first))


@pytest.mark.parametrize("q_fwhm", [0.0213, 0.0333, 0.05, 0.07, 0.08, 0.1, 0.2])
def test_no_node_of_the_shared_grid_sits_on_a_simple_fraction(q_fwhm: float):
    grid = shared_grid(Points.table(HKL, OMEGA), AXES, q_fwhm, 8)
    assert isinstance(grid, SharedGrid)
    for parts in (1, 2, 3, 4, 6):
        places = np.asarray(grid.node_place) * parts
        assert np.min(np.abs(places - np.round(places))) > 1e-6


def test_plans_for_like_widths_share_their_compiled_functions():
    """Else a fit of other data, or each search of a night, would compile anew and never give the memory back."""
    points, simulator = Points.table(HKL, OMEGA), exact(BROAD)
    plans = [simulator.at(points, {"q_fwhm": width}) for width in (0.0851, 0.0857)]
    fixed, shapes = zip(*(eqx.partition(plan, eqx.is_array)[::-1] for plan in plans), strict=True)
    assert eqx.tree_equal(*fixed)
    first, second = (jax.tree.map(jnp.shape, one) for one in shapes)
    assert first == second
    assert plans[0].covers({"q_fwhm": 0.12}) and not plans[0].covers({"q_fwhm": 0.14})


def test_there_is_no_shared_grid_where_energies_differ_or_points_are_no_table():
    rows = np.stack([OMEGA, OMEGA + 0.5, OMEGA])
    assert shared_grid(Points.table(HKL, rows), AXES, 0.07, 8) is None
    assert shared_grid(Points(HKL, OMEGA[:3]), AXES, 0.07, 8) is None
    assert shared_grid(Points.table(HKL, OMEGA), ((1.0, 0, 0), (2.0, 0, 0)), 0.07, 8) is None


def test_broadening_of_a_row_out_of_plane_stays_in_its_plane():
    hkl = np.array([[0.13, 0.21, 0.0], [0.13, 0.21, 0.4]])
    grid = shared_grid(Points.table(hkl, OMEGA), AXES, 0.07, 8)
    assert grid is not None
    near, l = np.asarray(grid.near)[0, :2], np.asarray(grid.nodes)[np.asarray(grid.within)[0], 2]
    assert near.any(axis=1).all()
    np.testing.assert_allclose(l[near[0]], 0.0, atol=1e-12)
    np.testing.assert_allclose(l[near[1]], 0.4, atol=1e-12)


def test_q_broadening_fills_in_the_goldstone_point():
    S = exact(load_model("la2nio4"))({}, Points.table(np.array([[0.5, 0.5, 0.0]]), OMEGA))
    assert np.all(np.isfinite(S)) and np.all(np.asarray(S) > 0)


@pytest.mark.parametrize("params", [{"J": 29.0, "Jp": 16.0}, {"J": -29.0, "Jp": 0.0}])
def test_an_unstable_structure_is_refused_wherever_it_is_looked_at(params: dict[str, float]):
    # at this one wavevector H(Q) is positive for the first: the zone is what decides
    points = Points.table(np.array([[0.49, 0.49, 0.0]]), OMEGA)
    with pytest.raises(UnstableStructure, match=r"eigenvalue .* at Q = .*J = "):
        exact(SQUARE)(params | {"q_fwhm": 0.0}, points)


def test_a_torque_is_refused_although_the_energies_look_plausible():
    tilted = Model.from_dict(systems.square(field={"B": [5.0, 0, 0]}) | {"structure": {"directions": [[1, 0, 1]]}})
    with pytest.raises(UnstableStructure, match=r"torque of .* meV on spin 0"):
        exact(tilted)({"J": -29.0, "Jp": -1.0}, Points.table(HKL, OMEGA))


def test_many_lines_are_summed_as_few_are():
    rng = np.random.default_rng(1)
    omega = jnp.broadcast_to(jnp.asarray(OMEGA), (2, len(OMEGA)))
    E, I, fwhm = (jnp.asarray(rng.uniform(low, high, (2, 9))) for low, high in ((20, 120), (0, 1), (3, 6)))
    parts = sum(line_sum(omega, E[:, n : n + 3], I[:, n : n + 3], fwhm[:, n : n + 3]) for n in (0, 3, 6))
    np.testing.assert_allclose(line_sum(omega, E, I, fwhm), parts, rtol=1e-12)


def test_a_report_is_told_what_was_computed():
    said = exact(SQUARE, refine=2).describe()
    assert said["quadrature"]["nodes_per_fwhm"] == 16
    assert "each bond once" in said["hamiltonian"] and said["digest"] == SQUARE.digest
    assert exact(SQUARE).given({"q_fwhm": 0}).describe()["quadrature"]["rule"] == "none"
