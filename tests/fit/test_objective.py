"""Residuals: eliminated scale and background, their derivatives, and the likelihood of counts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from insiren.data.counts import count
from insiren.data.spectrum import image, measured
from insiren.errors import FitError
from insiren.fit.counting import LEAST
from insiren.fit.misfit import deviance
from insiren.fit.objective import (
    least_squares_residual,
    pearson_residual,
    poisson_weights,
    profile,
    residual_jacobian,
    target,
)

Q, W = 7, 5
OMEGA = np.linspace(10.0, 50.0, W)
HKL = np.stack([np.linspace(0, 1, Q), np.zeros(Q), np.zeros(Q)], axis=1)
DARK_ROW = 3  # no pixel of this energy was measured


def spectrum(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1.0, 2.0, size=Q * W)


def data_set(seed: int = 0, scale: float = 1.7):
    rng = np.random.default_rng(seed)
    values = scale * spectrum(seed).reshape(Q, W) + np.linspace(0.5, 2.0, W) + 0.3 * rng.normal(size=(Q, W))
    values[1, 2] = values[4, 0] = np.nan
    values[:, DARK_ROW] = np.nan
    return measured(image("one", HKL, OMEGA, values, rng.uniform(0.1, 1.0, size=(Q, W))))


def explicit(S: np.ndarray, one, background: str) -> tuple[float, np.ndarray]:
    """Scale and background values of weighted linear least squares, written out."""
    groups = {"per-energy": one.n_rows, "constant": 1, "none": 0}[background]
    group = one.row if background == "per-energy" else np.zeros(len(S), int)
    design = np.column_stack([S, *(np.where(group == n, 1.0, 0.0) for n in range(groups))])
    root = np.where(one.used, 1 / one.sigma, 0.0)
    found = np.linalg.lstsq(design * root[:, None], one.intensity * root, rcond=None)[0]
    return found[0], found[1:]


@pytest.mark.parametrize("background", ["per-energy", "constant", "none"])
def test_the_profile_is_the_solution_of_weighted_linear_least_squares(background):
    one, S = data_set(), spectrum(0) + 0.2 * spectrum(5)
    assert not one.used.reshape(Q, W)[:, DARK_ROW].any() and one.n_masked == Q + 2
    found = profile(jnp.asarray(S), target(one, background))
    scale, values = explicit(S, one, background)
    assert scale > 0
    np.testing.assert_allclose(found.scale, scale, rtol=1e-10)
    np.testing.assert_allclose(found.background, values, rtol=1e-9, atol=1e-12)  # 0 where nothing was measured
    group = one.row if background == "per-energy" else np.zeros(Q * W, int)
    model = scale * S + (values[group] if len(values) else 0)
    np.testing.assert_allclose(found.model, model, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("background", ["per-energy", "constant", "none"])
def test_a_negative_scale_is_held_at_zero(background):
    one = data_set()
    upside_down = dataclasses.replace(one, intensity=np.where(one.used, -spectrum(0), 0.0))
    assert explicit(spectrum(0), upside_down, background)[0] < 0
    found = profile(jnp.asarray(spectrum(0)), target(upside_down, background))
    assert float(found.scale) == 0
    if background == "constant":
        weight = one.used / one.sigma**2
        np.testing.assert_allclose(found.background, [weight @ upside_down.intensity / weight.sum()])


def test_a_background_curve_is_subtracted_row_by_row():
    one, curve = data_set(), np.arange(W) / 10.0
    intensity = np.asarray(target(one, "savgol", curve).intensity).reshape(Q, W)
    used = one.used.reshape(Q, W)
    np.testing.assert_allclose(intensity[used], (one.intensity.reshape(Q, W) - curve)[used])
    assert not intensity[~used].any()


def test_pixels_left_out_do_not_matter():
    one, S = data_set(), spectrum(3)
    changed = S.copy()
    changed[~one.used] = 1e6
    t = target(one, "per-energy")
    np.testing.assert_allclose(
        least_squares_residual((jnp.asarray(changed),), (t,)),
        least_squares_residual((jnp.asarray(S),), (t,)),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        pearson_residual((jnp.asarray(changed),), (t,)), pearson_residual((jnp.asarray(S),), (t,)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("kind", "background"),
    [("gaussian", "per-energy"), ("gaussian", "constant"), ("gaussian", "none"), ("pearson", "none")],
)
def test_the_jacobian_of_the_residual_agrees_with_finite_differences(kind, background):
    sets = tuple(target(data_set(seed), background) for seed in (0, 1))

    def spectra(theta):
        return tuple(jnp.asarray(theta[0] * spectrum(s) + theta[1] ** 2 * spectrum(s + 10)) for s in (0, 1))

    theta, step = np.array([1.0, 0.4]), 1e-5
    slopes = jax.jacfwd(lambda t: spectra(t))(jnp.asarray(theta))
    r, J = residual_jacobian(kind, spectra(theta), tuple(s.T for s in slopes), sets)
    assert r.shape == (2 * Q * W,) and J.shape == (2 * Q * W, 2)
    for n in range(2):
        up, down = (
            residual_jacobian(kind, spectra(theta + sign * step * np.eye(2)[n]), tuple(s.T for s in slopes), sets)[0]
            for sign in (1, -1)
        )
        difference = np.asarray(up - down) / (2 * step)
        np.testing.assert_allclose(J[:, n], difference, rtol=0, atol=1e-6 * np.abs(difference).max())


def test_the_pearson_residual_squares_to_one_minus_the_correlation_of_logarithms():
    sets, spectra = [data_set(0), data_set(1, scale=0.4)], [spectrum(0), spectrum(7)]
    r = pearson_residual(tuple(map(jnp.asarray, spectra)), tuple(target(one, "none") for one in sets))
    used = np.concatenate([one.used for one in sets])
    I = np.concatenate([one.intensity for one in sets])[used]
    expected = np.corrcoef(np.log1p(np.concatenate(spectra)[used]), np.log1p(np.maximum(I, 0)))[0, 1]
    assert 0.2 < expected < 0.99
    assert float(jnp.sum(r**2)) == pytest.approx(1 - expected, rel=1e-10)


@pytest.mark.parametrize("background", ["per-energy", "constant"])
def test_iterated_poisson_weights_end_at_the_maximum_of_the_likelihood(background):
    S = 0.5 + spectrum(2).reshape(Q, W)
    counted = count(image("counted", HKL, OMEGA, S, None), 1500, seed=4, background=np.linspace(1, 3, W))
    counted.masks["missing"].values[2, 1] = True
    one = measured(counted)
    t, tilted = target(one, background), jnp.asarray((S * (1 + 0.2 * HKL[:, :1])).ravel())
    for _ in range(60):
        found = profile(tilted, t)
        t = poisson_weights(one, t, found)

    floor = LEAST * np.mean(one.counts[one.used])  # under every expected count

    def likelihood(x):
        group = one.row if background == "per-energy" else np.zeros(Q * W, int)
        mu = (one.norm * (x[0] * np.asarray(tilted) + x[1:][group]))[one.used] + floor
        n = one.counts[one.used]
        return 2 * np.sum(mu - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / mu), 0.0))

    start = np.concatenate([[1.0], np.ones(len(t.groups))])
    best = scipy.optimize.minimize(likelihood, start, method="L-BFGS-B", bounds=[(1e-6, None)] * len(start), tol=1e-13)
    assert float(found.scale) == pytest.approx(best.x[0], rel=2e-4)
    np.testing.assert_allclose(found.background, best.x[1:], rtol=1e-3)
    assert deviance(one, found) == pytest.approx(
        best.fun, rel=1e-6
    )  # the floor is in the weights, not in the residuals


def test_the_deviance_is_zero_only_where_the_model_is_the_counts():
    counted = count(image("counted", HKL, OMEGA, 1 + spectrum(2).reshape(Q, W), None), 4000, seed=4)
    one = measured(counted)
    found = profile(jnp.ones(Q * W), target(one, "none"))
    perfect = found._replace(model=jnp.asarray((one.counts - LEAST * one.counts.mean()) / one.norm))
    assert one.counts.min() > 0
    assert deviance(one, perfect) == pytest.approx(0, abs=1e-9)
    assert deviance(one, found) > Q * W


def test_an_expected_count_of_zero_is_no_certainty():
    one = measured(count(image("counted", HKL, OMEGA, 1 + spectrum(2).reshape(Q, W), None), 4000, seed=4))
    t = target(one, "none")
    nothing = profile(jnp.zeros(Q * W), t)
    assert np.isfinite(deviance(one, nothing))
    assert np.all(np.isfinite(poisson_weights(one, t, nothing).weight))


def test_data_without_counts_have_no_poisson_likelihood():
    one = data_set()
    found = profile(jnp.asarray(spectrum(0)), target(one, "none"))
    with pytest.raises(FitError, match="--objective gaussian"):
        deviance(one, found)
    with pytest.raises(FitError, match="one holds no neutron counts"):
        poisson_weights(one, target(one, "none"), found)
