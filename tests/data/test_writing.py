"""What is written is read back, and appears whole."""

import h5py
import numpy as np
import pytest
import scipp as sc

from insiren.data.counts import count
from insiren.data.files import read, write
from insiren.data.peaks import peak_list
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError

OMEGA = np.linspace(1.0, 3.0, 5)
RNG = np.random.default_rng(1)
INTENSITY, SIGMA = RNG.normal(size=(4, 5)), RNG.uniform(0.1, 1.0, (4, 5))


def crystal(direction=(0.1, 0.2, 0.0), **details):
    hkl = np.array([0.5, 0.3, 1.0]) + np.arange(4)[:, None] * np.array(direction)
    missing = np.zeros((4, 5), bool)
    missing[1, 2] = True
    return image("cut", hkl, OMEGA, INTENSITY, SIGMA, missing=missing, **details)


def powder():
    return image("powder", None, OMEGA, INTENSITY, SIGMA, Q_abs=np.linspace(0.5, 2.0, 4), Ei=12.0)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_scipps_file_holds_everything(tmp_path, suffix):
    counted = count(image("counted", np.zeros((4, 3)), OMEGA, np.abs(INTENSITY), None), 500, seed=0)
    peaks = peak_list("peaks", [[0, 0, 1]], [3.0], [0.1])
    several = [crystal(sigma_floor=0.1, assumed=["a", "b"]), powder(), counted, peaks]
    path = write(several, tmp_path / f"all{suffix}")
    back = sc.io.load_hdf5(path)
    assert list(back) == ["cut", "powder", "counted", "peaks"]
    assert all(sc.identical(back[one.name], one, equal_nan=True) for one in several)
    assert all(sc.identical(own, one, equal_nan=True) for own, one in zip(read(path), several, strict=True))
    write(several[0], path)
    assert sc.identical(sc.io.load_hdf5(path), several[0], equal_nan=True)


def test_the_table_is_written_by_its_suffix(tmp_path):
    data = powder()
    (back,) = read(write(data, tmp_path / "powder.csv"))
    assert sc.identical(back, data, equal_nan=True)


def histogram(path):
    """What the rules of the format say about a file: centres by name, arrays in the order of the axes."""
    with h5py.File(path) as file:
        entry = file["MDHistoWorkspace"]
        assert entry.attrs["SaveMDVersion"] == 2 and entry.attrs["QConvention"] == b"Inelastic"
        assert entry["visual_normalization"][0] == 0
        data = entry["data"]
        order = data["signal"].attrs["axes"].decode().split(":")
        edges = {key: data[key][()] for key in order}
        assert data["signal"].shape == tuple(len(edges[key]) - 1 for key in order)
        names = [data[key].attrs["long_name"].decode() for key in order]
        arrays = {k: data[k][()] for k in ("signal", "errors_squared", "num_events", "mask")}
        centres = [(edges[key][1:] + edges[key][:-1]) / 2 for key in order]
    return names, centres, arrays


def test_a_cut_of_a_crystal_is_a_histogram_of_mantid(tmp_path):
    data = crystal(Ei=25.0, lattice=(4, 4, 8, 90, 90, 120))
    data.masks["beam"] = sc.array(dims=["Q"], values=[True, False, False, False])
    names, centres, arrays = histogram(path := write(data, tmp_path / "cut.nxs"))
    assert names == ["DeltaE", "[0,0,L]", "[H,0,0]", "[0.5K,K,0]"]
    omega, l, h, x = centres
    np.testing.assert_allclose(omega, OMEGA, rtol=1e-14)
    # hkl = x (0.5, 1, 0) + h (1, 0, 0) + l (0, 0, 1)
    hkl = np.stack([0.5 * x + h, x, np.full(4, l[0])], axis=1)
    np.testing.assert_allclose(hkl, [[0.5, 0.3, 1], [0.6, 0.5, 1], [0.7, 0.7, 1], [0.8, 0.9, 1]], rtol=1e-14)
    gone = np.zeros((4, 5), bool)
    gone[0], gone[1, 2] = True, True
    flat = {k: v[:, 0, 0, :].T for k, v in arrays.items()}
    np.testing.assert_array_equal(flat["signal"], np.where(gone, np.nan, INTENSITY))
    np.testing.assert_allclose(flat["errors_squared"], np.where(gone, np.nan, SIGMA**2), rtol=1e-15)
    np.testing.assert_array_equal(flat["num_events"], ~gone)
    np.testing.assert_array_equal(flat["mask"] != 0, gone)
    with h5py.File(path) as file:
        assert file["MDHistoWorkspace/experiment0/logs/Ei/value"][0] == 25.0
        assert file["MDHistoWorkspace/experiment0/sample/oriented_lattice/unit_cell_gamma"][0] == 120.0


def test_the_width_of_the_bins_across_the_line_is_kept_where_it_is_known(tmp_path):
    data = crystal()
    data.coords["bins_hkl"] = sc.scalar("0.1 0.2 0.0; 0 0 0.6")
    with h5py.File(write(data, tmp_path / "cut.nxs")) as file:
        np.testing.assert_allclose(file["MDHistoWorkspace/data/D2"], [0.7, 1.3])


def test_a_cut_that_runs_backwards_is_turned(tmp_path):
    names, centres, arrays = histogram(write(crystal((0.0, -0.1, 0.0)), tmp_path / "cut.nxs"))
    assert names[-1] == "[0,K,0]"
    np.testing.assert_allclose(centres[-1], [0.0, 0.1, 0.2, 0.3], atol=1e-15)
    np.testing.assert_array_equal(arrays["num_events"][:, 0, 0, 2], [1, 1, 0, 1, 1])


def test_a_powder_is_a_histogram_of_two_axes(tmp_path):
    names, centres, arrays = histogram(write(powder(), tmp_path / "powder.nxs"))
    assert names == ["DeltaE", "|Q|"]
    np.testing.assert_allclose(centres[1], np.linspace(0.5, 2.0, 4), rtol=1e-14)
    np.testing.assert_array_equal(arrays["signal"].T, INTENSITY)


@pytest.mark.parametrize("data", [crystal(), crystal((0.0, -0.1, 0.0)), crystal((0.1, 0.1, 0.3)), powder()])
def test_our_reader_of_histograms_gives_back_what_was_written(tmp_path, data):
    pytest.importorskip("insiren.data.files.mdhisto")
    (back,) = read(write(data, tmp_path / "cut.nxs"))
    one, other = measured(data), measured(back)
    place = (lambda m: m.points.hkl) if one.points.Q_abs is None else (lambda m: m.points.Q_abs[:, None])
    first, second = (np.lexsort(np.round(np.asarray(place(m)), 9).T) for m in (one, other))
    np.testing.assert_allclose(place(other)[second], place(one)[first], atol=1e-12)
    np.testing.assert_allclose(other.points.rows[0], one.points.rows[0], rtol=1e-12)
    for key in ("intensity", "sigma", "used"):
        ours, theirs = (getattr(m, key).reshape(m.shape)[at] for m, at in ((one, first), (other, second)))
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)


@pytest.mark.parametrize(
    ("data", "name", "match"),
    [
        (crystal(), "cut.txt", r"the suffix \.txt names no format; choose one of \.csv"),
        (crystal(), "cut", r"\(none\)"),
        ([], "cut.csv", "nothing to write"),
        ([crystal(), crystal()], "cut.h5", "distinct names"),
        ([crystal(), powder()], "cut.nxs", "holds one data set, not 2"),
        (crystal((0.0, 0.0, 0.0)), "cut.nxs", "on no line"),
        (
            image("turn", [[0, 0, 0], [1, 0, 0], [1, 1, 0]], [1.0], np.ones((3, 1)), np.ones((3, 1))),
            "a.nxs",
            "stray by",
        ),
        (
            image("gap", [[0, 0, 0], [1, 0, 0], [3, 0, 0]], [1.0], np.ones((3, 1)), np.ones((3, 1))),
            "a.nxs",
            "even steps",
        ),
        (
            image("gap", [[0, 0, 0]], [1.0, 2.0, 4.0], np.ones((1, 3)), np.ones((1, 3))),
            "a.nxs",
            "its energies do not rise",
        ),
        (image("bare", [[0, 0, 0]], [1.0], np.ones((1, 1)), None), "a.nxs", "no errors"),
        (point_list("list", [[0, 0, 0]], [1.0], [1.0], [1.0]), "a.nxs", "list of points"),
        (peak_list("peaks", [[0, 0, 1]], [3.0], [0.1]), "a.csv", "list of peaks"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(tmp_path, data, name, match):
    with pytest.raises(DataError, match=match):
        write(data, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".csv", ".h5", ".nxs"])
def test_a_folder_that_is_not_there_is_named_and_an_old_file_survives_a_failure(tmp_path, suffix, monkeypatch):
    with pytest.raises(DataError, match="is not a folder"):
        write(crystal(), tmp_path / "nowhere" / f"a{suffix}")
    path = write(crystal(), tmp_path / f"a{suffix}")
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("the disk is full")

    for target in ("scipp.DataArray.save_hdf5", "h5py.Group.create_dataset", "csv.writer"):
        monkeypatch.setattr(target, fail)
    with pytest.raises(OSError, match="disk is full"):
        write(crystal(), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]
