"""The scatter of an answer whose model does not describe the data."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import scipp as sc
from theory import fit

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.errors import FitError
from insiren.fit.sandwich import blocks, curvature, jackknife, scatter
from insiren.fit.systematics import STRUCTURE, systematics
from insiren.forward import Parameter, Points, forward

POINTS = Points.table(
    np.stack([np.linspace(0.03, 0.97, 20), np.zeros(20), np.zeros(20)], axis=1), np.linspace(1, 20, 40)
)
PARAMETERS = (Parameter("A", 12.0, 6.0, 18.0, "meV", True), Parameter("B", 5.0, 0.0, 8.0, "meV", True))
NEUTRONS, SEEDS = 4_000, 60


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / 1.5) ** 2)


def two_ridges(params, points: Points):
    """The ridge with a weaker one above it, of which `ridge` knows nothing."""
    return ridge(params, points) + 0.5 * ridge({"A": params["A"], "B": params["B"] + 2.5}, points)


KNOWN, TRUE = forward(ridge, PARAMETERS), forward(two_ridges, PARAMETERS)


def counted(source, seed: int) -> sc.DataArray:
    return count(simulate(source, {"A": 11.0, "B": 4.0}, POINTS), NEUTRONS, seed, background=0.1)


def spread(found) -> np.ndarray:
    return np.sqrt(np.diag(scatter(found.problem, found.theta, np.ones(2, bool))))


@pytest.fixture(scope="module", params=[KNOWN, TRUE], ids=["right", "wrong"])
def fits(request):
    return request.param, [fit(KNOWN, counted(request.param, seed), starts=1) for seed in range(SEEDS)]


def test_it_is_how_answers_to_repeated_measurements_scatter(fits):
    source, found = fits
    answers = np.std([one.theta for one in found], axis=0, ddof=1)
    told = np.mean([spread(one) for one in found], axis=0)
    quoted = np.mean([np.sqrt(np.diag(one.covariance)) for one in found], axis=0)
    chance = 3 / np.sqrt(2 * SEEDS)  # three standard errors of a standard deviation
    if source is KNOWN:
        assert told == pytest.approx(answers, rel=chance) and told == pytest.approx(quoted, rel=0.15)
    else:  # the misfit is the same each time; at other wavevectors it would be another
        assert np.all(quoted * (1 + chance) < told) and np.all(answers < told * (1 + chance))


def test_the_curvature_is_the_second_difference_of_the_objective(fits):
    problem, theta = fits[1][0].problem, fits[1][0].theta
    error = np.sqrt(np.diag(fits[1][0].covariance))
    ends = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1], [1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    f = dict(zip(map(tuple, ends.tolist()), problem.costs(theta + 0.1 * error * ends), strict=True))
    mixed = (f[1, 1] - f[1, -1] - f[-1, 1] + f[-1, -1]) / 4
    along = f[1, 0] + f[-1, 0] - 2 * f[0, 0], f[0, 1] + f[0, -1] - 2 * f[0, 0]
    expected = np.array([[along[0], mixed], [mixed, along[1]]]) / (0.01 * np.outer(error, error)) / 2
    found = curvature(problem, theta, np.ones(2, bool), 0.03 * error)
    assert found * np.outer(error, error) == pytest.approx(expected * np.outer(error, error), rel=0.02, abs=0.02)


def test_a_point_that_is_no_minimum_is_refused(fits):
    problem = fits[1][0].problem
    with pytest.raises(FitError, match="no minimum"):
        scatter(problem, np.array([16.0, 7.0]), np.ones(2, bool))


COLUMNS, ROWS = 60, 40


def misfits(length: float, size: float, draws: int):
    """A linear model of a ridge, and residuals in which its energy wanders along Q: J (d, 2), y (n, d)."""
    rng, h, omega = np.random.default_rng(0), np.linspace(0.03, 0.97, COLUMNS)[:, None], np.linspace(1, 20, ROWS)
    centre = 12 * np.sin(np.pi * h) + 4
    slope = 3 * np.exp(-0.5 * ((omega - centre) / 1.5) ** 2) * (omega - centre) / 1.5**2
    alike = np.exp(-0.5 * ((np.arange(COLUMNS)[:, None] - np.arange(COLUMNS)) / length) ** 2)
    wander = rng.multivariate_normal(np.zeros(COLUMNS), alike, draws, method="eigh")
    y = rng.normal(size=(draws, COLUMNS, ROWS)) + size * wander[:, :, None] * slope
    return np.stack([slope * np.sin(np.pi * h), slope], -1).reshape(-1, 2), y.reshape(draws, -1)


@pytest.mark.parametrize(("length", "size"), [(3.0, 0.5), (1.0, 0.0)])
def test_what_neighbours_share_is_covered(length, size):
    """One σ of the jackknife covers the truth nearly as often as it should, one of the residuals alone hardly ever."""
    J, draws = misfits(length, size, 300)
    H = J.T @ J
    column = np.repeat(np.arange(COLUMNS), ROWS)
    block = (10 * column) // COLUMNS
    plain, blocked = [], []
    for y in draws:
        answer = np.linalg.solve(H, J.T @ y)
        r = y - J @ answer
        noise = max(1.0, r @ r / (len(r) - 2))
        plain.append(np.abs(answer) < np.sqrt(noise * np.diag(np.linalg.inv(H))))
        blocked.append(np.abs(answer) < np.sqrt(np.diag(jackknife(r, J, H, block))))
    assert np.all(np.mean(blocked, axis=0) > 0.56) and np.all(np.mean(blocked, axis=0) < 0.75)
    if size:
        assert np.all(np.mean(plain, axis=0) < 0.3)
    else:
        assert np.mean(plain, axis=0) == pytest.approx(0.683, abs=0.07)


def test_blocks_are_stretches_of_the_path_with_as_much_information(fits):
    problem = fits[1][0].problem
    J = problem.observed(problem.jacobian(fits[1][0].theta)[1])[0]
    leverage = np.sum(J @ np.linalg.inv(J.T @ J) * J, axis=1)
    block = blocks(problem, leverage)
    assert np.sum(leverage) == pytest.approx(2) and block.max() == 9
    table = block.reshape(20, 40)
    assert np.all(table == table[:, :1]) and np.all(np.diff(table[:, 0]) >= 0)  # no column is cut, and all in order
    few = dataclasses.replace(problem, points=(POINTS.columns(np.arange(3)),))
    cut = blocks(few, leverage[:120])
    assert set(cut.tolist()) == set(range(10))  # where wavevectors are few, ranges of energies


def test_the_table_of_systematic_errors_counts_what_the_standard_error_lacks():
    data = counted(TRUE, 0)
    found = systematics(fit(KNOWN, data, starts=1), data)
    lacks = np.sqrt(spread(found) ** 2 - np.diag(found.covariance))
    assert list(found.systematics.by_kind[STRUCTURE].values()) == pytest.approx(lacks.tolist(), rel=1e-6)
    assert found.systematics.total["A"] > lacks[0]
