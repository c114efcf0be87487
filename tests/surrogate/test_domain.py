"""Where a surrogate learns: symmetry found by asking the simulator, and refusals outside."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.data.simulated import simulate
from insiren.errors import ModelError, OutsideDomain, UnstableStructure
from insiren.fit.optimise import fit
from insiren.fit.pose import Wanted, pose
from insiren.fit.treatment import Treatment
from insiren.forward import Points
from insiren.surrogate.domain import find_domain

INSIDE = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
SOME = Points.table(np.array([[0.3, 0.1, 0.0], [0.45, 0.2, 4.0]]), np.linspace(20.0, 120.0, 11))


@pytest.fixture(scope="module")
def domain(simulator):
    return find_domain(simulator, (0.0, 190.0))


def matrices(domain):
    return [np.array(R) for R in domain.operations]


def test_the_domain_of_the_square_lattice_is_an_eighth_of_its_zone(domain):
    assert domain.axes == (0, 1)  # the layers do not see each other
    assert domain.period == (1, 1)
    assert len(domain.operations) == len(set(domain.operations)) == 8
    signs, orders = itertools.product((1, -1), repeat=2), ((0, 1), (1, 0))
    square = {tuple(map(tuple, np.diag(s)[list(p)])) for s, p in itertools.product(signs, orders)}
    assert {tuple(map(tuple, R)) for R in matrices(domain)} == square
    sides = [high - low for low, high in domain.q_range]
    assert sides == pytest.approx([0.5, 0.5])
    assert domain.omega == (0.0, 190.0)
    assert [p.name for p in domain.inputs] == ["J", "Jp", "q_fwhm"]
    assert dict(domain.fixed) == {"width": 1.0}


def test_operations_form_a_group(domain):
    found = {tuple(map(tuple, R)) for R in matrices(domain)}
    assert all(tuple(map(tuple, A @ B)) in found for A in matrices(domain) for B in matrices(domain))


def test_symmetric_images_fold_onto_one_point_inside_the_range(domain):
    rng = np.random.default_rng(0)
    Q = rng.uniform(-3, 3, (200, 3))
    folded = np.asarray(domain.fold(jnp.asarray(Q)))
    for R in matrices(domain):
        image = Q.copy()
        image[:, :2] = Q[:, :2] @ R.T + rng.integers(-2, 3, (200, 2))
        image[:, 2] = rng.uniform(-5, 5, 200)
        np.testing.assert_allclose(np.asarray(domain.fold(jnp.asarray(image))), folded, atol=1e-12)
    low, high = np.array(domain.q_range).T
    assert np.all(folded >= low - 1e-12) and np.all(folded <= high + 1e-12)
    again = np.asarray(domain.fold(jnp.asarray(np.column_stack([folded, np.zeros(200)]))))
    np.testing.assert_allclose(again, folded, atol=1e-12)


def test_folding_leaves_the_spectrum_as_it_is(domain, simulator):
    Q = np.random.default_rng(1).uniform(-2, 2, (6, 3))
    folded = np.column_stack([np.asarray(domain.fold(jnp.asarray(Q))), np.zeros(6)])
    energies = np.linspace(10.0, 150.0, 30)
    S, same = (np.asarray(simulator.draft(INSIDE, Points.table(x, energies))) for x in (Q, folded))
    np.testing.assert_allclose(S, same, rtol=0, atol=1e-6 * S.max())


def test_inputs_are_scaled_onto_minus_one_to_one(domain):
    corners = np.stack([domain.lower, domain.upper])
    scaled = domain.scaled(jnp.asarray(corners[:, :2]), jnp.asarray(corners[:, 2]), jnp.asarray(corners[:, 3:]))
    np.testing.assert_allclose(scaled, [[-1] * 6, [1] * 6], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("J", 80.0, "J = 80 lies outside.*20 … 75 meV"),
        ("Jp", -31.0, "Jp = -31"),
        ("q_fwhm", 0.3, "q_fwhm = 0.3.*r.l.u."),
    ],
)
@pytest.mark.parametrize("kind", [float, np.asarray, jnp.asarray])
def test_parameters_outside_the_box_are_refused_by_name(surrogate, name, value, said, kind):
    with pytest.raises(OutsideDomain, match=said):
        surrogate({**INSIDE, name: kind(value)}, SOME)


@pytest.mark.parametrize("omega", [-1.0, 200.0])
def test_energies_outside_the_range_are_refused_by_name(surrogate, omega):
    with pytest.raises(OutsideDomain, match=f"ω = {omega:g} lies outside what this surrogate learnt, 0 … 190 meV"):
        surrogate(INSIDE, Points.table(SOME.hkl, np.array([50.0, omega])))


def test_any_wavevector_of_a_periodic_lattice_is_inside(surrogate):
    far = Points.table(np.asarray(SOME.hkl) + np.array([3, -2, 7.7]), np.linspace(20.0, 120.0, 11))
    np.testing.assert_allclose(surrogate(INSIDE, far), surrogate(INSIDE, SOME), rtol=1e-5)


def test_unstable_parameters_within_the_box_are_refused(surrogate):
    inputs = tuple(dataclasses.replace(p, max=20.0) if p.name == "Jp" else p for p in surrogate.domain.inputs)
    wide = dataclasses.replace(surrogate, domain=dataclasses.replace(surrogate.domain, inputs=inputs))
    assert np.all(np.isfinite(np.asarray(wide({"J": 29.0, "Jp": 12.0}, SOME))))
    with pytest.raises(UnstableStructure, match="not at an energy minimum"):
        wide({"J": 29.0, "Jp": 16.0}, SOME)


def test_names_that_it_did_not_learn_are_refused(surrogate):
    with pytest.raises(ModelError, match="No parameter is called 'width'"):
        surrogate({"width": 1.2}, SOME)


def test_a_fit_does_not_leave_the_box(surrogate, simulator):
    sharp = simulate(simulator, {**INSIDE, "q_fwhm": 0.0}, SOME)
    sharp.variances = np.full(sharp.shape, 0.01 * float(sharp.values.max()) ** 2)
    with pytest.raises(OutsideDomain, match="q_fwhm = 0 lies outside"):
        fit(surrogate, sharp, fixed={"q_fwhm": 0.0}, starts=1)
    wish = Treatment("gaussian", "per-energy", "data", False, None, None)
    choice = pose([surrogate], [sharp], wish, Wanted(bounds={"J": (15.0, 100.0)})).problem.choice
    J = choice.names.index("J")
    assert choice.lower[J] == 20.0 and choice.upper[J] == 75.0
