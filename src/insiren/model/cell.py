"""The cell of the magnetic structure: its sites and the bonds between them, whatever way the spins point."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np

from insiren.model.spec import Model

_NEAR_HALF = 1e-5  # r.l.u.; closer to half a reciprocal lattice vector, k is one: no measurement tells them apart


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One magnetic cell. Lengths are in crystal cells, so that phases take Q in crystal r.l.u.

    Attributes:
        site: which crystal site each magnetic site is a copy of, shape (s,).
        position: of each magnetic site, shape (s, 3).
        spin: quantum numbers, shape (s,).
        bonds: (i, j, displacement of the magnetic cell of j (3,), which of `Model.bonds`).
        cells: crystal cells in the magnetic cell.
        listed: which of the directions in `[structure]` each magnetic site follows, shape (s,).
        turned: the rotation that takes that direction to the site, shape (s, 3, 3).
        k: wavevector of a rotating frame in r.l.u., exact where twice it is a reciprocal lattice vector; or None.
        axis: unit vector about which the frame turns, or None.
    """

    site: np.ndarray
    position: np.ndarray
    spin: np.ndarray
    bonds: tuple[tuple[int, int, tuple[int, ...], int], ...]
    cells: int
    listed: np.ndarray
    turned: np.ndarray
    k: np.ndarray | None
    axis: np.ndarray | None


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """The matrix that turns by `angle` (rad) about the unit vector `axis`. Source: Rodrigues."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _exact_half(k: np.ndarray) -> np.ndarray:
    """k, or the half of a reciprocal lattice vector that it is within rounding."""
    half = np.round(2 * k) / 2
    return half if np.max(np.abs(k - half)) < _NEAR_HALF else k


@functools.lru_cache(maxsize=64)
def cell_of(model: Model) -> Cell:
    """The magnetic cell of a model: translations of the supercell times crystal sites.

    With k and a supercell, the spins of each translation R are turned by 2π k·R about the
    axis; with k alone the cell is the crystal's and the frame rotates from cell to cell.
    """
    structure = model.structure
    cell = structure.cell
    translations = _translations(cell)
    count, copies = len(model.sites), len(translations)
    axis = None if structure.axis is None else np.array(structure.axis) / np.linalg.norm(structure.axis)
    k = None if structure.k is None else _exact_half(np.array(structure.k))
    listed, turned = np.arange(count * copies), np.tile(np.eye(3), (count * copies, 1, 1))
    if k is not None and axis is not None:
        turns = [rotation(axis, 2 * np.pi * float(np.dot(k, R))) for R in translations]
        listed, turned = np.tile(np.arange(count), copies), np.repeat(turns, count, axis=0)
    rotating = structure.supercell is None
    return Cell(
        site=np.tile(np.arange(count), copies),
        position=np.array([R + np.array(s.position) for R in translations for s in model.sites]),
        spin=np.array([s.spin for _ in translations for s in model.sites]),
        bonds=_bonds(model, cell, translations),
        cells=copies,
        listed=listed,
        turned=turned,
        k=k if rotating else None,
        axis=axis if rotating else None,
    )


def _translations(cell: np.ndarray) -> np.ndarray:
    """The crystal translations within a magnetic cell, the origin first, shape (t, 3)."""
    reach = np.abs(cell).sum(0)
    inverse = np.linalg.inv(cell)
    grid = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))))
    fraction = grid @ inverse
    inside = np.all((fraction > -1e-9) & (fraction < 1 - 1e-9), axis=1)  # rounding of the inverse
    found = grid[inside]
    return found[np.lexsort((found[:, 2], found[:, 1], found[:, 0], np.abs(found).sum(1)))]


def _bonds(
    model: Model, cell: np.ndarray, translations: np.ndarray
) -> tuple[tuple[int, int, tuple[int, ...], int], ...]:
    count, inverse = len(model.sites), np.linalg.inv(cell)
    number = {tuple(R): n for n, R in enumerate(translations.tolist())}
    found = []
    for which, bond in enumerate(model.bonds):
        for start, R in enumerate(translations):
            target = R + np.array(bond.offset)
            shift = np.floor(target @ inverse + 1e-9).astype(int) @ cell  # rounding of the inverse
            end = number[tuple((target - shift).tolist())]
            found.append((start * count + bond.i, end * count + bond.j, tuple(shift.tolist()), which))
    return tuple(found)
