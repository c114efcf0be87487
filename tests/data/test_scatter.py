"""Errors that are variances, or variances that are errors, are told from the scatter of the pixels."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.files import read
from insiren.data.scatter import errors_in_doubt
from insiren.data.spectrum import image
from insiren.data.summary import summary

HKL = np.stack([np.linspace(0, 1, 80), np.zeros(80), np.zeros(80)], axis=1)
OMEGA = np.linspace(1, 40, 40)


def noisy(seed: int, unit: float = 1.0) -> sc.DataArray:
    """A ridge of counts in some unit, with errors that fall towards the top and vary from pixel to pixel."""
    rng = np.random.default_rng(seed)
    sigma = unit * np.geomspace(1, 0.02, 40) * rng.uniform(0.7, 1.4, (80, 40))
    ridge = np.exp(-0.5 * ((OMEGA - 30 * np.sin(np.pi * HKL[:, :1])) / 2) ** 2)
    return image("one", HKL, OMEGA, unit * ridge + sigma * rng.normal(size=sigma.shape), sigma)


def with_power(data: sc.DataArray, power: float) -> sc.DataArray:
    """The same with another power of its standard deviations."""
    data = data.copy()
    data.variances = data.variances**power
    return data


@pytest.mark.parametrize("unit", [0.2, 1.0, 5.0])
def test_right_errors_raise_no_doubt_and_wrong_powers_do(unit):
    data = noisy(1, unit)
    assert errors_in_doubt(data) is None
    assert "the square roots of these; --errors variance" in errors_in_doubt(with_power(data, 2.0))
    assert "the squares of these; --errors sigma" in errors_in_doubt(with_power(data, 0.5))
    assert any("--errors variance" in line for line in summary(with_power(data, 2.0))["look"])


def test_errors_that_are_wrong_otherwise_are_left_to_the_fit():
    data = noisy(2)
    data.variances = data.variances * 9.0  # neither a root nor a square
    assert errors_in_doubt(data) is None


def test_data_without_noise_or_with_few_pixels_raise_no_doubt():
    data = noisy(3)
    still = data.copy()
    still.values = np.ones(data.shape)
    assert errors_in_doubt(with_power(still, 2.0)) is None
    assert errors_in_doubt(with_power(data, 2.0)["Q", :8].copy()) is None
    bare = data.copy()
    bare.variances = None
    assert errors_in_doubt(bare) is None


def test_the_published_errors_of_la2nio4_are_variances(la2nio4):
    for one in read(la2nio4, errors="sigma"):
        assert "--errors variance takes what is stored for that" in errors_in_doubt(one)
    assert [errors_in_doubt(one) for one in read(la2nio4, errors="variance")] == [None, None]
