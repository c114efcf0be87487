"""From an answer to a minimum beside it: within the bounds, along valleys that leave them."""

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.data.spectrum import image, measured
from insiren.fit.choice import choose
from insiren.fit.objective import target
from insiren.fit.problem import Problem
from insiren.fit.settle import settle
from insiren.forward import Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1.0, 20.0, 30)
TRUTH = {"A": 9.0, "B": 8.0}  # beyond the bounds of A


def slope(params, points: Points):
    """A − B is seen plainly, A + B hardly at all."""
    h, omega = points.hkl[points.index, 0], points.omega / 20
    return 5 + (params["A"] - params["B"]) * h + 0.02 * (params["A"] + params["B"]) * omega


def test_a_step_that_a_bound_turns_uphill_is_shortened_along_the_valley():
    theory = forward(slope, (Parameter("A", 0.0, -1.0, 0.5, "", True), Parameter("B", 0.0, -20.0, 20.0, "", True)))
    S = np.asarray(theory(TRUTH, Points.table(HKL, OMEGA))).reshape(24, 30)
    one = measured(image("one", HKL, OMEGA, S, np.full_like(S, 1e-3)))
    problem = Problem(theory, (theory,), (one.points,), (target(one, "none"),), choose(theory.parameters), "gaussian")
    found = settle(problem, np.array([0.0, 0.0]), [one])
    grid = np.linspace(-2, 1, 601)
    along = [problem.objective(np.array([0.5, B])) for B in grid]
    assert found.theta == pytest.approx([0.5, grid[int(np.argmin(along))]], abs=0.01)
    assert found.objective < 0.5 * found.first


def test_nothing_is_looked_for_beyond_a_step_that_promises_little(monkeypatch):
    theory = forward(lambda p, at: 5 + jnp.exp(p["A"] * at.omega / 20), (Parameter("A", 1.0, 0.0, 3.0, "", True),))
    rng = np.random.default_rng(0)
    S = np.asarray(theory({"A": 1.0}, Points.table(HKL, OMEGA))).reshape(24, 30) + 0.1 * rng.normal(size=(24, 30))
    one = measured(image("one", HKL, OMEGA, S, np.full_like(S, 0.1)))
    problem = Problem(theory, (theory,), (one.points,), (target(one, "none"),), choose(theory.parameters), "gaussian")
    best = settle(problem, np.array([1.0]), [one])
    error = float(np.sum(best.jacobian**2) ** -0.5)
    looked: list[float] = []

    def counted(problem, theta, plain=Problem.jacobian):
        looked.append(float(theta[0]))
        return plain(problem, theta)

    monkeypatch.setattr(Problem, "jacobian", counted)
    start = best.theta + 0.25 * error
    found = settle(problem, start, [one], last=0.3)
    assert looked == [start[0]]
    assert found.theta == pytest.approx(best.theta, abs=0.02 * error)
    assert best.objective <= found.objective < found.first
