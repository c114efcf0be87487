"""What of a data set cannot be right is said, whatever it was read from, and what can be right is not."""

import numpy as np
import pytest

from insiren.data.doubtful import doubtful
from insiren.data.peaks import peak_list
from insiren.data.spectrum import image, point_list
from insiren.data.summary import summary

OMEGA = np.array([1.0, 2.0, 3.0])
HKL = np.array([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0]])
VALUES = np.array([[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]])


def spectrum(scale=1.0, omega=OMEGA, values=VALUES, **details):
    return image("one", HKL * scale, omega, values, np.ones_like(values), **details)


def powder(Q, omega=OMEGA, **details):
    return image("one", None, omega, VALUES, np.ones_like(VALUES), Q_abs=Q, **details)


def test_what_can_be_right_raises_no_doubt():
    lattice = (3.9, 3.9, 12.6, 90, 90, 90)
    assert not doubtful(spectrum(lattice=lattice, Ei=20.0))
    assert not doubtful(powder([0.5, 5.9], Ei=20.0)), "2 k = 6.2 1/Å at 20 meV"
    assert not doubtful(peak_list("p", HKL, [3.0, 4.0], [0.1, 0.1]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (spectrum(-1e20), "h reaches 1e+20 r.l.u., where no neutron scatters"),
        (powder([1.0, 150.0]), "Q_abs reaches 150 1/Å"),
        (spectrum(omega=OMEGA * 1e4), "reaches 3e+04 meV: is it in µeV (--energy-unit ueV"),
        (spectrum(omega=-OMEGA[::-1]), "every energy transfer is negative, down to -3 meV"),
        (spectrum(values=-np.abs(VALUES)), "every intensity is negative, -6 to -1"),
        (spectrum(values=np.where(VALUES < 0, -1e20, VALUES)), "1 intensities lie beyond"),
        (spectrum(lattice=(0.39, 0.39, 1.26, 90, 90, 90)), "0.39, 0.39, 1.26 Å: is it in nm"),
        (spectrum(lattice=(390, 390, 1260, 90, 90, 90)), "is it in pm"),
        (powder([0.5, 1.0], Ei=2.5), "2 pixels lie above Ei = 2.5 meV, up to 3 meV"),
        (powder([0.5, 6.5], Ei=20.0), "3 pixels lie at a |Q| that neutrons of Ei = 20 meV do not reach, up to 6.5"),
        (spectrum(8, lattice=(6, 6, 6, 90, 90, 90), Ei=20.0), "at a |Q| that neutrons of Ei = 20 meV do not reach"),
        (peak_list("p", HKL, [3e4, 4e4], [0.1, 0.1]), "is it in µeV"),
    ],
)
def test_a_column_a_unit_or_a_sign_that_cannot_be_right_is_said(data, said):
    found = doubtful(data)
    assert len(found) == 1 and said in found[0]
    assert found[0] in summary(data)["look"]


def test_what_is_masked_raises_no_doubt():
    data = spectrum(values=np.where(VALUES < 0, -1e20, VALUES), missing=VALUES < 0)
    assert not doubtful(data)


def test_points_are_looked_at_one_by_one():
    points = point_list("one", HKL, [1.0, 3.0], [1.0, 1.0], [1.0, 1.0], Ei=2.5)
    assert doubtful(points)[0].startswith("1 pixels lie above Ei = 2.5 meV, up to 3 meV")
