"""The exact simulator corrects the answer of a surrogate, and the correction enters the error."""

import jax.numpy as jnp
import numpy as np
import pytest
from theory import fit

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.forward import Forward, Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
)
OFFSET = 0.2  # meV by which the approximation is wrong in B


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


EXACT = forward(ridge, PARAMETERS)


class Approximate(Forward):
    """The ridge, a little too high."""

    @property
    def parameters(self):
        return PARAMETERS

    @property
    def exact(self):
        return EXACT

    def spectrum(self, params, points):
        return ridge({**params, "B": params["B"] + OFFSET}, points)


@pytest.fixture(scope="module")
def answers():
    data = count(simulate(EXACT, {"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA)), 20_000, seed=0, background=0.05)
    return fit(Approximate(), data, starts=1), fit(EXACT, data, starts=1)


def test_the_exact_simulator_moves_the_answer_to_its_own(answers):
    ours, exact = answers
    assert ours.values["B"] == pytest.approx(exact.values["B"] - OFFSET, abs=0.1 * exact.errors["B"])
    check = ours.surrogate_check
    for name in ("A", "B"):
        assert check["exact"][name] == pytest.approx(exact.values[name], abs=0.1 * exact.errors[name])
        assert check["shift"][name] == pytest.approx(check["exact"][name] - ours.values[name])
    assert check["objective_polished"] < check["objective_exact"]


def test_the_error_of_a_surrogates_answer_holds_its_distance_from_the_exact_one(answers):
    ours, exact = answers
    assert ours.errors["B"] == pytest.approx(np.hypot(exact.errors["B"], OFFSET), rel=0.03)
    assert ours.errors["A"] == pytest.approx(exact.errors["A"], rel=0.1)
    assert exact.surrogate_check is None


class Stretched(Approximate):
    """Right at the answer, but too quick to change: its own curvature would make the error of A a third too small."""

    def spectrum(self, params, points):
        return ridge({**params, "A": 11.0 + 1.5 * (params["A"] - 11.0)}, points)


def test_the_error_is_that_of_the_exact_simulator_even_where_the_surrogates_slopes_are_wrong(answers):
    exact = answers[1]
    data = count(simulate(EXACT, {"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA)), 20_000, seed=0, background=0.05)
    ours = fit(Stretched(), data, starts=1)
    shift = ours.surrogate_check["shift"]["A"]
    assert ours.errors["A"] == pytest.approx(np.hypot(exact.errors["A"], shift), rel=0.03)
