"""Magnetic cells, lattices and routes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.errors import ModelError
from insiren.model.cell import rotation
from insiren.model.crystal import lattice, route, to_inverse_angstrom
from insiren.model.hamiltonian import MU_B, couplings
from insiren.model.order import other_order, spins
from insiren.model.spec import Model, load_model
from insiren.model.structure import magnetic_cell


def test_the_neel_cell_holds_two_opposite_spins_and_every_bond_once():
    cell = magnetic_cell(Model.from_dict(systems.square()))
    assert cell.cells == 2 and len(cell.bonds) == 8 and cell.k is None
    np.testing.assert_allclose(cell.direction, [[1, 0, 0], [-1, 0, 0]], atol=1e-12)
    for i, j, shift, which in cell.bonds:
        offset = systems.SQUARE_BONDS[which]["offset"]
        np.testing.assert_allclose(cell.position[j] + np.array(shift) - cell.position[i], offset)
        assert np.dot(cell.direction[i], cell.direction[j]) == pytest.approx(-1 if which < 2 else 1)


def test_a_single_k_keeps_the_crystal_cell_and_turns_the_frame():
    content = systems.square() | {"structure": {"directions": [[1, 0, 0]], "k": [0.3, 0.3, 0], "axis": [0, 0, 2]}}
    cell = magnetic_cell(Model.from_dict(content))
    assert cell.cells == 1
    np.testing.assert_array_equal(cell.k, [0.3, 0.3, 0])
    np.testing.assert_array_equal(cell.axis, [0, 0, 1])


def stripes(directions: list[list[int]], Jb: float) -> Model:
    """Alternating along a; with Jb < 0 parallel along b."""
    bonds = [{"i": 0, "j": 0, "offset": d, "exchange": J} for d, J in (([1, 0, 0], 1.0), ([0, 1, 0], Jb))]
    return Model.from_dict(systems.square(bond=bonds, structure={"supercell": [2, 2, 1], "directions": directions}))


def test_directions_of_a_supercell_are_listed_by_nearness_then_a_b_c():
    up, down = [0, 0, 1], [0, 0, -1]
    listed = spins(stripes([up, up, down, down], -1.0))
    assert [spin["cell"] for spin in listed] == [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]]
    assert [spin["direction"] for spin in listed] == [up, up, down, down]
    turned = spins(Model.from_dict(systems.square()))
    assert [spin["cell"] for spin in turned] == [[0, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose([spin["direction"] for spin in turned], [[1, 0, 0], [-1, 0, 0]], atol=1e-12)
    assert spins(load_model("triangular")) == []


def test_directions_in_the_order_of_another_programme_are_noticed_where_the_energy_tells():
    up, down = [0, 0, 1], [0, 0, -1]
    assert not other_order(stripes([up, up, down, down], -1.0), {})
    said = other_order(stripes([up, down, up, down], -1.0), {})
    assert "in the order (0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)" in said
    assert (
        "has 2 meV per crystal cell; read with a running fastest, as SpinW and Sunny list them, it would have -2"
        in said
    )
    assert not other_order(stripes([up, down, up, down], 1.0), {})  # as good along b as along a


def test_rotations_are_right_handed():
    np.testing.assert_allclose(rotation(np.array([0, 0, 1]), np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_the_lattice_has_a_along_x_and_b_in_the_plane():
    content = systems.square() | {"crystal": {"a": 6.0, "b": 6.0, "c": 10.0, "gamma": 120.0}}
    found = lattice(Model.from_dict(content))
    np.testing.assert_allclose(found.vectors, [[6, 0, 0], [-3, 3 * np.sqrt(3), 0], [0, 0, 10]], atol=1e-12)
    np.testing.assert_allclose(found.vectors @ found.reciprocal.T, 2 * np.pi * np.eye(3), atol=1e-12)


def test_vectors_may_be_given_instead_of_lengths():
    content = systems.square() | {"crystal": {"vectors": [[0, 2, 2], [2, 0, 2], [2, 2, 0]]}}
    Q = to_inverse_angstrom(Model.from_dict(content), jnp.array([[1.0, 0, 0]]))
    np.testing.assert_allclose(Q, np.pi / 2 * np.array([[-1, 1, 1]]), atol=1e-12)


def test_a_lattice_without_volume_is_refused():
    content = systems.square() | {"crystal": {"vectors": [[1, 0, 0], [2, 0, 0], [0, 0, 1]]}}
    with pytest.raises(ModelError, match="no volume"):
        lattice(Model.from_dict(content))


def test_a_route_goes_through_its_corners_in_even_steps():
    hkl, corners = route(load_model("la2nio4"), "path1", spacing=0.02)
    named = {"P": [0.75, 0.25, 0], "M": [0.5, 0.5, 0], "X": [0.5, 0, 0], "G": [1, 0, 0]}
    assert [name for _, name in corners] == ["P", "M", "X", "P", "G", "X"]
    for index, name in corners:
        np.testing.assert_allclose(hkl[index], named[name])
    steps = np.linalg.norm(np.diff(hkl, axis=0), axis=1)
    assert np.all(steps > 0) and np.max(steps) < 0.02 + 1e-12


def test_a_route_may_hold_numbers_and_names_what_it_does_not_know():
    hkl, _ = route(load_model("la2nio4"), "M 0.5,0,1", spacing=10)
    np.testing.assert_allclose(hkl, [[0.5, 0.5, 0], [0.5, 0, 1]])
    with pytest.raises(ModelError, match=r"'Y' is neither h,k,l nor a named point of la2nio4 \(P, M, X"):
        route(load_model("la2nio4"), "M Y")
    with pytest.raises(ModelError, match="at least two points"):
        route(load_model("la2nio4"), "M")


def test_couplings_follow_their_expressions_and_the_field_its_g_tensor():
    content = systems.square_in_field()
    content["site"][0]["g"] = [[2, 0.1, 0], [0, 2, 0], [0, 0, 3]]
    content["bond"][2]["exchange"] = [["Jp", "D", 0], ["-D", "Jp", 0], [0, 0, "2*Jp"]]
    terms = couplings(Model.from_dict(content), {"J": 10.0, "Jp": 2.0, "D": -0.5, "B": 3.0})
    np.testing.assert_allclose(terms.exchange[0], 10 * np.eye(3))
    np.testing.assert_allclose(terms.exchange[2], [[2, -0.5, 0], [0.5, 2, 0], [0, 0, 4]])
    np.testing.assert_allclose(terms.anisotropy[0], np.diag([-0.5, 0, 0]))
    np.testing.assert_allclose(terms.zeeman[0], MU_B * np.array([6, 0.3, 0]))  # gᵀB
