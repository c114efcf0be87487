"""The map of errors: it ranks them, its bound holds, and it enters the error bar of a fit."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from insiren.data.simulated import simulate
from insiren.errors import OutsideDomain, SurrogateError
from insiren.fit.optimise import fit
from insiren.forward import Points
from insiren.surrogate.errormap import COVERED, limit, map_errors
from insiren.surrogate.siren import siren
from insiren.surrogate.store import bundled_surrogates, load_surrogate

INSIDE = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
SOME = Points.table(np.array([[0.3, 0.1, 0.0], [0.45, 0.2, 4.0]]), np.linspace(20.0, 120.0, 11))


def known(rng, net, many, length=0.1):
    """Labels that a network misses by a known typical error, alike over a known distance of the energy."""
    x = rng.uniform(-1, 1, (many, 1, 3)) * np.ones((many, 16, 1))
    x[..., 1] = np.linspace(-0.5, 0.5, 16)
    typical = 0.01 * np.exp(1.5 * x[..., 0])
    k, phase = rng.normal(0, 1 / length, (many, 40)), rng.uniform(0, 2 * np.pi, (many, 40))
    field = np.sqrt(2 / 40) * np.cos(k[:, None] * x[..., 1, None] + phase[:, None]).sum(-1)
    x = jnp.asarray(x, jnp.float32)
    return (x, net(x) - jnp.asarray(typical * field, jnp.float32)), typical


@pytest.fixture(scope="module")
def learnt():
    rng, net = np.random.default_rng(0), siren(3, 16, 2, jax.random.key(0))
    parts = [known(rng, net, 500) for _ in range(3)]
    return map_errors(net, parts[0][0], [parts[1][0]], 1), net, parts[2]


def test_the_map_finds_the_size_of_errors_and_how_far_they_are_alike(learnt):
    found, net, ((x, _), typical) = learnt
    mean = np.sqrt(2 / np.pi) * typical  # |error| of a Gaussian
    ratio = np.asarray(found.typical(x, net(x))) / mean
    assert np.percentile(ratio, [5, 95]) == pytest.approx(1.0, abs=0.35)
    assert found.length == pytest.approx(0.1, rel=0.35)


def test_the_bound_holds_for_nineteen_in_twenty_errors_that_nobody_has_seen(learnt):
    found, net, ((x, y), _) = learnt
    below = np.abs(net(x) - y) <= found.bound(x, net(x))
    assert COVERED <= np.mean(below) <= 0.98


@pytest.mark.slow
def test_the_chance_in_spectra_seldom_makes_the_bound_too_small():
    short, spectra, energies = [], 400, 8
    for seed in range(200):
        rng = np.random.default_rng(seed)
        size = np.exp(rng.normal(size=(spectra, 1)))  # errors of one spectrum are alike
        ratio = np.abs(size * rng.normal(size=(spectra, energies)))
        unseen = np.abs(np.exp(rng.normal(size=20_000)) * rng.normal(size=20_000))
        short.append(np.mean(unseen <= limit(ratio, seed)) < COVERED)
    assert (
        np.mean(short) < 0.08
    )  # two of 60 are expected at most; the quantile itself is too small in half of all cases


def test_drawn_errors_are_as_large_as_the_bound_says(learnt):
    found, net, ((x, _), _) = learnt
    flat = x.reshape(-1, 3)[::7]
    drawn = np.asarray(found.draws(flat, net(flat), 400, 3, flat.shape[1]))
    bound = np.asarray(found.bound(flat, net(flat)))
    assert np.mean(np.std(drawn, axis=0) * 1.96 / bound) == pytest.approx(1.0, abs=0.05)
    beside = flat.at[:, 1].add(found.length)  # at one length the correlation is exp(−1/2)
    there = np.asarray(found.draws(beside, net(flat), 400, 3, flat.shape[1]))
    r = np.mean(drawn * there, axis=0) / np.mean(drawn**2, axis=0)
    assert np.median(r) == pytest.approx(np.exp(-0.5), abs=0.12)


def test_a_surrogate_states_the_bound_of_its_error(surrogate):
    bound, error = surrogate.error(INSIDE, SOME), surrogate(INSIDE, SOME) - surrogate.exact(INSIDE, SOME)
    assert bound.shape == (22,) and np.all(np.isfinite(bound)) and np.all(bound > 0)
    assert np.mean(np.abs(error) <= bound) > 0.6  # at one wavevector all errors may be large
    with pytest.raises(OutsideDomain, match="J = 80 lies outside"):
        surrogate.error({"J": 80.0}, SOME)
    with pytest.raises(OutsideDomain, match="ω = 300"):
        surrogate.error(INSIDE, Points.table(SOME.hkl, np.array([300.0])))
    with pytest.raises(SurrogateError, match="not measured; train it again"):
        dataclasses.replace(surrogate, errors=None).error(INSIDE, SOME)


def test_a_training_measures_how_well_its_bound_holds(surrogate):
    facts = json.loads(surrogate.provenance)["held_out"]["error_map"]
    assert facts["queries"] == 256  # as many as the small draws have
    assert facts["rank_correlation"] > 0.2 and facts["covered"] > 0.85  # so small a network is wrong all over


@pytest.mark.parametrize("name", bundled_surrogates())
def test_the_bundled_bound_ranks_and_covers_the_errors_of_a_thousand_queries(name):
    learnt = load_surrogate(name)
    rng, many = np.random.default_rng(17), 1000
    sets = 100  # errors of one set are alike
    bound, error = [], []
    for _ in range(sets):
        params = {p.name: rng.uniform(p.min, p.max) for p in learnt.domain.inputs} | {"Jp": rng.uniform(-30, 5)}
        points = Points(hkl=rng.uniform(-1, 1, (many // sets, 3)), omega=rng.uniform(0, 190, many // sets))
        bound.append(learnt.error(params, points))
        error.append(np.abs(learnt(params, points) - learnt.exact(params, points)))
    bound, error = np.concatenate(bound), np.concatenate(error)
    assert len(error) == many
    assert spearmanr(bound, error).statistic >= 0.7
    assert np.mean(error <= bound) >= 0.95


def test_the_error_of_a_surrogate_without_a_simulator_enters_the_error_bar(surrogate):
    alone = dataclasses.replace(surrogate, simulator=None)
    data = simulate(alone, INSIDE, SOME)  # its own, so that a poor network finds its own answer
    data.variances = np.full(data.shape, (0.02 * float(data.values.max())) ** 2)
    wishes = {"fixed": {"q_fwhm": 0.08, "Jp": 1.67}, "bounds": {"J": (25.0, 33.0)}, "starts": 1}
    sure, ours = fit(dataclasses.replace(alone, errors=None), data, **wishes), fit(alone, data, **wishes)
    assert ours.values == pytest.approx(sure.values) and sure.surrogate_check is None
    predicted = ours.surrogate_check["predicted"]
    assert predicted["J"] > 0
    assert ours.covariance[0, 0] == pytest.approx(sure.errors["J"] ** 2 + predicted["J"] ** 2)
    assert ours.errors["J"] is None or predicted["J"] < 4.0  # half of the bounds: J is not determined
