"""Where a measurement is cut in two: along its path or at a |Q|, whatever the order of its file."""

import numpy as np
import pytest

import insiren
from insiren.fit.along import along
from insiren.forward import Parameter, Points

THEORY = insiren.forward(lambda params, points: params["A"] * points.omega, (Parameter("A", 1.0, 0.0, 2.0, "", True),))
ROWS = np.linspace(1, 10, 4)


def line(start, end, n):
    return np.linspace(start, end, n)


def test_a_path_is_measured_along_its_legs_however_densely_they_are_filled():
    hkl = np.concatenate([line([0, 0, 0], [0.5, 0, 0], 11), line([0.5, 0.05, 0], [0.5, 0.5, 0], 10)])
    found = along(Points.table(hkl, ROWS), THEORY)
    assert found.path and found.values[10] == pytest.approx(0.5) and found.values[-1] == pytest.approx(1.0)


def test_pieces_of_a_path_follow_each_other_without_the_gap():
    hkl = np.concatenate([line([0, 0, 0], [0.5, 0, 0], 11), line([3, 3, 0], [3.5, 3, 0], 11)])
    found = along(Points.table(hkl, ROWS), THEORY)
    assert found.path and found.values[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("table", [True, False])
def test_scattered_wavevectors_are_told_by_their_length_in_any_order(table):
    rng = np.random.default_rng(0)
    hkl = rng.uniform(-1, 1, (40, 3))
    points = Points.table(hkl, ROWS) if table else Points(hkl=hkl, omega=np.ones(40))
    found = along(points, THEORY)
    assert not found.path
    assert np.sort(found.values) == pytest.approx(np.sort(np.linalg.norm(hkl, axis=1)))


def test_a_grid_over_a_plane_is_no_path():
    h, k = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 1, 12), indexing="ij")
    hkl = np.stack([h.ravel(), k.ravel(), 0 * h.ravel()], axis=1)
    assert not along(Points.table(hkl, ROWS), THEORY).path


def test_the_lattice_of_the_model_makes_them_lengths():
    model = insiren.load_model("la2nio4")
    found = along(Points(hkl=[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], omega=[1.0, 1.0]), insiren.exact(model))
    c = np.linalg.norm(model.crystal.lattice_vectors[2])
    assert min(found.values) == pytest.approx(2 * np.pi / c)
