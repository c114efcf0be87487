"""Couplings as linear combinations of few expressions."""

from __future__ import annotations

import jax
import numpy as np

from insiren.model.tables import BondTable
from insiren.model.terms import bond_terms, combination, matrix_terms, numbers_of

VALUES = {"J": 2.0, "D": 0.5}
TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def test_terms_add_up_to_the_matrix_that_was_written():
    written = ((1.0, "J", 0.0), ("-J", "D**2", 3.0), (0.0, 0.0, "J + D"))
    np.testing.assert_allclose(numbers_of(matrix_terms(written), VALUES), [[1, 2, 0], [-2, 0.25, 3], [0, 0, 2.5]])
    np.testing.assert_allclose(numbers_of(matrix_terms("J"), VALUES), 2 * np.eye(3))
    np.testing.assert_array_equal(numbers_of((), VALUES), np.zeros((3, 3)))


def test_a_combination_rotates_each_term_and_evaluates_each_expression_once():
    bond = BondTable(i=0, j=0, offset=(1, 0, 0), exchange="J", dm=("D", 0.25, "J"))
    terms = bond_terms(bond)
    found = combination(3, [(0, terms, np.eye(3)), (2, terms, TURN), (2, matrix_terms(7.0), np.eye(3))])
    assert found.coefficients == (1.0, "J", "D")
    J = numbers_of(terms, VALUES)
    np.testing.assert_allclose(found(VALUES), [J, np.zeros((3, 3)), TURN @ J @ TURN.T + 7 * np.eye(3)])


def test_a_combination_has_the_derivative_of_finite_differences():
    found = combination(1, [(0, matrix_terms((("J**2", "D", 0.0), (0.0, "J*D", 0.0), (0.0, 0.0, 1.0))), TURN)])
    slope = jax.jacfwd(lambda J: found({"J": J, "D": 0.5}))(2.0)
    up, down = (np.asarray(found({"J": 2.0 + h, "D": 0.5})) for h in (1e-5, -1e-5))
    np.testing.assert_allclose(slope, (up - down) / 2e-5, atol=1e-8)


def test_a_kitaev_frame_of_few_digits_is_made_exact():
    axes = [[0.408, 0.707, 0.577], [0.408, -0.707, 0.577], [-0.817, 0.0, 0.577]]
    bond = BondTable.model_validate(
        {"i": 0, "j": 0, "offset": (1, 0, 0), "kitaev": {"K": 1.0, "Gamma": 0.0, "axis": "z", "frame": axes}}
    )
    matrix = numbers_of(bond_terms(bond), {})
    np.testing.assert_allclose(matrix, np.outer(*[[-np.sqrt(2 / 3), 0, np.sqrt(1 / 3)]] * 2), atol=2e-3)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-12)
