"""A spectrum becomes arrays that a fit can trust, or an error that can be read."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError
from insiren.forward import Bins

HKL = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.5, 0.0, 0.0]])
OMEGA = np.array([20.0, 30.0])
INTENSITY = np.array([[1.0, -2.0], [np.nan, 4.0], [5.0, 6.0]])
SIGMA = np.array([[0.01, 1.0], [1.0, 9.0], [1.0, 1.0]])


def spectrum(sigma=SIGMA, **details):
    return image("test", HKL, OMEGA, INTENSITY, sigma, **details)


def test_every_pixel_of_an_image_is_a_point_and_none_is_nan():
    taken = measured(spectrum())
    assert taken.shape == (3, 2)
    assert taken.points.is_table
    assert taken.points.hkl.shape == (3, 3), "repeated wavevectors are kept"
    assert taken.used.tolist() == [True, True, False, True, True, True]
    assert taken.intensity.tolist() == [1.0, -2.0, 0.0, 4.0, 5.0, 6.0], "negatives are kept"
    assert taken.row.tolist() == [0, 1, 0, 1, 0, 1]
    assert (taken.n_rows, taken.n_masked) == (2, 1)
    assert taken.counts is None
    assert taken.norm is None


def test_the_readers_advice_on_sigma_is_taken_unless_overridden():
    data = spectrum(sigma_floor=0.03, sigma_max=5.0)
    advised = measured(data)
    assert advised.sigma[0] == 0.03
    assert not advised.used[3]
    overridden = measured(data, sigma_floor=0.0, sigma_max=np.inf)
    assert overridden.sigma[0] == 0.01
    assert overridden.used[3]
    assert (overridden.sigma_floor, overridden.sigma_max) == (None, None)


def test_rows_are_the_distinct_energies_ascending():
    taken = measured(point_list("points", HKL, [30.0, 20.0, 30.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]))
    assert taken.shape is None
    assert taken.row.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(np.asarray(taken.points.hkl)[np.asarray(taken.points.index)], HKL)


def test_masks_along_one_dimension_leave_out_whole_rows():
    data = spectrum()
    data.masks["low"] = sc.array(dims=["energy_transfer"], values=[True, False])
    assert measured(data).used.tolist() == [False, True] * 3


def test_the_order_of_the_dimensions_does_not_matter():
    np.testing.assert_array_equal(
        measured(spectrum().transpose(["energy_transfer", "Q"]).copy()).intensity, measured(spectrum()).intensity
    )


def test_energies_are_converted_to_mev():
    data = spectrum()
    data.coords["energy_transfer"] = data.coords["energy_transfer"].to(unit="eV")
    np.testing.assert_allclose(measured(data).points.omega[:2], OMEGA)


def test_counts_come_with_their_norm():
    taken = measured(spectrum(counts=np.full((3, 2), 7), norm=np.full((3, 2), 2.0)))
    assert taken.counts.tolist() == [7, 7, 0, 7, 7, 7]
    assert taken.norm.tolist() == [2, 2, 1, 2, 2, 2]
    with pytest.raises(DataError, match="counts alone"):
        measured(spectrum(counts=np.full((3, 2), 7)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_unusable_variance_is_refused_with_its_place(bad):
    sigma = SIGMA.copy()
    sigma[2, 1] = bad
    with pytest.raises(DataError, match=r"1 unmasked pixels have a variance .* first is Q 2 .* at 30 meV"):
        measured(spectrum(sigma))


def test_a_negative_variance_is_refused():
    data = spectrum()
    data.variances = np.where(np.isnan(INTENSITY), 1.0, -1.0)
    with pytest.raises(DataError, match="5 unmasked pixels have a variance"):
        measured(data)
    with pytest.raises(DataError, match="negative"):
        spectrum(-SIGMA)


def test_an_unusable_variance_under_a_mask_does_no_harm():
    sigma = np.where(np.isnan(INTENSITY), np.nan, SIGMA)
    assert np.isfinite(measured(spectrum(sigma)).sigma).all()


def test_zero_sigma_needs_a_floor():
    sigma = np.zeros((3, 2))
    with pytest.raises(DataError, match="sigma_floor"):
        measured(spectrum(sigma))
    assert np.all(measured(spectrum(sigma), sigma_floor=0.1).sigma[[0, 1, 3, 4, 5]] == 0.1)


def test_a_spectrum_without_anything_to_fit_is_refused():
    with pytest.raises(DataError, match="all 6 pixels are masked"):
        measured(spectrum(missing=np.ones((3, 2), bool)))
    with pytest.raises(DataError, match=r"sigma_max = 0\.001"):
        measured(spectrum(), sigma_max=0.001)
    with pytest.raises(DataError, match="no error bars"):
        measured(spectrum(None))
    with pytest.raises(DataError, match="sigma_floor = -1"):
        measured(spectrum(), sigma_floor=-1.0)


def test_missing_or_strange_coordinates_are_named():
    with pytest.raises(DataError, match="coordinates l, energy_transfer"):
        measured(spectrum().drop_coords(["l", "energy_transfer"]))
    with pytest.raises(DataError, match="dims are"):
        measured(spectrum().rename_dims({"Q": "detector"}))
    edges = spectrum()
    edges.coords["energy_transfer"] = sc.array(dims=["energy_transfer"], values=[15.0, 25.0, 35.0], unit="meV")
    with pytest.raises(DataError, match="midpoints"):
        measured(edges)
    wrong = spectrum()
    wrong.coords["energy_transfer"].unit = "K"
    with pytest.raises(DataError, match="in K, not meV"):
        measured(wrong)
    with pytest.raises(DataError, match="1 values of coordinate h"):
        measured(image("test", [[np.nan, 0.5, 0.0]], OMEGA, [[1, 1]], [[1, 1]]))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(DataError, match=r"sigma has shape \(2, 3\)"):
        spectrum(SIGMA.T)


def test_the_bin_around_each_pixel_reaches_the_points():
    bins = Bins(hkl=((0.1, 0.0, 0.0), (-0.05, 1 / 3, 0.0)), omega=0.5)
    assert measured(spectrum(bins=bins)).points.bins == bins
    assert measured(spectrum()).points.bins == Bins()
    other_unit = spectrum(bins=bins)
    other_unit.coords["bin_omega"] = sc.scalar(500.0, unit="ueV")
    assert measured(other_unit).points.bins.omega == pytest.approx(0.5)


def test_the_bin_is_read_as_text_too():
    data = spectrum()
    data.coords["bin_omega"], data.coords["bins_hkl"] = sc.scalar("0.5"), sc.scalar("0.1 0 0; 0 1 0")
    assert measured(data).points.bins == Bins(hkl=((0.1, 0.0, 0.0), (0.0, 1.0, 0.0)), omega=0.5)


@pytest.mark.parametrize(
    ("coord", "value"),
    [
        ("bins_hkl", sc.scalar("0.1 0")),
        ("bins_hkl", sc.scalar("a b c")),
        ("bin_omega", sc.scalar(1.0, unit="K")),
        ("bin_omega", sc.scalar(-1.0, unit="meV")),
        ("bin_omega", sc.scalar("nan")),
    ],
)
def test_a_bin_that_is_none_is_refused(coord, value):
    data = spectrum()
    data.coords[coord] = value
    with pytest.raises(DataError, match="bin"):
        measured(data)


def test_a_powder_has_the_modulus_of_q_in_place_of_wavevectors():
    bins = Bins(Q_abs=0.1, omega=2.0)
    taken = measured(image("powder", None, OMEGA, INTENSITY, SIGMA, Q_abs=[1.0, 2.0, 3.0], bins=bins))
    np.testing.assert_array_equal(taken.points.Q_abs, [1.0, 2.0, 3.0])
    assert taken.points.bins == bins and taken.shape == (3, 2) and taken.points.is_table
    points = measured(point_list("powder", None, [1.0, 2.0], [1.0, 2.0], [1.0, 1.0], Q_abs=[2.0, 2.0]))
    assert points.points.Q_abs.tolist() == [2.0] and len(points.points) == 2
    with pytest.raises(DataError, match=r"2 unmasked pixels have σ = 0.*Q_abs = 1"):
        measured(image("powder", None, OMEGA, [[1.0, 2.0]], [[0.0, 0.0]], Q_abs=[1.0]))


def test_wavevectors_and_modulus_exclude_each_other():
    for hkl, Q_abs in ((None, None), (HKL, [1.0, 2.0, 3.0])):
        with pytest.raises(DataError, match="Give one of them"):
            image("test", hkl, OMEGA, INTENSITY, SIGMA, Q_abs=Q_abs)
    with pytest.raises(DataError, match=r"Q_abs \(q,\) and omega \(w,\), not \(1, 3\)"):
        image("test", None, OMEGA, INTENSITY, SIGMA, Q_abs=[[1.0, 2.0, 3.0]])
    with pytest.raises(DataError, match=r"hkl \(d, 3\) and omega \(d,\), not \(2, 3\)"):
        point_list("test", HKL[:2], [1.0], [1.0], [1.0])
