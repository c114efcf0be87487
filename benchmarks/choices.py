"""What each choice of a training is worth: one thing made otherwise at a time, all trained for equally long.

    python benchmarks/choices.py [SECONDS [NAME...]]     prints a table for docs/training.md; 60 seconds each by default

The labels are those of `la2nio4`: the whole zone, all of its box. They are drawn once and shared, so that all the
time goes into the optimiser: 65,536 (Q, parameters) of 16 energies to learn from, and 4,096 with half of their energies
near a line to judge by. Reported are the root mean square error of log(1 + cS) there, near lines alone, and the steps.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from optax.contrib import muon

from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate.labels import ENERGIES
from insiren.surrogate.siren import FIRST, Siren, siren
from insiren.surrogate.training import Learner, Recipe, decayed

STRIDE = 100  # steps between two looks at the clock
SPECTRA = 128


@dataclasses.dataclass(frozen=True)
class Choice:
    """A training, as the default is unless said otherwise.

    Attributes:
        width: units of a sine layer.
        layers: sine layers.
        first: half-width of the first layer's weights times the inputs, which is omega_0.
        optimiser: "muon" or "adam".
        rate: largest rate of matrices.
        precision: in which the layers are multiplied.
        near: share of the energies in a batch that were drawn near a line.
        outside: whether a last factor is left out of what is learnt and applied afterwards, see `relabelled`.
        distinct: (Q, parameters) to learn from.
    """

    width: int = 96
    layers: int = 4
    first: float = FIRST
    optimiser: str = "muon"
    rate: float = 0.02
    precision: Any = jnp.float32
    near: float = 0.5
    outside: bool = False
    distinct: int = 65_536


CHOICES: dict[str, Choice] = {
    "default: Muon at 0.02, width 96, four layers, ω₀ 15, half near lines, float32": Choice(),
    "Adam at 0.002": Choice(optimiser="adam", rate=0.002),
    "Adam at 0.005": Choice(optimiser="adam", rate=0.005),
    "Muon at 0.01": Choice(rate=0.01),
    "Muon at 0.04": Choice(rate=0.04),
    "ω₀ 7.5": Choice(first=7.5),
    "ω₀ 30": Choice(first=30.0),
    "width 64": Choice(width=64),
    "width 128": Choice(width=128),
    "three layers": Choice(layers=3),
    "no energies near lines": Choice(near=0.0),
    "all energies near lines": Choice(near=1.0),
    "bfloat16": Choice(precision=jnp.bfloat16),
    "S times ω (the factor 1/ω applied afterwards)": Choice(outside=True),
    "a quarter of the labels": Choice(distinct=16_384),
}


def relabelled(learner: Learner, x: Array, y: Array) -> Array:
    """log(1 + c S ω/⟨ω⟩) of labels log(1 + c S): the divergence of S at small ω is left to a known factor."""
    low, high = learner.domain.lower[len(learner.domain.axes)], learner.domain.upper[len(learner.domain.axes)]
    omega = low + (x[..., len(learner.domain.axes)] + 1) / 2 * (high - low)
    return jnp.log1p(jnp.expm1(y) * omega / ((low + high) / 2))


def restored(learner: Learner, x: Array, y: Array) -> Array:
    """The other way round; what the factor would carry beyond any measured intensity at ω = 0 is cut."""
    axis = len(learner.domain.axes)
    low, high = learner.domain.lower[axis], learner.domain.upper[axis]
    omega = jnp.maximum(low + (x[..., axis] + 1) / 2 * (high - low), 1.0)  # meV: a width below any resolution here
    return jnp.log1p(jnp.maximum(jnp.expm1(y), 0) / omega * ((low + high) / 2))


def value(net: Siren, x: Array, precision: Any) -> Array:
    """The network in a precision of its own; what it says is in single."""
    if precision == jnp.float32:
        return net(x)
    return jax.tree.map(lambda a: a.astype(precision), net)(x.astype(precision)).astype(jnp.float32)


def optimiser_of(choice: Choice, share: Callable[[Array], Array]) -> Any:
    def rate(largest: float) -> optax.Schedule:
        return lambda count: decayed(largest, jnp.asarray(count), share(jnp.asarray(count)))

    return (
        optax.adam(rate(choice.rate))
        if choice.optimiser == "adam"
        else muon(rate(choice.rate), adam_learning_rate=rate(2e-3))
    )


@functools.partial(jax.jit, static_argnums=0)
def advance(choice: Choice, net: Any, moments: Any, x: Array, y: Array, key: Array, step: Array, span: Array) -> Any:
    """A stride of steps, in which the share of the schedule moves over a span (2,)."""
    optimiser = optimiser_of(choice, lambda count: span[0] + (count - step) / STRIDE * (span[1] - span[0]))
    half, many = ENERGIES // 2, round(ENERGIES * choice.near)

    def one(carry: Any, key: Array) -> Any:
        net, moments = carry
        rows, first, second = jax.random.split(key, 3)
        pick = jax.random.randint(rows, (SPECTRA, 1), 0, len(y))
        near = jax.random.randint(first, (SPECTRA, many), 0, half)
        anywhere = jax.random.randint(second, (SPECTRA, ENERGIES - many), half, ENERGIES)
        at = jnp.concatenate([near, anywhere], 1)
        slope = jax.grad(lambda n: jnp.mean((value(n, x[pick, at], choice.precision) - y[pick, at]) ** 2))(net)
        change, moments = optimiser.update(slope, moments, net)
        return (optax.apply_updates(net, change), moments), None

    return jax.lax.scan(one, (net, moments), jax.random.split(key, STRIDE))[0]


def trained(choice: Choice, learner: Learner, labels: tuple[Array, Array], seconds: float) -> tuple[Siren, int]:
    """A network after so many seconds, compilation not counted."""
    x, y = (a[: choice.distinct] for a in labels)
    y = relabelled(learner, x, y) if choice.outside else y
    net = siren(x.shape[-1], choice.width, choice.layers, jax.random.key(0), choice.first)
    moments = optimiser_of(choice, lambda count: count * 0.0).init(net)
    jax.block_until_ready(advance(choice, net, moments, x, y, jax.random.key(1), jnp.asarray(0), jnp.zeros(2)))
    step, share, begin, key = 0, 0.0, time.perf_counter(), jax.random.key(2)
    while share < 1:
        spent = time.perf_counter() - begin
        pace = spent / step * STRIDE if step else seconds / 100
        aim = share + (1 - share) * min(1.0, pace / max(seconds - spent, 1e-9))
        key, use = jax.random.split(key)
        span = jnp.asarray([share, aim])
        net, moments = jax.block_until_ready(advance(choice, net, moments, x, y, use, jnp.asarray(step), span))
        step, share = step + STRIDE, aim if seconds - spent > 1.5 * pace else 1.0
    return net, step


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    wanted = sys.argv[2:] or list(CHOICES)
    learner = Learner.of(exact(load_model("la2nio4")), Recipe(), (0.0, 200.0), None)
    parts = [learner.labels(key) for key in jax.random.split(jax.random.key(0), 16)]
    labels = tuple(jnp.concatenate(column) for column in zip(*parts, strict=True))
    x, y = learner.labels(jax.random.key(99))
    print(f"| choice, {seconds:.0f} s each | steps | rms | rms near lines |\n|---|---|---|---|")
    for name, choice in CHOICES.items():
        if not any(word in name for word in wanted):
            continue
        net, steps = trained(choice, learner, labels, seconds)  # type: ignore[arg-type]
        answer = value(net, x, choice.precision)
        answer = restored(learner, x, answer) if choice.outside else answer
        off = np.asarray(answer - y, float)
        near = off[:, : ENERGIES // 2]
        print(f"| {name} | {steps:,} | {np.sqrt(np.mean(off**2)):.4f} | {np.sqrt(np.mean(near**2)):.4f} |", flush=True)


if __name__ == "__main__":
    main()
