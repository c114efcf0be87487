"""Which 3×3 matrices a symmetry allows, in letters and in Moriya's words.

A matrix between two spins must be what each operation of the bond makes of it: R J Rᵀ, transposed
where the operation swaps the ends. Source: Moriya, Phys. Rev. 120, 91 (1960).
"""

from __future__ import annotations

import dataclasses
import fractions

import numpy as np

# Letters follow the elements in this order: those of the diagonal come first.
_ORDER = [0, 4, 8, 1, 2, 5, 3, 6, 7]
_ON, _OFF = "ABC", "DEFGHI"
_ZERO = 1e-6  # of matrices of order one; the operations carry the rounding of the lattice
_FORBIDDEN = 1e-4  # relative; above the rounding of a lattice given to a few digits
_LARGEST_DENOMINATOR = 12


@dataclasses.dataclass(frozen=True, eq=False)
class AllowedForm:
    """The matrices that a symmetry allows, Cartesian.

    Attributes:
        basis: what each free letter multiplies, shape (n, 3, 3).
        text: the form in letters, such as "[[A, D, 0], [-D, A, 0], [0, 0, B]]".
        dm: what is left of the Dzyaloshinskii–Moriya vector, in words.
    """

    basis: np.ndarray
    text: str
    dm: str

    def violation(self, matrix: np.ndarray) -> float:
        """How much of a matrix is not allowed, relative to its largest element."""
        flat = self.basis.reshape(len(self.basis), 9)
        fitted = flat.T @ np.linalg.lstsq(flat.T, matrix.ravel(), rcond=None)[0] if len(flat) else np.zeros(9)
        size = np.max(np.abs(matrix))
        return float(np.max(np.abs(matrix.ravel() - fitted)) / size) if size else 0.0

    def allows(self, matrix: np.ndarray) -> bool:
        """Whether a matrix has this form, within the rounding of the lattice."""
        return self.violation(matrix) < _FORBIDDEN


def allowed(turns: np.ndarray, swaps: np.ndarray) -> AllowedForm:
    """The form that a group of operations allows.

    Args:
        turns: orthogonal Cartesian matrices R, shape (o, 3, 3).
        swaps: whether each exchanges the ends of the bond, shape (o,).
    """
    transpose = np.eye(9).reshape(3, 3, 9).swapaxes(0, 1).reshape(9, 9)
    acts = [(transpose if swap else np.eye(9)) @ np.kron(R, R) for R, swap in zip(turns, swaps, strict=True)]
    rows = _reduced(np.mean(acts, axis=0)[:, _ORDER])  # a projector is symmetric: its rows span what it keeps
    basis = np.zeros_like(rows)
    basis[:, _ORDER] = rows
    return AllowedForm(basis.reshape(-1, 3, 3), _letters(rows), _dm(basis.reshape(-1, 3, 3)))


def _reduced(matrix: np.ndarray) -> np.ndarray:
    """The reduced row echelon form, without the rows that vanish."""
    rows, done = matrix.copy(), 0
    for column in range(rows.shape[1]):
        pivot = done + int(np.argmax(np.abs(rows[done:, column]))) if done < len(rows) else done
        if done == len(rows) or abs(rows[pivot, column]) < _ZERO:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= rows[others, column, None] * rows[done]
        done += 1
    return np.where(np.abs(rows[:done]) < _ZERO, 0.0, rows[:done])


def _letters(rows: np.ndarray) -> str:
    """The form in letters, written so that it can be pasted into a model file as expressions."""
    on, off = iter(_ON), iter(_OFF)
    names = [next(on) if np.flatnonzero(row)[0] < 3 else next(off) for row in rows]
    entries = [""] * 9
    for place, column in zip(_ORDER, rows.T, strict=True):
        parts = [_product(x, name) for x, name in zip(column, names, strict=True) if x]
        entries[place] = " + ".join(parts).replace("+ -", "- ") or "0"
    return "[" + ", ".join("[" + ", ".join(entries[n : n + 3]) + "]" for n in (0, 3, 6)) + "]"


def _product(x: float, name: str) -> str:
    """A coefficient times a letter: "-A/2", "sqrt(3)*A/2", or a decimal where it is no such number."""
    sign = "-" if x < 0 else ""
    for root in (1, 3, 2):
        ratio = fractions.Fraction(abs(x) / root**0.5).limit_denominator(_LARGEST_DENOMINATOR)
        if ratio and abs(float(ratio) * root**0.5 - abs(x)) < _ZERO:
            factors = [str(ratio.numerator)] * (ratio.numerator != 1) + [f"sqrt({root})"] * (root != 1) + [name]
            return sign + "*".join(factors) + f"/{ratio.denominator}" * (ratio.denominator != 1)
    return f"{x:.5f}*{name}"


def _dm(basis: np.ndarray) -> str:
    """What the antisymmetric part of the form leaves of the vector D."""
    vectors = np.array([[m[1, 2] - m[2, 1], m[2, 0] - m[0, 2], m[0, 1] - m[1, 0]] for m in basis]).reshape(-1, 3)
    _, size, axes = np.linalg.svd(vectors) if len(vectors) else (None, np.zeros(0), np.eye(3))
    rank = int(np.sum(size > _ZERO))
    if rank in (0, 3):
        return "no DM vector" if rank == 0 else "any DM vector"
    axis = axes[0] if rank == 1 else axes[2]
    axis = axis / np.max(np.abs(axis))
    axis = axis * np.sign(axis[np.flatnonzero(np.abs(axis) > _ZERO)[0]])
    named = ", ".join(f"{round(float(x), 3) + 0.0:g}" for x in axis)
    return f"DM vector along ({named})" if rank == 1 else f"DM vector normal to ({named})"
