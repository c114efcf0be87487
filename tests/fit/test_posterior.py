"""Posteriors that are known in closed form, and diagnostics that notice when samples do not cover one."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from theory import fit

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.posterior import log_density, posterior, smoothed
from insiren.forward import Parameter, Points, forward

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
)


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


@pytest.fixture(scope="module")
def found():
    """A bright, sharp line: its posterior is a Gaussian to a few per cent of σ."""
    truth = forward(ridge, PARAMETERS)({"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA))
    noise = 0.05 * np.random.default_rng(0).normal(size=(24, 30))
    values = np.asarray(truth).reshape(24, 30) + 0.3 + noise
    return fit(forward(ridge, PARAMETERS), image("ridge", HKL, OMEGA, values, np.full((24, 30), 0.05)), starts=1)


@pytest.mark.parametrize("method", ["importance", pytest.param("nuts", marks=pytest.mark.slow)])
def test_a_gaussian_posterior_has_the_mean_and_covariance_of_the_fit(found, method):
    drawn = posterior(found, method, samples=1200, seed=1).posterior
    assert drawn.method == method and drawn.doubts == () and drawn.weights.sum() == pytest.approx(1)
    sigma = np.sqrt(np.diag(found.covariance))
    assert drawn.diagnostics["ess"] > 400
    np.testing.assert_allclose(drawn.mean, found.theta, atol=0.15 * sigma.max())
    np.testing.assert_allclose(np.sqrt(np.diag(drawn.covariance)), sigma, rtol=0.1)
    correlation = drawn.covariance[0, 1] / np.sqrt(np.prod(np.diag(drawn.covariance)))
    assert correlation == pytest.approx(found.correlation[0, 1], abs=0.1)
    for name, error in zip(found.names, sigma, strict=True):
        low, high = drawn.interval(name)
        assert (high - low) / 2 == pytest.approx(error, rel=0.12)


def test_the_density_of_importance_samples_is_that_of_a_grid(found):
    """One parameter of few counts, whose posterior is skewed: the quantiles of an integral over a grid are met."""
    theory = forward(ridge, PARAMETERS)
    clean = simulate(theory, {"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA))
    few = count(clean, 60, seed=4, background=0.02)
    answer = fit(theory, few, fixed={"B": 5.0}, background="constant", starts=2)
    drawn = posterior(answer, samples=1500, seed=0).posterior
    grid = np.linspace(6.0, 18.0, 801)
    density = np.exp(np.array([log_density(answer, answer.problem, np.array([a])) for a in grid]))
    grown = np.cumsum(density) / density.sum()
    for level in (0.16, 0.5, 0.84):
        expected = np.interp(level, grown, grid)
        assert drawn.quantile("A", level) == pytest.approx(expected, abs=0.1 * answer.errors["A"])


@pytest.mark.slow
def test_both_methods_agree_on_counts():
    theory = forward(ridge, PARAMETERS)
    few = count(simulate(theory, {"A": 11.0, "B": 5.0}, Points.table(HKL, OMEGA)), 400, seed=2, background=0.02)
    answer = fit(theory, few, background="constant", starts=2)
    one, other = (posterior(answer, method, samples=1000).posterior for method in ("importance", "nuts"))
    sigma = np.sqrt(np.diag(one.covariance))
    assert np.all(np.abs(one.mean - other.mean) < 0.15 * sigma)
    np.testing.assert_allclose(np.sqrt(np.diag(other.covariance)), sigma, rtol=0.15)


def test_the_same_seed_gives_the_same_samples(found):
    one, other = (posterior(found, samples=50, seed=3).posterior for _ in range(2))
    np.testing.assert_array_equal(one.samples, other.samples)
    assert any("effective samples" in line for line in one.doubts)


def test_the_shape_of_the_weights_is_that_of_their_distribution():
    """Weights x^k of uniform x have a Pareto tail of shape k."""
    for k in (0.3, 0.9):
        shapes = [smoothed(k * -np.log(np.random.default_rng(seed).uniform(size=4000)))[1] for seed in range(10)]
        assert np.mean(shapes) == pytest.approx(k, abs=0.1)


def test_a_proposal_much_narrower_than_the_target_is_noticed():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    narrow = stats.norm(0, 4).logpdf(x) - stats.norm(0, 1).logpdf(x)
    assert smoothed(narrow)[1] > 0.7
    wide = stats.norm(0, 1).logpdf(4 * x) - stats.norm(0, 4).logpdf(4 * x)
    weights, k = smoothed(wide)
    assert k < 0.5 and weights.sum() == pytest.approx(1)


def test_smoothing_keeps_the_mean():
    x = 2 * np.random.default_rng(5).standard_t(5, size=4000)
    weights, k = smoothed(stats.norm(1.0, 1.0).logpdf(x) - stats.t(5, scale=2).logpdf(x))
    assert k < 0.7
    assert weights @ x == pytest.approx(1.0, abs=0.08)
    assert weights @ (x - 1.0) ** 2 == pytest.approx(1.0, abs=0.1)


def test_a_fit_without_errors_or_likelihood_has_no_posterior(found):
    with pytest.raises(FitError, match="Pearson"):
        posterior(dataclasses.replace(found, objective="pearson"))
    with pytest.raises(FitError, match="A ended at a bound"):
        posterior(dataclasses.replace(found, errors={**found.errors, "A": None}))
    with pytest.raises(FitError, match="no method 'gibbs'"):
        posterior(found, "gibbs")
