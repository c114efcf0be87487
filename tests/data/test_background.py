"""The background is recovered where it can be known."""

import numpy as np
import pytest

from insiren.data.background import savgol_background
from insiren.data.files import read
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError

ENERGIES = np.arange(60.0)
CUBIC = 9 - 0.2 * ENERGIES + 1e-3 * ENERGIES**2


def spectrum(intensity, omega=ENERGIES):
    return measured(image("test", np.zeros((len(intensity), 3)), omega, intensity, np.ones_like(intensity)))


def test_a_polynomial_of_the_energy_is_its_own_background():
    intensity = np.tile(CUBIC, (20, 1))
    intensity[:10] += 5  # signal outside the region
    intensity[12, ::2] = np.nan
    for given in (intensity, spectrum(intensity)):
        np.testing.assert_allclose(savgol_background(given, slice(10, 20)), CUBIC, atol=1e-12)


def test_the_background_is_in_ascending_energy():
    backwards = spectrum(np.tile(CUBIC[::-1], (5, 1)), ENERGIES[::-1])
    np.testing.assert_allclose(savgol_background(backwards, slice(0, 5)), CUBIC, atol=1e-12)


def test_energies_without_a_pixel_are_interpolated():
    intensity = np.tile(0.5 * ENERGIES, (5, 1))
    intensity[:, 20:23] = np.nan
    np.testing.assert_allclose(savgol_background(intensity, slice(0, 5)), 0.5 * ENERGIES, atol=1e-12)


def test_a_region_without_data_is_refused():
    with pytest.raises(DataError, match="160 to 171"):
        savgol_background(np.ones((20, 60)))
    with pytest.raises(DataError, match="smaller odd window"):
        savgol_background(np.ones((200, 50)))
    with pytest.raises(DataError, match="list of points"):
        savgol_background(measured(point_list("test", [[0, 0, 0]], [1.0], [1.0], [1.0])))


def test_what_the_authors_subtracted_is_a_function_of_energy_alone(la2nio4):
    for raw, without in zip(read(la2nio4), read(la2nio4, variant="woBG"), strict=True):
        measured_there = ~raw.masks["missing"].values
        difference = np.where(measured_there, raw.values - without.values, np.nan)
        subtracted = np.nanmedian(difference, axis=0)
        np.testing.assert_array_less(np.abs(difference - subtracted)[measured_there], 1e-12)
        # An exponential and a constant, the same for both paths, fitted here.
        energies = raw.coords["energy_transfer"].values
        np.testing.assert_allclose(subtracted, 15.8125607 * np.exp(-energies / 36.36880339) - 0.2053569, atol=1e-6)


@pytest.mark.parametrize(("which", "literal", "without_zeros"), [(0, 0.32, 0.32), (1, 0.49, 1.96)])
def test_the_automatic_background_comes_near_what_the_authors_subtracted(la2nio4, which, literal, without_zeros):
    raw, without = read(la2nio4)[which], read(la2nio4, variant="woBG")[which]
    difference = np.where(raw.masks["missing"].values, np.nan, raw.values - without.values)
    subtracted = np.nanmedian(difference, axis=0)
    assert np.max(np.abs(savgol_background(raw.values) - subtracted)) < literal
    assert np.max(np.abs(savgol_background(measured(raw, sigma_max=np.inf)) - subtracted)) < without_zeros
