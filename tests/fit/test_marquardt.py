"""Local descents within bounds: against scipy, at bounds, and at the border of the unstable phase."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from theory import THEORY, TRUTH, ridge, seen

import insiren
from insiren.data.spectrum import measured
from insiren.fit import marquardt
from insiren.fit.choice import choose
from insiren.fit.marquardt import Settings, descend
from insiren.fit.objective import target
from insiren.fit.problem import Problem

FINE = Settings(steps=60, move=1e-9, gain=1e-13)


def problem(forward=THEORY, **wishes):
    one = measured(seen(0, 0.5))
    choice = choose(forward.parameters, free=["C"], **wishes)
    return Problem(forward, (forward,), (one.points,), (target(one, "per-energy"),), choice, "gaussian")


def test_several_objectives_at_once_are_those_of_one_at_a_time():
    here = problem()
    thetas = np.array([[11.0, 5.0, 1.0], [12.0, 4.0, 0.8], [9.0, 6.0, 1.3]])
    np.testing.assert_allclose(here.costs(thetas), [here.objective(t) for t in thetas], rtol=1e-12)
    found = here.normal(thetas, np.array([True, False, True]))
    assert not found.gram[1].any()
    for n in (0, 2):
        r, J = here.jacobian(thetas[n])
        np.testing.assert_allclose(found.gradient[n], J.T @ r, rtol=1e-9)
        np.testing.assert_allclose(found.gram[n], J.T @ J, rtol=1e-9)


def test_a_descent_ends_where_scipy_does_and_many_end_like_one():
    here = problem()
    starts = np.array([[10.6, 5.3, 0.9], [11.3, 4.8, 1.2], [11.0, 5.0, 1.0]])
    ends = descend(here, starts, FINE)
    peer = scipy.optimize.least_squares(here.residual, starts[0], jac=lambda t: here.jacobian(t)[1], xtol=1e-12)
    for end, cost in zip(ends.thetas, ends.costs, strict=True):
        np.testing.assert_allclose(end, peer.x, atol=1e-6)
        assert cost == pytest.approx(2 * peer.cost, rel=1e-10)
    np.testing.assert_allclose(descend(here, starts[:1], FINE).thetas[0], ends.thetas[0], atol=1e-7)


def test_a_minimum_beyond_a_bound_is_sought_on_it():
    here = problem(bounds={"A": (6.0, 10.5)})
    end = descend(here, np.array([[9.5, 5.0, 1.0]]), FINE).thetas[0]
    assert end[0] == 10.5

    def held(rest):
        return here.residual(np.array([10.5, *rest]))

    def slopes(rest):
        return here.jacobian(np.array([10.5, *rest]))[1][:, 1:]

    peer = scipy.optimize.least_squares(held, [5.0, 1.0], jac=slopes, xtol=1e-12)
    np.testing.assert_allclose(end[1:], peer.x, atol=1e-5)


def test_steps_into_a_phase_without_spectrum_are_shortened():
    edge = insiren.forward(
        lambda p, points: jnp.where(p["A"] > 10.2, jnp.nan, ridge(p, points)), dataclasses.replace(THEORY).parameters
    )
    here = problem(edge)
    end = descend(here, np.array([[9.5, 5.0, 1.0]]), FINE)
    assert 10.1 < end.thetas[0][0] <= 10.2 and np.isfinite(end.costs[0])
    assert here.normal(np.array([[10.3, 5.0, 1.0]])).cost[0] == np.inf


def test_a_start_without_spectrum_stays_where_it_is():
    edge = insiren.forward(lambda p, points: jnp.nan * ridge(p, points), THEORY.parameters)
    end = descend(problem(edge), np.array([list(TRUTH.values())]), FINE)
    assert end.thetas[0].tolist() == list(TRUTH.values()) and end.costs[0] == np.inf


def test_curvature_learnt_from_gradients_spares_evaluations_where_residuals_stay_large(monkeypatch):
    one = measured(seen(0, 0.5, width=2.0))  # a ridge twice as wide as the model's
    choice = choose(THEORY.parameters)
    here = Problem(THEORY, (THEORY,), (one.points,), (target(one, "per-energy"),), choice, "gaussian")
    asked, normal = [], Problem.normal

    def counted(self, *given):
        asked.append(given)
        return normal(self, *given)

    monkeypatch.setattr(Problem, "normal", counted)
    start = np.array([[10.5, 5.3]])
    with_it, ours = descend(here, start, FINE), len(asked)
    monkeypatch.setattr(marquardt, "_TRUSTED", (np.inf, np.inf))
    without, plain = descend(here, start, FINE), len(asked) - ours
    np.testing.assert_allclose(with_it.thetas, without.thetas, atol=1e-6)
    assert ours < plain / 2
