"""Ranges: what is kept, of every kind of data, and what is said where nothing is."""

import numpy as np
import pytest

from insiren.data.files import read, write_csv
from insiren.data.peaks import peak_list
from insiren.data.spectrum import image, measured, point_list
from insiren.data.within import masked, within, without
from insiren.errors import DataError

OMEGA = np.arange(-2.0, 8.0)
HKL = np.stack([np.linspace(0, 1, 5), np.zeros(5), np.zeros(5)], axis=1)
VALUES = np.arange(50.0).reshape(5, 10)


def test_an_image_is_cut_to_its_ranges_with_both_ends():
    one = image("one", HKL, OMEGA, VALUES, np.ones_like(VALUES))
    kept = within(one, {"E": (1.0, 4.0), "h": (0.25, 0.75)})
    np.testing.assert_array_equal(kept.values, VALUES[1:4, 3:7])
    assert kept.name == "one"
    np.testing.assert_array_equal(measured(kept).points.rows[0], [1, 2, 3, 4])


def test_a_powder_is_cut_in_the_length_of_Q_and_keeps_its_bins_and_counts():
    from insiren.forward import Bins

    Q = np.linspace(1, 3, 5)
    one = image(
        "one", None, OMEGA, VALUES, np.ones_like(VALUES), Q_abs=Q, counts=VALUES, norm=np.ones_like(VALUES),
        bins=Bins(Q_abs=0.5, omega=1.0),
    )  # fmt: skip
    kept = within(one, {"Q_abs": (1.2, 2.6)})
    np.testing.assert_array_equal(measured(kept).counts, VALUES[1:4].ravel())
    assert measured(kept).points.bins == measured(one).points.bins


def test_points_are_cut_one_by_one():
    one = point_list("one", HKL, np.arange(5.0), np.arange(5.0), np.ones(5))
    np.testing.assert_array_equal(within(one, {"E": (1, 4), "h": (0, 0.5)}).values, [1, 2])


def test_a_list_of_peaks_is_cut_by_its_energies():
    one = peak_list("one", HKL, np.arange(5.0), np.ones(5))
    np.testing.assert_array_equal(within(one, {"E": (1, 3), "h": (0, 0.5)}).values, [1, 2])


def test_an_unknown_axis_and_an_empty_range_are_refused_by_name():
    one = image("one", HKL, OMEGA, VALUES, np.ones_like(VALUES))
    with pytest.raises(DataError, match=r"no axis Q_abs .* it has E, h, k, l"):
        within(one, {"Q_abs": (0, 1)})
    with pytest.raises(DataError, match="nothing with E in 90 … 99"):
        within(one, {"E": (90, 99)})


def test_a_mask_leaves_out_where_all_of_its_ranges_hold():
    one = image("one", HKL, OMEGA, VALUES, np.ones_like(VALUES))
    left = masked(one, {"h": (0.25, 0.5), "E": (1.0, 2.0)})
    out = np.zeros((5, 10), bool)
    out[1:3, 3:5] = True
    np.testing.assert_array_equal(left.masks["h=0.25:0.5; E=1:2"].values, out)
    taken = measured(left)
    np.testing.assert_array_equal(taken.used.reshape(5, 10), ~out)
    np.testing.assert_array_equal(taken.masked.reshape(5, 10), out)
    assert "h=0.25:0.5; E=1:2" not in one.masks and measured(one).masked is None
    both = without(one, [{"h": (0.25, 0.5), "E": (1.0, 2.0)}, {"E": (7, 9)}, {"Q_abs": (0, 9)}])
    out[:, 9] = True
    np.testing.assert_array_equal(measured(both).used.reshape(5, 10), ~out)


def test_a_mask_survives_a_table_and_a_range(tmp_path):
    left = masked(image("one", HKL, OMEGA, VALUES, np.ones_like(VALUES)), {"E": (-1e20, 2)})
    write_csv([left], tmp_path / "one.csv")
    assert measured(read(tmp_path / "one.csv")[0]).used.tolist() == measured(left).used.tolist()
    assert measured(within(left, {"E": (2, 4)})).used.reshape(5, 3).sum(axis=0).tolist() == [0, 5, 5]


def test_points_and_peaks_are_masked_one_by_one():
    points = point_list("one", HKL, np.arange(5.0), np.arange(5.0), np.ones(5))
    assert measured(masked(points, {"E": (1, 3), "h": (0, 0.5)})).used.tolist() == [True, False, False, True, True]
    peaks = masked(peak_list("one", HKL, np.arange(5.0), np.ones(5)), {"E": (1, 3)})
    assert peaks.values.tolist() == [0, 4] and peaks.name == "one"
    with pytest.raises(DataError, match="covers each of its 2 peaks"):
        masked(peaks, {"E": (0, 4)})


def test_a_mask_over_nothing_or_an_unknown_axis_is_said():
    one = image("one", HKL, OMEGA, VALUES, np.ones_like(VALUES))
    assert masked(one, {"E": (90, 99)}) is one
    with pytest.raises(DataError, match=r"no axis Q_abs"):
        masked(one, {"Q_abs": (0, 1)})
    with pytest.raises(DataError, match="one range at least"):
        masked(one, {})
