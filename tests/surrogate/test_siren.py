"""The network: its sine, its fresh weights, and the function that both make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.surrogate.siren import FIRST, sine, siren

X = np.linspace(-100, 100, 200_001)


def test_the_sine_is_a_sine():
    assert np.max(np.abs(np.asarray(sine(jnp.asarray(X))) - np.sin(X))) < 2e-6
    single = jnp.asarray(X[np.abs(X) < 10], jnp.float32)
    assert sine(single).dtype == jnp.float32
    assert np.max(np.abs(np.asarray(sine(single), float) - np.sin(np.asarray(single, float)))) < 4e-6


def test_the_derivative_of_the_sine_is_a_cosine_in_both_modes():
    _, slope = jax.jvp(sine, (jnp.asarray(X),), (jnp.ones_like(X),))
    assert np.max(np.abs(np.asarray(slope) - np.cos(X))) < 2e-6
    reverse = jax.grad(lambda x: jnp.sum(sine(x)))(jnp.asarray(X))
    np.testing.assert_allclose(reverse, slope, atol=1e-12)


def test_the_sine_is_odd_and_continuous_where_the_reduction_jumps():
    np.testing.assert_allclose(sine(jnp.asarray(-X)), -np.asarray(sine(jnp.asarray(X))), atol=1e-15)
    jumps = np.pi * (np.arange(-20, 20) + 0.5)
    below, above = sine(jnp.asarray(jumps - 1e-9)), sine(jnp.asarray(jumps + 1e-9))
    np.testing.assert_allclose(below, above, atol=1e-8)


@pytest.mark.parametrize(("inputs", "width", "layers"), [(6, 64, 4), (3, 16, 1)])
def test_fresh_weights_are_uniform_in_the_ranges_that_keep_signals_alive(inputs, width, layers):
    net = siren(inputs, width, layers, jax.random.key(0))
    shapes = [(inputs, width), *[(width, width)] * (layers - 1), (width, 1)]
    assert [W.shape for W in net.weights] == shapes
    assert [b.shape for b in net.biases] == [shape[1:] for shape in shapes]
    for n, W in enumerate(net.weights):
        span = FIRST / inputs if n == 0 else np.sqrt(6 / width)
        largest = float(jnp.max(jnp.abs(W)))
        assert largest <= span * (1 + 1e-6)
        if W.size >= 48:
            assert largest > 0.85 * span
            assert float(jnp.std(W)) == pytest.approx(span / np.sqrt(3), rel=0.25)
        assert W.dtype == jnp.float32


def test_signals_keep_their_size_through_the_layers():
    net, x = siren(6, 128, 6, jax.random.key(1)), jax.random.uniform(jax.random.key(2), (500, 6), jnp.float32, -1, 1)
    sizes = []
    for W, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
        x = sine(x @ W + b)
        sizes.append(float(jnp.std(x)))
    assert all(0.5 < size < 0.85 for size in sizes)  # a sine of a wide argument has 1/√2


def test_the_network_is_its_formula_and_different_keys_differ():
    net = siren(2, 8, 2, jax.random.key(3))
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    W, b = ([np.asarray(a, float) for a in part] for part in (net.weights, net.biases))
    expected = np.sin(np.sin(x @ W[0] + b[0]) @ W[1] + b[1]) @ W[2] + b[2]
    np.testing.assert_allclose(net(jnp.asarray(x, jnp.float32)), expected[:, 0], atol=5e-5)
    assert net(jnp.zeros((3, 4, 2), jnp.float32)).shape == (3, 4)
    assert not jnp.array_equal(net.weights[0], siren(2, 8, 2, jax.random.key(4)).weights[0])
