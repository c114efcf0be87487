"""The objective over two parameters."""

import jax.numpy as jnp
import numpy as np
import pytest
from theory import fit

from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.landscape import JOINT, around, landscape
from insiren.fit.many import objectives
from insiren.forward import Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
)


def ridge(params, points: Points):
    """A line at A |sin πh| + B, a Gaussian of standard deviation C; no answer beyond A = 17."""
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    S = jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)
    return jnp.where(params["A"] > 17.0, jnp.nan, S)


@pytest.fixture(scope="module")
def data():
    truth = forward(ridge, PARAMETERS)({"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA))
    noise = 0.05 * np.random.default_rng(0).normal(size=(24, 30))
    values = np.asarray(truth).reshape(24, 30) + 0.3 + noise
    return image("ridge", HKL, OMEGA, values, np.full((24, 30), 0.05))


@pytest.fixture(scope="module")
def found(data):
    return fit(forward(ridge, PARAMETERS), data, starts=3)


def test_the_lowest_point_of_the_landscape_is_the_fit(found):
    grid = around(found, points=9)
    row, column = np.unravel_index(np.argmin(grid.objective), grid.objective.shape)
    assert (grid.x, grid.y) == ("A", "B")
    assert (row, column) == (4, 4)
    assert grid.x_values[4] == pytest.approx(found.values["A"])
    assert grid.y_values[4] == pytest.approx(found.values["B"])
    assert grid.objective[4, 4] == pytest.approx(grid.minimum)
    assert grid.held == {"C": 1.0}


def test_the_landscape_near_the_minimum_is_the_quadratic_form_of_the_covariance(found):
    grid = around(found, points=5, reach=1.0)
    A, B = np.meshgrid(grid.x_values - found.values["A"], grid.y_values - found.values["B"])
    steps = np.stack([A, B], axis=-1)
    expected = np.einsum("yxi,ij,yxj->yx", steps, np.linalg.inv(found.covariance), steps)
    np.testing.assert_allclose(grid.delta, expected, atol=0.05 * expected.max())


def test_the_levels_hold_two_parameters_with_one_two_and_three_sigma():
    probability = 1 - np.exp(-np.array(JOINT) / 2)  # χ² of two degrees of freedom
    np.testing.assert_allclose(probability, [0.6827, 0.9545, 0.9973], atol=1e-3)


def test_the_whole_box_is_infinite_where_there_is_no_spectrum(data):
    grid = landscape(forward(ridge, PARAMETERS), data, "A", "C", points=7, starts=2)
    assert grid.x_values[[0, -1]].tolist() == [6.0, 18.0]
    assert grid.y_values[[0, -1]].tolist() == [0.5, 2.0]
    assert np.isinf(grid.objective[:, -1]).all() and np.isfinite(grid.objective[:, :-1]).all()
    assert set(grid.held) == {"B"}
    assert grid.to_dict()["objective"][0][-1] is None


def test_a_landscape_refuses_parameters_that_are_not_free(found, data):
    with pytest.raises(FitError, match="'C' is not a free parameter"):
        around(found, x="C")
    with pytest.raises(FitError, match="Both axes"):
        around(found, x="A", y="A")
    single = fit(forward(ridge, PARAMETERS), data, fixed={"B": 5.0}, starts=1)
    with pytest.raises(FitError, match="Only A is free"):
        around(single)


def test_a_landscape_with_the_others_minimised_is_the_quadratic_form_of_their_covariance(data):
    found = fit(forward(ridge, PARAMETERS), data, free=["C"], starts=1)
    grid = around(found, "A", "B", points=5, reach=1.0, minimise=True)
    assert grid.minimised == ("C",) and "C" not in grid.held
    A, B = np.meshgrid(grid.x_values - found.values["A"], grid.y_values - found.values["B"])
    steps = np.stack([A, B], axis=-1)
    pick = np.ix_([0, 1], [0, 1])
    expected = np.einsum("yxi,ij,yxj->yx", steps, np.linalg.inv(found.covariance[pick]), steps)
    np.testing.assert_allclose(grid.delta, expected, atol=0.05 * expected.max())


def test_the_objective_at_many_points_is_that_at_each(found):
    rng = np.random.default_rng(0)
    thetas = rng.uniform([6.0, 0.0], [18.0, 8.0], size=(150, 2))  # more than one call holds, some without a spectrum
    many = objectives(found.problem, thetas)
    each = np.array([found.problem.objective(theta) for theta in thetas])
    assert np.isinf(each).any() and np.isfinite(each).any()
    np.testing.assert_allclose(many, each, rtol=1e-10)
