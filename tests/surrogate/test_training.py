"""Training: labels are the simulator's, steps reduce the error, the facts travel along."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import SurrogateError
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import Model
from insiren.surrogate.inputs import chosen_inputs
from insiren.surrogate.training import Learner, Recipe, decayed_optimiser


@pytest.fixture(scope="module")
def labels(learner):
    x, y = learner.labels(jax.random.key(7))
    return np.asarray(x, float), np.asarray(y, float)


def test_labels_are_the_simulator_at_the_inputs(learner, labels, simulator):
    x, y = labels
    domain = learner.domain
    inputs = domain.lower + (x + 1) / 2 * (domain.upper - domain.lower)

    @jax.jit
    @jax.vmap
    def expected(Q, energies, theta):
        params = dict(domain.fixed) | {p.name: theta[n] for n, p in enumerate(domain.inputs)}
        hkl = jnp.zeros((1, 3)).at[0, jnp.array(domain.axes)].set(Q)
        return jnp.log1p(learner.scale * fine.spectrum(params, Points.table(hkl, energies)))

    fine = dataclasses.replace(simulator, own_nodes=64)
    few = slice(0, 96)
    found = expected(*map(jnp.asarray, (inputs[few, 0, :2], inputs[few, :, 2], inputs[few, 0, 3:])))
    off = y[few] - np.asarray(found)  # labels have fewer nodes, moved at random: errors are rare and have no sign
    assert np.quantile(np.abs(off), 0.8) < 2e-3 and abs(np.mean(off)) < 2e-3
    assert np.std(y[few]) > 0.3  # ridges and flanks both


def test_labels_without_an_average_are_exact(simulator):
    inputs = chosen_inputs(simulator.parameters, fixed={"q_fwhm": 0.0})
    sharp = Learner.of(simulator, Recipe(steps=1), None, None, inputs)
    x, y = (np.asarray(a, float)[:40] for a in sharp.labels(jax.random.key(7)))
    at = sharp.domain.lower + (x + 1) / 2 * (sharp.domain.upper - sharp.domain.lower)
    for row, label in zip(at, y, strict=True):
        params = {"q_fwhm": 0.0} | {p.name: row[0, 3 + n] for n, p in enumerate(sharp.domain.inputs)}
        S = simulator(params, Points.table([[*row[0, :2], 0.0]], row[:, 2]))
        np.testing.assert_allclose(label, np.log1p(sharp.scale * np.asarray(S)), atol=1e-3)  # single precision inputs


def test_inputs_fill_the_domain_and_stay_in_it(labels):
    x, y = labels
    assert np.all(np.abs(x) <= 1 + 1e-6) and np.all(np.isfinite(y)) and np.all(y >= 0)
    assert np.all(x.min((0, 1)) < -0.8) and np.all(x.max((0, 1)) > 0.8)
    near, anywhere = np.split(y, 2, axis=1)  # half of the energies are drawn near a line
    assert np.mean(near) > 1.5 * np.mean(anywhere)


def test_draws_repeat_for_a_key_and_differ_between_keys(learner, labels):
    again, _ = learner.labels(jax.random.key(7))
    other, _ = learner.labels(jax.random.key(8))
    np.testing.assert_array_equal(np.asarray(again, float), labels[0])
    assert not np.array_equal(np.asarray(other, float), labels[0])


def test_a_training_runs_reports_and_carries_its_facts(trained, learner):
    surrogate, told, states = trained
    assert [(step, total) for step, total, _ in told] == [(25, 50), (50, 50)]
    assert told[1][2] < told[0][2]  # the error falls
    assert len(states) == 2
    facts = json.loads(surrogate.provenance)
    assert facts["model"] == "la2nio4" and facts["digest"] == surrogate.simulator.model.digest
    assert facts["recipe"] == dataclasses.asdict(learner.recipe) | {"steps_done": 50}
    held = facts["held_out"]
    assert held["rms_log"] > 0 and held["r_min"] <= held["r_median"] <= 1
    assert surrogate.describe()["forward"] == "surrogate" and surrogate.describe()["surrogate"] == facts
    assert surrogate.exact is surrogate.simulator


def test_a_part_of_the_pool_is_renewed_at_each_stride(trained):
    first, second = (np.asarray(state.pool[1]) for state in trained[2])
    half = len(first) // 2
    changed = [not np.array_equal(first[part], second[part]) for part in (slice(0, half), slice(half, None))]
    assert sorted(changed) == [False, True]


@pytest.mark.slow
def test_where_lines_are_sought_most_labels_have_one_and_the_box_is_still_filled(learner, labels, simulator):
    def share_with_lines(x):
        inputs = np.unique(
            learner.domain.lower + (x[:, 0] + 1) / 2 * (learner.domain.upper - learner.domain.lower), axis=0
        )
        low, high = learner.domain.omega
        there = []
        for h, k, _, J, Jp, _ in inputs:
            bands = np.asarray(simulator.bands({"J": J, "Jp": Jp}, jnp.asarray([[h, k, 0.0]]))[0])
            there.append(np.any((bands > low) & (bands < high)))
        return np.mean(there)

    sought, _ = learner.labels(jax.random.key(7), lit=True)
    sought = np.asarray(sought, float)
    assert sought.shape == labels[0].shape
    even, lit = share_with_lines(labels[0]), share_with_lines(sought)
    assert even < 0.8 and lit > even + 0.1
    assert np.all(sought.min((0, 1)) < -0.8) and np.all(sought.max((0, 1)) > 0.8)


def test_the_scale_puts_the_median_peak_at_160(learner, simulator):
    low, high = np.array(learner.domain.q_range).T
    Q = np.zeros((300, 3))
    Q[:, :2] = np.random.default_rng(5).uniform(low, high, (300, 2))
    S = np.asarray(simulator({}, Points.table(Q, np.linspace(0, 190, 200)))).reshape(300, 200)
    assert learner.scale * np.median(S.max(1)) == pytest.approx(160.0, rel=0.25)


def test_a_model_that_names_no_ei_needs_a_range_of_energies():
    chain = Model.from_dict({
        "name": "chain",
        "crystal": {"a": 3.0, "b": 8.0, "c": 8.0},
        "site": [{"position": [0, 0, 0], "spin": 1}],
        "bond": [{"i": 0, "j": 0, "offset": [1, 0, 0], "exchange": "J"}],
        "structure": {"directions": [[0, 0, 1]]},
        "parameters": {"J": {"value": -1.0, "min": -2.0, "max": -0.5, "unit": "meV", "free": True}},
        "scattering": {"correlation": "trace"},
        "instrument": {"resolution": {"constant": 0.3}},
    })  # fmt: skip
    with pytest.raises(SurrogateError, match="names no Ei"):
        Learner.of(exact(chain), Recipe(steps=1), None, None)
    domain = Learner.of(exact(chain), Recipe(steps=1), (0.0, 5.0), None).domain
    assert domain.axes == (0,) and len(domain.operations) == 2  # a chain sees h alone, and −h like h
    assert domain.q_range[0][1] - domain.q_range[0][0] == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [1, 2, 12, 50_000])
def test_the_learning_rate_of_a_recipe_of_any_length_is_finite(steps):
    weights = {"matrix": jnp.ones((3, 3)), "vector": jnp.ones(3)}
    optimiser = decayed_optimiser(Recipe(steps=steps))
    moments = optimiser.init(weights)
    for _ in range(3):
        change, moments = optimiser.update(weights, moments, weights)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(change))
