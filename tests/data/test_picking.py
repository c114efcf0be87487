"""Peaks picked from maps: where a ridge was put they are found, and where there is none nothing is."""

import numpy as np
import pytest

from insiren.data.picking import picked
from insiren.data.spectrum import image
from insiren.errors import DataError

OMEGA = np.arange(20.0, 80.0, 0.5)
HKL = np.stack([np.linspace(0, 1, 21), np.zeros(21), np.zeros(21)], 1)
RIDGE = 50 + 15 * np.sin(2 * np.pi * HKL[:, 0])  # meV
SIGMA = 0.05


def ridge_map(height: float, seed: int = 1, background=lambda omega: 0.3 * np.exp(-omega / 30)):
    clean = height * np.exp(-0.5 * ((OMEGA - RIDGE[:, None]) / 2.0) ** 2) + background(OMEGA)
    noise = np.random.default_rng(seed).normal(0, SIGMA, clean.shape)
    return image("ridge", HKL, OMEGA, clean + noise, np.full(clean.shape, SIGMA))


def test_the_ridge_is_found_at_every_wavevector_within_its_errors():
    peaks = picked(ridge_map(1.0))
    assert peaks.coords["kind"].value == "peaks"
    np.testing.assert_array_equal(peaks.coords["h"].values, HKL[:, 0])
    off = (peaks.values - RIDGE) / np.sqrt(peaks.variances)
    assert np.max(np.abs(off)) < 4 and 0.5 < np.std(off) < 1.5
    assert peaks.coords["energy_low"].values[0] == OMEGA[0] and peaks.coords["energy_high"].values[0] == OMEGA[-1]


def test_the_error_of_a_centre_is_that_of_a_gaussian_in_white_noise():
    """From the Fisher matrix of centre and slope on the pixels around it; the even parameters are uncorrelated."""
    peaks = picked(ridge_map(2.0))
    t = 0.5 * np.arange(-12, 13)  # meV
    columns = np.stack([2.0 * t / 2.0**2 * np.exp(-0.5 * (t / 2.0) ** 2), t], 1) / SIGMA
    expected = np.sqrt(np.linalg.inv(columns.T @ columns)[0, 0])
    assert np.median(np.sqrt(peaks.variances)) == pytest.approx(expected, rel=0.1)


def test_what_is_common_to_all_wavevectors_is_no_peak():
    phonon = lambda omega: 2.0 * np.exp(-0.5 * ((omega - 27) / 1.5) ** 2)  # noqa: E731
    np.testing.assert_allclose(picked(ridge_map(1.0, background=phonon)).values, RIDGE, atol=1.0)
    unseen = picked(ridge_map(1.0, background=phonon), background=False)
    assert np.sum(np.abs(unseen.values - 27) < 1) > 15


def test_masked_pixels_hold_no_peak():
    data = ridge_map(1.0)
    data.masks["stripe"] = data.masks["missing"].copy()
    data.masks["stripe"].values[:5] = True
    assert len(picked(data).values) == len(HKL) - 5


def test_noise_alone_is_refused_or_gives_few_peaks():
    try:
        assert len(picked(ridge_map(0.0)).values) <= 3
    except DataError as refusal:
        assert "no peak stands out" in str(refusal)
