"""What each choice of a training is worth: one thing made otherwise at a time, all trained for equally long.

    python benchmarks/choices.py [SECONDS [NAME...]]     prints a table for docs/training.md; 60 seconds each by default

The labels are those of `la2nio4`: the whole zone, all of its box. They are drawn once and shared, so that all the
time goes into the optimiser: 32,768 (Q, parameters) of 16 energies to learn from, and 4,096 with half of their energies
near a line to judge by. Reported are the root mean square error of log(1 + cS) there, near lines alone, and the steps;
c is one that puts its median peak at log 11, whatever the network has learnt.
"""

from __future__ import annotations

import dataclasses
import functools
import json
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
from insiren.instrument.resolution import FWHM_PER_SIGMA
from insiren.model.spec import Model, load_model
from insiren.surrogate.labels import ENERGIES
from insiren.surrogate.siren import FIRST, Siren, siren
from insiren.surrogate.training import Learner, Recipe, decayed

STRIDE = 100  # steps between two looks at the clock
SPECTRA = 128
WHOLE, QUARTER = 32_768, 8_192  # (Q, parameters) to learn from
JUDGED = 1 / 16  # of the default c: the scale of the errors that are reported
INSIDE = 0.7  # of the width, where the rest is folded in afterwards


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
        learnt: "S"; "S omega", a factor 1/ω being applied afterwards; "component", one of the two that S is the sum of;
            "sharper", S at 0.7 of the width, the rest of the resolution being folded in afterwards.
        distinct: (Q, parameters) to learn from.
        scale: c, in units of the default's.
        lit: whether (Q, parameters) with a line within the energies are preferred.
        guided: whether a coarse average by the simulator is an input, to which the network adds.
    """

    width: int = 96
    layers: int = 4
    first: float = FIRST
    optimiser: str = "muon"
    rate: float = 0.02
    precision: Any = jnp.float32
    near: float = 0.5
    learnt: str = "S"
    distinct: int = WHOLE
    scale: float = 1.0
    lit: bool = True
    guided: bool = False


CHOICES: dict[str, Choice] = {
    "default: Muon at 0.02, width 96, four layers, ω₀ 15, half near lines, float32": Choice(),
    "guided by three nodes": Choice(guided=True),
    "c a quarter as large": Choice(scale=1 / 4),
    "c a sixteenth as large": Choice(scale=1 / 16),
    "wavevectors and parameters drawn evenly": Choice(lit=False),
    "c a sixteenth as large, drawn evenly": Choice(scale=1 / 16, lit=False),
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
    "a quarter of the labels": Choice(distinct=QUARTER),
    "S ω, the factor 1/ω applied afterwards": Choice(learnt="S omega"),
    "one component alone, a quarter of the labels": Choice(learnt="component", distinct=QUARTER),
    "0.7 of the resolution inside, the rest afterwards, a quarter of the labels": Choice(
        learnt="sharper", distinct=QUARTER
    ),
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


def rescaled(y: Array, factor: float) -> Array:
    """log(1 + c S) for another c."""
    return jnp.log1p(factor * jnp.maximum(jnp.expm1(y), 0))


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
    x = seen(choice, x)
    y = rescaled(relabelled(learner, x, y) if choice.learnt == "S omega" else y, choice.scale)
    inputs = x.shape[-1] - choice.guided
    net = siren(inputs, choice.width, choice.layers, jax.random.key(0), choice.first, choice.guided)
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


def seen(choice: Choice, x: Array) -> Array:
    """The inputs of a choice; the guess is the last of all."""
    return x if choice.guided else x[..., :-1]


def component() -> Learner:
    """The same model seen through one component of the correlations."""
    facts = json.loads(load_model("la2nio4").text)
    facts["scattering"]["correlation"] = "Szz"
    return Learner.of(exact(Model.from_dict(facts)), Recipe(guide=3), (0.0, 200.0), None)


def sharper(learner: Learner) -> Learner:
    """The same simulator at a part of the width, with the same c."""
    return dataclasses.replace(learner, domain=dataclasses.replace(learner.domain, fixed=(("width", INSIDE),)))


def drawn(learner: Learner, many: int, lit: bool = True) -> tuple[Array, Array]:
    """Inputs (n, 16, i) and labels (n, 16)."""
    parts: list[Any] = [learner.labels(key, lit) for key in jax.random.split(jax.random.key(0), many // 4096)]
    x, y = (jnp.concatenate(column) for column in zip(*parts, strict=True))
    return x, y


def answered(choice: Choice, net: Siren, learner: Learner, x: Array) -> Array:
    """log(1 + c S) as a user would have it, whatever part of it was learnt."""
    x = seen(choice, x)
    if choice.learnt == "sharper":
        return folded(net, learner, x)
    answer = rescaled(value(net, x, choice.precision), 1 / choice.scale)
    return restored(learner, x, answer) if choice.learnt == "S omega" else answer


def folded(net: Siren, learner: Learner, x: Array) -> Array:
    """The rest of the resolution, a Gaussian whose width is taken at ω, by nine nodes of Gauss and Hermite."""
    axis = len(learner.domain.axes)
    low, high = learner.domain.lower[axis], learner.domain.upper[axis]
    omega = low + (x[..., axis] + 1) / 2 * (high - low)
    rest = learner.exact.fwhm({"width": jnp.asarray(np.sqrt(1 - INSIDE**2))}, omega) / FWHM_PER_SIGMA
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    S = jnp.zeros(omega.shape)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        moved = jnp.clip(omega + node * rest, low, high)
        there = x.at[..., axis].set((2 * (moved - low) / (high - low) - 1).astype(x.dtype))
        S = S + weight * jnp.expm1(net(there))
    return jnp.log1p(jnp.maximum(S, 0))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    wanted = sys.argv[2:] or list(CHOICES)
    learner = Learner.of(exact(load_model("la2nio4")), Recipe(guide=3), (0.0, 200.0), None)
    kinds: dict[str, Any] = {"S": drawn(learner, WHOLE)}
    print(f"| choice, {seconds:.0f} s each | steps | rms | rms near lines |\n|---|---|---|---|")
    for name, choice in CHOICES.items():
        if not any(word in name for word in wanted):
            continue
        asked = learner
        if choice.learnt == "component":
            asked = component()
            kinds["component"] = drawn(asked, QUARTER)
        elif choice.learnt == "sharper":
            kinds["sharper"] = drawn(sharper(learner), QUARTER)
        elif not choice.lit and "even" not in kinds:
            kinds["even"] = drawn(learner, WHOLE, lit=False)
        labels = kinds["even"] if not choice.lit else kinds.get(choice.learnt, kinds["S"])
        net, steps = trained(choice, learner, labels, seconds)
        x, y = asked.labels(jax.random.key(99))
        off = np.asarray(rescaled(answered(choice, net, asked, x), JUDGED) - rescaled(y, JUDGED), float)
        near = off[:, : ENERGIES // 2]
        print(f"| {name} | {steps:,} | {np.sqrt(np.mean(off**2)):.4f} | {np.sqrt(np.mean(near**2)):.4f} |", flush=True)


if __name__ == "__main__":
    main()
