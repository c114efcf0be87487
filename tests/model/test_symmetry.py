"""Space groups, images of sites and bonds, and the matrices that a bond allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insiren.errors import ModelError
from insiren.model.allowed import allowed
from insiren.model.symmetry import (
    bond_orbit,
    bond_symmetry,
    canonical,
    centred,
    images_of,
    orbit,
    reverse,
    site_symmetry,
    space_group,
    tabulated,
)

HEXAGONAL = np.array([[6.0, 0, 0], [-3.0, 3 * np.sqrt(3), 0], [0, 0, 8.0]])


def group(name: str, vectors: Any = (5.0, 5.0, 5.0)):
    vectors = np.diag(vectors) if np.ndim(vectors) == 1 else np.array(vectors)
    found = tabulated(name, vectors)
    return space_group(found.xhm(), [op.triplet() for op in found.operations()], vectors)


def cross_matrix(D: np.ndarray) -> np.ndarray:
    return np.array([[0, D[2], -D[1]], [-D[2], 0, D[0]], [D[1], -D[0], 0]])


# One bond along x, from −0.2 to 0.2, the middle at the origin; Moriya's rules in the order of his paper.
MORIYA = [
    ("-x,-y,-z", "no DM vector", []),  # a centre of inversion in the middle
    ("-x,y,z", "normal to (1, 0, 0)", [[0, 1, 0], [0, 0, 1]]),  # a mirror across the bond
    ("x,y,-z", "along (0, 0, 1)", [[0, 0, 1]]),  # a mirror that holds the bond
    ("-x,-y,z", "normal to (0, 0, 1)", [[1, 0, 0], [0, 1, 0]]),  # a twofold axis across the bond
    ("x,-y,-z", "along (1, 0, 0)", [[1, 0, 0]]),  # a twofold axis along the bond
    ("x,z,-y", "along (1, 0, 0)", [[1, 0, 0]]),  # a fourfold axis along the bond
    ("x,y,z", "any DM vector", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
]


@pytest.mark.parametrize(("operation", "words", "left"), MORIYA)
def test_the_dm_vector_follows_moriyas_rules(operation: str, words: str, left: list[list[int]]):
    made = space_group("test", [operation], np.diag([5.0, 6.0, 6.0]))
    positions = np.array([[-0.2, 0, 0], [0.2, 0, 0]])
    form = allowed(*bond_symmetry(images_of(made, positions), (0, 1, (0, 0, 0))))
    assert words in form.dm
    for axis in np.eye(3):
        assert form.allows(cross_matrix(axis)) is (axis.tolist() in left)
    assert form.allows(np.eye(3))


def test_the_form_of_a_fourfold_axis_with_swapped_ends_is_written_in_letters():
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turns = np.array([np.linalg.matrix_power(quarter, n) for n in range(4)])
    assert allowed(turns, np.zeros(4, bool)).text == "[[A, D, 0], [-D, A, 0], [0, 0, B]]"
    inverted = allowed(np.concatenate([turns, -turns]), np.arange(8) > 3)
    assert inverted.text == "[[A, 0, 0], [0, A, 0], [0, 0, B]]" and inverted.dm == "no DM vector"


def test_nothing_is_asked_of_a_bond_without_symmetry():
    form = allowed(np.eye(3)[None], np.array([False]))
    assert form.text == "[[A, D, E], [G, B, F], [H, I, C]]" and form.dm == "any DM vector"
    assert form.allows(np.arange(9.0).reshape(3, 3)) and len(form.basis) == 9


def test_oblique_bonds_have_their_form_with_roots():
    made = group("P 6/m m m", HEXAGONAL)
    positions, _ = orbit(made, np.array([0.5, 0, 0]), "site")
    form = allowed(*bond_symmetry(images_of(made, positions), (0, 1, (0, 0, 0))))
    assert "sqrt(3)*A" in form.text and form.dm == "DM vector along (0, 0, 1)"
    assert form.allows(cross_matrix(np.array([0, 0, 1.0]))) and not form.allows(np.diag([1.0, 2.0, 3.0]))


def test_the_letters_mean_the_basis():
    made = group("P 6/m m m", HEXAGONAL)
    positions, _ = orbit(made, np.array([0.5, 0, 0]), "site")
    form = allowed(*bond_symmetry(images_of(made, positions), (0, 1, (0, 0, 0))))
    names = [letter for letter in "ABCDEFGHI" if letter in form.text.replace("sqrt", "")]
    diagonal = [n for n in names if n in "ABC"]
    assert len(names) == len(form.basis)
    values = dict(zip(names, np.random.default_rng(0).normal(size=len(names)), strict=True))
    written = np.array(eval(form.text, {"sqrt": np.sqrt} | values))  # our own text, of letters alone
    np.testing.assert_allclose(written, np.einsum("n,nab->ab", [values[n] for n in names], form.basis), atol=1e-12)
    assert diagonal == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("name", "vectors", "position", "count"),
    [
        ("P 4_2/m n m", [4.87, 4.87, 3.3], [0, 0, 0], 2),
        ("P 6/m m m", HEXAGONAL, [1 / 3, 2 / 3, 0], 2),
        ("P 6/m m m", HEXAGONAL, [0.5, 0, 0], 3),
        ("F d -3 m:1", [8, 8, 8], [0, 0, 0], 8),
        ("F d -3 m:2", [8, 8, 8], [0.125, 0.125, 0.125], 8),
        ("F d -3 m:2", [8, 8, 8], [0, 0, 0], 16),
        ("R -3 m", HEXAGONAL, [0, 0, 0], 3),
        ("Pbnm", [5.3, 5.6, 7.5], [0.5, 0, 0], 4),
        (62, [5.6, 7.5, 5.3], [0.1, 0.25, 0.9], 4),
        ("P 1", [5, 6, 7], [0.1, 0.2, 0.3], 1),
    ],
)
def test_an_orbit_has_the_multiplicity_of_the_tables(name, vectors, position, count):
    # Source: International Tables for Crystallography A, Wyckoff positions
    made = group(name, vectors)
    positions, makers = orbit(made, np.array(position, float), "site")
    assert len(positions) == count and makers[0] == 0
    images = images_of(made, positions)
    assert len(site_symmetry(images, 0)) * count == len(made.rotation)
    for place, maker in zip(positions, makers, strict=True):
        moved = made.rotation[maker] @ position + made.translation[maker] - place
        np.testing.assert_allclose(moved, np.round(moved), atol=1e-9)
    assert np.all(positions[1:] >= 0) and np.all(positions[1:] < 1)


def test_the_position_given_comes_first_and_is_not_moved():
    positions, _ = orbit(group("P 4_2/m n m", [4.87, 4.87, 3.3]), np.array([-1.0, 2.0, 0]), "site")
    np.testing.assert_array_equal(positions[0], [-1, 2, 0])


def test_the_images_are_in_the_order_of_their_coordinates_whatever_that_of_the_operations():
    listed = [op.triplet() for op in tabulated("F d -3 m:1", np.diag([8.0, 8, 8])).operations()]
    orders = [
        orbit(space_group("test", one, np.diag([8.0, 8, 8])), np.zeros(3), "site")[0] for one in (listed, listed[::-1])
    ]
    np.testing.assert_allclose(*orders)
    assert orders[0][1:].tolist() == sorted(orders[0][1:].tolist())


def test_a_rounded_position_is_one_site_and_a_badly_rounded_one_is_refused():
    made = group("P 6/m m m", HEXAGONAL)
    assert len(orbit(made, np.array([0.3333, 0.6667, 0]), "site")[0]) == 2
    with pytest.raises(ModelError, match=r"site\.3: P 6/m m m has an image .* only 0\..* Å away.*more digits"):
        orbit(made, np.array([0.33, 0.67, 0]), "site.3")
    np.testing.assert_allclose(centred(made, np.array([0.3333, 0.6667, 1.0])), [1 / 3, 2 / 3, 1], atol=1e-12)


def test_cartesian_operations_are_orthogonal_and_close_the_group():
    made = group("P 6/m m m", HEXAGONAL)
    np.testing.assert_allclose(
        made.turn @ made.turn.swapaxes(1, 2), np.broadcast_to(np.eye(3), made.turn.shape), atol=1e-12
    )
    np.testing.assert_array_equal(made.turn[0], np.eye(3))
    known = {tuple(np.round(t, 6).ravel() + 0.0) for t in made.turn}
    assert {tuple(np.round(x @ y, 6).ravel() + 0.0) for x in made.turn for y in made.turn} == known and len(known) == 24


offsets = st.tuples(*[st.integers(-2, 2)] * 3)


@given(i=st.integers(0, 7), j=st.integers(0, 7), offset=offsets)
def test_bonds_of_one_orbit_have_one_length_and_come_once(i: int, j: int, offset: tuple[int, int, int]):
    if i == j and offset == (0, 0, 0):
        return
    made = group("F d -3 m:1", [8, 8, 8])
    positions, _ = orbit(made, np.zeros(3), "site")
    images = images_of(made, positions)
    found = bond_orbit(images, (i, j, offset))
    lengths = [np.linalg.norm((positions[e[1]] + e[2] - positions[e[0]]) @ made.vectors) for e, _ in found]
    np.testing.assert_allclose(lengths, lengths[0])
    assert found[0] == ((i, j, offset), 0)
    assert len({canonical(e) for e, _ in found}) == len(found)
    assert len(found) * len(bond_symmetry(images, (i, j, offset))[0]) == len(made.rotation)


@given(i=st.integers(0, 3), j=st.integers(0, 3), offset=offsets)
def test_a_bond_and_its_reverse_have_one_name(i: int, j: int, offset: tuple[int, int, int]):
    assert canonical((i, j, offset)) == canonical(reverse((i, j, offset)))


@pytest.mark.parametrize(
    ("name", "vectors", "says"),
    [
        ("P 6/m m n", [5, 5, 5], "is no Hermann–Mauguin symbol and no number"),
        (231, [5, 5, 5], "is no Hermann–Mauguin symbol"),
        ("F d -3 m", [5, 5, 5], r'two origins in use.*"F d -3 m:1" or "F d -3 m:2"'),
        (227, [5, 5, 5], "two origins in use"),
        ("P 4/m", [5, 5.05, 5], r"does not have the symmetry P 4/m: '.*' changes lengths by 1 %"),
        ("P 6/m m m", [5, 5, 5], "does not have the symmetry"),
    ],
)
def test_a_space_group_that_does_not_fit_is_refused(name, vectors, says):
    with pytest.raises(ModelError, match=says):
        group(name, vectors)


def test_generators_make_the_group_and_a_slip_in_one_is_named():
    assert len(space_group("test", ["-y,x,z", "-x,-y,-z"], np.diag([5.0, 5, 6])).rotation) == 8
    with pytest.raises(ModelError, match="make more than 192 operations, which no space group has"):
        space_group("test", ["-y,x,z+1/24", "z,x,y"], np.diag([5.0, 5, 5]))
    with pytest.raises(ModelError, match=r"crystal\.operations: .*Write each as in"):
        space_group("test", ["-y,x,q"], np.diag([5.0, 5, 6]))
    with pytest.raises(ModelError, match="no volume"):
        space_group("test", ["-y,x,z"], np.zeros((3, 3)))
