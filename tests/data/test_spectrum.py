"""A spectrum becomes arrays that a fit can trust, or an error that can be read."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import image, is_image, measured, place_of, point_list
from insiren.errors import DataError
from insiren.forward import Bins, Parameter, Points, forward

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
    with pytest.raises(DataError, match="--sigma-floor"):
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
    wrong = spectrum()
    wrong.coords["energy_transfer"].unit = "K"
    with pytest.raises(DataError, match="in K, not meV"):
        measured(wrong)
    with pytest.raises(DataError, match="1 values of coordinate h"):
        measured(image("test", [[np.nan, 0.5, 0.0]], OMEGA, [[1, 1]], [[1, 1]]))


def test_shapes_that_disagree_are_refused():
    with pytest.raises(DataError, match=r"sigma has shape \(2, 3\)"):
        spectrum(SIGMA.T)


def test_a_powder_has_lengths_of_q_in_place_of_wavevectors():
    data = image("powder", None, OMEGA, INTENSITY, SIGMA, Q_abs=[0.5, 1.0, 1.5], Ei=12.0)
    assert place_of(data) == ("Q_abs",) and is_image(data)
    assert data.coords["Q_abs"].unit == "1/angstrom" and data.coords["Ei"].unit == "meV"
    taken = measured(data)
    assert taken.points.is_table and taken.points.hkl.shape == (3, 0) and taken.shape == (3, 2)
    np.testing.assert_array_equal(taken.points.Q_abs, [0.5, 1.0, 1.5])
    listed = measured(point_list("powder", None, [20.0, 30.0], [1.0, 2.0], [1.0, 1.0], Q_abs=[1.5, 0.5]))
    lengths = np.asarray(listed.points.Q_abs)[np.asarray(listed.points.index)]
    np.testing.assert_array_equal(lengths, [1.5, 0.5])


def test_lengths_of_q_are_converted_to_inverse_angstrom():
    data = image("powder", None, OMEGA, INTENSITY, SIGMA, Q_abs=[0.5, 1.0, 1.5])
    data.coords["Q_abs"] = data.coords["Q_abs"].to(unit="1/nm")
    np.testing.assert_allclose(measured(data).points.Q_abs, [0.5, 1.0, 1.5])


def test_a_spectrum_is_of_a_powder_or_of_a_crystal():
    for hkl, lengths in ((None, None), (HKL, [0.5, 1.0, 1.5])):
        with pytest.raises(DataError, match="one of them"):
            image("test", hkl, OMEGA, INTENSITY, SIGMA, Q_abs=lengths)
    with pytest.raises(DataError, match="1 values of Q_abs are negative"):
        image("test", None, OMEGA, INTENSITY, SIGMA, Q_abs=[0.5, -1.0, 1.5])
    with pytest.raises(DataError, match=r"hkl has shape \(2,\)"):
        image("test", [0.5, 0.5], OMEGA, INTENSITY, SIGMA)


def test_a_powder_can_be_simulated_and_counted():
    flat = forward(lambda p, at: p["A"] * at.Q_abs[at.index] + 0 * at.omega, (Parameter("A", 2.0, 0.0, 9.0),))
    like = image("powder", None, OMEGA, INTENSITY, SIGMA, Q_abs=[0.5, 1.0, 1.5])
    for where in (like, Points.table(omega=OMEGA, Q_abs=[0.5, 1.0, 1.5])):
        simulated = simulate(flat, {}, where)
        expected = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
        if where is like:
            expected[1, 0] = np.nan  # missing there, missing here
        np.testing.assert_array_equal(simulated.values, expected)
        assert place_of(simulated) == ("Q_abs",)
    assert measured(count(simulated, 1000, seed=0)).points.Q_abs is not None
    listed = simulate(flat, {}, Points(omega=[20.0, 30.0, 20.0], Q_abs=[1.5, 0.5, 1.0]))
    np.testing.assert_array_equal(listed.values, [3.0, 1.0, 2.0])


def test_parts_joined_by_scipp_are_a_spectrum_unless_their_advice_differs():
    first, second = spectrum(sigma_floor=0.03, assumed=["a"]), spectrum(sigma_floor=0.03, assumed=["b"])
    both = measured(sc.concat([first, second], "Q"))
    assert both.shape == (6, 2) and both.sigma_floor == 0.03
    apart = sc.concat([first, spectrum(sigma_floor=0.1, assumed=["a"])], "Q")
    with pytest.raises(DataError, match="advise a different sigma_floor"):
        measured(apart)
    assert measured(apart, sigma_floor=0.05).sigma_floor == 0.05


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


def test_a_simulated_spectrum_keeps_the_bin_of_what_it_is_like():
    flat = forward(lambda p, at: p["A"] + at.bins.omega + 0 * at.omega, (Parameter("A", 2.0, 0.0, 9.0),))
    like = spectrum(bins=Bins(hkl=((0.1, 0.0, 0.0),), omega=0.5))
    simulated = simulate(flat, {}, like)
    assert simulated.values[0, 0] == 2.5
    simulated.variances = np.ones(simulated.shape)
    assert measured(simulated).points.bins == measured(like).points.bins
