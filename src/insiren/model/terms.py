"""Couplings as sums of a parameter expression times a constant matrix: the Hamiltonian is linear in them.

So few expressions are evaluated, however many bonds there are, and a rotation by symmetry acts on
constants alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.model.parameters import evaluate
from insiren.model.tables import BondTable, KitaevTable, Matrix, Number

Terms = tuple[tuple[Number, np.ndarray], ...]  # (number or expression, 3×3 matrix), to be summed

# D·(Sᵢ × Sⱼ) = Σ_ab Sᵢᵃ (Σ_c ε_abc D_c) Sⱼᵇ: the matrix of each component of D.
_CROSS = np.zeros((3, 3, 3))
for _a, _b, _c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _CROSS[_c, _a, _b], _CROSS[_c, _b, _a] = 1.0, -1.0


def matrix_terms(value: Number | Matrix) -> Terms:
    """The terms of a matrix, or of a number times the unit matrix."""
    if not isinstance(value, tuple):
        return ((value, np.eye(3)),)
    units = np.eye(9).reshape(3, 3, 3, 3)
    return tuple((x, units[a, b]) for a, row in enumerate(value) for b, x in enumerate(row) if x != 0)


def bond_terms(bond: BondTable) -> Terms:
    """The terms of a `[[bond]]`: exchange, dm and kitaev together."""
    found = () if bond.exchange is None else matrix_terms(bond.exchange)
    if bond.dm is not None:
        found += tuple((D, _CROSS[c]) for c, D in enumerate(bond.dm) if D != 0)
    if bond.kitaev is not None:
        found += _kitaev_terms(bond.kitaev)
    return found


def _kitaev_terms(table: KitaevTable) -> Terms:
    rows = np.array(table.frame)
    left, _, right = np.linalg.svd(rows / np.linalg.norm(rows, axis=1)[:, None])
    frame = left @ right  # the nearest axes at exact right angles
    if not isinstance(table.axis, str):
        g = np.array(table.axis) @ frame
        return ((table.K, np.outer(g, g) / (g @ g)),)
    n = "xyz".index(table.axis)
    g, a, b = frame[n], frame[(n + 1) % 3], frame[(n + 2) % 3]
    pairs = [np.outer(x, y) + np.outer(y, x) for x, y in ((a, b), (g, a + b))]
    return ((table.K, np.outer(g, g)), (table.Gamma, pairs[0]), (table.Gammap, pairs[1]))


def numbers_of(terms: Terms, values: Mapping[str, Any]) -> np.ndarray:
    """The matrix that terms add up to for given parameters, shape (3, 3)."""
    return sum((float(evaluate(x, values)) * matrix for x, matrix in terms), np.zeros((3, 3)))


class Combination(NamedTuple):
    """Many matrices as one linear combination of few coefficients.

    Attributes:
        coefficients: numbers or expressions, t of them; the first is 1 and holds what is constant.
        basis: what each multiplies, shape (t, n, 3, 3).
    """

    coefficients: tuple[Number, ...]
    basis: np.ndarray

    def __call__(self, params: Mapping[str, Any], xp: Any = jnp) -> Float[Array, "n 3 3"]:
        """The matrices for given parameters; traceable by JAX, or at once by xp = NumPy."""
        values = xp.stack([xp.asarray(evaluate(x, params), float) for x in self.coefficients])
        return xp.tensordot(values, self.basis, 1)


def combination(count: int, items: Sequence[tuple[int, Terms, np.ndarray]]) -> Combination:
    """The sum of rotated terms R M Rᵀ at each of `count` places.

    Args:
        count: how many matrices there are.
        items: (which matrix, its terms, Cartesian rotation R); several may name one matrix.
    """
    coefficients: dict[Number, int] = {1.0: 0}
    for _, terms, _ in items:
        for x, _ in terms:
            if isinstance(x, str):
                coefficients.setdefault(x, len(coefficients))
    basis = np.zeros((len(coefficients), count, 3, 3))
    for place, terms, R in items:
        for x, matrix in terms:
            row, factor = (coefficients[x], 1.0) if isinstance(x, str) else (0, x)
            basis[row, place] += factor * R @ matrix @ R.T
    return Combination(tuple(coefficients), basis)
