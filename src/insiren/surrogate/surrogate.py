"""A trained network with its scaling, domain and provenance: a Forward that knows where it may be trusted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

import insiren
from insiren.errors import OutsideDomain, SurrogateError, UnstableStructure
from insiren.forward import Forward, Parameter, Parameters, Points, complete
from insiren.instrument.exact import Exact
from insiren.model.domains import domain_models
from insiren.simulate.chunks import in_chunks
from insiren.simulate.lswt import after
from insiren.simulate.stability import require_stable
from insiren.simulate.zone import worst
from insiren.surrogate.domain import Domain
from insiren.surrogate.errormap import ErrorMap
from insiren.surrogate.known import Known, factor, learnt, weights
from insiren.surrogate.phase import Phase
from insiren.surrogate.siren import Siren, as_input

_CHUNK_PIXELS = 2048  # at once: a layer with its derivatives stays in the caches


class Surrogate(Forward):
    """S(Q, ω) from a network that represents log(1 + c S), or log(1 + c L) of the components that are not known of it.

    Attributes:
        net: the network, single precision.
        scale: c, in meV and crystal cells, as S is per meV and crystal cell.
        domain: inputs and ranges.
        simulator: the exact simulator that it learnt from; None where it learnt from spectra alone.
        provenance: JSON-like facts of its making and its held-out error.
        errors: how far it is off, over its domain; None where nobody measured.
        phase: which parameter sets had a spectrum to learn from; None where the simulator knows, or all had.
        guide_nodes: of a coarse average along each axis of the Q broadening, by the simulator, to which the network
            adds; 0 where the network stands alone.
        known: what is known of the spectrum and applied to the network's answer; None where S itself is learnt.
        seen: the weights of the components at the points that it is prepared for, see `at`.
    """

    net: Siren
    scale: float = eqx.field(static=True)
    domain: Domain = eqx.field(static=True)
    simulator: Exact | None = eqx.field(static=True)
    provenance: str = eqx.field(static=True)
    errors: ErrorMap | None = None
    phase: Phase | None = None
    guide_nodes: int = eqx.field(static=True, default=0)
    known: Known | None = eqx.field(static=True, default=None)
    seen: Float[Array, "d v"] | None = None

    @property
    def guide(self) -> Exact | None:
        """The simulator of a first guess, if the network has one."""
        return guide_of(self.simulator, self.guide_nodes)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.domain.inputs

    @property
    def exact(self) -> Exact | None:
        return self.simulator

    @property
    def parallel(self) -> bool:
        return self.simulator is None or self.simulator.parallel  # which decides where the structure is stable

    @property
    def batches(self) -> bool:
        return self.parallel and self.guide is None  # of few pixels each; diagonalisations gain nothing

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        return {p.name: (p.min, p.max) for p in self.domain.inputs}

    def _inputs(self, params: Parameters, points: Points) -> Float[Array, "d i"]:
        """Scaled inputs of the network, single precision."""
        folded = self.domain.fold(points.hkl)[points.index]
        theta = jnp.stack([jnp.asarray(params[p.name], float) for p in self.domain.inputs])
        theta = jnp.broadcast_to(theta, (len(points), len(theta)))
        x = self.domain.scaled(folded, points.omega, theta)
        if self.guide is not None:
            L = learnt(self.guide, self.known, dict(self.domain.fixed) | dict(params), points)
            x = jnp.concatenate([x, as_input(jnp.log1p(self.scale * L)).reshape(len(points), -1)], -1)
        return x.astype(jnp.float32)

    def logarithm(self, params: Parameters, points: Points) -> Float[Array, "d *v"]:
        """log(1 + c S), or of its components, at the points."""
        return self._answer(self._inputs(params, points))

    def _answer(self, x: Float[Array, "d i"]) -> Float[Array, "d *v"]:
        return in_chunks(self.net, _CHUNK_PIXELS, x).astype(float)

    def _shares(self, params: Parameters, points: Points) -> Float[Array, "d v"]:
        """By which the components of the points are multiplied to make S."""
        if self.known is None or self.simulator is None:
            return jnp.ones((len(points), 1))
        simulator, fixed = self._given, dict(self.domain.fixed)
        seen = weights(simulator, self.known, points) if self.seen is None else self.seen
        return factor(simulator, fixed | dict(params), points.omega)[:, None] * seen

    @property
    def _given(self) -> Exact:
        assert self.simulator is not None
        return self.simulator.given(dict(self.domain.fixed))

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        L = jnp.expm1(self.logarithm(params, points)) / self.scale
        S = L if self.known is None else jnp.sum(self._shares(params, points) * L.reshape(len(points), -1), 1)
        held = {name: after(L, jnp.asarray(value)) for name, value in params.items()} if self.guide_nodes else params
        known = self.domain.holds(params) & is_stable_phase(self.simulator, dict(self.domain.fixed) | dict(held))
        if self.phase is not None:
            known = known & self.phase.holds(params, self.domain.inputs)
        return jnp.where(known, S, jnp.nan)

    def error(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        """The bound on |S − what it stands for| at the points, shape (d,), per meV and crystal cell.

        95 in 100 errors at random wavevectors, energies and parameters of the domain lie below it; where single
        ones lie it does not say. Divided by 1.96 it is about a standard error.

        Args:
            params: values by name; those left out take the model's.
            points: where.

        Raises:
            OutsideDomain: a parameter, wavevector or energy lies outside what it learnt.
            UnstableStructure: there are no magnons at these parameters.
            SurrogateError: its file holds no map of errors.
        """
        if self.errors is None:
            raise SurrogateError("The errors of this surrogate were not measured; train it again to have their map.")
        filled = complete(self.parameters, params)
        self.check(filled)
        return _bound(self.at(points, filled), filled, points)

    def mistakes(self, params: Parameters, points: Points, many: int, seed: int) -> Float[Array, "m d"] | None:
        if self.errors is None:
            return None
        return _mistakes(self, complete(self.parameters, params), points, many, seed)

    def at(self, points: Points, params: Parameters) -> Surrogate:
        """The same with the weights of components at these points; refuses points outside its domain.

        Raises:
            OutsideDomain: says what lies outside.
        """
        self.domain.refuse_outside(
            {p.name: float(np.clip(float(np.asarray(params[p.name])), p.min, p.max)) for p in self.domain.inputs},
            points,
        )
        if self.known is None or not self.known.kept:
            return self
        return dataclasses.replace(self, seen=_weights(self._given, self.known, points))

    def check(self, params: Parameters) -> None:
        self.domain.refuse_outside({name: float(np.asarray(x)) for name, x in params.items()})
        if self.phase is not None:
            self.phase.refuse_outside(params, self.domain.inputs)
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


@eqx.filter_jit
def _bound(surrogate: Surrogate, params: dict[str, Array], points: Points) -> Float[Array, " d"]:
    errors: Any = surrogate.errors
    x = surrogate._inputs(params, points)
    answer = surrogate._answer(x)
    # from log(1 + c S) + b back to S; towards smaller S the step is shorter. Components may be off the same way.
    bound = jnp.exp(answer) * jnp.expm1(errors.bound(x, answer)) / surrogate.scale
    return jnp.sum(jnp.abs(surrogate._shares(params, points)) * bound.reshape(len(points), -1), 1)


@eqx.filter_jit
def _mistakes(surrogate: Surrogate, params: dict[str, Array], points: Points, many: int, seed: int) -> Array:
    errors: Any = surrogate.errors
    x = surrogate._inputs(params, points)
    answer = surrogate._answer(x)
    coordinates = x.shape[-1] - surrogate.net.guided * surrogate.net.outputs
    wrong = jnp.exp(answer) * errors.draws(x, answer, many, seed, coordinates) / surrogate.scale
    return jnp.sum(surrogate._shares(params, points) * wrong.reshape(many, len(points), -1), -1)


@eqx.filter_jit
def _weights(simulator: Exact, known: Known, points: Points) -> Float[Array, "d v"]:
    return weights(simulator, known, points)


def guide_of(simulator: Exact | None, nodes: int) -> Exact | None:
    """A simulator with so few nodes of the Q broadening along each axis; None for 0."""
    return None if simulator is None or nodes == 0 else dataclasses.replace(simulator, refine=1, own_nodes=nodes)


def is_stable_phase(simulator: Exact | None, params: Parameters) -> Array:
    """Whether H(Q) has no negative eigenvalue in the zone, as `zone.worst` looks at it; traceable, a boolean scalar.

    Without a simulator nothing but the box limits the parameters.
    """
    if simulator is None:
        return jnp.asarray(True)
    low, found = jnp.zeros(()), jnp.asarray(True)
    for magnet in domain_models(simulator.model):  # one after the other, see `lswt.after`
        here = {name: after(low, jnp.asarray(value)) for name, value in params.items()}
        low = worst(magnet, here)[0]
        found &= low >= 0
    return found
