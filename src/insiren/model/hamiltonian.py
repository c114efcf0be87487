"""The spin Hamiltonian, in one convention.

    H = Σ_bonds Sᵢᵀ J Sⱼ + Σᵢ Sᵢᵀ Aᵢ Sᵢ − μ_B Σᵢ Bᵀ gᵢ Sᵢ

Each physical bond is counted once, J > 0 is antiferromagnetic, J and A are in meV and B in
T; the single-ion term is classical, without a factor 1 − 1/(2S). A convention that counts
each bond twice (½ Σ_ij) has the same J; one that writes −2 Σ_bonds J Sᵢ·Sⱼ has −J/2.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from insiren.forward import Parameters
from insiren.model.parameters import evaluate
from insiren.model.spec import Model
from insiren.model.terms import Combination, bond_terms, combination, matrix_terms

CONVENTION = "H = Σ_bonds SᵢᵀJSⱼ + Σᵢ SᵢᵀAᵢSᵢ − μ_B Σᵢ BᵀgᵢSᵢ; each bond once; J > 0 antiferromagnetic; meV, T"
MU_B = 0.057883818060  # meV/T. Source: CODATA 2018


class Couplings(NamedTuple):
    """The numbers of the Hamiltonian.

    Attributes:
        exchange: of each bond of the crystal cell (`Model.bonds`) in meV, shape (b, 3, 3).
        anisotropy: of each crystal site in meV, shape (s, 3, 3).
        zeeman: μ_B gᵀB of each crystal site in meV, shape (s, 3).
    """

    exchange: Float[Array, "b 3 3"]
    anisotropy: Float[Array, "s 3 3"]
    zeeman: Float[Array, "s 3"]


class _Combinations(NamedTuple):
    """The matrices of a Hamiltonian as linear combinations of parameter expressions."""

    exchange: Combination
    anisotropy: Combination
    g: Combination


@functools.lru_cache(maxsize=64)
def _combinations(model: Model) -> _Combinations:
    terms = [bond_terms(table) for table in model.bond]
    return _Combinations(
        combination(len(model.bonds), [(n, terms[b.declared], b.rotation) for n, b in enumerate(model.bonds)]),
        combination(len(model.sites), model.single_ion),
        combination(len(model.sites), [(n, matrix_terms(s.g), s.rotation) for n, s in enumerate(model.sites)]),
    )


def couplings(model: Model, params: Parameters, xp: Any = jnp) -> Couplings:
    """The couplings of a model for given parameters; traceable by JAX, or at once by xp = NumPy."""
    found, params = _combinations(model), model.converted(params)
    matrix = found.anisotropy(params, xp)
    anisotropy = (matrix + xp.swapaxes(matrix, 1, 2)) / 2  # only this part acts
    given = model.field.B if model.field else (0.0, 0.0, 0.0)
    B = xp.stack([xp.asarray(evaluate(x, params), float) for x in given])
    return Couplings(found.exchange(params, xp), anisotropy, MU_B * xp.einsum("sba,b->sa", found.g(params, xp), B))


def g_tensors(model: Model, params: Parameters, xp: Any = jnp) -> Float[Array, "s 3 3"]:
    """The g tensor of each crystal site; traceable by JAX, or at once by xp = NumPy."""
    return _combinations(model).g(model.converted(params), xp)
