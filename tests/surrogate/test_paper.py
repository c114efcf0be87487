"""The published protocol: its images, its order of pixels, its rate, its network."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import OutsideDomain
from insiren.forward import Points
from insiren.surrogate import paper
from insiren.surrogate.paper import Paper, glorot, inputs_of, published, rate


def test_the_rate_is_held_for_ten_epochs_and_then_falls_by_a_tenth_in_the_exponent():
    epochs = np.arange(50)
    expected = 1e-3 * np.exp(-0.1 * np.maximum(0, epochs - 9))
    for within in (0.0, 0.5, 0.999):
        np.testing.assert_allclose([float(rate(jnp.asarray((n + within) / 50))) for n in epochs], expected, rtol=1e-12)


def test_the_network_has_the_shape_of_the_released_one_and_weights_by_glorot(shared):
    released = np.load(shared / "reference" / "paper_siren_weights.npz")
    net = glorot(6, paper.WIDTH, paper.LAYERS, jax.random.key(0))
    assert [W.shape for W in net.weights] == [released[f"W{n}"].shape for n in range(6)]
    for W in net.weights[:-1]:
        bound = np.sqrt(6 / sum(W.shape))
        assert 0.95 * bound < float(jnp.max(jnp.abs(W))) <= bound


def test_a_fraction_of_the_images_keeps_their_shares(simulator):
    assert (Paper(simulator).images, Paper(simulator).learnt) == (1200, 1000)
    assert (Paper(simulator, 0.1).images, Paper(simulator, 0.1).learnt) == (120, 100)
    assert (Paper(simulator, 0.001).images, Paper(simulator, 0.001).learnt) == (6, 4)


def test_the_published_inputs_become_those_of_a_surrogate(simulator):
    net = glorot(6, 16, 2, jax.random.key(1))
    surrogate = published(simulator, net)
    hkl = np.array([[0.6, 0.4, 0.0], [0.75, 0.25, 0.0]])
    found = surrogate.logarithm({"J": 31.0, "Jp": -7.0}, Points.table(hkl, [40.0, 120.0]))
    x = [[h, k, 0.0, E / 200, (31 - 20) / 55, (-7 + 30) / 40] for h, k, _ in hkl for E in (40.0, 120.0)]
    np.testing.assert_allclose(found, net(jnp.asarray(x, jnp.float32)), atol=1e-5)
    with pytest.raises(OutsideDomain, match=r"1 of 2 wavevectors, \(0.6, 0.3, 0\) r.l.u. the first"):
        surrogate({"J": 31.0, "Jp": -7.0}, Points.table(np.array([[0.6, 0.4, 0.0], [0.6, 0.3, 0.0]]), [40.0]))


@pytest.mark.slow
def test_a_short_published_training_visits_every_pixel_once_an_epoch_and_learns(simulator, monkeypatch):
    monkeypatch.setattr(paper, "ENERGIES", np.arange(0.0, 201.0))
    monkeypatch.setattr(paper, "EPOCHS", 1)
    training = Paper(simulator, 0.001, seed=3)
    order = training._order(0)
    assert order.shape == (training.labels.size // 2048, 2048) and len(np.unique(order)) == order.size
    x = np.asarray(inputs_of(training.columns, jnp.asarray(order[0])))
    assert np.all((x >= -1e-6) & (x <= 1)) and np.all(np.isfinite(training.labels))
    params = {"J": 20 + 55 * float(x[0, 4]), "Jp": -30 + 40 * float(x[0, 5]), "q_fwhm": 0.0}
    S = float(simulator.given({"q_fwhm": 0})(params, Points(x[:1, :3], [200 * float(x[0, 3])]))[0])
    assert np.asarray(training.labels).reshape(-1)[order[0, 0]] == pytest.approx(np.log1p(paper.SCALE * S), abs=2e-4)
    first = training.start()
    state = training.advance(first, training.steps, 1.0)
    assert training.error(state) < 0.9 * training.error(first)
    made = training.surrogate(state)
    facts = json.loads(made.provenance)
    assert made.errors is not None and 0.8 < facts["held_out"]["error_map"]["covered"] <= 1
    assert facts["recipe"]["images"] == 6 and facts["recipe"]["steps_done"] == training.steps
