"""The exact Forward: linear spin wave theory seen through the model's instrument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from insiren.errors import UnstableStructure
from insiren.forward import Forward, Parameter, Parameters, Points
from insiren.instrument.grid import RANGE, SharedGrid, shared_grid
from insiren.instrument.resolution import (
    energy_resolution,
    gaussian,
    own_neighbours,
    patch_moments,
    q_quadrature,
    with_patch,
)
from insiren.model.hamiltonian import CONVENTION
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.intensity import magnons
from insiren.simulate.stability import require_stable

GRID_NODES = 8  # in one FWHM; doubling them moves J of La2NiO4 by less than 0.001 meV
OWN_NODES = 16  # along each axis, where wavevectors share no grid
_ZERO_MODE = 1e-4  # of the largest energy: the shift that lifts a zero mode leaves it near 1e-6
_DRAFT_NODES = 6  # even, so that no node sits on a Goldstone point
_CHUNK = 2048  # wavevectors at once, which bounds the memory
_CHUNK_PIXELS = 2**16  # pixels summed at once: 0.5 MiB, so that the derivatives of four parameters stay in the caches
_CHUNK_LINES = 2_000_000  # pixels times lines gathered at once, which bounds the memory
_UNROLL = 4  # lines written out one by one before a loop takes over


class Exact(Forward):
    """S(Q, ω) of a model by linear spin wave theory, with resolution; differentiable.

    Attributes:
        model: the magnet and its instrument.
        refine: factor on the nodes of the Q broadening.
        own_nodes: nodes along each axis for wavevectors without a shared grid.
    """

    model: Model = eqx.field(static=True)
    refine: int = eqx.field(static=True, default=1)
    own_nodes: int = eqx.field(static=True, default=OWN_NODES)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.model.all_parameters

    @property
    def draft(self) -> Exact:
        """The same with fewer nodes."""
        return dataclasses.replace(self, refine=1, own_nodes=min(self.own_nodes, _DRAFT_NODES))

    def given(self, fixed: Mapping[str, float]) -> Exact:
        """The same for fixed parameters: without Q broadening there is one node."""
        return dataclasses.replace(self, own_nodes=1) if fixed.get("q_fwhm") == 0 else self

    def at(self, points: Points, params: Parameters) -> Forward:
        """The same with a grid of nodes planned for these points and a q_fwhm near this one."""
        if self.own_nodes == 1:
            return self
        q_fwhm = float(np.asarray(params["q_fwhm"]))
        if q_fwhm == 0:
            return dataclasses.replace(self, own_nodes=1)
        grid = shared_grid(points, self.model.instrument.q_axes, q_fwhm, GRID_NODES * self.refine)
        return self if grid is None else _OnGrid(self, grid, q_fwhm)

    def describe(self) -> dict[str, Any]:
        axes = self.model.instrument.q_axes
        broadened = self.own_nodes > 1
        return {
            "model": self.model.name,
            "forward": "exact",
            "digest": self.model.digest,
            "hamiltonian": CONVENTION,
            "scattering": self.model.scattering.model_dump(),
            "quadrature": {
                "rule": "even grid with patches of energy, shared by wavevectors where it can be"
                if broadened
                else "none",
                "nodes_per_fwhm": GRID_NODES * self.refine if broadened else 0,
                "own_nodes": self.own_nodes * self.refine if broadened else 1,
                "axes": [list(a) for a in axes],
            },
            "resolution": energy_resolution(self.model).source,
        }

    def divergent(self, params: Parameters, points: Points) -> Bool[Array, " q"]:
        """Wavevectors on a Goldstone point, where S ∝ 1/E without Q broadening to average it."""
        if self.own_nodes > 1:
            return super().divergent(params, points)
        E, _ = magnons(self.model, params, points.hkl)
        return jnp.min(E, axis=1) < _ZERO_MODE * jnp.max(E)

    def check(self, params: Parameters) -> None:
        require_stable(self.model, params)

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        size = max(1, _CHUNK // self._own ** len(self.model.instrument.q_axes))
        if points.is_table:
            rows = lambda Q, omega: line_sum(omega, *self.lines(params, Q))  # noqa: E731
            return in_chunks(rows, min(size, _rows(points.rows)), points.hkl, points.rows).reshape(-1)
        E, I, fwhm = in_chunks(lambda Q: self.lines(params, Q), size, points.hkl)
        return in_chunks(
            lambda omega, at: line_sum(omega[:, None], E[at], I[at], fwhm[at])[:, 0],
            max(1, _CHUNK_LINES // E.shape[1]),
            points.omega,
            points.index,
        )

    @property
    def _own(self) -> int:
        return self.own_nodes * self.refine if self.own_nodes > 1 else 1

    def lines(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array, Array]:
        """The lines seen at each wavevector, from nodes of its own: energy (meV), weight and FWHM (meV), (q, l)."""
        axes = self.model.instrument.q_axes
        offsets, weight = q_quadrature(axes, self._own)
        nodes = hkl[:, None] + jnp.asarray(params["q_fwhm"]) * offsets
        E, I = magnons(self.model, params, nodes.reshape(-1, 3))
        shape = (hkl.shape[0], *[self._own] * len(axes), -1)
        E, I = E.reshape(shape), I.reshape(shape)
        variance = jnp.zeros_like(E)
        if self._own > 1:
            beside = zip(own_neighbours(E, len(axes)), own_neighbours(I, len(axes)), strict=True)
            E, I, variance = patch_moments(E, I, beside)
        fwhm = with_patch(self.fwhm(params, E), variance)
        weighted = I.reshape(hkl.shape[0], len(weight), -1) * weight[:, None]
        q = hkl.shape[0]
        return E.reshape(q, -1), weighted.reshape(q, -1), fwhm.reshape(q, -1)

    def fwhm(self, params: Parameters, E: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """FWHM in meV of modes of energy E in meV."""
        return jnp.asarray(params["width"]) * energy_resolution(self.model).fwhm(E)

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies in meV (q, n) and the neutron weight of each mode (q, n), without resolution."""
        return magnons(self.model, params, hkl)

    def explain(self, params: Parameters, points: Points) -> Exception:
        try:
            require_stable(self.model, params, points.hkl)
        except UnstableStructure as error:
            return error
        return super().explain(params, points)


class _OnGrid(Forward):
    """An exact Forward with the nodes of its Q broadening planned for one set of points."""

    inner: Exact
    grid: SharedGrid
    planned: float = eqx.field(converter=float)  # the q_fwhm it was planned for; data, so that it does not recompile

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.inner.parameters

    def covers(self, params: Parameters) -> bool:
        return self.planned / RANGE <= float(np.asarray(params["q_fwhm"])) <= self.planned * RANGE

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        solve = lambda nodes: magnons(self.inner.model, params, nodes)  # noqa: E731
        E, I = in_chunks(solve, _CHUNK, self.grid.nodes)
        beside = zip(self.grid.beside_nodes(E), self.grid.beside_nodes(I), strict=True)
        E, I, variance = patch_moments(E, I, beside)
        fwhm = with_patch(self.inner.fwhm(params, E), variance)
        rows = jnp.broadcast_to(self.grid.omega, (E.shape[0], self.grid.omega.shape[0]))
        values = in_chunks(line_sum, _rows(rows), rows, E, I, fwhm)
        return self.grid.average(values, jnp.asarray(params["q_fwhm"])).reshape(-1)

    def explain(self, params: Parameters, points: Points) -> Exception:
        return self.inner.explain(params, points)


def line_sum(
    omega: Float[Array, "q w"], E: Float[Array, "q l"], weight: Float[Array, "q l"], fwhm: Float[Array, "q l"]
) -> Float[Array, "q w"]:
    """Σ over the lines of each wavevector of weight times a Gaussian, in 1/meV; energies in meV.

    The loop over lines is outside and ω inside, so that the exponentials run as one vector.
    """

    def add(total: Array, line: tuple[Array, ...]) -> tuple[Array, None]:
        energy, height, width = (x[:, None] for x in line)
        return total + height * gaussian(omega, energy, width), None

    total = jnp.zeros_like(omega)
    if E.shape[1] > _UNROLL:
        return jax.lax.scan(add, total, (E.T, weight.T, fwhm.T), unroll=_UNROLL)[0]
    for n in range(E.shape[1]):
        total, _ = add(total, (E[:, n], weight[:, n], fwhm[:, n]))
    return total


def _rows(omega: Float[Array, "q w"]) -> int:
    """How many rows of pixels are summed at once."""
    return max(1, _CHUNK_PIXELS // omega.shape[1])


def exact(model: Model, refine: int = 1) -> Exact:
    """The exact simulator of a model as a Forward.

    Args:
        model: a magnet with its instrument.
        refine: factor on the quadrature nodes of the Q broadening, to see that they suffice.
    """
    energy_resolution(model)  # a bad instrument is an error now, not within a fit
    return Exact(model, refine)
