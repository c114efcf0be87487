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
from insiren.model.domains import Domain, domain_models, domains
from insiren.model.hamiltonian import g_tensors
from insiren.model.parameters import evaluate
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.lswt import (
    after,
    all_pairs,
    amplitudes,
    block_lines,
    bogoliubov,
    branch_wavevectors,
    hamiltonian,
    pair_lines,
    weights,
)
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


def magnons(
    model: Model,
    params: Parameters,
    hkl: Float[Array, "q 3"],
    P: Float[Array, "v 3 3"] | None = None,
) -> tuple[Array, Array]:
    """Energies of all magnons in meV, Z_c included, and their neutron weights per crystal cell.

    Args:
        model: the magnet.
        params: every parameter by name.
        hkl: wavevectors in r.l.u.
        P: several sets of weights of the correlations Σ_ab P_ab S^ab, none of them negative, the
            same for all wavevectors and without form factor; by default the one of the model, with it.

    Returns:
        Both of shape (q, n), or (q, v, n) with P; n counts the magnons of all domains. NaN where
        the structure is unstable. Differentiable in the parameters, degenerate bands included
        (see `lswt.lines`).
    """
    W = {magnet: weights(magnet, params) for magnet in domain_models(model)}
    g = g_tensors(model, params) if model.scattering.form_factor else None
    found = []
    for domain in domains(model):
        own = after(found[-1][0], W[domain.model]) if found else W[domain.model]
        E, I = in_chunks(functools.partial(_magnons, model, domain, own, g, P), _chunk(own), hkl)
        found.append((model.scattering.Zc * E, I * evaluate(domain.fraction, params)))
    E, I = (jnp.concatenate(parts, -1) for parts in zip(*found, strict=True))
    return E, I


def _chunk(W: Complex[Array, "o m m"]) -> int:
    """How many wavevectors are diagonalised at once."""
    return max(1, _CHUNK_ELEMENTS // W.shape[-1] ** 2)


def _magnons(
    model: Model, domain: Domain, W: Complex[Array, "o m m"], g: Array | None, P: Array | None, hkl: Float[Array, "q 3"]
) -> tuple[Array, Array]:
    """Energies without Z_c and weights of one domain, (q, n) or (q, v, n)."""
    local, magnet = hkl @ domain.hkl.T, domain.model
    homes, w = branch_wavevectors(magnet, local), amplitudes(magnet, local, g, form_factor=g is not None and P is None)
    q, branches = homes.shape[:2]
    homes, w = homes.reshape(-1, 3), w.reshape(q * branches, -1, 3)
    R = domain.rotation
    seen = projection(model, hkl)[:, None] if P is None else jnp.broadcast_to(P, (q, *P.shape))
    if not np.array_equal(R, np.eye(3)):
        seen = jnp.einsum("ac,qvab,bd->qvcd", R, seen, R)
    seen = jnp.repeat(seen, branches, 0) if branches > 1 else seen
    if all_pairs(magnet):
        E, I = pair_lines(magnet, W, homes, w, seen)
    else:
        E, I = jax.vmap(functools.partial(block_lines, magnet))(hamiltonian(magnet, W, homes), w, seen)
    if P is None:
        return E.reshape(q, -1), I.reshape(q, -1)
    E, I = (jnp.moveaxis(x.reshape(q, branches, len(P), -1), 1, 2) for x in (E, I))
    return E.reshape(q, len(P), -1), I.reshape(q, len(P), -1)


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
        shape (q, n, 3, 3); n is the number of sublattices of the magnetic cell, times the number of
        branches of a rotating frame: three (Q − k, Q, Q + k), two where 2k is a reciprocal lattice
        vector, so that Q − k and Q + k are one, and one where k is. Of a model that lists domains,
        they are those of the crystal as it stands.

    Raises:
        UnstableStructure: the spins are not at an energy minimum, in any of the domains.
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
