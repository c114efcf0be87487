"""How far a surrogate is off, learnt from held-out residuals: a typical error, a bound, how errors hang together.

A second, small network takes the inputs and the answer of the first and gives the typical size b of
|error| of log(1 + c S), by the likelihood of Laplace's distribution, Σ log b + |error|/b. A factor
from residuals that neither network has seen makes of it a bound that 95 in 100 errors stay below
(split conformal prediction), with little chance that fewer do: it is an upper limit of that quantile, from
spectra drawn again. Far from the lines S is 0 and the answer itself is the error: so its logarithm is an input too.

Source: Papadopoulos et al., ECML 2002, 345, for the factor on a learnt scale; Wilks, Ann. Math. Statist. 12, 91
(1941), for limits that hold a share with a confidence; Efron and Tibshirani, An Introduction to the Bootstrap,
Chapman and Hall (1993), for drawing groups again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from insiren.surrogate.siren import Siren, siren

COVERED = 0.95  # of the errors lie below the bound
_SURE = 0.99  # the confidence with which they do
_AGAIN = 400  # draws of the spectra, for the chance in the quantile
_DEVIATE = 1.96  # standard deviations of a Gaussian that hold so many
_TOP = 2.4  # log 11, the median peak: brings the answer to the size of the other inputs
_SMALL = 1e-3  # answers of this size and below are as good as 0
_RANGE = 8.0  # of asinh(answer/small), for the same reason as the first
_START = -4.0  # log b of a network that is well trained
_FLOOR = 1e-6  # of |error|: rounding of single precision
_FIRST = 4.0  # half-width of the first layer's weights times the inputs: errors vary more slowly than spectra
_WIDTH, _LAYERS, _STEPS, _BATCH, _RATE = 32, 2, 4000, 2048, 3e-3
_LAGS = 15  # pairs of energies of one spectrum that are compared
_LENGTHS = np.geomspace(0.003, 1.0, 60)  # in scaled inputs, of which a box has 2


class ErrorMap(eqx.Module):
    """The error of log(1 + c S), or of each of several components (…, v), over the domain of a surrogate.

    Attributes:
        net: log b from inputs, answer and its size, single precision.
        factor: from b to the bound.
        length: distance in scaled inputs over which errors are alike.
    """

    net: Siren
    factor: float = eqx.field(static=True)
    length: float = eqx.field(static=True)

    def typical(self, x: Float[Array, "... i"], answer: Float[Array, "... *v"]) -> Float[Array, "... *v"]:
        """The mean |error| of log(1 + c S) to be expected at scaled inputs, where the network says so much."""
        return jnp.exp(_START + self.net(_seen(x, answer)))

    def bound(self, x: Float[Array, "... i"], answer: Float[Array, "... *v"]) -> Float[Array, "... *v"]:
        """What at least 95 in 100 errors of log(1 + c S) stay below."""
        return self.factor * self.typical(x, answer)

    def draws(
        self, x: Float[Array, "d i"], answer: Float[Array, "d *v"], many: int, seed: int, coordinates: int
    ) -> Float[Array, "m d *v"]:
        """Possible errors of log(1 + c S): Gaussian fields as large as the map says and as smooth as errors are.

        They vary with the first so many coordinates; guesses, the last inputs, are none. Those of components
        know nothing of each other.

        Source: Rahimi and Recht, Adv. Neural Inf. Process. Syst. 20 (2007), for fields from random waves.
        """
        waves, phases = jax.random.split(jax.random.key(seed))
        each = answer.shape[1:]
        k = jax.random.normal(waves, (many, *each, coordinates)) / self.length
        phase = 2 * np.pi * jax.random.uniform(phases, (many, 1, *each))
        field = np.sqrt(2) * jnp.cos(jnp.einsum("m...c,dc->md...", k, x[:, :coordinates]) + phase)
        return field * self.bound(x, answer) / _DEVIATE


def inputs_of_map(inputs: int, outputs: int) -> int:
    """How many inputs the second network has: those of the first, two of the answer, and the number of a component."""
    return inputs + 2 + (outputs > 1)


def _seen(x: Array, answer: Array) -> Array:
    """Inputs of the second network, (…, i + 2), or (…, v, i + 3) with the number of each component."""
    if answer.ndim == x.ndim:
        number = jnp.broadcast_to(jnp.linspace(-1, 1, answer.shape[-1]), answer.shape)
        x = jnp.broadcast_to(x[..., None, :], (*answer.shape, x.shape[-1]))
        x = jnp.concatenate([x, number[..., None]], -1)
    size = [answer[..., None] / _TOP - 1, jnp.arcsinh(answer[..., None] / _SMALL) / _RANGE]
    return jnp.concatenate([x, *size], -1).astype(jnp.float32)


Held = tuple[
    Array | np.ndarray, Array | np.ndarray
]  # scaled inputs (…, i) and labels log(1 + c S) (…) or (…, v) that no network has seen


def map_errors(net: Siren, learn: Held, tests: Sequence[Held], axis: int, seed: int = 0) -> ErrorMap:
    """The map of a network's errors.

    Args:
        net: whose errors.
        learn: points from which typical errors are learnt; spectra one after the other.
        tests: groups of points for the factor, spectra along the first axis; in each of them the bound holds.
        axis: which of the inputs is the energy.
        seed: of weights and batches.
    """
    x, y = (jnp.asarray(a).reshape(-1, *a.shape[learn[0].ndim - 1 :]) for a in learn)
    answer = net(x)
    start = siren(inputs_of_map(x.shape[1], net.outputs), _WIDTH, _LAYERS, jax.random.key(seed), _FIRST)
    seen = _seen(x, answer)
    rows = seen.reshape(-1, seen.shape[-1]), (answer - y).reshape(-1)
    found = ErrorMap(_learnt(start, *rows, jax.random.key(seed + 1)), 1.0, 1.0)
    ratios = [np.asarray(_ratio(found, net, *test)) for test in tests]
    factor = max(limit(r.reshape(len(r), -1), seed) for r in ratios)
    place = np.asarray(x[:, : x.shape[1] - net.guided * net.outputs], float)
    ratio = np.asarray((answer - y) / found.typical(x, answer), float)
    length = _length(place, ratio.reshape(len(place), -1), axis)
    return ErrorMap(found.net, factor, length)


def limit(ratio: np.ndarray, seed: int) -> float:
    """What a share of the ratios stays below, with confidence; errors of one spectrum, a row, are alike."""
    rng, many = np.random.default_rng(seed), len(ratio)
    drawn = (ratio[rng.integers(0, many, many)] for _ in range(_AGAIN))
    return float(np.quantile([np.quantile(one, COVERED) for one in drawn], _SURE))


@jax.jit
def _ratio(found: ErrorMap, net: Siren, x: Array, y: Array) -> Array:
    answer = net(x)
    return jnp.abs(answer - y) / found.typical(x, answer)


@jax.jit
def _learnt(start: Siren, seen: Array, error: Array, key: PRNGKeyArray) -> Siren:
    adam = optax.adam(optax.cosine_decay_schedule(_RATE, _STEPS))

    def loss(net: Siren, rows: Array) -> Array:
        log_b = _START + net(seen[rows])
        return jnp.mean(log_b + (jnp.abs(error[rows]) + _FLOOR) * jnp.exp(-log_b))

    def step(carry, key: PRNGKeyArray):
        net, moments = carry
        slope = jax.grad(loss)(net, jax.random.randint(key, (min(_BATCH, len(error)),), 0, len(error)))
        change, moments = adam.update(slope, moments, net)
        return (optax.apply_updates(net, change), moments), None

    found: Any
    found, _ = jax.lax.scan(step, (start, adam.init(start)), jax.random.split(key, _STEPS))  # type: ignore[arg-type]
    return found[0]


def _length(x: np.ndarray, error: np.ndarray, axis: int) -> float:
    """Over which distance errors (n, v) are alike, from pairs of energies of a spectrum; the shortest without any.

    A Gaussian correlation exp(−d²/2ℓ²) is fitted to the products of pairs, outliers cut.
    """
    cut = 3 * np.median(np.abs(error))
    error = np.clip(error, -cut, cut)
    others = np.delete(x, axis, axis=1)
    apart, product = [], []
    for lag in range(1, min(_LAGS, len(x) - 1) + 1):
        alike = np.all(np.abs(others[lag:] - others[:-lag]) < 1e-6, axis=1)  # rounding: the same Q and parameters
        apart.append(np.abs(x[lag:, axis] - x[:-lag, axis])[alike])
        product.append(np.mean(error[lag:] * error[:-lag], axis=1)[alike])
    if not apart or not sum(map(len, apart)) or cut == 0:
        return float(_LENGTHS[0])
    d, p = np.concatenate(apart), np.concatenate(product) / np.mean(error**2)
    near = d < 0.5  # a quarter of the range: farther pairs tell of nothing but chance
    misfit = [np.sum((p[near] - np.exp(-0.5 * (d[near] / length) ** 2)) ** 2) for length in _LENGTHS]
    return float(_LENGTHS[int(np.argmin(misfit))])
