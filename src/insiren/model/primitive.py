"""Translations that a magnet repeats itself by within its magnetic cell: a smaller cell would do."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from insiren.forward import Parameters
from insiren.model.cell import rotation
from insiren.model.hamiltonian import couplings, g_tensors
from insiren.model.spec import Model
from insiren.model.structure import MagneticCell
from insiren.model.symmetry import TOLERANCE

_EQUAL = 1e-6  # of the largest coupling or spin; positions of a few digits reach it
_NEAREST = 24  # translations among which three are looked for; the shortest of a lattice are among so many
_TURNS = 1e-6  # revolutions by which two spins may turn differently

Steps = dict[tuple[int, ...], np.ndarray]  # the matrices of bonds, by (i, j, displacement)


@dataclasses.dataclass(frozen=True, eq=False)
class Primitive:
    """The smallest cell by which the magnet repeats itself.

    Attributes:
        count: how many of them are in the magnetic cell of the model.
        vectors: its lattice vectors as rows, in crystal cells, shape (3, 3).
    """

    count: int
    vectors: Float[np.ndarray, "3 3"]


def primitive(model: Model, cell: MagneticCell, trials: Sequence[Parameters]) -> Primitive:
    """The smallest cell in which sites, couplings and spins repeat themselves.

    Args:
        model: the magnet.
        cell: its magnetic cell.
        trials: parameters at which couplings are compared, each naming every parameter; with more than
            one no accidental value hides a difference.
    """
    kinds, bonds = _kinds(model, cell, trials), _bonds(model, cell, trials)
    lattice = np.array(model.structure.cell, float)
    shifts = cell.position - cell.position[0]
    found = [t for t in shifts[1:] if _repeats(model, cell, kinds, bonds, lattice, t)]
    return Primitive(1 + len(found), _shortest(model, lattice, found))


def _kinds(model: Model, cell: MagneticCell, trials: Sequence[Parameters]) -> np.ndarray:
    """What tells sites apart: spin, ion, g, single-ion matrix and moment in the field; a row a magnetic site."""
    ions = {site.ion: n for n, site in enumerate(model.sites)}
    numbers = [[site.spin, ions[site.ion]] for site in model.sites]
    rows = [np.array(numbers)]
    for params in trials:
        terms = couplings(model, params, np)
        rows += [terms.anisotropy.reshape(len(numbers), -1), terms.zeeman]
        rows.append(g_tensors(model, params, np).reshape(len(numbers), -1))
    return np.concatenate(rows, axis=1)[cell.site]


def _bonds(model: Model, cell: MagneticCell, trials: Sequence[Parameters]) -> Steps:
    """The exchange of each bond at all trials, from its site of lower number, several of one place added."""
    exchange = np.stack([couplings(model, params, np).exchange for params in trials], axis=1)  # (b, t, 3, 3)
    found: Steps = {}
    for i, j, shift, which in cell.bonds:
        _add(found, i, j, shift, exchange[which])
    return found


def _add(found: Steps, i: int, j: int, shift: tuple[int, ...], matrices: np.ndarray) -> None:
    key, back = (i, j, *shift), (j, i, *(-x for x in shift))
    key, matrices = (key, matrices) if key <= back else (back, np.swapaxes(matrices, -1, -2))
    found[key] = found.get(key, 0) + matrices


def _repeats(
    model: Model, cell: MagneticCell, kinds: np.ndarray, bonds: Steps, lattice: np.ndarray, t: np.ndarray
) -> bool:
    """Whether a translation in crystal cells takes the magnet to itself."""
    moved = cell.position[:, None] + t - cell.position  # from each possible image to where the site comes
    cells = np.round(moved @ np.linalg.inv(lattice)) @ lattice
    off = np.linalg.norm((moved - cells) @ model.crystal.lattice_vectors, axis=2)
    image, rows = np.argmin(off, axis=1), np.arange(len(off))
    size = max(1.0, float(np.max(np.abs(kinds))))
    if np.max(off[rows, image]) > TOLERANCE or np.max(np.abs(kinds[image] - kinds)) > _EQUAL * size:
        return False
    steps = np.round(cells[rows, image]).astype(int)
    if not _turn_alike(cell, cell.direction[image], steps):
        return False
    there: Steps = {}
    for (i, j, *shift), matrices in bonds.items():
        shifted = tuple((np.array(shift) + steps[j] - steps[i]).tolist())
        _add(there, int(image[i]), int(image[j]), shifted, matrices)
    size = max((float(np.max(np.abs(x))) for x in bonds.values()), default=0.0)
    same = there.keys() == bonds.keys()
    return same and all(np.max(np.abs(there[key] - bonds[key])) <= _EQUAL * size for key in bonds)


def _turn_alike(cell: MagneticCell, images: np.ndarray, steps: np.ndarray) -> bool:
    """Whether all spins go to those at their images by one turn about the axis, without k by none."""
    if cell.k is None or cell.axis is None:
        return bool(np.max(np.abs(images - cell.direction)) <= _EQUAL)
    turned = np.stack(
        [rotation(cell.axis, 2 * np.pi * float(cell.k @ R)) @ n for R, n in zip(steps, images, strict=True)]
    )
    across = np.linalg.norm(np.cross(cell.direction, cell.axis), axis=1)
    first = int(np.argmax(across))
    angle = _angle(cell.axis, cell.direction[first], turned[first])
    same = np.stack([rotation(cell.axis, angle) @ n for n in cell.direction])
    return bool(np.max(np.abs(turned - same)) <= 2 * np.pi * _TURNS)


def _angle(axis: np.ndarray, n: np.ndarray, other: np.ndarray) -> float:
    """By how much n turns about the axis to lie over another vector."""
    return float(np.arctan2(axis @ np.cross(n, other), n @ other - (axis @ n) * (axis @ other)))


def _shortest(model: Model, lattice: np.ndarray, found: list[np.ndarray]) -> np.ndarray:
    """Three short vectors that span the lattice of the cell and the translations, right-handed as the cell's own."""
    if not found:
        return lattice
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    every = (steps @ lattice + np.array([np.zeros(3), *found])[:, None]).reshape(-1, 3)
    length = np.linalg.norm(every @ model.crystal.lattice_vectors, axis=1).round(
        3
    )  # Å; of equal ones the positive first
    order = [every[n] for n in np.lexsort((*-every.T[::-1].round(3), length)) if length[n] > TOLERANCE]
    volume = np.linalg.det(lattice) / (1 + len(found))
    for three in itertools.combinations(order[:_NEAREST], 3):
        rows = np.array(three) if np.linalg.det(three) * volume > 0 else np.array(three)[[0, 2, 1]]
        if abs(np.linalg.det(rows) - volume) < TOLERANCE * abs(volume):
            return rows
    return lattice
