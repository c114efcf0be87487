"""What scipp makes of a spectrum, or a reduction of its own, is a spectrum again or refused with what lacks."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.adopt import adopt
from insiren.data.spectrum import image, is_image, measured, place_of
from insiren.errors import DataError

OMEGA = np.array([1.0, 2.0, 3.0, 4.0])
HKL = np.array([[0.0, 0.5, 0.0], [0.25, 0.5, 0.0], [0.5, 0.5, 0.0]])
INTENSITY = np.arange(12.0).reshape(3, 4)


def spectrum():
    missing = np.zeros((3, 4), bool)
    missing[0, 1] = True
    return image("test", HKL, OMEGA, INTENSITY, np.ones((3, 4)), missing=missing, assumed=["something"])


def reduced(**coords):
    """An array as a reduction leaves it, over "y" (3) and "x" (4), with coordinates by name."""
    data = sc.array(dims=["y", "x"], values=INTENSITY, variances=np.ones((3, 4)), unit="counts")
    return sc.DataArray(data, coords=coords, name="reduced")


def along(dim, values, unit="dimensionless"):
    return sc.array(dims=[dim], values=np.asarray(values, float), unit=unit)


def test_a_spectrum_is_taken_as_it_is():
    data = spectrum()
    assert adopt(data) is data


def test_edges_become_midpoints_and_units_are_converted():
    data = reduced(DeltaE=along("x", [0.5, 1.5, 2.5, 3.5, 4.5], "meV").to(unit="eV"), Q=along("y", [5, 10, 15], "1/nm"))
    found = adopt(data)
    assert is_image(found) and place_of(found) == ("Q_abs",) and found.unit == "counts"
    taken = measured(data)
    np.testing.assert_allclose(taken.points.rows[0], OMEGA)
    np.testing.assert_allclose(taken.points.Q_abs, [0.5, 1.0, 1.5])
    np.testing.assert_array_equal(taken.intensity, np.arange(12.0))


def test_the_order_of_the_axes_does_not_matter():
    energies, lengths = along("x", OMEGA, "meV"), along("y", [0.5, 1.0, 1.5], "1/angstrom")
    turned = reduced(DeltaE=energies, Q=lengths).transpose(["x", "y"]).copy()
    np.testing.assert_array_equal(measured(turned).intensity, np.arange(12.0))


def test_wavevectors_may_be_vectors_scalars_or_capitals():
    vectors = sc.vectors(dims=["y"], values=HKL)
    capitals = {"H": along("y", HKL[:, 0]), "K": sc.scalar(0.5), "L": sc.scalar(0.0)}
    for place in ({"hkl": vectors}, capitals):
        taken = measured(reduced(E=along("x", OMEGA, "meV"), **place))
        np.testing.assert_allclose(taken.points.hkl, HKL)


def test_several_dims_of_q_become_one():
    values = np.arange(24.0).reshape(2, 3, 4)
    data = sc.DataArray(
        sc.array(dims=["k", "h", "E"], values=values, variances=np.ones_like(values)),
        coords={"h": along("h", [-0.5, 0.5, 1.5, 2.5]), "k": along("k", [5, 6]), "l": sc.scalar(1.0),
                "E": along("E", OMEGA, "meV")},
    )  # fmt: skip
    taken = measured(data)
    assert taken.shape == (6, 4)
    np.testing.assert_allclose(taken.points.hkl, [[h, k, 1.0] for k in (5, 6) for h in (0, 1, 2)])
    np.testing.assert_array_equal(taken.intensity, values.ravel())


def test_energies_that_depend_on_q_give_points():
    energies = sc.array(dims=["y", "x"], values=OMEGA + HKL[:, :1], unit="meV")
    data = reduced(energy_transfer=energies, h=along("y", HKL[:, 0]), k=sc.scalar(0.5), l=sc.scalar(0.0))
    data.masks["beam"] = sc.array(dims=["x"], values=[True, False, False, False])
    taken = measured(data)
    assert taken.shape is None and taken.used.tolist() == [False, True, True, True] * 3
    np.testing.assert_allclose(taken.points.omega, energies.values.ravel())


@pytest.mark.parametrize("cut", ["Q", "energy_transfer"])
def test_a_slice_of_a_spectrum_is_a_spectrum(cut):
    taken = measured(spectrum()[cut, 1])
    assert taken.shape == ((1, 4) if cut == "Q" else (3, 1))
    expected = INTENSITY[1] if cut == "Q" else np.where([True, False, False], 0.0, INTENSITY[:, 1])
    np.testing.assert_array_equal(taken.intensity, expected)
    np.testing.assert_allclose(taken.points.hkl, HKL[1:2] if cut == "Q" else HKL)


def test_a_cut_by_value_is_a_spectrum():
    low, high = sc.scalar(2.0, unit="meV"), sc.scalar(4.0, unit="meV")
    assert measured(spectrum()["energy_transfer", low:high]).shape == (3, 2)


def test_a_rebinned_spectrum_is_a_spectrum():
    data = spectrum().drop_masks("missing")
    data.coords["energy_transfer"] = along("energy_transfer", [0.5, 1.5, 2.5, 3.5, 4.5], "meV")
    coarse = sc.rebin(data, energy_transfer=along("energy_transfer", [0.5, 2.5, 4.5], "meV"))
    taken = measured(coarse)
    np.testing.assert_allclose(taken.points.rows[0], [1.5, 3.5])
    np.testing.assert_allclose(taken.intensity.reshape(3, 2), INTENSITY.reshape(3, 2, 2).sum(axis=2))


def test_a_mask_set_through_scipp_leaves_pixels_out():
    data = spectrum()
    data.masks["band"] = data.coords["energy_transfer"] > sc.scalar(2.5, unit="meV")
    assert measured(data).used.reshape(3, 4).sum(axis=0).tolist() == [3, 2, 0, 0]


LENGTHS = along("y", [1, 2, 3], "1/angstrom")


@pytest.mark.parametrize(
    ("coords", "match"),
    [
        ({}, "h, k, l .* energy_transfer nobody knows.*there: none"),
        ({"x": along("x", OMEGA, "meV"), "Q": LENGTHS}, "energy_transfer nobody.*x in meV"),
        ({"E": along("x", OMEGA, "K"), "Q": LENGTHS}, "energy_transfer nobody .*E in K"),
        ({"E": along("x", OMEGA, "meV"), "Q": along("y", [1, 2, 3])}, "Q in dimensionless"),
        ({"E": along("x", OMEGA, "meV"), "h": along("y", [1, 2, 3])}, "coordinates k, l nobody"),
        ({"E": along("x", OMEGA, "meV"), "dE": along("x", OMEGA, "meV"), "Q": LENGTHS},
         "dE and E could both be energy_transfer"),
    ],
)  # fmt: skip
def test_axes_that_could_mean_anything_are_refused_with_what_is_there(coords, match):
    with pytest.raises(DataError, match=match):
        adopt(reduced(**coords))


def test_what_holds_no_intensities_is_refused():
    with pytest.raises(DataError, match="not a DataGroup"):
        adopt(sc.DataGroup({"a": spectrum()}))
    events = sc.data.binned_x(10, 4)
    with pytest.raises(DataError, match="Histogram"):
        adopt(events)
    peaks = spectrum()
    peaks.coords["kind"] = sc.scalar("peaks")
    with pytest.raises(DataError, match="list of peaks"):
        adopt(peaks)
