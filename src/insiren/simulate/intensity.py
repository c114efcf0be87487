"""From magnons to the weights a neutron sees: polarisation, and lines ready for a line shape."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Parameters
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.spec import Model
from insiren.simulate.lswt import amplitudes, block_lines, branch_wavevectors, hamiltonian, weights


def projection(model: Model, hkl: Float[Array, "q 3"]) -> Float[Array, "q 3 3"]:
    """P_ab of the correlations that are summed: Σ_ab P_ab S^ab(Q).

    "perp" is what unpolarised neutrons see, P = 1 − Q̂Q̂ᵀ; at Q = 0, where Q̂ is undefined,
    nothing is projected out. Source: Lovesey, Theory of Neutron Scattering (1984), vol. 2.
    """
    kind = model.scattering.correlation
    if kind == "perp":
        Q = to_inverse_angstrom(model, hkl)
        length2 = jnp.sum(Q**2, -1)[:, None, None]
        origin = length2 == 0
        return jnp.eye(3) - jnp.where(origin, 0, Q[:, :, None] * Q[:, None, :] / jnp.where(origin, 1, length2))
    kept = "xyz" if kind == "trace" else [part[1] for part in kind.split("+")]
    P = np.diag([float(axis in kept) for axis in "xyz"])
    return jnp.broadcast_to(P, (hkl.shape[0], 3, 3))


def magnons(model: Model, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
    """Energies of all magnons in meV, Z_c included, and their neutron weights per crystal cell.

    Returns:
        Both of shape (q, n); NaN where the structure is unstable. Differentiable in the
        parameters and in hkl, degenerate bands included (see `lswt.lines`).
    """
    homes, w = branch_wavevectors(model, hkl), amplitudes(model, hkl)
    q, branches = homes.shape[:2]
    H = hamiltonian(model, weights(model, params), homes.reshape(-1, 3))
    P = jnp.repeat(projection(model, hkl), branches, 0)
    E, I = jax.vmap(functools.partial(block_lines, model))(H, w.reshape(q * branches, -1, 3), P)
    return model.scattering.Zc * E.reshape(q, -1), I.reshape(q, -1)
