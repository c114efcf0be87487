"""A trained network with its scaling, domain and provenance: a Forward that knows where it may be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

import insiren
from insiren.errors import OutsideDomain, UnstableStructure
from insiren.forward import Forward, Parameter, Parameters, Points
from insiren.instrument.exact import Exact
from insiren.simulate.chunks import in_chunks
from insiren.simulate.intensity import magnons
from insiren.simulate.stability import require_stable, zone_grid
from insiren.surrogate.domain import Domain
from insiren.surrogate.siren import Siren

_CHUNK_PIXELS = 2048  # at once: a layer with its derivatives stays in the caches


class Surrogate(Forward):
    """S(Q, ω) from a network that represents log(1 + c S).

    Attributes:
        net: the network, single precision.
        scale: c, in meV and crystal cells, as S is per meV and crystal cell.
        domain: inputs and ranges.
        simulator: the exact simulator that it learnt from; None where it learnt from spectra alone.
        provenance: JSON-like facts of its making and its held-out error.
    """

    net: Siren
    scale: float = eqx.field(static=True)
    domain: Domain = eqx.field(static=True)
    simulator: Exact | None = eqx.field(static=True)
    provenance: str = eqx.field(static=True)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.domain.inputs

    @property
    def exact(self) -> Exact | None:
        return self.simulator

    @property
    def parallel(self) -> bool:
        return self.simulator is None or self.simulator.parallel  # which decides where the structure is stable

    def logarithm(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        """log(1 + c S) at the points."""
        folded = self.domain.fold(points.hkl)[points.index]
        theta = jnp.stack([jnp.asarray(params[p.name], float) for p in self.domain.inputs])

        def some(place: Array, omega: Array) -> Array:
            at = self.domain.scaled(place, omega, jnp.broadcast_to(theta, (len(omega), len(theta))))
            return self.net(at.astype(jnp.float32)).astype(float)

        return in_chunks(some, _CHUNK_PIXELS, folded, points.omega)

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        S = jnp.expm1(self.logarithm(params, points)) / self.scale
        known = self.domain.holds(params) & is_stable_phase(self.simulator, dict(self.domain.fixed) | dict(params))
        return jnp.where(known, S, jnp.nan)

    def at(self, points: Points, params: Parameters) -> Surrogate:
        """Itself; refuses points outside its domain.

        Raises:
            OutsideDomain: says what lies outside.
        """
        self.domain.refuse_outside(
            {p.name: float(np.clip(float(np.asarray(params[p.name])), p.min, p.max)) for p in self.domain.inputs},
            points,
        )
        return self

    def check(self, params: Parameters) -> None:
        self.domain.refuse_outside({name: float(np.asarray(x)) for name, x in params.items()})
        if self.simulator is not None:
            require_stable(self.simulator.model, dict(self.domain.fixed) | dict(params))

    def explain(self, params: Parameters, points: Points) -> Exception:
        try:
            self.domain.refuse_outside({name: float(np.asarray(x)) for name, x in params.items()}, points)
            self.check(params)
        except (OutsideDomain, UnstableStructure) as error:
            return error
        return super().explain(params, points)

    def __call__(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        """S(Q, ω) at the points; see `Forward`. Concrete values outside the domain are refused.

        Raises:
            OutsideDomain: a parameter, wavevector or energy lies outside what it learnt.
            UnstableStructure: there are no magnons at these parameters.
        """
        asked = {p.name: params.get(p.name, p.value) for p in self.domain.inputs}
        if not any(isinstance(x, Tracer) for x in (*asked.values(), points.hkl, points.omega)):
            self.domain.refuse_outside({name: float(np.asarray(x)) for name, x in asked.items()}, points)
        return super().__call__(params, points)

    def save(self, path: str | Path) -> None:
        """Writes it as a surrogate file, see `save_surrogate`."""
        insiren.save_surrogate(self, path)

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies and weights by the exact simulator, for overlays; none where there is no simulator."""
        if self.simulator is None:
            return jnp.zeros((len(hkl), 0)), jnp.zeros((len(hkl), 0))
        return self.simulator.bands(dict(self.domain.fixed) | dict(params), hkl)

    def describe(self) -> dict[str, Any]:
        made = json.loads(self.provenance)
        known = {"model": made["model"]} if self.simulator is None else self.simulator.describe()
        return known | {"forward": "surrogate", "surrogate": made}


def is_stable_phase(simulator: Exact | None, params: Parameters) -> Array:
    """Whether H(Q) is positive on a grid over the zone; traceable, a boolean scalar.

    Without a simulator nothing but the box limits the parameters.
    """
    if simulator is None:
        return jnp.asarray(True)
    E, _ = magnons(simulator.model, params, jnp.asarray(_stability_grid(simulator)))
    return jnp.all(jnp.isfinite(E))


def _stability_grid(simulator: Exact) -> np.ndarray:
    """About a hundred wavevectors of the zone, symmetric points among them."""
    grid = zone_grid(simulator.model)
    return grid[:: max(1, len(grid) // 128)] if len(grid) > 600 else grid
