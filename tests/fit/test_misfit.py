"""One misfit by every route: the fit, weighted samples, a walk through the posterior, and live."""

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import measured
from insiren.fit.counting import expected
from insiren.fit.misfit import deviance, misfit
from insiren.fit.nuts import _density
from insiren.fit.objective import Profile, counted
from insiren.fit.optimise import fit
from insiren.fit.posterior import log_density
from insiren.forward import Parameter, Points, forward
from insiren.live.screen import coarse, deviances, spectra_at, summed

PLACES = Points.table(np.stack([np.linspace(0, 1, 12), np.zeros(12), np.zeros(12)], axis=1), np.linspace(1, 20, 30))


def line(params, points: Points):
    """A narrow line: most pixels have no model at all, so that what they are expected to hold is the floor."""
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + 4.0
    return jnp.exp(-0.5 * (points.omega - centre) ** 2)


THEORY = forward(line, (Parameter("A", 12.0, 6.0, 18.0, "meV", True),))
CLEAN = simulate(THEORY, {"A": 11.0}, PLACES)
DATA = count(CLEAN, 150, seed=1, background=0.03)
DARK = count(CLEAN, 150, seed=1)  # every count lies on the line


@pytest.fixture(scope="module", params=["none", "constant", "smooth"])
def found(request):
    return fit(THEORY, DARK if request.param == "none" else DATA, background=request.param, starts=1)


def test_fit_samples_walk_and_live_agree_on_the_same_counts(found):
    maps, problem = [m.measured for m in found.maps], found.problem
    thetas = [found.theta, np.array([10.0]), np.array([13.0])]
    values = np.array([misfit(problem, theta, maps) for theta in thetas])
    samples = [-2 * found.noise * log_density(found, problem, theta) for theta in thetas]
    assert samples == pytest.approx(values, rel=1e-12)
    walk = _density(found)
    z = [np.linalg.solve(walk.turn, np.log((t - 6) / (18 - t)) - walk.middle) for t in thetas]
    stretch = [float(np.sum(np.log((t - 6) * (18 - t) / 144))) for t in thetas]
    walked = [-2 * found.noise * (float(walk(jnp.asarray(at))) - s) for at, s in zip(z, stretch, strict=True)]
    assert walked == pytest.approx(values, rel=1e-9)
    if found.background == "smooth":  # which the screen replaces by a free value an energy
        return
    assert found.objective_value == pytest.approx(values[0], rel=1e-12)
    few = coarse(problem, seed=0)
    assert [c.shape for c in few.cells] == [(12, 30)]  # the coarse pixels are the pixels
    live = deviances(problem, summed(problem, maps, few.cells), spectra_at(few, np.array(thetas)))
    assert live == pytest.approx(values, rel=1e-6)  # its spectra are kept in single precision


def test_a_model_below_zero_expects_no_less_than_one_of_nothing():
    one = measured(DATA)
    counts = counted(one)
    nothing, below = np.zeros(len(one.used)), np.full(len(one.used), -1.0)
    assert np.all(
        np.asarray(expected(jnp.asarray(below), counts)) == np.asarray(expected(jnp.asarray(nothing), counts))
    )
    empty = Profile(jnp.zeros(()), jnp.zeros(0), jnp.asarray(nothing))
    n, floor = one.counts[one.used], 1e-4 * np.mean(one.counts[one.used])
    assert deviance(one, empty) == pytest.approx(
        2 * np.sum(floor - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / floor), 0))
    )
