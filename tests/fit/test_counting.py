"""Counts: scale and background at the maximum of the Poisson likelihood, its derivatives, and the search with few."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from theory import HKL, OMEGA, THEORY, TRUTH, expected, fit

from insiren.data.counts import count
from insiren.data.spectrum import image, measured
from insiren.errors import FitError
from insiren.fit.choice import choose
from insiren.fit.counting import counts_of, likeliest, poisson_deviance
from insiren.fit.objective import cost, profile, residual_jacobian, target
from insiren.fit.problem import Problem
from insiren.fit.rough import rough

COLUMNS, ROWS = 40, 6
GROUP = np.tile(np.arange(ROWS), COLUMNS)


def counted(seed: int, neutrons: float, groups: int = ROWS):
    """A spectrum, and counts about it on a background; pixels left out, one row without a single neutron."""
    rng = np.random.default_rng(seed)
    S = rng.gamma(0.3, 3.0, COLUMNS * ROWS)
    m = np.where(rng.uniform(size=len(S)) < 0.1, 0.0, rng.uniform(0.5, 2.0, len(S)))
    mean = m * (0.4 * S + np.linspace(0.3, 1.0, ROWS)[GROUP])
    n = rng.poisson(neutrons * mean / mean.sum()).astype(float)
    n[GROUP == 2] = 0.0
    m = m * neutrons / mean.sum()
    group = GROUP if groups == ROWS else np.zeros(len(S), int)
    return jnp.asarray(S), counts_of(jnp.asarray(n / np.where(m > 0, m, 1)), jnp.asarray(m), jnp.asarray(group), groups)


@pytest.mark.parametrize("neutrons", [20, 300, 5_000, 1e6])
@pytest.mark.parametrize("groups", [ROWS, 1, 0])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_likelier_than_the_scale_and_background_that_are_found(seed, groups, neutrons):
    S, counts = counted(seed, neutrons, groups)
    best = likeliest(S, counts)
    assert float(best.scale) >= 0 and np.all(np.asarray(best.background) >= 0)

    def deviance(u):
        model = u[0] * S + (jnp.asarray(u[1:])[counts.group] if groups else 0.0)
        return float(poisson_deviance(model, counts))

    here = np.array([float(best.scale), *np.asarray(best.background)])
    slope = np.asarray(
        jax.grad(lambda u: poisson_deviance(u[0] * S + (u[1:][counts.group] if groups else 0.0), counts))(
            jnp.asarray(here)
        )
    )
    size = np.maximum(here, 0.01 * float(jnp.sum(counts.n) / jnp.sum(counts.m)))
    free = here > 0  # the conditions of Karush, Kuhn and Tucker, which for a convex function suffice
    assert np.all(np.abs(slope * size)[free] < 1e-6 * max(1.0, float(jnp.sum(counts.n))))
    assert np.all(slope[~free] >= -1e-6 * neutrons)
    rivals = np.random.default_rng(seed).uniform(0, 2, (50, len(here))) * size
    assert all(deviance(here) <= deviance(u) + 1e-9 for u in rivals)


def test_an_energy_without_neutrons_has_no_background():
    S, counts = counted(0, 300)
    assert float(likeliest(S, counts).background[2]) == 0.0


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_unit_of_the_spectrum_does_not_matter(scale):
    S, counts = counted(1, 300)
    one, other = likeliest(S, counts), likeliest(scale * S, counts)
    np.testing.assert_allclose(other.model, one.model, rtol=1e-9)
    np.testing.assert_allclose(other.scale * scale, one.scale, rtol=1e-9)


def test_a_spectrum_of_nothing_leaves_the_background_and_one_that_is_no_number_says_so():
    S, counts = counted(1, 300)
    nothing = likeliest(jnp.zeros(len(S)), counts)
    M, N = counts.total(counts.m), counts.total(counts.n)
    np.testing.assert_allclose(nothing.background, N / M, rtol=0.02)  # ε takes its part
    assert not np.isfinite(float(poisson_deviance(likeliest(S.at[3].set(jnp.nan), counts).model, counts)))


def test_the_derivative_of_the_deviance_is_that_of_finite_differences_and_the_information_that_of_fisher():
    data = count(image("one", HKL, OMEGA, 2 * expected(), np.ones_like(expected())), 900, 3, background=0.3)
    one = measured(data)
    t = target(one, "per-energy")._replace(exposure=jnp.asarray(np.where(one.used, one.norm, 0.0)))
    problem = Problem(THEORY, (THEORY,), (one.points,), (t,), choose(THEORY.parameters), "poisson")
    theta = np.array([11.3, 4.8])
    normal = problem.normal(theta[None])
    assert normal.cost[0] == pytest.approx(problem.objective(theta), rel=1e-12)
    step = 1e-4
    for k in range(2):
        beside = [problem.objective(theta + sign * step * np.eye(2)[k]) for sign in (1, -1)]
        assert normal.gradient[0, k] == pytest.approx(0.5 * (beside[0] - beside[1]) / (2 * step), rel=1e-5)
    # the information of all unknowns together, of which scale and background are then eliminated
    spectra, slopes = problem.spectra(theta), jax.jacfwd(lambda x: problem.spectra(x)[0])(jnp.asarray(theta)).T
    best = likeliest(spectra[0], t.counts)
    columns = np.column_stack(
        [
            best.scale * np.asarray(slopes).T,
            np.asarray(spectra[0]),
            np.asarray(t.group)[:, None] == np.flatnonzero(best.free),
        ]
    )
    root = np.sqrt(np.asarray(best.weight))[:, None]
    whole = np.linalg.inv((root * columns).T @ (root * columns))[:2, :2]
    np.testing.assert_allclose(np.linalg.inv(normal.gram[0]), whole, rtol=1e-8)
    r, J = residual_jacobian("poisson", spectra, (slopes,), (t,))
    np.testing.assert_allclose(J.T @ r, normal.gradient[0], rtol=1e-9)


def test_the_fit_of_few_counts_ends_at_the_greatest_likelihood_of_a_grid():
    data = count(image("one", HKL, OMEGA, 2 * expected(), np.ones_like(expected())), 250, 11, background=0.4)
    found = fit(THEORY, data, starts=4)
    grid = np.array([(a, b) for a in np.linspace(6, 18, 61) for b in np.linspace(0, 8, 41)])
    values = found.problem.costs(grid)
    assert found.problem.objective(found.theta) <= values.min() + 1e-6
    # and it is the deviance of the probabilities themselves
    one, best = found.maps[0].measured, found.maps[0].profile
    mu = np.asarray(best.model)[one.used] * one.norm[one.used]
    n = one.counts[one.used]
    log = scipy.stats.poisson.logpmf(n, np.maximum(mu, 1e-4 * n.mean())).sum()
    saturated = scipy.stats.poisson.logpmf(n, n).sum()
    assert found.objective_value == pytest.approx(2 * (saturated - log), rel=0.01)


def test_few_counts_scatter_as_little_as_their_information_allows():
    answers, errors = [], []
    for seed in range(24):
        data = count(image("one", HKL, OMEGA, 2 * expected(), np.ones_like(expected())), 250, seed, background=0.4)
        found = fit(THEORY, data, starts=2)
        answers.append(found.theta)
        errors.append([found.errors[name] for name in found.names])
    off = np.array(answers) - [TRUTH["A"], TRUTH["B"]]
    assert np.all(np.sqrt(np.mean(off**2, axis=0)) < 1.4 * np.median(errors, axis=0))  # 24 draws: 1.4 is three errors


def test_gathering_keeps_every_neutron_and_every_exposure():
    values = np.repeat(2 * expected(), 5, axis=0)
    hkl = np.stack([np.linspace(0, 1, len(values)), *np.zeros((2, len(values)))], axis=1)
    one = measured(count(image("one", hkl, OMEGA, values, np.ones_like(values)), 900, 3, background=0.3))
    t = target(one, "per-energy")._replace(exposure=jnp.asarray(np.where(one.used, one.norm, 0.0)))
    problem = Problem(THEORY, (THEORY,), (one.points,), (t,), choose(THEORY.parameters), "poisson")
    easy = rough(problem, 0)
    few = easy.data[0]
    assert len(easy.points[0]) < len(one.points) / 1.5
    assert float(jnp.sum(few.counts.n)) == pytest.approx(float(one.counts.sum()), rel=1e-12)
    assert float(jnp.sum(few.exposure)) == pytest.approx(float(one.norm.sum()), rel=1e-12)
    # energies keep their neutrons, since each has a background of its own
    by_energy = np.bincount(np.asarray(few.group), np.asarray(few.counts.n), len(OMEGA))
    np.testing.assert_allclose(by_energy, one.counts.reshape(len(hkl), -1).sum(axis=0))


def test_the_profile_of_counts_is_what_a_report_shows():
    data = count(image("one", HKL, OMEGA, 2 * expected(), np.ones_like(expected())), 900, 3, background=0.3)
    m = measured(data)
    t = target(m, "none")._replace(exposure=jnp.asarray(np.where(m.used, m.norm, 0.0)))
    S = jnp.asarray(expected().ravel())
    shown = profile(S, t)
    assert float(cost("poisson", (S,), (t,))) == pytest.approx(float(poisson_deviance(shown.model, t.counts)))


def test_a_spectrum_below_zero_counts_as_nothing_there():
    S, counts = counted(1, 300)
    dented = S.at[::7].set(-0.01)
    found, flat = likeliest(dented, counts), likeliest(jnp.maximum(dented, 0), counts)
    np.testing.assert_array_equal(found.model, flat.model)
    assert np.isfinite(float(poisson_deviance(found.model, counts)))


def test_a_measurement_without_a_neutron_is_refused():
    data = count(image("one", HKL, OMEGA, 2 * expected(), np.ones_like(expected())), 900, 3)
    data.coords["counts"].values[:] = 0.0
    with pytest.raises(FitError, match="not one neutron"):
        fit(THEORY, data)
