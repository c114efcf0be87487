"""Legs of a path: which wavevectors they hold, across what they are averaged, and what has none."""

import itertools
import re

import numpy as np
import pytest
import scipp as sc

from insiren.data.bins import bins_of
from insiren.data.files import read
from insiren.data.legs import legs, separate_legs
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError
from insiren.forward import Bins

OMEGA = np.arange(3.0)
SQUARE, HEXAGONAL = 2.0 * np.eye(3), np.array([[2.0, 0.0, 0.0], [1.0, np.sqrt(3.0), 0.0], [0.0, 0.0, 1.0]])


def along(*corners, steps=5, bins=None):
    """An image along straight legs between corners, each corner twice as in maps joined end to end."""
    parts = [np.linspace(a, b, steps) for a, b in itertools.pairwise(corners)]
    hkl = np.concatenate(parts)
    values = np.arange(len(hkl) * 3.0).reshape(-1, 3)
    return image("path", hkl, OMEGA, values, np.ones_like(values), bins=bins)


def test_legs_hold_the_pixels_of_the_path_each_once():
    whole = along([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0], bins=Bins(omega=1.0))
    parts = legs(whole, 0.3, SQUARE)
    assert [part.name for part in parts] == ["path-1", "path-2"]
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    assert [part.sizes["Q"] for part in parts] == [6, 4]  # both wavevectors at the corner belong to the first
    assert all(bins_of(part).omega == 1.0 for part in parts)


def test_legs_without_a_tube_keep_the_bins_of_their_path_and_need_no_plane():
    whole = along([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], bins=Bins(hkl=((0.1, 0, 0),)))
    parts = legs(whole, None, SQUARE)
    assert [bins_of(part) for part in parts] == [bins_of(whole)] * 2
    (straight,) = legs(along([0, 0, 0], [0.5, 0, 0]), None, SQUARE)
    assert straight.name == "path-1" and straight.sizes["Q"] == 5


@pytest.mark.parametrize("reciprocal", [SQUARE, HEXAGONAL])
def test_tubes_are_as_wide_as_asked_for_and_perpendicular_to_their_legs_in_the_plane(reciprocal):
    corners = np.array([[0, 0, 0], [1 / 3, 1 / 3, 0], [0.5, 0, 0], [0, 0, 0]])
    for part, (a, b) in zip(legs(along(*corners), 0.3, reciprocal), itertools.pairwise(corners), strict=False):
        (edge,) = measured(part).points.bins.hkl
        across = np.array(edge) @ reciprocal
        assert np.linalg.norm(across) == pytest.approx(0.3)
        assert across @ ((b - a) @ reciprocal) == pytest.approx(0, abs=1e-12) and across[2] == pytest.approx(
            0, abs=1e-12
        )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (along([0, 0, 0], [0.5, 0, 0]), "along one line"),
        (along([0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5]), "in one plane"),
        (along([0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], bins=Bins(hkl=((0.1, 0, 0),))), "count twice"),
        (point_list("one", np.zeros((2, 3)), np.arange(2.0), np.zeros(2), np.ones(2)), "no image"),
        (image("one", None, OMEGA, np.zeros((2, 3)), None, Q_abs=np.array([1.0, 2.0])), "no image"),
    ],
)
def test_what_has_no_legs_is_refused(data, said):
    with pytest.raises(DataError, match=said):
        legs(data, 0.3, SQUARE)


@pytest.mark.parametrize("tube", [0.0, -1.0, np.nan])
def test_a_tube_without_width_is_refused(tube):
    with pytest.raises(DataError, match="no width"):
        legs(along([0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]), tube, SQUARE)


def joined(values, sigma=None, corner=(0.5, 0.5, 0.0)):
    """Two legs of three wavevectors, whose corner comes twice."""
    hkl = np.array([[0, 0, 0], [0.25, 0.25, 0], [0.5, 0.5, 0], corner, [0.5, 0.25, 0], [0.5, 0, 0]])
    return image("path", hkl, np.arange(4.0), np.asarray(values, float), sigma)


TWICE = np.repeat([1.0, 2.0, 3.0, 3.0, 4.0, 5.0], 4).reshape(6, 4)
AGAIN = TWICE + np.array([[0.0], [0.0], [0.0], [0.5], [0.0], [0.0]])


@pytest.mark.parametrize(
    ("data", "legged", "said"),
    [
        (joined(TWICE), False, "the same intensities"),
        (joined(TWICE * (1 + 1e-5)), False, "the same intensities"),
        (joined(AGAIN), True, "1 of its 1 corner.* 0.1 .*largest intensity"),
        (joined(AGAIN, np.full((6, 4), 0.5)), True, "1 of its 1 corner.* 0.71 errors"),
        (joined(AGAIN, np.full((6, 4), 0.5), corner=(0.5000001, 0.4999999, 0.0)), True, "1 of its 1 corner"),
        (joined(TWICE, np.full((6, 4), 0.5)), False, "the same intensities"),
        (joined(AGAIN, np.full((6, 4), 0.5), corner=(0.5, 0.4, 0.0)), False, "none of its 1 corner.s. comes twice"),
        (along([0, 0, 0], [0.5, 0, 0]), False, "^$"),
        (along([0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]), True, "two intensities"),
        (point_list("one", np.zeros((2, 3)), np.arange(2.0), np.zeros(2), np.ones(2)), False, "^$"),
        (image("one", None, OMEGA, np.zeros((2, 3)), None, Q_abs=np.array([1.0, 2.0])), False, "^$"),
    ],
)
def test_a_path_has_legs_where_a_corner_comes_twice_with_two_intensities(data, legged, said):
    found, why = separate_legs(data)
    assert found == legged
    assert re.search(said, why), why


def test_a_corner_that_is_masked_says_nothing_of_legs():
    data = joined(AGAIN)
    data.masks["mine"] = sc.array(dims=["Q"], values=np.arange(6) == 3)
    assert not separate_legs(data)[0]


def test_a_wavevector_written_twice_with_other_digits_begins_no_leg_of_its_own():
    parts = legs(joined(AGAIN, corner=(0.5000001, 0.4999999, 0.0)), None, SQUARE)
    assert [part.sizes["Q"] for part in parts] == [4, 2]


def test_the_published_la2nio4_is_found_to_have_legs(shared):
    for path in read(shared / "data" / "la2nio4"):
        legged, why = separate_legs(path)
        assert legged, why
