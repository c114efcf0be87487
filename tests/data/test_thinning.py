"""Measurements thinned to fewer neutrons."""

import numpy as np
import pytest

from insiren.data.spectrum import image, measured, point_list
from insiren.data.thinning import blurred, neutrons_in, recounted, thinned
from insiren.errors import DataError

RNG = np.random.default_rng(0)
VALUES = RNG.gamma(2.0, 1.0, (20, 15))
SIGMA = RNG.uniform(0.05, 0.3, (20, 15))
MISSING = np.zeros((20, 15), bool)
MISSING[4:7, 3:9] = True


def data(values=VALUES):
    return image("one", np.zeros((20, 3)), np.arange(15.0), values, SIGMA, missing=MISSING)


def test_a_flat_image_stays_flat_and_missing_pixels_stay_missing():
    smooth = blurred(data(np.full((20, 15), 3.0)))
    np.testing.assert_allclose(smooth[~MISSING], 3.0)
    assert np.isnan(smooth[MISSING]).all()


def test_a_point_is_spread_as_the_kernel_says():
    point = np.zeros((20, 15))
    point[14, 11] = 16.0
    np.testing.assert_allclose(blurred(data(point))[13:16, 10:13], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_so_many_neutrons_are_drawn_and_none_where_nothing_was_measured():
    few = thinned(data(), 1234, seed=1)
    assert few.coords["counts"].values.sum() == 1234
    assert few.coords["counts"].values[MISSING].sum() == 0
    np.testing.assert_array_equal(measured(few).used.reshape(20, 15), ~MISSING)


def test_the_draws_follow_the_smoothed_image():
    many = 400_000
    found = thinned(data(), many, seed=2)
    mean = np.where(MISSING, 0.0, blurred(data()))
    expected = many * mean / mean.sum()
    pick = ~MISSING
    chi2 = np.sum((found.coords["counts"].values[pick] - expected[pick]) ** 2 / expected[pick])
    assert abs(chi2 - pick.sum()) < 5 * np.sqrt(2 * pick.sum())
    np.testing.assert_allclose(found.coords["norm"].values[pick], many / mean.sum())


def test_a_share_of_the_time_gives_that_share_of_each_pixels_neutrons():
    found = recounted(data(), 0.25, seed=3)
    counts, norm = found.coords["counts"].values, found.coords["norm"].values
    mean = blurred(data())
    pick = ~MISSING
    np.testing.assert_allclose(norm[pick], 0.25 * mean[pick] / SIGMA[pick] ** 2)
    expected = norm[pick] * mean[pick]
    assert abs(counts[pick].sum() - expected.sum()) < 5 * np.sqrt(expected.sum())
    np.testing.assert_allclose(found.values[pick], counts[pick] / norm[pick])


def test_the_neutrons_of_a_measurement_follow_from_its_errors():
    assert neutrons_in(data()) == pytest.approx(np.sum((VALUES / SIGMA)[~MISSING] ** 2))


def test_what_cannot_be_thinned_is_refused():
    points = point_list("list", np.zeros((3, 3)), [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], None)
    with pytest.raises(DataError, match="no neighbours"):
        blurred(points)
    with pytest.raises(DataError, match="no error bars"):
        neutrons_in(points)
    with pytest.raises(DataError, match="no error bars"):
        recounted(image("one", np.zeros((20, 3)), np.arange(15.0), VALUES, None), 0.5, 0)
    with pytest.raises(DataError, match="nothing to count"):
        thinned(data(np.zeros((20, 15))), 10, 0)
