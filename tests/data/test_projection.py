"""Labels of axes are read as the directions that their writers meant."""

import numpy as np
import pytest

from insiren.data.files.axis_names import energy_factor, is_inverse_angstrom, meaning
from insiren.data.files.projection import parse, refined


@pytest.mark.parametrize(
    ("label", "direction"),
    [
        ("[H,0,0]", (1, 0, 0)),
        ("[H,-H,0]", (1, -1, 0)),
        ("[-0.5K,K,0]", (-0.5, 1, 0)),
        ("[0.333H,-0.667H,0]", (0.333, -0.667, 0)),
        ("[1e-05H,H,0]", (1e-5, 1, 0)),
        ("[12L,0,-L]", (12, 0, -1)),
        ("[ .5H , +H , 0.0 ]", (0.5, 1, 0)),
        ("[1 0 0]", (1, 0, 0)),
        ("[0.5 -0.5 1e-1]", (0.5, -0.5, 0.1)),
        ("[1,1,0]", (1, 1, 0)),
    ],
)
def test_directions_are_read(label, direction):
    np.testing.assert_array_equal(parse(label), direction)


@pytest.mark.parametrize(
    "label",
    [
        *("", "DeltaE", "[H,K,0]", "[H,H,1]", "[0 0 0]", "[0H,0,0]", "[H,H]", "[1e999H,0,0]", "[H,0,0", "[[H,0,0]]"),
        *("[-,0,0]", "[" + "9" * 300 + "H,0,0]"),
    ],
)
def test_what_is_no_direction_is_none(label):
    assert parse(label) is None


def test_a_matrix_refines_in_any_order_or_not_at_all():
    W = np.array([[1 / 3, -2 / 3, 0], [1, 0, 0], [0, 0, 1]])
    labels = [np.array([0, 0, 1.0]), np.array([0.333, -0.667, 0])]
    for matrix in (W, W.T):
        np.testing.assert_array_equal(refined(labels, matrix), [W[2], W[0]])
    assert refined(labels, np.eye(3)) is None


def test_units_of_energy_agree_with_their_definitions():
    # Source: CODATA 2018, h/e = 4.135667696e-15 Hz⁻¹ eV and hc/e = 1.239841984e-6 eV m.
    assert energy_factor("THz") == pytest.approx(4.135667696, rel=1e-9)
    assert energy_factor("cm^-1") == pytest.approx(0.1239841984, rel=1e-9)
    assert (energy_factor("ueV"), energy_factor("eV"), energy_factor("DeltaE")) == (pytest.approx(1e-3), 1000, 1)
    assert energy_factor("Å") is None


def test_spellings_of_inverse_angstrom_are_one_unit():
    for unit in ("1/angstrom", "1/Å", "Angstrom^-1", "A^-1", "Å**-1", "Å^(-1)", "A-1", "invAng", "MomentumTransfer"):
        assert is_inverse_angstrom(unit), unit
    for unit in ("", "r.l.u.", "in 1.571 A^-1", "angstrom"):
        assert not is_inverse_angstrom(unit), unit


def test_an_axis_means_what_name_and_unit_say_together():
    assert meaning("Q", "1/angstrom").kind == "Q_abs" and meaning("Q", "r.l.u.") is None
    assert meaning("energy_transfer", "meV").kind == "energy" and meaning("energy_transfer", "K") is None
    np.testing.assert_array_equal(meaning("l", "dimensionless").direction, [0, 0, 1])
    assert meaning("temperature", "K") is None and meaning("l", "Å") is None
