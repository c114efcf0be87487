"""What a surrogate learns from: random inputs and log(1 + c S) there, from the exact simulator.

Without Q broadening each wavevector stands for itself. With it, an average over Q is needed for every label,
and labels that share a window of nodes cost a hundredth of labels with nodes of their own; the price is that
those of one window share their parameters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from insiren.instrument.exact import Exact
from insiren.instrument.resolution import FWHM_PER_SIGMA
from insiren.instrument.window import block, in_window, spectrum_in_window
from insiren.simulate.chunks import in_chunks
from insiren.surrogate.domain import Domain
from insiren.surrogate.surrogate import is_stable_phase

ENERGIES = 16  # for each of them
_SHARED = 64  # wavevectors in one window
_OFFERED = 96  # energies worked out in a window, of which each wavevector keeps a part
_RIDGE = 1.5  # standard deviations of the resolution around a line that energies are drawn from
_DARK = 0.3  # of log(1 + c S): what is added to the brightness by which a wavevector keeps energies
_SPARE = 4  # parameter sets drawn for each one that is used: some are unstable
_STABLE_AT_ONCE = 64  # parameter sets whose stability is looked at together

Labels = tuple[Float[Array, "n e i"], Float[Array, "n e"]]
Named = Callable[[Float[Array, " p"]], dict[str, Array]]


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def draw(exact: Exact, domain: Domain, scale: float, many: int, key: PRNGKeyArray) -> Labels:
    """Fresh inputs in [−1, 1] and labels log(1 + c S), single precision.

    Parameters are those of the stable phase; half of the energies lie anywhere, half near a line.

    Args:
        exact: the simulator.
        domain: where to draw.
        scale: c.
        many: (Q, parameters) to draw, in whole windows.
        key: of the random numbers.
    """
    fixed = {name: jnp.asarray(value) for name, value in domain.fixed}
    named = lambda row: fixed | {p.name: row[n] for n, p in enumerate(domain.inputs)}  # noqa: E731
    broadened = "q_fwhm" in [p.name for p in domain.inputs] or dict(domain.fixed).get("q_fwhm", 0.0) > 0
    inputs, labels = (_in_windows if broadened else _one_by_one)(exact, domain, named, scale, many, key)
    return inputs.astype(jnp.float32), labels.astype(jnp.float32)


def _one_by_one(exact: Exact, domain: Domain, named: Named, scale: float, many: int, key: PRNGKeyArray) -> Labels:
    keys = jax.random.split(key, 4)
    theta = _stable(exact, domain, named, many, keys[0])
    hkl = _anywhere(domain, many, keys[1])

    def one(row: Array, Q: Array, near_key: Array, span_key: Array) -> tuple[Array, Array]:
        params = named(row)
        near = _near_lines(exact, params, Q[None], ENERGIES // 2, near_key)
        omega = _energies(domain, near, ENERGIES, span_key)
        return omega, jnp.log1p(scale * exact.rows(params, Q[None], omega[None])[0])

    draws = (jax.random.split(k, many) for k in keys[2:4])
    omega, labels = in_chunks(jax.vmap(one), 16, theta, hkl, *draws)
    return _inputs(domain, domain.fold(hkl), omega, theta), labels


def _in_windows(exact: Exact, domain: Domain, named: Named, scale: float, many: int, key: PRNGKeyArray) -> Labels:
    keys, windows = jax.random.split(key, 3), max(1, many // _SHARED)
    theta = _stable(exact, domain, named, windows, keys[0])
    axes = len(exact.model.instrument.q_axes)

    def window(given: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        row, corner, key = given
        keys, params = jax.random.split(key, 4), named(row)
        place = jax.random.uniform(keys[0], (_SHARED, axes), float, *block(axes).inner)
        hkl = in_window(exact, params, corner, place)
        omega = _energies(domain, _near_lines(exact, params, hkl, _OFFERED // 2, keys[1]), _OFFERED, keys[2])
        labels = jnp.log1p(scale * spectrum_in_window(exact, params, corner, place, omega))
        # The largest of log weight + Gumbel noise are a sample without replacement.
        chance = jnp.log(_DARK + labels) + jax.random.gumbel(keys[3], labels.shape, float)
        kept = jax.lax.top_k(chance, ENERGIES)[1]
        return domain.fold(hkl), omega[kept], jnp.take_along_axis(labels, kept, 1)

    corners = _anywhere(domain, windows, keys[1])
    folded, omega, labels = jax.lax.map(window, (theta, corners, jax.random.split(keys[2], windows)))
    folded, omega, labels = (x.reshape(windows * _SHARED, -1) for x in (folded, omega, labels))
    return _inputs(domain, folded, omega, jnp.repeat(theta, _SHARED, 0)), labels


def _stable(exact: Exact, domain: Domain, named: Named, many: int, key: PRNGKeyArray) -> Float[Array, "n p"]:
    """Parameters of the stable phase, uniform in its part of the box but for q_fwhm.

    Structure in Q is as fine as q_fwhm, so that small widths need more of the labels: their density
    goes as 1/√(q_fwhm − its least).
    """
    unit = jax.random.uniform(key, (_SPARE * many, len(domain.inputs)), float)
    for n, p in enumerate(domain.inputs):
        if p.name == "q_fwhm":
            unit = unit.at[:, n].set(unit[:, n] ** 2)
    low, high = (np.array([getattr(p, end) for p in domain.inputs]) for end in ("min", "max"))
    theta = jnp.asarray(low + (high - low) * unit)
    stable: Bool[Array, " n"] = in_chunks(
        jax.vmap(lambda row: is_stable_phase(exact, named(row))), _STABLE_AT_ONCE, theta
    )
    # Those that are stable first, in their random order; where they are too few, some of them again.
    order = jnp.argsort(~stable, stable=True)
    first = jnp.arange(many) % jnp.maximum(1, jnp.sum(stable))
    return theta[order[first]]


def _anywhere(domain: Domain, many: int, key: PRNGKeyArray) -> Float[Array, "n 3"]:
    low, high = np.array([(-0.5, 0.5) if r else s for r, s in zip(domain.periodic, domain.q_range, strict=True)]).T
    place = low + (high - low) * jax.random.uniform(key, (many, len(domain.axes)), float)
    return jnp.zeros((many, 3)).at[:, np.array(domain.axes)].set(place)


def _near_lines(
    exact: Exact, params: dict[str, Array], hkl: Float[Array, "q 3"], many: int, key: PRNGKeyArray
) -> Array:
    """Energies around the magnons of these wavevectors, as the resolution smears them, meV."""
    which, spread = jax.random.split(key)
    E = exact.bands(params, hkl)[0].reshape(-1)
    E = E[jax.random.randint(which, (many,), 0, len(E))]
    return E + _RIDGE * exact.fwhm(params, E) / FWHM_PER_SIGMA * jax.random.normal(spread, (many,), float)


def _energies(domain: Domain, near: Float[Array, " h"], many: int, key: PRNGKeyArray) -> Float[Array, " w"]:
    """The energies near lines that lie within the domain, the others spread over it."""
    low, high = domain.omega
    spare, even = jax.random.split(key)
    inside = (near > low) & (near < high)
    close = jnp.where(inside, near, jax.random.uniform(spare, near.shape, float, low, high))
    rest = many - len(near)
    strata = (jnp.arange(rest) + jax.random.uniform(even, (rest,), float)) / rest
    return jnp.concatenate([close, low + (high - low) * strata])


def _inputs(domain: Domain, folded: Array, omega: Float[Array, "n e"], theta: Array) -> Float[Array, "n e i"]:
    wide = lambda x: jnp.broadcast_to(x[:, None], (*omega.shape, x.shape[1]))  # noqa: E731
    return domain.scaled(wide(folded), omega, wide(theta))
