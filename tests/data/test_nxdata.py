"""NXdata groups of one and two dimensions become spectra where their axes say what they measure."""

import h5py
import numpy as np
import pytest
from nexus_files import nxdata, text

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

H = np.array([0.0, 0.5, 1.0])
E_EDGES = np.array([0.0, 2.0, 4.0, 6.0, 8.0])
VALUES = np.arange(12.0).reshape(3, 4)


def said(data):
    return data.coords["assumed"].value


@pytest.mark.parametrize("old", [True, False])
def test_a_slice_of_h_and_energy_is_read_in_both_styles(tmp_path, old):
    axes = [("h", H, "r.l.u."), ("en", E_EDGES, "meV")]
    path = nxdata(tmp_path / "x.nxs", VALUES, axes, errors=VALUES + 1, old=old)
    (data,) = read(path, q_origin=(0, 0.5, 0))
    np.testing.assert_array_equal(data.values, VALUES)
    np.testing.assert_array_equal(data.variances, (VALUES + 1) ** 2)
    np.testing.assert_array_equal(data.coords["h"].values, H)
    np.testing.assert_array_equal(data.coords["k"].values, 0.5)
    np.testing.assert_array_equal(data.coords["energy_transfer"].values, [1, 3, 5, 7])
    bins = measured(data).points.bins
    assert bins == ((), 0.0, 2.0), "centres of h say nothing about the width of its bins"
    with pytest.raises(DataError, match="Give q_origin"):
        read(path)


def test_the_axes_may_come_in_any_order_and_unit(tmp_path):
    axes = [("E", E_EDGES / 4.135667696923859, "THz"), ("[H,H,0]", H, "rlu")]
    (data,) = read(nxdata(tmp_path / "x.nxs", VALUES.T, axes), q_origin=(0, 0, 0))
    np.testing.assert_array_equal(data.values, VALUES)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [1, 3, 5, 7])
    np.testing.assert_array_equal(data.coords["k"].values, H)
    assert data.variances is None and "no error bars" in said(data)
    assert "along (1, 1, 0) r.l.u." in data.coords["noted"].value


def test_a_powder_is_known_by_the_unit_of_q(tmp_path):
    axes = [("Q", H + 1, "1/angstrom"), ("E", E_EDGES, "meV")]
    (data,) = read(nxdata(tmp_path / "x.nxs", VALUES, axes, errors=VALUES + 1))
    np.testing.assert_array_equal(data.coords["Q_abs"].values, H + 1)
    np.testing.assert_array_equal(measured(data).points.Q_abs, H + 1)


def test_a_cut_in_energy_needs_its_wavevector(tmp_path):
    path = nxdata(tmp_path / "x.nxs", VALUES[0], [("energy", E_EDGES, "meV")], errors=VALUES[0] + 1)
    with pytest.raises(
        DataError, match=r"Give q_origin.*: --q-origin 0.*If the sample is a powder, give Q_abs.*: --hint Q_abs="
    ):
        read(path)
    (crystal,) = read(path, q_origin=(0.5, 0.5, 0))
    (powder,) = read(path, Q_abs=1.25)
    assert crystal.shape == powder.shape == (1, 4)
    assert powder.coords["Q_abs"].values.tolist() == [1.25]
    with pytest.raises(DataError, match="Q_abs = 'x'"):
        read(path, Q_abs="x")
    with pytest.raises(DataError, match="a powder has \\|Q\\| alone"):
        read(path, Q_abs=1.0, q_origin=(0, 0, 0))


def test_a_cut_in_q_needs_its_energy_and_direction(tmp_path):
    path = nxdata(tmp_path / "x.nxs", VALUES[:, 0], [("xi", H, "")], errors=VALUES[:, 0] + 1)
    with pytest.raises(DataError, match=r"called 'xi' in no unit.*give q_direction"):
        read(path)
    with pytest.raises(DataError, match="Give energy, in meV"):
        read(path, q_direction=(1, 0, 0), q_origin=(0, 0, 0))
    (data,) = read(path, q_direction=(1, -1, 0), q_origin=(0.5, 0.5, 1), energy=3.0)
    np.testing.assert_array_equal(data.values, VALUES[:, :1])
    np.testing.assert_allclose(data.coords["k"].values, 0.5 - H)
    assert data.coords["energy_transfer"].values.tolist() == [3.0]


def test_several_groups_are_several_data_sets(tmp_path):
    path = nxdata(tmp_path / "x.nxs", VALUES, [("Q", H, "1/angstrom"), ("E", E_EDGES, "meV")])
    with h5py.File(path, "a") as file:
        file.copy("entry/data", "entry/second")
        file["entry/linked"] = h5py.SoftLink("/entry/data")
        file["entry/volume"] = np.zeros((2, 2, 2))
    names = [data.name for data in read(path)]
    assert names == ["x:entry/data", "x:entry/linked", "x:entry/second"]
    assert [data.name for data in read(path, entry="/entry/second")] == ["x"]
    with pytest.raises(DataError, match="has no entry/third"):
        read(path, entry="entry/third")


def test_axes_of_the_oldest_style_number_their_dimension(tmp_path):
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        data = file.create_group("entry/data")
        data.attrs["NX_class"] = text("NXdata")
        data["counts"], data["Q"], data["E"] = VALUES, H + 1, E_EDGES
        data["counts"].attrs["signal"] = "1"
        for key, unit, number in (("Q", "1/angstrom", 1), ("E", "meV", 2)):
            data[key].attrs["axis"], data[key].attrs["units"] = number, unit
    (read_back,) = read(tmp_path / "x.nxs")
    np.testing.assert_array_equal(read_back.values, VALUES)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda group: group.__delitem__("E"), "no values for the axis 'E'"),
        (lambda group: group.attrs.__setitem__("axes", ["Q"]), "names the axes Q for a signal of the shape"),
        (lambda group: group["E"].attrs.__setitem__("units", "furlong"), "called 'E' in furlong"),
        (lambda group: group["E"].__setitem__(0, np.inf), "does not rise or fall"),
        (lambda group: group["intensity_errors"].__setitem__((0, 0), -1.0), "1 negative standard deviations"),
        (lambda group: group["intensity"].__setitem__(..., np.nan), "none of its 12 cells was measured"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, damage, message):
    axes = [("Q", H, "1/angstrom"), ("E", E_EDGES, "meV")]
    path = nxdata(tmp_path / "x.nxs", VALUES, axes, errors=VALUES + 1)
    with h5py.File(path, "a") as file:
        damage(file["entry/data"])
    with pytest.raises(DataError, match=message):
        read(path)


def test_units_and_names_in_other_spellings_are_converted(tmp_path):
    axes = [("momentum transfer", 10 * (H + 1), "1/nm"), ("E (ueV)", 1e3 * E_EDGES, "")]
    (data,) = read(nxdata(tmp_path / "x.nxs", VALUES, axes, errors=VALUES + 1), trusted=True)
    np.testing.assert_allclose(data.coords["Q_abs"].values, H + 1)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [1, 3, 5, 7])


def test_a_direction_is_given_to_no_axis_of_energy(tmp_path):
    axes = [("xi", H, ""), ("transfer", E_EDGES, "meV")]
    path = nxdata(tmp_path / "x.nxs", VALUES, axes, errors=VALUES + 1)
    with pytest.raises(DataError, match="'transfer' in meV, which does not say what it measures"):
        read(path, q_direction=(1, 0, 0), q_origin=(0, 0, 0), energy=1, trusted=True)


def test_what_stands_for_not_measured_is_missing(tmp_path):
    values, errors = VALUES.copy(), VALUES + 1
    values[0, 1], errors[0, 1] = -1e20, -1
    path = nxdata(tmp_path / "x.nxs", values, [("h", H, ""), ("E", E_EDGES, "meV")], errors=errors)
    (data,) = read(path, q_origin=(0, 0, 0), trusted=True)
    assert np.argwhere(data.masks["missing"].values).tolist() == [[0, 1]]
    assert "1 of 12 pixels are −10¹⁰ and below" in data.coords["noted"].value


def test_an_axis_that_runs_along_two_dimensions_is_refused(tmp_path):
    square = VALUES[:, :3]
    path = nxdata(tmp_path / "x.nxs", square, [("h", H, ""), ("E", H, "meV")])
    for i, refused in ((0, False), (1, True)):
        with h5py.File(path, "a") as file:
            file["entry/data"].attrs["h_indices"] = i
        if refused:
            with pytest.raises(DataError, match="names h as axis 0 of its signal, and h_indices says 1"):
                read(path, q_origin=(0, 0, 0), trusted=True)
        else:
            assert read(path, q_origin=(0, 0, 0), trusted=True)
