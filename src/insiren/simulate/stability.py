"""Is the magnetic structure an energy minimum? Torque on the spins, and H(Q) over the zone."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import Parameters
from insiren.model.hamiltonian import couplings
from insiren.model.remarks import how_to_relax
from insiren.model.spec import Model
from insiren.simulate.lswt import bond_exchange, hamiltonian, spin_waves, weights
from insiren.simulate.twins import of_every_domain

TORQUE = 1e-4  # relative to the largest local field; relaxed structures reach far below
EIGENVALUE = -1e-9  # relative to the largest diagonal element; rounding stays far above
_ZONE_POINTS = 600  # about as many wavevectors of the zone are looked at


def zone_grid(model: Model) -> np.ndarray:
    """A grid over the zone of the magnetic cell, Γ included, in crystal r.l.u., shape (q, 3).

    Directions along which no bond reaches are not sampled. Zone centre and faces are on the grid.
    """
    waves = spin_waves(model)
    inverse = np.linalg.inv(model.structure.cell)
    reach = np.abs(waves.offsets @ inverse).max(0) > 1e-9
    steps = int(_ZONE_POINTS ** (1 / max(1, reach.sum()))) // 12 * 12 or 8  # halves, thirds, quarters, sixths
    axes = [np.arange(steps) / steps if moves else np.zeros(1) for moves in reach]
    return np.array(list(itertools.product(*axes))) @ inverse.T


@functools.partial(jax.jit, static_argnums=0)
def _lowest(model: Model, params: Parameters, hkl: Float[Array, "q 3"]):
    H = hamiltonian(model, weights(model, params), hkl)
    largest = jnp.max(jnp.abs(jnp.diagonal(H, axis1=1, axis2=2).real))
    return jnp.linalg.eigvalsh(H)[:, 0], largest


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
        hkl: wavevectors to look at besides a grid over the zone, r.l.u.

    Raises:
        UnstableStructure: there is a torque on a spin, or H(Q) has a negative eigenvalue; the
            text says where and how much.
    """
    named = ", ".join(f"{name} = {float(np.asarray(params[name])):.6g}" for name in sorted(model.used_names))
    at = f" at {named}" if named else ""
    twist, field = torque(model, params)
    if float(jnp.max(twist)) > TORQUE * float(field):
        site = int(jnp.argmax(twist))
        raise UnstableStructure(
            f"There is a torque of {float(twist[site]):.3g} meV on spin {site} of the magnetic cell (largest local "
            f"field {float(field):.3g} meV){at}: the directions in [structure] are not an energy minimum. "
            f"{how_to_relax(model, params)}"
        )
    grid = zone_grid(model)
    points = grid if hkl is None else np.concatenate([grid, np.asarray(hkl)])
    low, largest = (np.asarray(x) for x in _lowest(model, params, jnp.asarray(points)))
    if not np.all(np.isfinite(low)):
        raise ModelError(f"H(Q) is not finite{at}: an expression of the model has no value there. Narrow the bounds.")
    if not np.all(low >= EIGENVALUE * largest):
        worst = int(np.argmin(low))
        bad = int(np.sum(~(low >= EIGENVALUE * largest)))
        h, k, l = (round(float(x), 4) + 0.0 for x in points[worst])
        raise UnstableStructure(
            f"H(Q) has the eigenvalue {low[worst]:.3g} meV at Q = ({h:g}, {k:g}, {l:g}) r.l.u. "
            f"({bad} of {len(points)} wavevectors){at}: the spins are not at an energy minimum. "
            f"{how_to_relax(model, params)} If it leads here again, take a larger supercell, or a free k "
            "(--free-k); or narrow the bounds."
        )
