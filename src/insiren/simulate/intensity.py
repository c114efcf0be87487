"""From magnons to what is seen of them: neutron weights ready for a line shape, and full correlation tensors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from insiren.forward import Parameters, complete
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.lswt import amplitudes, block_lines, bogoliubov, branch_wavevectors, hamiltonian, weights
from insiren.simulate.stability import require_stable

# Matrix elements of H diagonalised at once: 1 MiB, which stays in the second cache. With 64 × 64 matrices the
# products then take half as long; with small ones the chunks are large enough to hide their own cost.
_CHUNK_ELEMENTS = 2**16


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
    W = weights(model, params)
    E, I = in_chunks(functools.partial(_magnons, model, W), _chunk(W), hkl)
    return model.scattering.Zc * E, I


def _chunk(W: Complex[Array, "o m m"]) -> int:
    """How many wavevectors are diagonalised at once."""
    return max(1, _CHUNK_ELEMENTS // W.shape[-1] ** 2)


def _magnons(model: Model, W: Complex[Array, "o m m"], hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
    homes, w = branch_wavevectors(model, hkl), amplitudes(model, hkl)
    q, branches = homes.shape[:2]
    H = hamiltonian(model, W, homes.reshape(-1, 3))
    P = jnp.repeat(projection(model, hkl), branches, 0)
    E, I = jax.vmap(functools.partial(block_lines, model))(H, w.reshape(q * branches, -1, 3), P)
    return E.reshape(q, -1), I.reshape(q, -1)


def bands(model: Model, hkl: ArrayLike, params: Parameters | None = None) -> tuple[Array, Array]:
    """Magnon energies and spin correlations.

    S^ab(Q) of a mode m is `⟨0|S^a(Q)†|m⟩⟨m|S^b(Q)|0⟩` with S(Q) = Σ e^(2πi Q·r) S_r, at T = 0, without
    form factor, g or other factors.

    Args:
        model: the magnet.
        hkl: wavevectors in r.l.u., shape (q, 3).
        params: values by name; those left out take the model's.

    Returns:
        Energies in meV, Z_c included, ascending, shape (q, n), and correlations per crystal cell,
        shape (q, n, 3, 3); n is the number of sublattices of the magnetic cell, three times that
        in a rotating frame (Q − k, Q, Q + k).

    Raises:
        UnstableStructure: the spins are not at an energy minimum.
    """
    filled = complete(model.all_parameters, params or {})
    points = jnp.atleast_2d(jnp.asarray(hkl, float))
    require_stable(model, filled, points)
    return _bands(model, filled, points)


@functools.partial(jax.jit, static_argnums=0)
def _bands(model: Model, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
    W = weights(model, params)
    return in_chunks(functools.partial(_correlations, model, W), _chunk(W), hkl)


def _correlations(model: Model, W: Complex[Array, "o m m"], hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
    w, homes = amplitudes(model, hkl), branch_wavevectors(model, hkl)
    H = hamiltonian(model, W, homes.reshape(-1, 3))
    n = H.shape[-1] // 2
    E, T = jax.vmap(lambda one: bogoliubov(one, (1,) * n + (-1,) * n))(H)
    v = jnp.einsum("xmn,xma->xna", T[:, :, n:].conj(), w.reshape(-1, 2 * n, 3))
    tensor = v.conj()[..., :, None] * v[..., None, :]
    energies = (model.scattering.Zc * E[:, n:]).reshape(len(hkl), -1)
    order = jnp.argsort(energies, axis=1)
    tensor = tensor.reshape(len(hkl), -1, 3, 3)
    return jnp.take_along_axis(energies, order, 1), jnp.take_along_axis(tensor, order[..., None, None], 1)
