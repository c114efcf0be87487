"""A theory as fast as can be: one ridge, seen in images with known noise."""

import jax.numpy as jnp
import numpy as np

import insiren
from insiren.data.spectrum import image
from insiren.fit import optimise
from insiren.forward import Parameter

OMEGA = np.linspace(1.0, 20.0, 30)
HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
TRUTH = {"A": 11.0, "B": 5.0, "C": 1.0}
PARAMETERS = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
)


def ridge(params, points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


THEORY = insiren.forward(ridge, PARAMETERS)


def fit(forward, data=None, objective=None, background="per-energy", *more, weights="data", legs=False, **options):
    """A fit without the choices that it makes by itself, which have tests of their own."""
    return optimise.fit(forward, data, objective, background, *more, weights=weights, legs=legs, **options)


def expected(width: float = 1.0) -> np.ndarray:
    """The ridge at the truth, (q, w)."""
    centre = TRUTH["A"] * np.abs(np.sin(np.pi * HKL[:, :1])) + TRUTH["B"]
    return np.exp(-0.5 * ((OMEGA - centre) / width) ** 2)


def seen(seed: int, background: np.ndarray | float, sigma: float = 0.2, width: float = 1.0, name: str = "seen"):
    """The ridge on a background, with Gaussian noise of known σ."""
    noise = np.random.default_rng(seed).normal(size=(len(HKL), len(OMEGA)))
    values = 2.0 * expected(width) + background + sigma * noise
    return image(name, HKL, OMEGA, values, np.full_like(values, sigma))
