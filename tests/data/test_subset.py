"""A sample of a spectrum is an even draw of its measured pixels, where they are."""

import numpy as np
import pytest
import scipp as sc

import insiren as ins
from insiren.data.spectrum import image, measured, point_list
from insiren.data.subset import subset
from insiren.errors import DataError
from insiren.forward import Bins

RNG = np.random.default_rng(4)
HKL, OMEGA = RNG.normal(size=(30, 3)), np.linspace(1.0, 9.0, 9)
VALUES, SIGMA = RNG.normal(size=(30, 9)), RNG.uniform(0.5, 1.0, (30, 9))
MISSING = RNG.random((30, 9)) < 0.4


def spectrum(**details):
    counts = np.arange(270.0).reshape(30, 9)
    more = {"counts": counts, "norm": counts + 1, "bins": Bins(omega=1.0), "Ei": 20.0, "assumed": ["of a test"]}
    return image("volume", HKL, OMEGA, VALUES, SIGMA, missing=MISSING, **more, **details)


def test_pixels_are_those_of_the_spectrum_and_none_twice():
    drawn = subset(spectrum(sigma_max=5.0), 50, seed=1)
    row, column = np.divmod(drawn.coords["counts"].values.astype(int), 9)  # which tells a pixel from every other
    assert drawn.dims == ("point",) and len(set(zip(row, column, strict=True))) == 50 and not MISSING[row, column].any()
    np.testing.assert_array_equal(drawn.values, VALUES[row, column])
    np.testing.assert_array_equal(drawn.variances, SIGMA[row, column] ** 2)
    np.testing.assert_array_equal(drawn.coords["norm"].values, drawn.coords["counts"].values + 1)
    np.testing.assert_array_equal(np.stack([drawn.coords[c].values for c in "hkl"], axis=1), HKL[row])
    np.testing.assert_array_equal(drawn.coords["energy_transfer"].values, OMEGA[column])
    assert np.all(np.diff(row * 9 + column) > 0)
    assert measured(drawn).points.bins == Bins(omega=1.0)
    assert drawn.coords["Ei"].value == 20.0 and drawn.coords["sigma_max"].value == 5.0
    assert drawn.coords["assumed"].value == "of a test"
    assert drawn.coords["noted"].value == f"50 of {(~MISSING).sum()} measured pixels drawn, seed 1"


def test_every_measured_pixel_is_as_likely_as_every_other():
    found = np.zeros(270)
    for seed in range(400):
        np.add.at(found, subset(spectrum(), 40, seed).coords["counts"].values.astype(int), 1)
    found = found.reshape(30, 9)[~MISSING]
    expected = 400 * 40 / found.size
    # A hypergeometric draw has less scatter than this binomial one; 270 pixels reach 4 σ once in sixty seeds.
    assert np.abs(found - expected).max() < 4.5 * np.sqrt(expected)
    assert np.mean((found - expected) ** 2) == pytest.approx(expected * (1 - 40 / found.size), rel=0.25)


def test_the_same_seed_draws_the_same_and_all_are_all():
    assert sc.identical(subset(spectrum(), 50, 3), subset(spectrum(), 50, 3))
    assert not sc.identical(subset(spectrum(), 50, 3), subset(spectrum(), 50, 4))
    assert len(subset(spectrum(), 10**6).values) == (~MISSING).sum()


def test_points_powders_and_arrays_of_others_are_drawn_from():
    listed = point_list("list", HKL, np.arange(30.0), VALUES[:, 0], None)
    drawn = ins.subset(listed, 7)
    which = drawn.coords["energy_transfer"].values.astype(int)
    np.testing.assert_array_equal(drawn.values, VALUES[which, 0])
    assert drawn.variances is None
    powder = image("powder", None, OMEGA, VALUES, SIGMA, Q_abs=np.linspace(0.5, 2, 30))
    assert measured(ins.subset(powder, 7)).points.Q_abs.shape == (7,)
    other = powder.rename_dims(Q="x", energy_transfer="y")
    other.coords["energy_transfer"] = other.coords["energy_transfer"].to(unit="eV")
    np.testing.assert_allclose(
        ins.subset(other, 7).coords["energy_transfer"].values, ins.subset(powder, 7).coords["energy_transfer"].values
    )


def test_what_cannot_be_drawn_is_refused():
    for size in (0, -1, 2.5, True):
        with pytest.raises(DataError, match="cannot be drawn"):
            subset(spectrum(), size)
    with pytest.raises(DataError, match="nothing to draw from"):
        subset(image("x", HKL, OMEGA, np.full_like(VALUES, np.nan), SIGMA), 3)
