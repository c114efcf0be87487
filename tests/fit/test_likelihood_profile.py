"""The profile likelihood and its intervals."""

import jax.numpy as jnp
import numpy as np
import pytest
from theory import fit

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.likelihood_profile import Profiled, profile_likelihood
from insiren.forward import Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", True),
)


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


THEORY = forward(ridge, PARAMETERS)


@pytest.fixture(scope="module")
def found():
    truth = THEORY({"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA))
    noise = 0.05 * np.random.default_rng(0).normal(size=(24, 30))
    values = np.asarray(truth).reshape(24, 30) + 0.3 + noise
    return fit(THEORY, image("ridge", HKL, OMEGA, values, np.full((24, 30), 0.05)), starts=1)


def test_near_a_gaussian_minimum_the_intervals_are_the_standard_errors(found):
    for name in found.names:
        along = profile_likelihood(found, name)
        for level, many in ((1.0, 1), (4.0, 2)):
            low, high = along.interval(level)
            assert low == pytest.approx(found.values[name] - many * found.errors[name], abs=0.1 * found.errors[name])
            assert high == pytest.approx(found.values[name] + many * found.errors[name], abs=0.1 * found.errors[name])


def test_the_others_follow_the_covariance(found):
    along = profile_likelihood(found, "A")
    slope = np.polyfit(along.values, along.others["B"], 1)[0]
    assert slope == pytest.approx(found.covariance[0, 1] / found.covariance[0, 0], rel=0.1)


def test_the_crossings_of_a_lopsided_profile_are_found():
    values = np.linspace(-1, 1, 21)
    along = Profiled("A", values, np.where(values < 0, (values / 0.2) ** 2, (values / 0.4) ** 2), {}, 0.0)
    low, high = along.interval(1.0)
    assert low == pytest.approx(-0.2, abs=0.01) and high == pytest.approx(0.4, abs=0.01)
    assert along.interval(9.0)[1] is None


def test_at_few_counts_the_profile_is_lopsided_where_the_likelihood_is(found):
    clean = simulate(THEORY, {"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA))
    few = fit(THEORY, count(clean, 150, seed=3, background=0.02), background="constant", starts=2)
    along = profile_likelihood(few, "C")
    low, high = along.interval(1.0)
    assert low < few.values["C"] < high
    assert np.all(along.delta >= 0) and along.to_dict()["interval_1"] == [low, high]


def test_a_parameter_that_is_not_free_has_no_profile(found):
    with pytest.raises(FitError, match="'D' is not a free"):
        profile_likelihood(found, "D")
