"""The network: fully connected layers with sine activations on coordinates.

Source: Sitzmann et al., Adv. Neural Inf. Process. Syst. 33, 7462 (2020).
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

FIRST = (
    15.0  # half-width of the first layer's uniform weights times the number of inputs: the frequencies it starts from
)
TOP = 2.4  # log 11, the median peak of log(1 + c S): divided by it a guess is of the size of other coordinates
_ALONG_GUESS = 0.2  # frequencies along a guess, of those along other coordinates


def _polynomial(function: Callable[[np.ndarray], np.ndarray], odd: bool) -> list[float]:
    """Coefficients in powers of t² of a function of 2πt on |t| ≤ 1/2 (over t if odd), nearly of least largest error.

    Plain numbers: numpy's would turn single precision into double.
    """
    t = 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 400)  # Chebyshev points of the positive half
    powers = t[:, None] ** (2 * np.arange(_TERMS) + odd)
    return np.linalg.lstsq(powers, function(2 * np.pi * t), rcond=None)[0].tolist()


_TERMS = 6  # error near 1e-6, of the order of single precision
_SIN = _polynomial(np.sin, odd=True)
_COS = _polynomial(np.cos, odd=False)


def _turns(x: Array) -> Array:
    """x in turns of 2π, without the whole ones: a half turn instead of a whole would need a sign, which costs more."""
    turns = x * (0.5 / np.pi)
    return turns - jnp.round(turns)


def _value(square: Array, coefficients: list[float]) -> Array:
    value = jnp.full_like(square, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * square + coefficient
    return value


@jax.custom_jvp
def sine(x: Float[Array, " ..."]) -> Float[Array, " ..."]:
    """sin x by range reduction and a polynomial: XLA's own costs more than the matrix products."""
    t = _turns(x)
    return t * _value(t * t, _SIN)


@sine.defjvp
def _sine_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    t = _turns(x)
    square = t * t
    return t * _value(square, _SIN), _value(square, _COS) * dx


class Siren(eqx.Module):
    """Coordinates (…, i) in [−1, 1] to one number (…,), or to several (…, v).

    Attributes:
        weights: matrices of the layers, (inputs, outputs).
        biases: vectors of the layers.
        guided: whether the last coordinates, as many as there are numbers, are first guesses of them, see `as_input`,
            to which the network adds.
    """

    weights: list[Float[Array, "i o"]]
    biases: list[Float[Array, " o"]]
    guided: bool = eqx.field(static=True, default=False)

    @property
    def outputs(self) -> int:
        """How many numbers it gives."""
        return self.biases[-1].shape[0]

    def __call__(self, x: Float[Array, "... i"]) -> Float[Array, "... *v"]:
        guess = TOP * (x[..., -self.outputs :] + 1) if self.guided else 0.0
        for W, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = sine(x @ W + b)
        found = x @ self.weights[-1] + self.biases[-1] + guess
        return found[..., 0] if self.outputs == 1 else found


def as_input(guess: Float[Array, " ..."]) -> Float[Array, " ..."]:
    """A first guess of log(1 + c S) as a coordinate."""
    return guess / TOP - 1


def siren(
    inputs: int,
    width: int,
    layers: int,
    key: PRNGKeyArray,
    first: float = FIRST,
    guided: bool = False,
    outputs: int = 1,
) -> Siren:
    """A network with fresh weights: uniform in ±15/inputs first, in ±√(6/width) after.

    Args:
        inputs: number of coordinates, guesses not among them.
        width: units in each sine layer.
        layers: sine layers; a linear one follows.
        key: of the random numbers.
        first: half-width of the first layer's weights times the inputs, in place of 15.
        guided: whether first guesses are more coordinates, the last; what is added to them varies slowly with them.
        outputs: how many numbers it gives.
    """
    sizes = [inputs] + [width] * layers + [outputs]
    keys = jax.random.split(key, 2 * len(sizes))
    spans = [first / inputs] + [float(np.sqrt(6 / width))] * layers
    weights = [
        jax.random.uniform(keys[2 * n], (sizes[n], sizes[n + 1]), jnp.float32, -span, span)
        for n, span in enumerate(spans)
    ]
    biases = [
        jax.random.uniform(keys[2 * n + 1], (sizes[n + 1],), jnp.float32, -1, 1) * np.float32(np.pi if n == 0 else 0.1)
        for n in range(len(spans))
    ]
    if guided:
        span = _ALONG_GUESS * spans[0]
        along = jax.random.uniform(keys[-1], (outputs, width), jnp.float32, -span, span)
        weights[0] = jnp.concatenate([weights[0], along])
    return Siren(weights, biases, guided)
