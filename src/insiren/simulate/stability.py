"""Is the magnetic structure an energy minimum? Torque on the spins, and H(Q) over the zone."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import Parameters
from insiren.model.hamiltonian import couplings
from insiren.model.remarks import how_to_relax
from insiren.model.spec import Model
from insiren.simulate.lswt import bond_exchange, spin_waves, weights
from insiren.simulate.softest import remedy, softest, unstable_at
from insiren.simulate.twins import of_every_domain
from insiren.simulate.zone import largest_level, worst

TORQUE = 1e-4  # relative to the largest local field; relaxed structures reach far below


@functools.partial(jax.jit, static_argnums=0)
def torque(model: Model, params: Parameters) -> tuple[Float[Array, " s"], Float[Array, ""]]:
    """Torque on each spin and the largest local field, both in meV.

    The local field is −∂E/∂n of a spin of its own length; the torque is its part across n.
    """
    waves, terms = spin_waves(model), couplings(model, params)
    n, S, site = waves.cell.direction, waves.cell.spin, waves.cell.site
    i, j, J = waves.start, waves.end, bond_exchange(model, terms)
    pull = (S[i] * S[j])[:, None]
    length = jnp.asarray(S)[:, None]
    field = length * terms.zeeman[site] - 2 * length**2 * jnp.einsum("sab,sb->sa", terms.anisotropy[site], n)
    field = field.at[i].add(-pull * jnp.einsum("bac,bc->ba", J, n[j]))
    field = field.at[j].add(-pull * jnp.einsum("bac,ba->bc", J, n[i]))
    return jnp.linalg.norm(jnp.cross(field, n), axis=1), jnp.max(jnp.linalg.norm(field, axis=1))


@functools.partial(jax.jit, static_argnums=0)
def _looked(model: Model, params: Parameters):
    """All that is asked of a structure, as one compiled function."""
    W = weights(model, params)
    return *torque(model, params), *worst(model, params), W, largest_level(W)


def is_stable(model: Model, params: Parameters) -> bool:
    """Whether the structure is an energy minimum over the whole zone for these parameters."""
    try:
        require_stable(model, params)
    except UnstableStructure:
        return False
    return True


@of_every_domain
def require_stable(model: Model, params: Parameters, hkl: Float[Array, "q 3"] | None = None) -> None:
    """Refuses parameters for which the structure is not an energy minimum.

    Args:
        model: the magnet.
        params: every parameter by name.
        hkl: wavevectors to look at besides the worst of the zone, r.l.u. of the crystal.

    Raises:
        UnstableStructure: there is a torque on a spin, or H(Q) has a negative eigenvalue; the
            text says where and how much.
    """
    named = ", ".join(f"{name} = {float(np.asarray(params[name])):.6g}" for name in sorted(model.used_names))
    at = f" at {named}" if named else ""
    twist, field, low, place, W, unit = map(np.asarray, _looked(model, params))
    if np.max(twist) > TORQUE * field:
        site = int(np.argmax(twist))
        raise UnstableStructure(
            f"There is a torque of {float(twist[site]):.3g} meV on spin {site} of the magnetic cell (largest local "
            f"field {float(field):.3g} meV){at}: the directions in [structure] are not an energy minimum. "
            f"{how_to_relax(model, params)}"
        )
    if not np.all(np.isfinite(W)) or np.isnan(low):
        raise ModelError(f"H(Q) is not finite{at}: an expression of the model has no value there. Narrow the bounds.")
    k = spin_waves(model).cell.k
    asked = np.zeros((0, 3)) if hkl is None else np.asarray(hkl, float).reshape(-1, 3)
    if k is not None:  # what is seen at Q lives at Q − k, Q and Q + k of the rotating frame
        asked = np.concatenate([asked - k, asked, asked + k])
    bad = unstable_at(model, W, asked, float(unit))
    if low < 0 or len(bad):
        value, Q, vector = softest(model, W, np.concatenate([place[None], bad]))
        raise UnstableStructure(
            f"H(Q) has the eigenvalue {value:.3g} meV at Q = {_row(Q)} r.l.u."
            f"{'' if k is None else ' of the rotating frame'}{at}: the spins are not at an "
            f"energy minimum. {remedy(model, Q, vector)}"
        )


def _row(Q: np.ndarray) -> str:
    return "({:g}, {:g}, {:g})".format(*(round(float(x), 4) + 0.0 for x in Q))  # no -0
