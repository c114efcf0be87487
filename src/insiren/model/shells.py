"""Bonds by their length: all pairs of magnetic sites at the n-th shortest distance."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Sequence

import numpy as np

from insiren.errors import ModelError
from insiren.model.symmetry import TOLERANCE, Ends
from insiren.model.tables import BondTable

_LONGEST = 100.0  # Å; exchange reaches nowhere near
_MOST_PAIRS = 10_000_000  # pairs looked at in one search, so that memory stays bounded


@dataclasses.dataclass(frozen=True)
class Shell:
    """Bonds of one length, each once, near ones of low site numbers first.

    Attributes:
        length: in Å, the mean.
        bonds: (i, j, offset) of each.
    """

    length: float
    bonds: tuple[Ends, ...]


def shell_of(table: BondTable, vectors: np.ndarray, positions: np.ndarray, labels: Sequence[str], what: str) -> Shell:
    """The bonds that a `[[bond]]` with `shell` or `distance` stands for.

    Args:
        table: the table.
        vectors: lattice vectors as rows in Å.
        positions: fractional positions of all sites, shape (s, 3).
        labels: of all sites.
        what: names the table in a message.

    Raises:
        ModelError: there is no such bond.
    """
    pairs = _pairs(table, labels, what)
    tolerance = TOLERANCE if table.tolerance is None else table.tolerance
    if table.distance is not None:
        shells = _shells(vectors, positions, pairs, 1.5 * table.distance + tolerance, tolerance)
        near = [s for s in shells if abs(s.length - table.distance) <= tolerance]
        if len(near) != 1:
            lengths = ", ".join(f"{s.length:.4g}" for s in shells[:8]) or "none"
            raise ModelError(
                f"{what}: {len(near) or 'no'} distances between these sites lie within {tolerance:g} Å of "
                f"{table.distance:g} Å; the shortest are {lengths} Å. Correct distance or tolerance."
            )
        return near[0]
    assert table.shell is not None  # one of the two, checked when the table was read
    radius = 2 * float(np.cbrt(abs(np.linalg.det(vectors)) / len(positions)))
    while radius < _LONGEST:
        shells = _shells(vectors, positions, pairs, radius, tolerance)
        if len(shells) > table.shell:  # the last may be cut by the radius
            return shells[table.shell - 1]
        radius *= 1.5
    raise ModelError(f"{what}: shell {table.shell} lies beyond {_LONGEST:g} Å. Take a lower one.")


def _pairs(table: BondTable, labels: Sequence[str], what: str) -> list[tuple[int, int]]:
    """The pairs of sites, i ≤ j, between which bonds are looked for."""
    pairs = list(itertools.combinations_with_replacement(range(len(labels)), 2))
    if table.between is None:
        return pairs
    for label in table.between:
        if label not in labels:
            known = ", ".join(sorted({x for x in labels if x})) or "no site has one"
            close = difflib.get_close_matches(label, labels, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ModelError(f"{what}: between names the label {label!r}, which no site has ({known}).{hint}")
    return [(i, j) for i, j in pairs if sorted((labels[i], labels[j])) == sorted(table.between)]


def _shells(
    vectors: np.ndarray, positions: np.ndarray, pairs: list[tuple[int, int]], radius: float, tolerance: float
) -> list[Shell]:
    """All shells up to a radius, the shortest first."""
    i, j = np.array(pairs).T
    base = positions[j] - positions[i]
    heights = 1 / np.linalg.norm(np.linalg.inv(vectors), axis=0)  # Å between lattice planes
    reach = np.ceil(radius / heights + np.max(np.abs(base), axis=0)).astype(int)
    if len(pairs) * np.prod(2 * reach + 1.0) > _MOST_PAIRS:
        raise ModelError(f"Bonds up to {radius:.3g} Å are too many to list; name them by i, j and offset.")
    grid = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    length = np.linalg.norm((base[:, None] + grid) @ vectors, axis=2)
    onward = (i != j)[:, None] | (_sign(grid) > 0)  # a site and its own copies: one of each two directions
    pair, cell = np.nonzero((length <= radius) & onward)
    order = np.argsort(length[pair, cell], kind="stable")
    sorted_length = length[pair, cell][order]
    found = []
    for members in np.split(order, np.flatnonzero(np.diff(sorted_length) > tolerance) + 1):
        if len(members):
            bonds = [(int(i[pair[m]]), int(j[pair[m]]), tuple(grid[cell[m]].tolist())) for m in members]
            mean = float(np.mean(length[pair[members], cell[members]]))
            found.append(Shell(mean, tuple(sorted(bonds, key=_simplest_first))))
    return found


def _sign(grid: np.ndarray) -> np.ndarray:
    """The sign of the first component that is not zero; 0 for the origin."""
    first = np.argmax(grid != 0, axis=1)
    return np.sign(grid[np.arange(len(grid)), first])


def _simplest_first(ends: Ends) -> tuple:
    i, j, offset = ends
    return sum(map(abs, offset)), i, j, tuple(-x for x in offset)
