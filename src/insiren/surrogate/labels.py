"""What a surrogate learns from: random inputs and log(1 + c S) there, from the exact simulator.

Where more is known of a spectrum, the components that are not stand in place of S: see `surrogate.known`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from insiren.instrument.exact import Exact
from insiren.instrument.resolution import FWHM_PER_SIGMA, Moved
from insiren.simulate.chunks import in_chunks
from insiren.simulate.lswt import after
from insiren.surrogate.domain import Domain
from insiren.surrogate.known import Known, learnt_of, lines_of
from insiren.surrogate.siren import as_input
from insiren.surrogate.surrogate import is_stable_phase

ENERGIES = 16  # drawn for each (Q, parameters): one quadrature serves them all
_OFFERED = 3  # (Q, parameters) for each that is kept, where those with lines are sought
_DARK = 0.2  # chance of one without a line, beside one with
_RIDGE = 1.5  # standard deviations of the resolution around a line that energies are drawn from

Labels = tuple[Float[Array, "n e i"], Float[Array, "n e *v"]]


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 5, 6, 7))
def draw(
    exact: Exact,
    domain: Domain,
    scale: float,
    many: int,
    key: PRNGKeyArray,
    guide: Exact | None = None,
    known: Known | None = None,
    lit: bool = False,
) -> Labels:
    """Fresh inputs in [−1, 1] and labels log(1 + c S), for stable parameters and random Q and ω, single precision.

    Unstable draws are replaced by stable ones of the same batch. Half of the energies are
    uniform, half lie near a line that the resolution smears.

    Args:
        exact: the simulator.
        domain: where to draw.
        scale: c.
        many: (Q, parameters) to draw.
        key: of the random numbers.
        guide: a cheaper simulator, whose log(1 + c S) is the last input; or None.
        known: what is applied to the answer of a network, and so not learnt.
        lit: whether to prefer (Q, parameters) that have a line within the energies. By default the stable
            part of the box and the wavevectors are drawn evenly.
    """
    keys = jax.random.split(key, 7)
    corners = np.array([[p.min, p.max] for p in domain.inputs]).T
    theta = corners[0] + (corners[1] - corners[0]) * jax.random.uniform(keys[0], (many, len(domain.inputs)), float)
    fixed = {name: jnp.asarray(value) for name, value in domain.fixed}
    named = lambda row: fixed | {p.name: row[n] for n, p in enumerate(domain.inputs)}  # noqa: E731
    stable = in_chunks(jax.vmap(lambda row: is_stable_phase(exact, named(row))), 64, theta)
    offered = many * (_OFFERED if lit else 1)
    theta = theta[jax.random.choice(keys[1], many, (offered,), p=stable / jnp.sum(stable))]
    hkl = domain.draw(keys[2], offered)
    if lit:
        chosen = _lit(exact, domain, known, named, theta, hkl, many, jax.random.fold_in(key, 1))
        theta, hkl = theta[chosen], hkl[chosen]
    folded = domain.fold(hkl)

    def one(row: Array, Q: Array, chance: Array, spread: Array, uniform: Array, key: Array) -> tuple[Array, ...]:
        params = named(row)
        moved = Moved.random(key, len(exact.model.instrument.q_axes)) if exact.own_nodes > 1 else None
        lines = lines_of(exact, known, params, Q[None], moved)
        E, _, fwhm = (x[0].reshape(-1) for x in lines)
        line = jnp.floor(chance * len(E)).astype(int)
        near = E[line] + _RIDGE * fwhm[line] / FWHM_PER_SIGMA * spread
        span = domain.omega[0] + (domain.omega[1] - domain.omega[0]) * uniform
        inside = (near > domain.omega[0]) & (near < domain.omega[1])
        energies = jnp.where((jnp.arange(ENERGIES) < ENERGIES // 2) & inside, near, span)
        label = jnp.log1p(scale * learnt_of(exact, known, params, Q[None], energies[None], lines)[0])
        if guide is None:
            return energies, label
        rough = lines_of(guide, known, params, after(E, Q[None]))
        return energies, label, jnp.log1p(scale * learnt_of(guide, known, params, Q[None], energies[None], rough)[0])

    chance = jax.random.uniform(keys[3], (many, ENERGIES), float)
    spread = jax.random.normal(keys[4], (many, ENERGIES), float)
    uniform = jax.random.uniform(keys[5], (many, ENERGIES), float)
    energies, labels, *guess = in_chunks(
        jax.vmap(one), 16, theta, hkl, chance, spread, uniform, jax.random.split(keys[6], many)
    )
    wide = lambda x: jnp.broadcast_to(x[:, None], (many, ENERGIES, x.shape[1]))  # noqa: E731
    inputs = domain.scaled(wide(folded), energies, wide(theta))
    inputs = jnp.concatenate([inputs, *(as_input(one).reshape(many, ENERGIES, -1) for one in guess)], -1)
    return inputs.astype(jnp.float32), labels.astype(jnp.float32)


def _lit(
    exact: Exact,
    domain: Domain,
    known: Known | None,
    named: Callable[[Array], dict[str, Array]],
    theta: Float[Array, "m p"],
    hkl: Float[Array, "m 3"],
    many: int,
    key: PRNGKeyArray,
) -> Int[Array, " n"]:
    """So many rows of (parameters, Q), different ones, mostly those with a line within the energies of a domain."""
    sharp = dataclasses.replace(exact, own_nodes=1)

    def seen(row: Array, Q: Array) -> Array:
        energies = lines_of(sharp, known, named(row), Q[None])[0]
        return jnp.any((energies > domain.omega[0]) & (energies < domain.omega[1]))

    chance = jnp.where(in_chunks(jax.vmap(seen), 64, theta, hkl), 1.0, _DARK)
    return jax.random.choice(key, len(theta), (many,), replace=False, p=chance / jnp.sum(chance))
