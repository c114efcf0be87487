"""The exact Forward: linear spin wave theory seen through the model's instrument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from insiren.errors import UnstableStructure
from insiren.forward import Forward, Parameter, Parameters, Points
from insiren.instrument.resolution import energy_resolution, gaussian, q_quadrature
from insiren.model.spec import Model
from insiren.simulate.intensity import magnons
from insiren.simulate.stability import require_stable

NODES = 16  # along each axis of the Q broadening; doubling them moves J of La2NiO4 by less than 0.01 meV
_CHUNK = 4096  # wavevectors diagonalised at once: enough to fill two cores, small enough for their caches
_CHUNK_LINES = 2_000_000  # pixels times lines summed at once, which bounds the memory


class Exact(Forward):
    """S(Q, ω) of a model by linear spin wave theory, with resolution; differentiable.

    Attributes:
        model: the magnet and its instrument.
        nodes: quadrature nodes along each axis of the Q broadening.
    """

    model: Model = eqx.field(static=True)
    nodes: int = eqx.field(static=True, default=NODES)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.model.all_parameters

    def given(self, fixed: Mapping[str, float]) -> Exact:
        """The same for fixed parameters: without Q broadening there is one node."""
        return dataclasses.replace(self, nodes=1) if fixed.get("q_fwhm") == 0 else self

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        E, I = self._lines(params, points.hkl)  # noqa: E741
        fwhm = params["width"] * energy_resolution(self.model).fwhm(E)
        if points.is_table:
            rows = max(1, _CHUNK_LINES // (points.rows.shape[1] * E.shape[1]))
            S = jax.lax.map(lambda row: _profile(*row), (points.rows, E, I, fwhm), batch_size=rows)
            return S.reshape(-1)
        return jax.lax.map(
            lambda d: _profile(d[0][None], E[d[1]], I[d[1]], fwhm[d[1]])[0],
            (points.omega, points.index),
            batch_size=max(1, _CHUNK_LINES // E.shape[1]),
        )

    def _lines(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies and weights of all lines at each wavevector, quadrature nodes included, (q, l)."""
        offsets, weight = q_quadrature(self.model.instrument.q_axes, self.nodes)
        nodes = hkl[:, None] + params["q_fwhm"] * offsets
        one = jax.checkpoint(lambda Q: magnons(self.model, params, Q))
        batch = max(1, _CHUNK // len(weight))
        E, I = jax.lax.map(one, nodes, batch_size=batch)  # noqa: E741
        return E.reshape(hkl.shape[0], -1), (I * weight[:, None]).reshape(hkl.shape[0], -1)

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies in meV (q, n) and the neutron weight of each mode (q, n), without resolution."""
        return magnons(self.model, params, hkl)

    def explain(self, params: Parameters, points: Points) -> Exception:
        try:
            require_stable(self.model, params, points.hkl)
        except UnstableStructure as error:
            return error
        return super().explain(params, points)


def _profile(omega: Array, E: Array, weight: Array, fwhm: Array) -> Array:
    """Σ over lines of weight times a Gaussian at each ω; (w,) from lines (l,)."""
    return jnp.sum(weight * gaussian(omega[:, None], E, fwhm), -1)


def exact(model: Model, nodes: int = NODES) -> Exact:
    """The exact simulator of a model as a Forward.

    Args:
        model: a magnet with its instrument.
        nodes: Gauss–Hermite nodes along each axis of the Q broadening.
    """
    energy_resolution(model)  # a bad instrument is an error now, not within a fit
    return Exact(model, nodes)
