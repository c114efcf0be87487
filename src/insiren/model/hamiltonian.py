"""The spin Hamiltonian, in one convention.

    H = Σ_bonds Sᵢᵀ J Sⱼ + Σᵢ Sᵢᵀ Aᵢ Sᵢ − μ_B Σᵢ Bᵀ gᵢ Sᵢ

Each physical bond is counted once, J > 0 is antiferromagnetic, J and A are in meV and B in
T; the single-ion term is classical, without a factor 1 − 1/(2S). A convention that counts
each bond twice (½ Σ_ij) has the same J; one that writes −2 Σ_bonds J Sᵢ·Sⱼ has −J/2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from insiren.forward import Parameters
from insiren.model.parameters import evaluate
from insiren.model.spec import Matrix, Model, Number

CONVENTION = "H = Σ_bonds SᵢᵀJSⱼ + Σᵢ SᵢᵀAᵢSᵢ − μ_B Σᵢ BᵀgᵢSᵢ; each bond once; J > 0 antiferromagnetic; meV, T"
MU_B = 0.057883818060  # meV/T. Source: CODATA 2018


class Couplings(NamedTuple):
    """The numbers of the Hamiltonian.

    Attributes:
        exchange: of each `[[bond]]` in meV, shape (b, 3, 3).
        anisotropy: of each crystal site in meV, shape (s, 3, 3).
        zeeman: μ_B gᵀB of each crystal site in meV, shape (s, 3).
    """

    exchange: Float[Array, "b 3 3"]
    anisotropy: Float[Array, "s 3 3"]
    zeeman: Float[Array, "s 3"]


def couplings(model: Model, params: Parameters) -> Couplings:
    """The couplings of a model for given parameters; traceable by JAX."""
    distinct = {bond.exchange: _matrix(bond.exchange, params) for bond in model.bond}  # few matrices, many bonds
    exchange = [distinct[bond.exchange] for bond in model.bond]
    anisotropy = [jnp.zeros((3, 3))] * len(model.site)
    for term in model.anisotropy:
        matrix = _matrix(term.matrix, params)
        anisotropy[term.site] = anisotropy[term.site] + (matrix + matrix.T) / 2  # only this part acts
    B = jnp.stack(
        [jnp.asarray(evaluate(x, params), float) for x in (model.field.B if model.field else (0.0, 0.0, 0.0))]
    )
    zeeman = [MU_B * _matrix(site.g, params).T @ B for site in model.site]
    empty = jnp.zeros((0, 3, 3))
    return Couplings(jnp.stack(exchange) if exchange else empty, jnp.stack(anisotropy), jnp.stack(zeeman))


def _matrix(value: Number | Matrix, params: Parameters) -> Float[Array, "3 3"]:
    if isinstance(value, tuple):
        return jnp.stack([jnp.stack([jnp.asarray(evaluate(x, params), float) for x in row]) for row in value])
    return jnp.asarray(evaluate(value, params), float) * jnp.eye(3)
