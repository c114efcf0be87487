"""Points and Forwards: the seam at which everything meets."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import ModelError
from insiren.forward import Bands, Parameter, Points, forward
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

HKL = np.array([[0.5, 0.0, 0.0], [0.25, 0.1, 0.0], [0.5, 0.0, 0.0]])
LINE = (Parameter("height", 2.0, 0.0, 10.0), Parameter("centre", 5.0, 0.0, 10.0, "meV", True))


def line(params, points: Points):
    return params["height"] * jnp.exp(-((points.omega - params["centre"]) ** 2)) + points.hkl[points.index, 0]


def test_points_find_the_unique_wavevectors_themselves():
    points = Points(HKL, [1.0, 2.0, 3.0])
    assert points.hkl.shape == (2, 3) and len(points) == 3 and not points.is_table
    np.testing.assert_array_equal(points.hkl[points.index], HKL)


def test_points_take_an_index_as_it_is():
    points = Points(HKL[:2], [1.0, 2.0, 3.0], [1, 1, 0])
    np.testing.assert_array_equal(points.hkl[points.index], HKL[[1, 1, 0]])


def test_a_table_keeps_its_order_and_repeats():
    points = Points.table(HKL, [1.0, 2.0])
    assert points.is_table and len(points) == 6
    np.testing.assert_array_equal(points.hkl[points.index], np.repeat(HKL, 2, 0))
    np.testing.assert_array_equal(points.rows, [[1, 2]] * 3)
    own = Points.table(HKL, np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(own.omega, np.arange(6.0))


def test_points_of_different_numbers_are_refused():
    with pytest.raises(ValueError, match=r"hkl \(3, 3\) and omega \(2,\) do not name the same points"):
        Points(HKL, [1.0, 2.0])


def test_a_function_of_the_users_is_a_forward_with_defaults():
    mine = forward(line, LINE)
    points = Points(HKL, [5.0, 5.0, 6.0])
    np.testing.assert_allclose(mine({}, points), 2 * np.exp([0.0, 0.0, -1.0]) + HKL[:, 0])
    np.testing.assert_allclose(mine({"height": 3}, points)[0], 3.5)
    assert mine.parameters == LINE and mine.exact is None and mine.pointwise
    slope = jax.grad(lambda height: jnp.sum(mine({"height": height}, points)))(2.0)
    np.testing.assert_allclose(slope, 2 + np.exp(-1))


def test_an_unknown_parameter_is_named_with_those_there_are():
    with pytest.raises(ModelError, match="No parameter is called 'hight'; there are height, centre"):
        forward(line, LINE)({"hight": 1.0}, Points(HKL, [1.0, 2.0, 3.0]))
    with pytest.raises(ModelError, match="'K'; there are J, Jp, q_fwhm, width"):
        exact(load_model("la2nio4"))({"K": 1.0}, Points(HKL, [1.0, 2.0, 3.0]))


def test_a_spectrum_that_is_not_finite_is_an_error_and_not_nan():
    broken = forward(lambda params, points: jnp.log(params["height"]) * points.omega, LINE)
    with pytest.raises(ModelError, match=r"no finite value at height = -1, centre = 5"):
        broken({"height": -1.0}, Points(HKL, [1.0, 2.0, 3.0]))


def test_the_exact_forward_offers_its_bands():
    simulator = exact(load_model("la2nio4"))
    assert isinstance(simulator, Bands)
    energies, weights = simulator.bands({p.name: p.value for p in simulator.parameters}, jnp.asarray(HKL))
    assert energies.shape == weights.shape == (3, 2)
