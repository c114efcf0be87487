"""Simulated measurements follow Poisson statistics about what was expected."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.counts import count
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError

RNG = np.random.default_rng(0)
EXPECTED = RNG.uniform(0.0, 3.0, (40, 25))


def expected(**details):
    return image("test", np.zeros((40, 3)), np.arange(25.0), EXPECTED, None, **details)


def test_the_same_seed_gives_the_same_counts():
    assert sc.identical(count(expected(), 500, seed=3), count(expected(), 500, seed=3), equal_nan=True)
    assert not np.array_equal(count(expected(), 500, seed=3).values, count(expected(), 500, seed=4).values)


def test_the_total_and_every_pixel_agree_with_the_expectation():
    neutrons = 100_000
    data = count(expected(), neutrons, seed=1)
    counts, norm = data.coords["counts"].values, data.coords["norm"].values
    mean = norm * EXPECTED
    assert mean.sum() == pytest.approx(neutrons)
    assert abs(counts.sum() - neutrons) < 4 * np.sqrt(neutrons)
    # Pearson's sum of squares has one degree of freedom a pixel and variance near two a pixel.
    assert abs(np.sum((counts - mean) ** 2 / mean) - counts.size) < 5 * np.sqrt(2 * counts.size)


def test_the_mean_over_seeds_is_the_expected_spectrum():
    runs = np.mean([count(expected(), 20_000, seed).values for seed in range(200)], axis=0)
    norm = 20_000 / EXPECTED.sum()
    assert np.max(np.abs(runs - EXPECTED) / np.sqrt(EXPECTED / norm / 200)) < 5


def test_intensity_and_variance_follow_from_the_counts():
    data = count(expected(sigma_floor=0.03), 800, seed=2)
    counts, norm = data.coords["counts"].values, data.coords["norm"].values
    assert (counts == 0).any(), "the test is about empty pixels, too"
    np.testing.assert_array_equal(data.values, counts / norm)
    np.testing.assert_allclose(data.variances, np.maximum(counts, 1) / norm**2)
    assert "sigma_floor" not in data.coords
    assert measured(data).counts.sum() == counts.sum()


def test_masked_pixels_are_not_counted_and_stay_masked():
    missing = np.zeros((40, 25), bool)
    missing[:20] = True
    data = count(expected(missing=missing), 5000, seed=5)
    assert data.coords["counts"].values[:20].sum() == 0
    assert data.coords["norm"].values[0, 0] == pytest.approx(5000 / EXPECTED[20:].sum())
    np.testing.assert_array_equal(measured(data).used.reshape(40, 25), ~missing)


def test_a_background_for_each_energy_is_counted():
    background = np.linspace(5.0, 1.0, 25)
    norm = count(expected(), 1000, 0, background).coords["norm"].values[0, 0]
    assert norm == pytest.approx(1000 / (EXPECTED.sum() + 40 * background.sum()))
    with pytest.raises(DataError, match=r"background has shape \(7,\)"):
        count(expected(), 1000, 0, np.ones(7))


def test_a_list_of_points_can_be_counted():
    data = count(point_list("test", np.zeros((3, 3)), [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], None), 60, seed=0)
    assert measured(data).counts.shape == (3,)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(DataError, match="negative"):
        count(expected(), 100, 0, background=-4.0)
    with pytest.raises(DataError, match="0 neutrons"):
        count(expected(), 0, 0)
