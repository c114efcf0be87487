"""From the declared tables to every magnetic site and every bond of the crystal cell.

With a space group a `[[site]]` stands for its orbit, a `[[bond]]` for all bonds equivalent to it, an
`[[anisotropy]]` for the whole orbit of its site; each image carries the rotation that made it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from insiren.errors import ModelError
from insiren.model.allowed import AllowedForm, allowed
from insiren.model.shells import Shell, shell_of
from insiren.model.symmetry import (
    Ends,
    Images,
    SpaceGroup,
    bond_orbit,
    bond_symmetry,
    canonical,
    images_of,
    orbit,
    site_symmetry,
    space_group,
    tabulated,
)
from insiren.model.tables import AnisotropyTable, BondTable, CrystalTable, Matrix, SiteTable
from insiren.model.terms import Terms, bond_terms, matrix_terms, numbers_of

FRAME = "Cartesian, a along x and b in the xy plane unless vectors were given"
_ISOTROPIC = 1e-9  # relative
_OVERLAP = 0.5  # Å; no two atoms are so close


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A magnetic site of the crystal cell.

    Attributes:
        position: fractional.
        spin: quantum number.
        g: a number or a matrix, as declared; it acts rotated: R g Rᵀ.
        label, ion: as declared.
        declared: which `[[site]]` it is an image of.
        rotation: R, the orthogonal Cartesian matrix that took the declared site here, shape (3, 3).
    """

    position: tuple[float, float, float]
    spin: float
    g: float | Matrix
    label: str
    ion: str | None
    declared: int
    rotation: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Bond:
    """A bond of the crystal cell, from site i to site j in the cell `offset` further on.

    Attributes:
        i, j: sites of the cell.
        offset: in crystal cells.
        declared: which `[[bond]]` it comes from.
        rotation: R, the orthogonal Cartesian matrix by which the declared exchange acts here: R J Rᵀ.
    """

    i: int
    j: int
    offset: tuple[int, int, int]
    declared: int
    rotation: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Sites:
    """Every site, and how the space group, if there is one, permutes them."""

    all: tuple[Site, ...]
    vectors: np.ndarray
    images: Images | None

    @property
    def positions(self) -> np.ndarray:
        """Fractional positions, shape (s, 3)."""
        return np.array([site.position for site in self.all])

    def length(self, ends: Ends) -> float:
        """The length of a bond in Å."""
        i, j, offset = ends
        return float(np.linalg.norm((self.positions[j] + np.array(offset) - self.positions[i]) @ self.vectors))

    def form_of_bond(self, ends: Ends) -> AllowedForm:
        """The exchange matrices that the symmetry of a bond allows."""
        if self.images is None:
            return allowed(np.eye(3)[None], np.array([False]))
        return allowed(*bond_symmetry(self.images, ends))

    def form_of_site(self, site: int, symmetric: bool) -> AllowedForm:
        """The g tensors, or the symmetric single-ion matrices, that the symmetry of a site allows."""
        turns = np.eye(3)[None] if self.images is None else site_symmetry(self.images, site)
        if symmetric:
            turns = np.concatenate([turns, turns])
        return allowed(turns, np.arange(len(turns)) >= (len(turns) // 2 if symmetric else len(turns)))


def group_of(crystal: CrystalTable) -> SpaceGroup | None:
    """The space group of a `[crystal]`, or None."""
    vectors = crystal.lattice_vectors
    if crystal.spacegroup is not None:
        found = tabulated(crystal.spacegroup, vectors)
        return space_group(found.xhm(), [op.triplet() for op in found.operations()], vectors)
    if crystal.operations is not None:
        return space_group("of the operations", crystal.operations, vectors)
    return None


def expand_sites(crystal: CrystalTable, declared: Sequence[SiteTable]) -> Sites:
    """Every magnetic site of the crystal cell: each declared site, followed by its images."""
    group, found = group_of(crystal), []
    for number, table in enumerate(declared):
        places, turns = np.array([table.position]), np.eye(3)[None]
        if group is not None:
            places, makers = orbit(group, np.array(table.position), f"site.{number}")
            turns = group.turn[makers]
        for place, turn in zip(places.tolist(), turns, strict=True):
            found.append(Site(tuple(place), table.spin, table.g, table.label, table.ion, number, turn))
    if group is None:
        return Sites(tuple(found), crystal.lattice_vectors, None)
    positions = np.array([site.position for site in found])
    _refuse_overlap(group, found, positions)
    return Sites(tuple(found), group.vectors, images_of(group, positions))


def _refuse_overlap(group: SpaceGroup, sites: Sequence[Site], positions: np.ndarray) -> None:
    for number, site in enumerate(sites):
        difference = positions[:number] - positions[number]
        close = np.linalg.norm((difference - np.round(difference)) @ group.vectors, axis=1) < _OVERLAP
        if close.any():
            other = sites[int(np.flatnonzero(close)[0])].declared
            raise ModelError(
                f"site.{site.declared} has an image where one of site.{other} is already, at "
                f"{tuple(np.round(site.position, 4).tolist())}: the space group makes all images of a site, so "
                "declare one of each set."
            )


def expand_bonds(sites: Sites, declared: Sequence[BondTable], trials: Sequence[Mapping[str, float]]) -> list[Bond]:
    """Every bond of the crystal cell, each physical bond once for a `[[bond]]`.

    Args:
        sites: every site.
        declared: the tables, whose site numbers exist.
        trials: values of all parameters at which the form of a matrix is looked at.

    Raises:
        ModelError: the symmetry forbids a matrix, or two tables name the same bond.
    """
    found: list[Bond] = []
    taken: dict[Ends, tuple[int, bool]] = {}
    for number, table in enumerate(declared):
        bonds = _bonds_of(sites, table, f"bond.{number}", trials)
        spread = table.ends is None or is_propagated(sites, table)
        for (i, j, offset), turn in bonds:
            first, first_spread = taken.setdefault(canonical((i, j, offset)), (number, spread))
            if first != number and (spread or first_spread):
                raise ModelError(
                    f"bond.{number} names the bond {describe((i, j, offset))}, which bond.{first} holds already, since "
                    "equivalent bonds are found by symmetry or length. Put both couplings into one [[bond]], or set "
                    "symmetry = false and list every bond."
                )
            x, y, z = offset
            found.append(Bond(i, j, (x, y, z), number, turn))
    return found


def is_propagated(sites: Sites, table: BondTable | AnisotropyTable) -> bool:
    """Whether a table stands for all its images: by default if there is a space group."""
    return sites.images is not None and table.symmetry is not False


def describe(ends: Ends) -> str:
    """A bond in words, such as "0 → 1 (0, 0, -1)"."""
    i, j, offset = ends
    return f"{i} → {j} ({', '.join(map(str, offset))})"


def _bonds_of(
    sites: Sites, table: BondTable, what: str, trials: Sequence[Mapping[str, float]]
) -> list[tuple[Ends, np.ndarray]]:
    """The bonds of one table, each with the rotation of its exchange."""
    if table.symmetry and sites.images is None:
        raise ModelError(f"{what}: symmetry = true needs a space group; give crystal.spacegroup.")
    terms = bond_terms(table)
    if table.ends is not None:
        if sites.images is None or not is_propagated(sites, table):
            return [(table.ends, np.eye(3))]
        return _equivalent(sites, sites.images, table.ends, terms, what, trials)
    labels = [site.label for site in sites.all]
    shell = shell_of(table, sites.vectors, sites.positions, labels, what)
    if all(_is_isotropic(numbers_of(terms, values)) for values in trials):
        return [(ends, np.eye(3)) for ends in shell.bonds]
    if sites.images is None:
        raise ModelError(
            f"{what}: only isotropic exchange is the same on all {len(shell.bonds)} bonds of a shell; a matrix, dm or "
            "kitaev needs a space group, which turns it from bond to bond. Give crystal.spacegroup and one bond by "
            "i, j and offset, or list the bonds."
        )
    _refuse_mixed_shell(sites.images, shell, what)
    return _equivalent(sites, sites.images, shell.bonds[0], terms, what, trials)


def _refuse_mixed_shell(images: Images, shell: Shell, what: str) -> None:
    """A matrix on a shell needs all its bonds to be equivalent."""
    kinds = [f"{describe(ends)} with {count} bonds" for ends, count in bond_kinds(images, shell.bonds)]
    if len(kinds) > 1:
        raise ModelError(
            f"{what}: the bonds of {shell.length:.4g} Å are of {len(kinds)} kinds that no symmetry relates "
            f"({'; '.join(kinds)}), so one matrix cannot stand for all. Name one bond of each kind by i, j and offset."
        )


def bond_kinds(images: Images, bonds: Sequence[Ends]) -> list[tuple[Ends, int]]:
    """One bond of each kind that the symmetry tells apart, and how many there are of it."""
    left, kinds = {canonical(ends) for ends in bonds}, []
    for ends in bonds:
        if canonical(ends) in left:
            same = {canonical(image) for image, _ in bond_orbit(images, ends)}
            kinds.append((ends, len(same)))
            left -= same
    return kinds


def _is_isotropic(matrix: np.ndarray) -> bool:
    rest = matrix - np.trace(matrix) / 3 * np.eye(3)
    return bool(np.max(np.abs(rest)) <= _ISOTROPIC * np.max(np.abs(matrix)))


def _equivalent(
    sites: Sites, images: Images, ends: Ends, terms: Terms, what: str, trials: Sequence[Mapping[str, float]]
) -> list[tuple[Ends, np.ndarray]]:
    form = sites.form_of_bond(ends)
    for values in trials:
        matrix = numbers_of(terms, values)
        if not form.allows(matrix):
            raise ModelError(
                f"{what}: the symmetry of the bond {describe(ends)} in {images.group.name} allows {form.text} "
                f"({form.dm}; {FRAME}), but the matrix is {np.round(matrix, 6).tolist()}. Write it in that form, or "
                "set symmetry = false and list every bond."
            )
    return [(image, images.group.turn[maker]) for image, maker in bond_orbit(images, ends)]


def expand_anisotropy(
    sites: Sites, declared: Sequence[AnisotropyTable], trials: Sequence[Mapping[str, float]]
) -> list[tuple[int, Terms, np.ndarray]]:
    """(site, terms, rotation) of every single-ion term, those carried on by symmetry included.

    Raises:
        ModelError: the symmetry of the site forbids the matrix, or two tables name one orbit.
    """
    found, used = [], {}
    for number, table in enumerate(declared):
        what, terms, home = f"anisotropy.{number}", matrix_terms(table.matrix), sites.all[table.site]
        if table.symmetry and sites.images is None:
            raise ModelError(f"{what}: symmetry = true needs a space group; give crystal.spacegroup.")
        if not is_propagated(sites, table):
            found.append((table.site, terms, np.eye(3)))
            continue
        first, site = used.setdefault(home.declared, (number, table.site))
        if site != table.site:
            raise ModelError(
                f"{what} and anisotropy.{first} name the sites {table.site} and {site}, which are images of one "
                f"another, and each would reach the other by symmetry. Name one, or set symmetry = false in both."
            )
        _refuse_matrix(
            sites.form_of_site(table.site, True), terms, f"{what}: the symmetry of site {table.site}", trials
        )
        for image, other in enumerate(sites.all):
            if other.declared == home.declared:
                found.append((image, terms, other.rotation @ home.rotation.T))
    return found


def check_g(sites: Sites, declared: Sequence[SiteTable], trials: Sequence[Mapping[str, float]]) -> None:
    """Refuses a g tensor that the symmetry of its site forbids."""
    homes = [[site.declared for site in sites.all].index(number) for number in range(len(declared))]
    for number, (table, home) in enumerate(zip(declared, homes, strict=True)):
        if sites.images is not None and isinstance(table.g, tuple):
            form = sites.form_of_site(home, False)
            _refuse_matrix(form, matrix_terms(table.g), f"site.{number}.g: the symmetry of the site", trials)


def _refuse_matrix(form: AllowedForm, terms: Terms, what: str, trials: Sequence[Mapping[str, float]]) -> None:
    for values in trials:
        matrix = numbers_of(terms, values)
        if not form.allows(matrix):
            raise ModelError(
                f"{what} allows {form.text} ({FRAME}), but the matrix is {np.round(matrix, 6).tolist()}. Write it in "
                "that form."
            )
