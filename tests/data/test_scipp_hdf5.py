"""scipp's files give back this package's spectra exactly, and others where their coordinates can be recognised."""

import h5py
import numpy as np
import pytest
import scipp as sc
from test_spectrum import HKL, INTENSITY, OMEGA, SIGMA

from insiren.data.files import read
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError
from insiren.forward import Bins

BINS = Bins(hkl=((0.1, 0.0, 0.0), (0.0, 1 / 3, 0.0)), omega=0.5)


def said(data):
    return data.coords["assumed"].value


def other(**coords):
    """A spectrum as another program may have left it: h with edges, energy in eV, variances."""
    values = np.arange(1.0, 7.0).reshape(2, 3)
    return sc.DataArray(
        sc.array(dims=["h", "energy"], values=values, variances=values),
        coords={
            "h": sc.array(dims=["h"], values=[0.0, 0.5, 1.0]),
            "energy": sc.array(dims=["energy"], values=[0.002, 0.004, 0.006], unit="eV"),
            "k": sc.scalar(0.5),
            "l": sc.scalar(0.0),
            **coords,
        },
    )


@pytest.mark.parametrize("kind", ["image", "points", "powder"])
def test_a_spectrum_of_this_package_comes_back_the_same(tmp_path, kind):
    if kind == "image":
        data = image("a name", HKL, OMEGA, INTENSITY, SIGMA, sigma_floor=0.1, assumed=["one", "two µ"], bins=BINS)
        data.masks["low"] = sc.array(dims=["energy_transfer"], values=[True, False])
    elif kind == "points":
        data = point_list("a name", HKL, [1.0, 2.0, 3.0], [1.0, np.nan, 3.0], None, counts=[1, 2, 3], norm=[1, 1, 1])
    else:
        data = image("a name", None, OMEGA, INTENSITY, SIGMA, Q_abs=[1.0, 2.0, 3.0], bins=Bins(Q_abs=0.1, omega=2.0))
    data.save_hdf5(tmp_path / "x.h5")
    (back,) = read(tmp_path / "x.h5")
    assert sc.identical(back, data, equal_nan=True)


def test_several_arrays_in_a_group_or_data_set_are_several_spectra(tmp_path):
    one = image("one", HKL, OMEGA, INTENSITY, SIGMA)
    two = image("two", HKL, OMEGA, 2 * INTENSITY, SIGMA)
    sc.DataGroup({"x": one, "y": sc.DataGroup({"z": two}), "note": "text"}).save_hdf5(tmp_path / "group.h5")
    assert [data.name for data in read(tmp_path / "group.h5")] == ["x", "z"], "the keys of the group win"
    sc.Dataset({"one": one, "two": one * 2.0}).save_hdf5(tmp_path / "set.h5")
    back = read(tmp_path / "set.h5")
    assert len(back) == 2 and all(sc.identical(b.coords["h"], one.coords["h"]) for b in back)


def test_coordinates_of_others_are_recognised(tmp_path):
    data = other()
    data.masks["bad"] = sc.array(dims=["h"], values=[True, False])
    data.name = "theirs"
    data.save_hdf5(tmp_path / "x.h5")
    (back,) = read(tmp_path / "x.h5")
    np.testing.assert_array_equal(back.values, data.values)
    np.testing.assert_array_equal(back.variances, data.variances)
    np.testing.assert_allclose(back.coords["h"].values, [0.25, 0.75])
    np.testing.assert_allclose(back.coords["k"].values, 0.5)
    np.testing.assert_allclose(back.coords["energy_transfer"].values, [2, 4, 6])
    assert measured(back).used.tolist() == [False] * 3 + [True] * 3
    assert measured(back).points.bins.hkl == ((0.5, 0.0, 0.0),)
    assert "dimension h is along (1, 0, 0) r.l.u." in back.coords["noted"].value


def test_an_axis_beside_what_is_no_axis_is_still_found(tmp_path):
    run = sc.array(dims=["h"], values=[1.0, 2.0], unit="K")
    other(temperature=run).save_hdf5(tmp_path / "x.h5")
    np.testing.assert_allclose(read(tmp_path / "x.h5")[0].coords["h"].values, [0.25, 0.75])


def test_a_powder_of_others_is_known_by_its_unit(tmp_path):
    data = sc.DataArray(
        sc.array(dims=["energy_transfer", "Q"], values=np.ones((2, 3)), unit="counts"),
        coords={
            "Q": sc.array(dims=["Q"], values=[0.0, 1.0, 2.0, 3.0], unit="1/angstrom"),
            "energy_transfer": sc.array(dims=["energy_transfer"], values=[1.0, 2.0], unit="meV"),
        },
    )
    data.save_hdf5(tmp_path / "x.h5")
    (back,) = read(tmp_path / "x.h5")
    np.testing.assert_array_equal(back.coords["Q_abs"].values, [0.5, 1.5, 2.5])
    assert back.shape == (3, 2)


def test_what_no_coordinate_says_is_named_and_may_be_given(tmp_path):
    strange = other().rename_dims({"h": "row"}).drop_coords("h")
    strange.coords["position"] = sc.array(dims=["row"], values=[0.25, 0.75])
    strange.save_hdf5(tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"'row' measures \(there are: position in dimensionless"):
        read(tmp_path / "x.h5")
    (back,) = read(tmp_path / "x.h5", q_direction=(0, 0, 2), q_origin=(0, 0.5, 0))
    np.testing.assert_allclose(back.coords["l"].values, [0.5, 1.5])
    other().drop_coords("k").save_hdf5(tmp_path / "y.h5")
    with pytest.raises(DataError, match="Give q_origin"):
        read(tmp_path / "y.h5")


def test_events_and_things_that_are_no_arrays_are_refused(tmp_path):
    sc.scalar(1.0).save_hdf5(tmp_path / "x.h5")
    with pytest.raises(DataError, match="holds a Variable, but no data array"):
        read(tmp_path / "x.h5")
    table = sc.data.table_xyz(10)
    table.bin(x=2).save_hdf5(tmp_path / "y.h5")
    with pytest.raises(DataError, match="Histogram it before saving"):
        read(tmp_path / "y.h5")
    nothing = image("n", HKL, OMEGA, np.full((3, 2), np.nan), None)
    nothing.save_hdf5(tmp_path / "z.h5")
    with pytest.raises(DataError, match="all 6 cells"):
        read(tmp_path / "z.h5")


def test_a_damaged_layout_is_named_by_its_place(tmp_path):
    image("x", HKL, OMEGA, INTENSITY, SIGMA).save_hdf5(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["data/values"].attrs["dims"] = ["Q"]
    with pytest.raises(DataError, match=r"data/values has the shape \(3, 2\) and names the dimensions"):
        read(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["data/values"].attrs["dims"] = ["Q", "energy_transfer"]
        wrong = next(iter(file["coords"].values()))
        attrs = dict(wrong["values"].attrs)
        del wrong["values"]
        wrong["values"] = np.zeros(7)
        wrong["values"].attrs.update(attrs)
    with pytest.raises(DataError, match="does not fit together"):
        read(tmp_path / "x.h5")
