"""Space groups: their operations, the images of sites and bonds, and what leaves a bond in its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import gemmi
import numpy as np

from insiren.errors import ModelError

TOLERANCE = 0.01  # Å; positions of a few digits lie within it of their images, different atoms never do
_TOO_CLOSE = 0.5  # Å; no two atoms are so close, so a position was rounded or a site given twice
_LARGEST_GROUP = 192  # operations in a cell, of a face-centred cubic group
_METRIC = 1e-3  # relative; a lattice of the wrong system is further off, lengths of a few digits are not

Ends = tuple[int, int, tuple[int, ...]]  # a bond: site i of a cell, site j of the cell `offset` further on


@dataclasses.dataclass(frozen=True, eq=False)
class SpaceGroup:
    """The operations x → R x + t of a space group on a lattice, the identity first.

    Attributes:
        name: for messages.
        vectors: lattice vectors as rows in Å, shape (3, 3).
        rotation: R of each operation on fractional coordinates, shape (o, 3, 3).
        translation: t of each, shape (o, 3).
        turn: the orthogonal matrix of each on Cartesian vectors, shape (o, 3, 3). Spins are axial:
            they go to det(turn) turn S, so that a matrix between two spins goes to turn J turnᵀ.
    """

    name: str
    vectors: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    turn: np.ndarray


def tabulated(name: str | int, vectors: np.ndarray) -> gemmi.SpaceGroup:
    """The tabulated space group of a Hermann–Mauguin symbol or a number.

    Args:
        name: such as "P 4_2/m n m", "Pbnm", "F d -3 m:2" or 136.
        vectors: lattice vectors as rows; their angles choose between R:H and R:R.

    Raises:
        ModelError: there is none of this name, or its origin is not said.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    alpha, gamma = (float(np.degrees(np.arccos(np.clip(unit[x] @ unit[y], -1, 1)))) for x, y in ((1, 2), (0, 1)))
    try:
        found = gemmi.find_spacegroup_by_name(str(name), alpha, gamma)
    except (RuntimeError, ValueError):
        found = None
    if found is None:
        raise ModelError(
            f"crystal.spacegroup: {name!r} is no Hermann–Mauguin symbol and no number from 1 to 230. Write it as in "
            '"P 6/m m m", "P n m a" or "R -3 m:H".'
        )
    if found.ext in ("1", "2") and ":" not in str(name):
        raise ModelError(
            f"crystal.spacegroup: {found.hm} has two origins in use, and positions mean different places in them. "
            f'Write "{found.hm}:1" or "{found.hm}:2" (the origin of the second is a centre of inversion).'
        )
    return found


def space_group(name: str, triplets: Sequence[str], vectors: np.ndarray) -> SpaceGroup:
    """The space group that operations such as "-x,y+1/2,-z" generate.

    Raises:
        ModelError: an operation cannot be read, or does not fit the lattice.
    """
    if abs(np.linalg.det(vectors)) < 1e-6:  # Å³; no crystal is so small
        raise ModelError("crystal: the lattice has no volume; check its angles or vectors.")
    try:
        generators = [gemmi.Op(triplet).wrap() for triplet in triplets]
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"crystal.operations: {error}. Write each as in '-x,y+1/2,-z'.") from None
    operations = _closed(generators)
    rotation = np.array([op.rot for op in operations]) / gemmi.Op.DEN
    translation = np.array([op.tran for op in operations]) / gemmi.Op.DEN
    turn = vectors.T @ rotation @ np.linalg.inv(vectors.T)
    left, size, right = np.linalg.svd(turn)
    worst = int(np.argmax(np.max(np.abs(size - 1), axis=1)))
    if np.max(np.abs(size[worst] - 1)) > _METRIC:
        raise ModelError(
            f"crystal: the lattice does not have the symmetry {name}: {operations[worst].triplet()!r} changes lengths "
            f"by {100 * np.max(np.abs(size[worst] - 1)):.2g} %. Correct a, b, c and the angles, or the space group and "
            "its setting."
        )
    return SpaceGroup(name, vectors, rotation, translation, left @ right)


def _closed(generators: Sequence[gemmi.Op]) -> list[gemmi.Op]:
    """Every product of operations, each once up to lattice vectors, the identity first."""
    found, needed = [gemmi.Op("x,y,z")], []
    for generator in generators:
        if generator in found:
            continue
        needed.append(generator)
        for op in found:  # grows as it is gone through
            found += [new for new in ((op * g).wrap() for g in needed) if new not in found]
            if len(found) > _LARGEST_GROUP:
                raise ModelError(
                    f"crystal.operations: {[g.triplet() for g in needed]} make more than {_LARGEST_GROUP} operations, "
                    "which no space group has. Correct them."
                )
    return found


def _nearest(group: SpaceGroup, difference: np.ndarray) -> np.ndarray:
    """Length in Å of fractional differences up to lattice vectors; exact only below half a cell."""
    return np.linalg.norm((difference - np.round(difference)) @ group.vectors, axis=-1)


def centred(group: SpaceGroup, position: np.ndarray) -> np.ndarray:
    """A rounded position, such as 0.3333, moved to the special position that it stands for."""
    images = group.rotation @ position + group.translation
    stays = _nearest(group, images - position) < TOLERANCE
    return np.mean(images[stays] - np.round(images[stays] - position), axis=0)


def orbit(group: SpaceGroup, position: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a position in one cell: itself first, as it was given, the others by x, then y, then z.

    This order holds whatever the order of the operations.

    Args:
        group: the space group.
        position: fractional.
        what: names the site in a message.

    Returns:
        Positions, shape (n, 3), wrapped into [0, 1) but for the first, and the operation that
        made each, shape (n,).
    """
    images = group.rotation @ position + group.translation
    places, makers = [np.asarray(position, float)], [0]
    for number, image in enumerate(images):
        nearest = min(_nearest(group, image - np.array(places)))
        if nearest > _TOO_CLOSE:
            wrapped = image % 1
            places.append(np.where(wrapped > 1 - 1e-9, 0.0, wrapped))  # rounding: 0.9999… is 0
            makers.append(number)
        elif nearest > TOLERANCE:
            raise ModelError(
                f"{what}: {group.name} has an image of {tuple(np.round(position, 5).tolist())} only {nearest:.2g} Å "
                "away. If it is a special position, give more digits (1/3 as 0.333333)."
            )
    order = np.lexsort(np.round(places[1:], 3).T[::-1]) if len(places) > 1 else []  # 3 digits: rounding decides nothing
    chosen = [0, *(1 + n for n in order)]
    return np.array(places)[chosen], np.array(makers)[chosen]


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Where each operation takes each site: site n to site `site[o, n]` in the cell `cell[o, n]`."""

    group: SpaceGroup
    site: np.ndarray
    cell: np.ndarray

    def of_bond(self, ends: Ends, operation: int) -> Ends:
        """The image of a bond under one operation."""
        i, j, offset = ends
        site, cell = self.site[operation], self.cell[operation]
        moved = self.group.rotation[operation] @ np.array(offset) + cell[j] - cell[i]
        return int(site[i]), int(site[j]), tuple(np.round(moved).astype(int).tolist())


def images_of(group: SpaceGroup, positions: np.ndarray) -> Images:
    """How the operations permute a set of positions that is closed under them."""
    moved = np.einsum("oab,sb->osa", group.rotation, positions) + group.translation[:, None]
    difference = moved[:, :, None] - positions
    site = np.argmin(_nearest(group, difference), axis=2)
    return Images(group, site, np.round(moved - positions[site]).astype(int))


def reverse(ends: Ends) -> Ends:
    """The same bond seen from its other end."""
    i, j, offset = ends
    return j, i, tuple(-x for x in offset)


def canonical(ends: Ends) -> Ends:
    """The one of a bond and its reverse that stands for both."""
    return min(ends, reverse(ends), key=lambda e: (e[0], e[1], tuple(-x for x in e[2])))


def bond_orbit(images: Images, ends: Ends) -> tuple[tuple[Ends, int], ...]:
    """All bonds equivalent to one, each once and with the operation that makes it; the bond itself first."""
    found: dict[Ends, tuple[Ends, int]] = {}
    for operation in range(len(images.site)):
        image = images.of_bond(ends, operation)
        found.setdefault(canonical(image), (image, operation))
    return tuple(found.values())


def bond_symmetry(images: Images, ends: Ends) -> tuple[np.ndarray, np.ndarray]:
    """What leaves a bond in its place: Cartesian matrices (o, 3, 3), and whether each swaps its ends (o,)."""
    turns, swaps = [], []
    for operation, turn in enumerate(images.group.turn):
        image = images.of_bond(ends, operation)
        for swapped in (False, True):
            if image == (reverse(ends) if swapped else ends):
                turns.append(turn)
                swaps.append(swapped)
    return np.array(turns), np.array(swaps)


def site_symmetry(images: Images, site: int) -> np.ndarray:
    """The Cartesian matrices of the operations that leave a site in its place, shape (o, 3, 3)."""
    return images.group.turn[images.site[:, site] == site]
