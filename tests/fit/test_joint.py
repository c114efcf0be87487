"""Maps beside lists of peaks: one vector of residuals, whatever the search and the answer ask of it."""

import dataclasses

import numpy as np
import pytest
from theory import fit

from insiren.data.background import smooth_basis
from insiren.data.counts import count
from insiren.data.peaks import peak_list
from insiren.data.simulated import simulate
from insiren.data.spectrum import measured
from insiren.errors import FitError
from insiren.fit.choice import choose
from insiren.fit.objective import target
from insiren.fit.peaks import joined, peak_set
from insiren.fit.posterior import posterior
from insiren.fit.problem import Problem
from insiren.fit.rough import rough
from insiren.fit.systematics import systematics
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

TRUTH = {"Jab": 6.3, "Jc": 3.9, "Dx": 0.5, "Dy": 0.12}
HELD = {"width": 1.0, "q_fwhm": 0.0}
UNSTABLE = np.array([6.3, 3.9, -3.0, -3.0])


@pytest.fixture(scope="module")
def simulator():
    return exact(load_model("luvo3"))


@pytest.fixture(scope="module")
def peaks():
    return peak_list("peaks", [[0, 1, 2.5], [0, 1, 2.5], [0, 1.2, 3.2]], [21.0, 24.0, 20.0], [0.1, 0.2, 0.1])


@pytest.fixture(scope="module")
def counted(simulator):
    hkl = np.stack([np.zeros(6), np.ones(6), np.linspace(2.1, 2.9, 6)], 1)
    clean = simulate(simulator, TRUTH | {"q_fwhm": 0.0}, Points.table(hkl, np.arange(8.0, 32.0, 1.0)))
    return count(clean, 3_000, seed=2, background=0.05 * float(np.mean(clean.values)))


@pytest.fixture(scope="module")
def problem(simulator, counted, peaks):
    """With a smooth background, so that there are penalties between pixels and peaks."""
    one = measured(counted)
    choice = choose(simulator.parameters, fixed=HELD)
    ready = simulator.given(HELD)
    data = (target(one, "smooth", basis=smooth_basis(one)),)
    return joined(Problem(ready, (ready,), (one.points,), data, choice, "gaussian"), (peak_set(peaks),))


@pytest.fixture(scope="module")
def theta(problem):
    return np.array([TRUTH[name] for name in problem.choice.names]) + 0.05


def test_residuals_are_those_of_pixels_then_of_penalties_then_of_peaks(problem, theta):
    r = problem.residual(theta)
    pixels, peaks = problem.observed(r)
    assert len(pixels) == 6 * 24 and len(peaks) == problem.n_peaks == 3 and len(r) > len(pixels) + len(peaks)
    np.testing.assert_array_equal(peaks, problem.peaks.residual(theta))
    np.testing.assert_array_equal(r[:-3], problem.maps.residual(theta))


def test_costs_and_normal_equations_are_those_of_the_residuals_and_their_derivatives(problem, theta):
    thetas = np.stack([theta, 1.02 * theta, UNSTABLE])
    found, costs = problem.normal(thetas), problem.costs(thetas)
    for n in range(2):
        r, J = problem.jacobian(thetas[n])
        np.testing.assert_allclose(r, problem.residual(thetas[n]), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose([found.cost[n], costs[n], problem.objective(thetas[n])], r @ r, rtol=1e-9)
        np.testing.assert_allclose(found.gradient[n], J.T @ r, rtol=1e-8)
        np.testing.assert_allclose(found.gram[n], J.T @ J, rtol=1e-8)
    assert found.cost[2] == costs[2] == problem.objective(UNSTABLE) == np.inf


def test_what_is_not_active_is_not_evaluated(problem, theta):
    found = problem.normal(np.stack([theta, theta]), np.array([True, False]))
    assert found.cost[0] > 0 == found.cost[1] and not found.gram[1].any()


def test_derivatives_agree_with_finite_differences(problem, theta):
    _, J = problem.jacobian(theta)
    step = 1e-5
    numeric = [(problem.residual(theta + d) - problem.residual(theta - d)) / (2 * step) for d in step * np.eye(4)]
    np.testing.assert_allclose(J, np.stack(numeric, 1), rtol=1e-4, atol=1e-4 * np.abs(J).max())


def test_the_rough_problem_keeps_every_peak(problem, theta):
    few = rough(problem, 0)
    np.testing.assert_array_equal(few.residual(theta)[-3:], problem.residual(theta)[-3:])


def test_another_choice_reaches_the_peaks_too(problem, theta):
    choice = problem.choice
    first = choice.free[0]
    fewer = dataclasses.replace(choice, free=choice.free[1:], fixed=(*choice.fixed, (first.name, float(theta[0]))))
    other = problem.chosen(fewer)
    np.testing.assert_allclose(other.residual(theta[1:]), problem.residual(theta), rtol=1e-9, atol=1e-9)


def test_one_exchange_for_each_map_says_nothing_of_the_peaks(simulator, counted, peaks):
    with pytest.raises(FitError, match="own Jab"):
        fit(simulator, [counted, peaks], each=["Jab"], fixed=HELD)


def test_options_of_spectra_are_refused_for_peaks_alone(simulator, peaks):
    with pytest.raises(FitError, match="--weights, --robust is about spectra"):
        fit(simulator, peaks, weights="model", robust=True)


@pytest.mark.slow
def test_a_joint_fit_has_a_table_of_systematics_a_posterior_and_refuses_nuts(simulator, counted):
    lists = peak_list("peaks", [[0, 1, 2.2], [0, 1.3, 3.3]], [15.0, 29.0], [2.0, 2.0])
    sets = [counted, lists]
    found = fit(simulator, sets, fixed=HELD, objective="gaussian", starts=1)
    assert found.n_data == sum(int(m.measured.used.sum()) for m in found.maps) + 2
    table = systematics(found, sets).systematics
    assert table is not None
    assert "lists of peaks alone" in {row.what for row in table.rows}
    assert any("belongs to neither" in line for line in table.skipped)
    drawn = posterior(found, samples=50).posterior
    assert drawn is not None
    assert drawn.method == "importance" and np.isfinite(drawn.mean).all()
    with pytest.raises(FitError, match="kink"):
        posterior(found, method="nuts")
