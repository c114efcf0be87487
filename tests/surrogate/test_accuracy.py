"""Where ridges lie, of one spectrum beside another."""

import numpy as np
import pytest

from insiren.surrogate.accuracy import _brightest, _middle, _ridge

OMEGA = np.arange(0.0, 200.0, 1.0)


def humps(centres, sigma):
    return np.exp(-0.5 * ((OMEGA - np.asarray(centres)[:, None]) / sigma) ** 2)


@pytest.mark.parametrize("moved", [-0.4, 0.05, 0.3])
@pytest.mark.parametrize(("sigma", "edges"), [(2.0, 0.08), (13.0, 0.02)])
def test_a_peak_that_is_moved_is_found_moved(moved, sigma, edges):
    """What is above half of a maximum gains and loses whole pixels, by chance in each and not in the mean."""
    centres = np.linspace(60.2, 139.7, 20)
    exact, other = humps(centres, sigma), humps(centres + moved, sigma)
    assert _brightest(other, OMEGA) - _brightest(exact, OMEGA) == pytest.approx(moved, abs=0.04)
    found = _ridge(other, OMEGA) - _ridge(exact, OMEGA)
    assert found == pytest.approx(moved, abs=edges) and np.mean(found) == pytest.approx(moved, abs=0.02)


def test_a_ripple_on_a_hump_moves_its_brightest_energy_more_than_the_hump():
    centres = np.linspace(60.2, 139.7, 20)
    exact = humps(centres, 13.0)
    other = exact * (1 + 0.005 * np.cos(2 * np.pi * OMEGA / 7))
    ridge, brightest = (np.abs(place(other, OMEGA) - place(exact, OMEGA)) for place in (_ridge, _brightest))
    assert np.median(brightest) > 5 * np.max(ridge)


def test_a_dark_spectrum_has_no_place():
    dark = np.zeros((1, len(OMEGA)))
    assert np.isnan(_ridge(dark, OMEGA)).all() and np.isnan(_brightest(dark, OMEGA)).all()
    assert np.isnan(_middle(np.array([np.nan]))).all()


def test_the_middle_is_half_of_what_holds_68_in_100():
    median, spread = _middle(np.r_[np.random.default_rng(0).normal(1.0, 0.3, 100_000), np.nan])
    assert median == pytest.approx(1.0, abs=0.01)
    assert spread == pytest.approx(0.3, rel=0.02)
