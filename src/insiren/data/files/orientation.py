"""How a crystal lies: its reciprocal lattice, and the vectors u and v that orient it."""

from __future__ import annotations

import gemmi
import numpy as np

from insiren.data.files.axes import Vector, vector
from insiren.errors import DataError


def reciprocal(name: str, lattice: Vector) -> np.ndarray:
    """The matrix B with Q = B hkl, shape (3, 3), in 1/Å with the factor 2π; a along x, b in the xy plane.

    Args:
        name: of the data set, for errors.
        lattice: a, b, c in Å and α, β, γ in degrees.

    Raises:
        DataError: it is no lattice.
    """
    cell = vector(name, "lattice", lattice, 6)
    lengths, angles = cell[:3], cell[3:]
    # The volume over abc; 0 where the three angles lie in a plane or contradict each other.
    cosines = np.cos(np.radians(angles))
    volume2 = 1 - np.sum(cosines**2) + 2 * np.prod(cosines)
    if not (np.all(lengths > 0) and np.all((angles > 0) & (angles < 180)) and volume2 > 1e-6):
        raise DataError(f"{name}: lattice = {as_text(cell)} has no volume. Give a, b, c in Å and α, β, γ in degrees.")
    return 2 * np.pi * np.array(gemmi.UnitCell(*cell).frac.mat.tolist()).T


def orientation(name: str, B: np.ndarray, u: Vector, v: Vector) -> np.ndarray:
    """The matrix with rows e₁ along u, e₂ in the plane of u and v on the side of v, and e₃ = e₁ × e₂.

    Args:
        name: of the data set, for errors.
        B: from `reciprocal`.
        u: in r.l.u.
        v: in r.l.u.

    Raises:
        DataError: u and v are parallel.
    """
    first, second = B @ vector(name, "u", u), B @ vector(name, "v", v)
    normal = np.cross(first, second)
    # Sine of the angle between them; labels of three digits are no closer than this.
    if np.linalg.norm(normal) <= 1e-6 * np.linalg.norm(first) * np.linalg.norm(second):
        raise DataError(
            f"{name}: u = {u} and v = {v} are parallel or zero. Give two directions of the scattering plane."
        )
    e1, e3 = first / np.linalg.norm(first), normal / np.linalg.norm(normal)
    return np.stack([e1, np.cross(e3, e1), e3])


def as_text(lattice: Vector) -> str:
    """A lattice as the spectrum carries it."""
    return ", ".join(f"{x:.7g}" for x in np.asarray(lattice, float))
