"""Training: draw parameters and points, simulate, fit the network, report the held-out error.

Averages come before the logarithm: log(1 + mean S) is not the mean of log(1 + S), so a label
that includes the Q broadening needs its quadrature. Labels are drawn into a pool in bulk,
a part of which is replaced again and again while the network learns from all of it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray
from optax.contrib import muon

import insiren
from insiren.errors import SurrogateError
from insiren.forward import Parameter, Points, complete
from insiren.instrument.exact import Exact
from insiren.instrument.resolution import energy_resolution
from insiren.surrogate.accuracy import accuracy
from insiren.surrogate.devices import parted, sharing
from insiren.surrogate.domain import Domain, find_domain, trials
from insiren.surrogate.inputs import chosen_inputs
from insiren.surrogate.known import Known, applied, known_of, learnt
from insiren.surrogate.labels import Labels, draw
from insiren.surrogate.loop import Budget, Progress, learn
from insiren.surrogate.region import Region
from insiren.surrogate.siren import Siren, siren
from insiren.surrogate.surrogate import Surrogate, guide_of
from insiren.surrogate.trust import correlations, measured_errors, provenance

_TYPICAL_PEAK = 160.0  # of c S, in the median: dim ridges and flanks count as well (docs/decisions/015)
_DRAW = 4096  # (Q, parameters) simulated at once
_DISTINCT = 0.25  # of the pool at the start, where time for steps matters more than other spectra
_NODES = 24  # of a label along each axis of the Q broadening
STRIDE = 1000  # steps between two renewals of a part of the pool
_HELD_OUT_Q = 60  # wavevectors, and
_HELD_OUT_SETS = 40  # parameter sets, of the held-out correlation
_FLOOR = 1e-5  # the learning rate ends here
_WARM_UP = 500  # steps; or
_WARM_UP_SHARE = 0.1  # of a schedule that is too short for them


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a surrogate is trained.

    Attributes:
        steps: of the optimiser.
        width: units in each sine layer.
        layers: sine layers.
        spectra: (Q, parameters) in a step; each brings 16 energies.
        pool: (Q, parameters) kept at a time.
        guide: nodes along each axis of a coarse average over the Q broadening, which the network corrects; 0 for none.
        rate: largest learning rate of Adam, for biases, after a warm-up and before the cosine decay.
        matrix_rate: the same of Muon, for matrices.
        seed: of all random numbers.
    """

    steps: int = 50_000
    width: int = 96
    layers: int = 4
    spectra: int = 128
    pool: int = 65_536
    guide: int = 0
    rate: float = 2e-3
    matrix_rate: float = 0.02
    seed: int = 0


class State(eqx.Module):
    """All that changes in training; enough to go on from."""

    net: Siren
    optimiser: Any  # moments of the optimiser, as optax keeps them
    pool: tuple[Array, ...]  # inputs (n, e, i) and labels (n, e), single precision
    step: Array
    key: PRNGKeyArray
    share: Array  # of the schedule of the learning rate that is done


def train(
    exact: Exact,
    recipe: Recipe = Recipe(),
    omega: tuple[float, float] | None = None,
    region: Region | Mapping[str, tuple[float, float]] | None = None,
    progress: Progress = lambda step, steps, error: None,
    minutes: float | None = None,
    target: float | None = None,
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Surrogate:
    """A surrogate of an exact simulator over the box of its free parameters.

    Args:
        exact: the simulator; its parameters with `free` set become inputs.
        recipe: size of the network and length of the training.
        omega: range of the energy transfer in meV; by default 0 to Ei.
        region: a `Region`, or ranges of the axes "h", "k", "l" in r.l.u.; by default the whole zone, see `find_domain`.
        progress: told step, steps and the held-out error.
        minutes: to train for, in place of the recipe's steps.
        target: held-out error, the root mean square of log(1 + c S), at which to stop.
        free: parameters that become inputs besides, as "width", "q_fwhm", an anisotropy or a field.
        fixed: values of parameters that do not.
        bounds: the box along inputs, instead of the model's.

    Raises:
        SurrogateError: no energy range is known, or there is no input.
    """
    budget = Budget(None if minutes is None else 60 * minutes, target)
    inputs = chosen_inputs(exact.parameters, free, fixed, bounds)
    return learn(Learner.of(exact, recipe, omega, region, inputs), progress, budget=budget)


@dataclasses.dataclass(frozen=True)
class Learner:
    """What does not change in training; hashable, so that it keys compiled functions.

    Attributes:
        exact: the simulator.
        domain: where it is learnt.
        recipe: how.
        scale: c of log(1 + c S).
        known: what is not learnt, but applied to the network's answer.
    """

    exact: Exact
    domain: Domain
    recipe: Recipe
    scale: float
    known: Known | None = None

    @classmethod
    def of(
        cls,
        exact: Exact,
        recipe: Recipe,
        omega: tuple[float, float] | None,
        region: Region | Mapping[str, tuple[float, float]] | None,
        parameters: tuple[Parameter, ...] | None = None,
    ) -> Learner:
        """A learner with its domain and scale found.

        Raises:
            SurrogateError: no energy range is known.
        """
        limit = energy_resolution(exact.model).Ei
        if omega is None and limit is None:
            raise SurrogateError(
                "The model names no Ei, so the range of energies is unknown; give omega (LO:HI in meV)."
            )
        parameters, omega = parameters or exact.parameters, omega or (0.0, float(limit or 0.0))
        values = {p.name: p.value for p in parameters}
        exact.check(complete(exact.parameters, values))
        given = exact.given({p.name: p.value for p in parameters if not p.free})
        known = known_of(given, [params for params, *_ in trials(parameters, omega)])
        domain = find_domain(exact, omega, region, parameters=parameters, known=known)
        Q = np.asarray(domain.draw(jax.random.key(recipe.seed), 200))
        L = np.asarray(_typical(given, known, values, Points.table(Q, np.linspace(*domain.omega, 200))))
        return cls(exact, domain, recipe, float(_TYPICAL_PEAK / np.median(L.reshape(200, -1).max(axis=1))), known)

    @property
    def steps(self) -> int:
        return self.recipe.steps

    @property
    def stride(self) -> int:
        return STRIDE

    def fingerprint(self) -> dict[str, Any]:
        facts = {"insiren": insiren.__version__, "model": self.exact.model.digest, "scale": self.scale}
        facts |= {"recipe": dataclasses.asdict(self.recipe), "domain": dataclasses.asdict(self.domain)}
        facts |= {"known": None if self.known is None else dataclasses.asdict(self.known)}
        return json.loads(json.dumps(facts))

    def labels(self, key: PRNGKeyArray, lit: bool = False) -> Labels:
        """Fresh inputs and labels, see `draw`."""
        simulator = self.exact.given(dict(self.domain.fixed))
        guide = guide_of(simulator, self.guide_nodes)
        if simulator.own_nodes > 1:
            simulator = dataclasses.replace(simulator, own_nodes=max(_NODES, simulator.own_nodes))
        return draw(simulator, self.domain, self.scale, _DRAW, key, guide, self.known, lit)

    @property
    def guide_nodes(self) -> int:
        """Of the guide; 0 where no Q broadening is averaged over, so that the guide would be the answer."""
        return self.recipe.guide if self.exact.given(dict(self.domain.fixed)).own_nodes > self.recipe.guide else 0

    def start(self) -> State:
        """Fresh weights, and a pool of which a part is drawn and repeated: renewals soon fill it."""
        key, weights, draws = jax.random.split(jax.random.key(self.recipe.seed), 3)
        inputs, guided = len(self.domain.lower), self.guide_nodes > 0
        outputs = 1 if self.known is None else self.known.outputs
        net = siren(inputs, self.recipe.width, self.recipe.layers, weights, guided=guided, outputs=outputs)
        some = max(1, round(self.recipe.pool * _DISTINCT / _DRAW))
        parts = [self.labels(k, lit=True) for k in jax.random.split(draws, some)]
        rows = np.arange(self.recipe.pool) % (some * _DRAW)
        pool = tuple(jnp.concatenate(column)[rows] for column in zip(*parts, strict=True))
        return State(net, decayed_optimiser(self.recipe).init(net), pool, jnp.zeros((), int), key, jnp.zeros((), float))

    def advance(self, state: State, count: int, share: float) -> State:
        """So many optimiser steps, then the next part of the pool drawn afresh."""
        return self.renew(descend(self.recipe, count, state, share))

    def error(self, state: State) -> float:
        """Root mean square error on points of a stream of their own."""
        return rms(state.net, *held_out(self))

    def renew(self, state: State) -> State:
        """The same state with the next part of the pool drawn afresh."""
        key, use = jax.random.split(state.key)
        size = min(_DRAW, self.recipe.pool)
        at = int(state.step) // STRIDE * size % (self.recipe.pool // size * size)
        new = self.labels(use, lit=True)
        pool = tuple(
            jax.lax.dynamic_update_slice_in_dim(x, y[:size], at, 0) for x, y in zip(state.pool, new, strict=True)
        )
        return State(state.net, state.optimiser, pool, state.step, key, state.share)

    def surrogate(self, state: State, seconds: float = 0.0) -> Surrogate:
        """The network of a state as a Surrogate, its held-out errors measured."""
        bare = Surrogate(
            state.net, self.scale, self.domain, self.exact, "{}", guide_nodes=self.guide_nodes, known=self.known
        )
        Q = np.asarray(self.domain.draw(jax.random.key(self.recipe.seed + 1), _HELD_OUT_Q))
        energies = np.linspace(*self.domain.omega, 100)
        r = accuracy(bare, Q, energies, _HELD_OUT_SETS, self.recipe.seed + 2).r
        errors, agree = measured_errors(state.net, self.labels, len(self.domain.axes), self.recipe.seed)
        held = {"rms_log": self.error(state)} | correlations(r) | {"error_map": agree}
        recipe = dataclasses.asdict(self.recipe) | {"steps_done": int(state.step)}
        model, given = self.exact.model, applied(self.exact, self.known)
        facts = provenance(model.name, model.digest, recipe, self.recipe.seed, seconds, held, given)
        return dataclasses.replace(bare, provenance=facts, errors=errors)


@eqx.filter_jit
def _typical(exact: Exact, known: Known | None, values: dict[str, float], points: Points) -> Array:
    return learnt(exact, known, complete(exact.parameters, values), points)


@functools.lru_cache(maxsize=1)
def held_out(learner: Learner) -> tuple[Array, Array]:
    """Inputs and labels that are never trained on, drawn once."""
    return learner.labels(jax.random.key(learner.recipe.seed + 1_000_003))  # a stream of its own


def rms(net: Siren, x: Array, y: Array) -> float:
    return float(_mean_square(net, x, y) ** 0.5)


@jax.jit
def _mean_square(net: Siren, x: Array, y: Array) -> Array:
    return jnp.mean((net(x) - y) ** 2)


def decayed(rate: float, step: Array, share: Array) -> Array:
    """A learning rate after a linear warm-up, on its cosine decay over the schedule."""
    warm = jnp.minimum(1.0, jnp.maximum(step / _WARM_UP, share / _WARM_UP_SHARE))
    return warm * (_FLOOR + (rate - _FLOOR) * (1 + jnp.cos(np.pi * share)) / 2)


def decayed_optimiser(recipe: Recipe, share: Callable[[Array], Array] | None = None) -> Any:
    """Muon on the matrices of the sine layers, Adam on the rest; warm-up, then cosine decay of both rates.

    Args:
        recipe: the largest rates.
        share: of the schedule that is done at a step; by default even over the recipe's steps.

    Source: Jordan et al., Muon (2024), as optax has it; Kingma and Ba, arXiv:1412.6980 (2014).
    """
    at = share or (lambda step: step / recipe.steps)

    def rate(largest: float) -> optax.Schedule:
        return lambda count: decayed(largest, jnp.asarray(count), at(jnp.asarray(count)))

    return muon(rate(recipe.matrix_rate), adam_learning_rate=rate(recipe.rate))


def descend(recipe: Recipe, count: int, state: State, share: float) -> State:
    """So many optimiser steps, in which the schedule moves on to this share.

    Rows of a batch are shared among the devices; which rows they are does not depend on that.
    """
    return _descend(recipe, count, sharing(recipe.spectra), state, jnp.asarray(share, float))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _descend(recipe: Recipe, count: int, devices: int, state: State, aim: Array) -> State:
    """`count` optimiser steps on random parts of the pool."""
    optimiser = decayed_optimiser(recipe, lambda step: state.share + (step - state.step) / count * (aim - state.share))

    def step(carry: Any, key: PRNGKeyArray):
        net, moments = carry
        pick = jax.random.randint(key, (recipe.spectra,), 0, state.pool[0].shape[0])
        x, y = (parted(column[pick], devices) for column in state.pool)
        slope = jax.grad(_mean_square)(net, x, y)
        change, moments = optimiser.update(slope, moments, net)
        return (optax.apply_updates(net, change), moments), None

    key, use = jax.random.split(state.key)
    found: Any
    found, _ = jax.lax.scan(step, (state.net, state.optimiser), jax.random.split(use, count))
    net, moments = found
    return State(net, moments, state.pool, state.step + count, key, aim)
