"""Training from samples: the points are there already, and whole parameter sets are held out."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import insiren
from insiren.errors import SurrogateError
from insiren.surrogate.domain import Domain
from insiren.surrogate.errormap import ErrorMap, map_errors
from insiren.surrogate.loop import Budget, Progress, learn
from insiren.surrogate.phase import phase_of
from insiren.surrogate.samples import Samples
from insiren.surrogate.siren import siren
from insiren.surrogate.surrogate import Surrogate
from insiren.surrogate.training import Recipe, State, decayed_optimiser, descend, rms
from insiren.surrogate.trust import QUERIES, agreement, correlations, provenance

_TYPICAL_PEAK = 10.0  # of c S, in the median: less than a simulator's, for what is dim in given spectra may be noise
_HELD_OUT = 20  # one set of so many is never trained on
_GROUP = 16  # points picked together, as in training from a simulator
_STRIDE = 250  # steps: a step costs no simulation, and small tables are learnt soon


@dataclasses.dataclass(frozen=True, eq=False)
class Taught:
    """A training from samples; see `loop.Training`.

    Attributes:
        samples: to learn from.
        domain: the box that they fill.
        recipe: how; of its pool nothing is used.
        scale: c of log(1 + c S).
    """

    samples: Samples
    domain: Domain
    recipe: Recipe
    scale: float

    @classmethod
    def of(cls, samples: Samples, recipe: Recipe, ignored: str = "") -> Taught:
        """A training whose scale puts the median peak at log(1 + c S) = log 11.

        Raises:
            SurrogateError: there are too few sets to hold some out.
        """
        stable = int(np.isfinite(samples.S).any(axis=(1, 2)).sum())
        if stable < 2:
            raise SurrogateError(
                f"There is {stable} set of parameters with a spectrum: at least one to learn from and one to hold out "
                "are needed."
            )
        peaks = np.max(np.nan_to_num(samples.S, nan=0.0), axis=-1)
        return cls(samples, samples.domain(ignored), recipe, float(_TYPICAL_PEAK / np.median(peaks[peaks > 0])))

    @property
    def steps(self) -> int:
        return self.recipe.steps

    @property
    def stride(self) -> int:
        return _STRIDE

    def fingerprint(self) -> dict[str, Any]:
        facts = {"insiren": insiren.__version__, "samples": self.samples.digest, "scale": self.scale}
        facts |= {"recipe": dataclasses.asdict(self.recipe), "domain": dataclasses.asdict(self.domain)}
        return json.loads(json.dumps(facts))

    def start(self) -> State:
        """Fresh weights; the pool stays with the training, so that checkpoints are small."""
        key, weights = jax.random.split(jax.random.key(self.recipe.seed))
        net = siren(len(self.domain.lower), self.recipe.width, self.recipe.layers, weights)
        moments = decayed_optimiser(self.recipe).init(net)
        return State(net, moments, (), jnp.zeros((), int), key, jnp.zeros((), float))

    def advance(self, state: State, count: int, share: float) -> State:
        whole = dataclasses.replace(state, pool=self.pool)
        return dataclasses.replace(descend(self.recipe, count, whole, share), pool=())

    def error(self, state: State) -> float:
        return rms(state.net, *self.held_out)

    @functools.cached_property
    def held(self) -> np.ndarray:
        """Numbers of the sets that are never trained on; those without any spectrum teach nothing anyway."""
        some = np.flatnonzero(np.isfinite(self.samples.S).any(axis=(1, 2)))
        count = max(1, len(some) // _HELD_OUT)
        return np.sort(some[np.random.default_rng(self.recipe.seed).permutation(len(some))[:count]])

    @functools.cached_property
    def pool(self) -> tuple[Array, Array]:
        """Inputs (n, 16, i) and labels (n, 16) of all points to learn from, shuffled once."""
        x, y = self._points(np.setdiff1d(np.arange(self.samples.sets), self.held))
        order = np.random.default_rng(self.recipe.seed + 1).permutation(len(y))
        order = np.resize(order, -(-len(y) // _GROUP) * _GROUP)  # the last group is filled up
        return jnp.asarray(x[order].reshape(-1, _GROUP, x.shape[1])), jnp.asarray(y[order].reshape(-1, _GROUP))

    @functools.cached_property
    def held_out(self) -> tuple[Array, Array]:
        """Inputs (n, i) and labels (n,) of the sets that are held out."""
        x, y = self._points(self.held)
        return jnp.asarray(x), jnp.asarray(y)

    def _points(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and labels of all computed points of some sets, single precision."""
        S, omega = self.samples.S[which], self.samples.omega[which]
        axes = np.array(self.domain.axes, int)
        parts = [
            np.broadcast_to(self.samples.hkl[which][:, :, None, axes], (*S.shape, len(axes))),
            omega[..., None],
            np.broadcast_to(self.samples.params[which][:, None, None], (*S.shape, len(self.domain.inputs))),
        ]
        x, there = np.concatenate(parts, -1), np.isfinite(S)
        x = 2 * (x[there] - self.domain.lower) / (self.domain.upper - self.domain.lower) - 1
        return x.astype(np.float32), np.log1p(self.scale * S[there]).astype(np.float32)

    def surrogate(self, state: State, seconds: float = 0.0) -> Surrogate:
        """The network of a state as a Surrogate without a simulator."""
        errors, agree = self._errors(state)
        r = np.array([self._correlation(state, n) for n in self.held])
        held = {"rms_log": self.error(state)} | correlations(r) | {"error_map": agree}
        recipe = dataclasses.asdict(self.recipe) | {"steps_done": int(state.step)}
        facts = provenance("precomputed spectra", self.samples.digest, recipe, self.recipe.seed, seconds, held)
        phase = phase_of(self.samples.params, self.samples.S, self.samples.parameters)
        return Surrogate(state.net, self.scale, self.domain, None, facts, errors, phase)

    def _errors(self, state: State) -> tuple[ErrorMap, dict[str, Any]]:
        """The map of errors over the held-out sets: a third of the sets each to learn it, for its factor, to test it.

        Of less than three sets, every third point instead, so that the bound holds for sets like these only.
        """
        if len(self.held) >= 3:
            learn, factor, test = (self._points(part) for part in np.array_split(self.held, 3))
        else:
            x, y = self._points(self.held)
            learn, factor, test = ((x[n::3], y[n::3]) for n in range(3))
        found = map_errors(state.net, learn, [factor], len(self.domain.axes), self.recipe.seed)
        some = np.random.default_rng(self.recipe.seed).permutation(len(test[1]))[:QUERIES]
        return found, agreement(found, state.net, (test[0][some], test[1][some]))

    def _correlation(self, state: State, which: int) -> float:
        x, y = self._points(np.array([which]))
        return float(np.corrcoef(np.asarray(state.net(jnp.asarray(x))), y)[0, 1])


def train_on(
    samples: Samples,
    recipe: Recipe | None = None,
    ignored: str = "",
    progress: Progress = lambda step, steps, error: None,
    minutes: float | None = None,
    target: float | None = None,
) -> Surrogate:
    """A surrogate of precomputed spectra, in the box that they fill.

    Args:
        samples: from `read_samples`, `sample` or `samples`.
        recipe: size of the network and length of the training; by default that of `train`.
        ignored: axes of Q, such as "kl", on which the spectrum is known not to depend.
        progress: told step, steps and the held-out error.
        minutes: to train for, in place of the recipe's steps.
        target: held-out error, the root mean square of log(1 + c S), at which to stop.
    """
    budget = Budget(None if minutes is None else 60 * minutes, target)
    return learn(Taught.of(samples, recipe or Recipe(), ignored), progress, budget=budget)
