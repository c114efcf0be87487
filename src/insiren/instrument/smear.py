"""The paper's smearing: a Gaussian over the pixels of a path, whatever their distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Forward, Parameter, Parameters, Points


class PathSmeared(Forward):
    """A Forward whose images are smeared along their columns.

    Source: Chitturi et al., Nat. Commun. 14, 5852 (2023), Methods: σ = 5 pixels.

    Attributes:
        inner: the Forward that is smeared.
        sigma: standard deviation in columns.
    """

    inner: Forward
    sigma: float = eqx.field(static=True)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.inner.parameters

    @property
    def pointwise(self) -> bool:
        return False

    @property
    def exact(self) -> Forward | None:
        return None if self.inner.exact is None else PathSmeared(self.inner.exact, self.sigma)

    @property
    def averages(self) -> bool:
        return self.inner.averages

    @property
    def parallel(self) -> bool:
        return self.inner.parallel

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        return self.inner.limits

    def mistakes(self, params: Parameters, points: Points, many: int, seed: int) -> Float[Array, "m d"] | None:
        found = self.inner.mistakes(params, points, many, seed)
        if found is None:
            return None
        return (self._kernel(points) @ found.reshape(many, len(points.hkl), -1)).reshape(many, -1)

    def given(self, fixed: Mapping[str, float]) -> Forward:
        return PathSmeared(self.inner.given(fixed), self.sigma)

    def at(self, points: Points, params: Parameters) -> Forward:
        return PathSmeared(self.inner.at(points, params), self.sigma)

    def covers(self, params: Parameters) -> bool:
        return self.inner.covers(params)

    def check(self, params: Parameters) -> None:
        self.inner.check(params)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe() | {"smear_pixels": self.sigma}

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies and weights of the Forward within."""
        return self.inner.bands(params, hkl)  # type: ignore[attr-defined]

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        S = self.inner.spectrum(params, points).reshape(points.hkl.shape[0], -1)
        return (self._kernel(points) @ S).reshape(-1)

    def _kernel(self, points: Points) -> Float[Array, "q q"]:
        """The weight of each column in the mean around another."""
        step = np.arange(points.hkl.shape[0])
        kernel = np.exp(-0.5 * ((step[:, None] - step) / self.sigma) ** 2)
        return jnp.asarray(kernel / kernel.sum(axis=1, keepdims=True))

    def explain(self, params: Parameters, points: Points) -> Exception:
        return self.inner.explain(params, points)
