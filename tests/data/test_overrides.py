"""The options that override what a reader took for granted change the numbers as they say."""

import horace_files
import numpy as np
import pytest
from healthy_files import FLAT, LAYOUTS, POLAR, SMALL
from nexus_files import cells, mdhisto, nxdata, nxspe
from text_files import par, spe

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

ENERGY = np.linspace(-2, 4, 7)
HORACE = {"s": horace_files.S, "e": horace_files.E, "npix": horace_files.NPIX, **horace_files.PROJECTION}


def there(data):
    return ~data.masks["missing"].values


def columns(folder):
    (folder / "map.dat").write_text("0 1 5 4\n0 2 6 9\n0.5 1 7 16\n0.5 2 8 25\n")
    return folder / "map.dat"


@pytest.mark.parametrize("layout", ["columns", "slice", "peak table", "folder of Sqw", "NXdata", "mat", "sqw"])
def test_errors_are_variances_or_standard_deviations(tmp_path, layout):
    one = LAYOUTS[layout]
    one.write(tmp_path)
    (sigma,), (variance,) = (read(tmp_path / one.read, **one.options, errors=w) for w in ("sigma", "variance"))
    np.testing.assert_allclose(np.sqrt(sigma.variances), variance.variances)
    (usual,) = read(tmp_path / one.read, **one.options)
    usual_is = variance if layout in ("mat", "sqw") else sigma
    np.testing.assert_array_equal(usual.variances, usual_is.variances)


def test_one_sigma_serves_a_file_without_errors_and_no_other(tmp_path):
    signal, nothing = cells(SMALL)[0], np.zeros_like(cells(SMALL)[0])
    mdhisto(tmp_path / "x.nxs", (signal, nothing, nothing), edges=SMALL)
    nxdata(tmp_path / "n.nxs", FLAT, [("Q", POLAR, "1/angstrom"), ("E", ENERGY, "meV")])
    (tmp_path / "three.dat").write_text("0 1 5\n0 2 6\n")
    for file, more in (("x.nxs", {}), ("n.nxs", {}), ("three.dat", {"q_direction": (0, 0, 1)})):
        assert read(tmp_path / file, **more)[0].variances is None
        (data,) = read(tmp_path / file, **more, sigma=0.5)
        np.testing.assert_allclose(measured(data).sigma, 0.5)
        with pytest.raises(DataError, match="sigma = -1 is not a positive number"):
            read(tmp_path / file, **more, sigma=-1)
    mdhisto(tmp_path / "e.nxs", cells(SMALL), edges=SMALL)
    nxdata(tmp_path / "d.nxs", FLAT, [("Q", POLAR, "1/angstrom"), ("E", ENERGY, "meV")], errors=FLAT)
    LAYOUTS["scipp"].write(tmp_path)
    for file, more in (("e.nxs", {}), ("d.nxs", {}), ("x.h5", {}), (columns(tmp_path).name, {"q_direction": "powder"})):
        with pytest.raises(DataError, match=r"sigma = 0\.5 contradicts"):
            read(tmp_path / file, **more, sigma=0.5)


def test_one_sigma_serves_an_array_of_scipp(tmp_path):
    (whole,) = read(columns(tmp_path), q_direction=(0, 0, 1))
    whole.variances = None
    whole.save_hdf5(tmp_path / "whole.h5")
    (data,) = read(tmp_path / "whole.h5", sigma=0.5)
    np.testing.assert_allclose(data.variances, 0.25)
    assert "--sigma changes it" in data.coords["assumed"].value and "--columns" in data.coords["assumed"].value


def test_columns_of_text_may_have_another_order_and_unit(tmp_path):
    path = columns(tmp_path)
    (usual,) = read(path, q_direction=(0, 0, 1))
    (tmp_path / "other.dat").write_text("4 1 0 5\n9 2 0 6\n16 1 0.5 7\n25 2 0.5 8\n")
    (other,) = read(tmp_path / "other.dat", q_direction=(0, 0, 1), columns="sigma, E, x, I")
    np.testing.assert_array_equal(other.values, usual.values)
    np.testing.assert_array_equal(other.variances, usual.variances)
    np.testing.assert_array_equal(other.coords["l"].values, usual.coords["l"].values)
    (scaled,) = read(path, q_direction=(0, 0, 1), energy_unit="THz")
    np.testing.assert_allclose(scaled.coords["energy_transfer"].values, [4.135667696923859, 8.271335393847718])
    for wrong, why in (("x,E,I", "3 columns where a row has 4"), ("x,E,I,I", "a column twice"), (5, "1 columns where")):
        with pytest.raises(DataError, match=f"{why}.*such as --columns x,E,I,sigma"):
            read(path, q_direction=(0, 0, 1), columns=wrong)
    for wrong in ("furlong", 3):
        with pytest.raises(DataError, match="no unit of energy that is known: meV"):
            read(path, q_direction=(0, 0, 1), energy_unit=wrong)


def test_peaks_may_be_in_another_unit_and_zeros_peaks(tmp_path):
    LAYOUTS["peak table"].write(tmp_path)
    path = tmp_path / "modes.txt"
    (usual,), (scaled,) = read(path), read(path, energy_unit="eV")
    for key in ("energy_low", "energy_high"):
        np.testing.assert_allclose(scaled.coords[key].values, 1000 * usual.coords[key].values)
    np.testing.assert_allclose(scaled.values, 1000 * usual.values)
    np.testing.assert_allclose(scaled.variances, 1e6 * usual.variances)
    path.write_text("QH QK QL I1 EN1 sigma1\n0 0 1 0 5 0.2\n0 0 1 2 0 0.2\n0 0 1 0 0 0\n0 0 1 1 7 0.1\n")
    assert read(path)[0].values.tolist() == [7]
    assert sorted(read(path, zeros="measured")[0].values.tolist()) == [0, 5, 7]


def test_zeros_of_a_slice_are_measured_or_missing(tmp_path):
    rows = "4 2 0 1\n0 0 0 2\n0 0 0.5 1\n9 3 0.5 2\n"
    (tmp_path / "s.txt").write_text("# Intensity Error [H,H,0] DeltaE\n" + rows)
    (measured_,), (missing,) = (read(tmp_path / "s.txt", zeros=z) for z in ("measured", "missing"))
    assert there(measured_).sum() == 4 and there(missing).sum() == 2
    np.testing.assert_allclose(measured_.variances[0], [4, 1])


def test_zeros_of_a_workspace_are_measured_or_missing(tmp_path):
    signal, variance, events = cells(SMALL)
    for array in (signal, variance, events):
        array[0, 0, 0, 1] = 0
    mdhisto(tmp_path / "x.nxs", (signal, variance, events), edges=SMALL)
    (usual,), (missing,) = read(tmp_path / "x.nxs"), read(tmp_path / "x.nxs", zeros="missing")
    assert there(usual).all() and (~there(missing)).sum() == 1
    assert np.isnan(missing.values[~there(missing)]).all()
    with pytest.raises(DataError, match="zeros = 'measured' is impossible"):
        read(tmp_path / "x.nxs", zeros="measured", normalisation="num_events")
    events[:] = 0
    variance[0, 0, 0, 1] = signal[0, 0, 0, 1] = 0
    mdhisto(tmp_path / "y.nxs", (signal, variance, events), edges=SMALL)
    (untold,), (kept,) = read(tmp_path / "y.nxs"), read(tmp_path / "y.nxs", zeros="measured")
    assert (~there(untold)).sum() == 1 and there(kept).all()
    assert kept.variances[~there(untold)].tolist() == [0.0], "which --sigma-floor raises"


@pytest.mark.parametrize("layout", ["mat", "sqw"])
def test_bins_without_pixels_are_missing_or_measured(tmp_path, layout):
    LAYOUTS[layout].write(tmp_path)
    path = tmp_path / LAYOUTS[layout].read
    (usual,), (missing,), (whole,) = read(path), read(path, zeros="missing"), read(path, zeros="measured")
    assert (~there(usual)).sum() == (~there(missing)).sum() == 1 and there(whole).all()
    hole = ~there(usual)
    assert whole.values[hole].tolist() == [0.0] and whole.variances[hole][0] > 0


def test_bins_of_pixels_without_neutrons_are_measured_unless_said_otherwise(tmp_path):
    s, e = horace_files.S.copy(), horace_files.E.copy()
    s[0, 0] = e[0, 0] = 0
    horace_files.mat(tmp_path / "x.mat", {**HORACE, "s": s, "e": e})
    (usual,), (missing,) = read(tmp_path / "x.mat"), read(tmp_path / "x.mat", zeros="missing")
    assert there(usual).sum() == 5 and there(missing).sum() == 4
    assert usual.variances[0, 0] == pytest.approx((4 / 3) ** 2), "σ²/I of the other bin at that energy"


def test_detectors_of_zeros_are_missing_or_measured(tmp_path):
    intensity = FLAT.copy()
    intensity[1] = 0
    nxspe(tmp_path / "x.nxspe", intensity, intensity, ENERGY, POLAR, np.zeros(5))
    text = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 5.0, 6.0]])
    (tmp_path / "x.spe").write_text(spe(text, text / 2))
    (tmp_path / "x.par").write_text(par([10.0, 40.0, 80.0]))
    for path, more, n in ((tmp_path / "x.nxspe", {}, 6), (tmp_path / "x.spe", {"Ei": 20}, 3)):
        (usual,), (whole,) = read(path, q_step=0.02, **more), read(path, q_step=0.02, zeros="measured", **more)
        assert whole.coords["detectors"].values.sum() - usual.coords["detectors"].values.sum() == n
        assert there(whole).sum() - there(usual).sum() == n
        (mixed,) = read(path, q_step=10, zeros="measured", **more)
        assert mixed.values.mean() < read(path, q_step=10, **more)[0].values.mean()


def test_a_bin_in_which_nobody_caught_anything_is_measured_or_missing(tmp_path):
    intensity = FLAT.copy()
    intensity[2, 3] = 0
    nxspe(tmp_path / "x.nxspe", intensity, intensity, ENERGY, POLAR, np.zeros(5))
    (usual,), (missing,) = (read(tmp_path / "x.nxspe", q_step=0.02, **m) for m in ({}, {"zeros": "missing"}))
    assert there(usual).sum() - there(missing).sum() == 1


@pytest.mark.parametrize("scaling", [0, 1, None])
def test_the_factor_kf_over_ki_is_taken_out_as_asked(tmp_path, scaling):
    nxspe(tmp_path / "x.nxspe", FLAT, FLAT, ENERGY, POLAR, np.zeros(5), Ei=20.0, scaling=scaling)
    (divided,), (contained,) = (read(tmp_path / "x.nxspe", q_step=0.2, kf_over_ki=f) for f in ("divided", "contained"))
    seen = there(divided)
    np.testing.assert_allclose(divided.values[seen], 1)
    factor = np.broadcast_to(np.sqrt(20 / (20 - divided.coords["energy_transfer"].values)), seen.shape)
    np.testing.assert_allclose(contained.values[seen], factor[seen])
    np.testing.assert_allclose(contained.variances[seen] / divided.variances[seen], factor[seen] ** 2)


def test_the_factor_kf_over_ki_is_taken_out_of_an_spe_as_asked(tmp_path):
    LAYOUTS["spe"].write(tmp_path)
    (divided,), (contained,) = (read(tmp_path / "run.spe", Ei=20, kf_over_ki=f) for f in ("divided", "contained"))
    seen = there(divided)
    factor = np.broadcast_to(np.sqrt(20 / (20 - divided.coords["energy_transfer"].values)), seen.shape)
    np.testing.assert_allclose(contained.values[seen] / divided.values[seen], factor[seen])


def test_the_convention_turns_hkl(tmp_path):
    mdhisto(tmp_path / "x.nxs", cells(SMALL), edges=SMALL, convention="Crystallography")
    (stored,), (same,), (other,) = (
        read(tmp_path / "x.nxs", q_convention=c) for c in (None, "crystallography", "inelastic")
    )
    for c in "hkl":
        np.testing.assert_array_equal(stored.coords[c].values, same.coords[c].values)
        np.testing.assert_array_equal(stored.coords[c].values, -other.coords[c].values)
    mdhisto(tmp_path / "y.nxs", cells(SMALL), edges=SMALL, convention="Backwards")
    with pytest.raises(DataError, match=r"QConvention 'Backwards'.*--q-convention"):
        read(tmp_path / "y.nxs")
    assert read(tmp_path / "y.nxs", q_convention="inelastic")[0].coords["h"].values.max() > 0


def test_directions_come_from_the_labels_or_the_matrix(tmp_path):
    W = np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    mdhisto(tmp_path / "x.nxs", cells(SMALL), edges=SMALL, W=W)
    (labels,), (cols,), (rows,) = (read(tmp_path / "x.nxs", directions=d) for d in (None, "columns", "rows"))
    h, k = labels.coords["h"].values, labels.coords["k"].values
    np.testing.assert_allclose([cols.coords["h"].values, cols.coords["k"].values], [h + k, k - h])
    np.testing.assert_allclose([rows.coords["h"].values, rows.coords["k"].values], [h - k, h + k])
    mdhisto(tmp_path / "r.nxs", cells(SMALL), edges=SMALL, W=np.diag([1 / 3, 1, 1]),
            labels=("[0.333H,0,0]", "[0,K,0]", "[0,0,L]", "DeltaE"))  # fmt: skip
    (fine,), (rounded,) = read(tmp_path / "r.nxs"), read(tmp_path / "r.nxs", directions="labels")
    np.testing.assert_allclose(fine.coords["h"].values / (1 / 3), rounded.coords["h"].values / 0.333)
    mdhisto(tmp_path / "n.nxs", cells(SMALL), edges=SMALL)
    with pytest.raises(DataError, match="has no W_MATRIX"):
        read(tmp_path / "n.nxs", directions="rows")
    mdhisto(tmp_path / "z.nxs", cells(SMALL), edges=SMALL, W=np.zeros((3, 3)))
    with pytest.raises(DataError, match="rows that are zero"):
        read(tmp_path / "z.nxs", directions="rows")


def test_a_signal_is_an_integral_or_a_density(tmp_path):
    LAYOUTS["MDHisto of SpinW"].write(tmp_path)
    (usual,), (density,) = read(tmp_path / "x.nxs"), read(tmp_path / "x.nxs", signal="density")
    np.testing.assert_allclose(usual.values * 2, density.values)  # bins of 2 meV
    mdhisto(tmp_path / "m.nxs", cells(SMALL), edges=SMALL)
    (usual,), (integral,) = read(tmp_path / "m.nxs"), read(tmp_path / "m.nxs", signal="integral")
    np.testing.assert_allclose(usual.values, integral.values * 2)
    np.testing.assert_allclose(usual.variances, integral.variances * 4)
    mdhisto(tmp_path / "q.nxs", cells(SMALL[:3]), edges=SMALL[:3], labels=("[H,0,0]", "[0,K,0]", "[0,0,L]"))
    with pytest.raises(DataError, match="no edges of an energy axis"):
        read(tmp_path / "q.nxs", energy=3, signal="integral")


def test_pixels_are_averaged_over_their_bins_or_points(tmp_path):
    edges = [*SMALL[:3], np.array([0.0, 1, 3, 7])]
    mdhisto(tmp_path / "x.nxs", cells(edges), edges=edges)
    (usual,), (points,), (averaged,) = (read(tmp_path / "x.nxs", bins=b) for b in (None, "points", "averaged"))
    assert len(measured(usual).points.bins.hkl) == 3 and measured(usual).points.bins.omega == 0
    assert measured(points).points.bins == ((), 0.0, 0.0)
    assert measured(averaged).points.bins.omega == pytest.approx(7 / 3)
    nxdata(tmp_path / "n.nxs", FLAT, [("Q", POLAR, "1/angstrom"), ("E", ENERGY, "meV")], errors=FLAT)
    assert measured(read(tmp_path / "n.nxs")[0]).points.bins.Q_abs == 0
    assert measured(read(tmp_path / "n.nxs", bins="averaged")[0]).points.bins.Q_abs == pytest.approx(22.5)
    nxspe(tmp_path / "c.nxspe", FLAT, FLAT, ENERGY[:-1] + 0.5, POLAR, np.zeros(5))
    assert measured(read(tmp_path / "c.nxspe")[0]).points.bins.omega == 0
    assert measured(read(tmp_path / "c.nxspe", bins="averaged")[0]).points.bins.omega == pytest.approx(1)


def test_what_was_integrated_is_moved(tmp_path):
    mdhisto(tmp_path / "x.nxs", cells([*SMALL[:3], SMALL[3][:2]]), edges=[*SMALL[:3], SMALL[3][:2]])
    (data,) = read(tmp_path / "x.nxs", energy=1.7, q_origin=(0, 0, 0.2))
    assert data.coords["energy_transfer"].values.tolist() == [1.7]
    np.testing.assert_allclose(data.coords["l"].values, 0.2)
    nxdata(tmp_path / "n.nxs", FLAT[:1], [("Q", [1.0, 2.0], "1/angstrom"), ("E", ENERGY, "meV")], errors=FLAT[:1])
    assert read(tmp_path / "n.nxs")[0].coords["Q_abs"].values.tolist() == [1.5]
    assert read(tmp_path / "n.nxs", Q_abs=1.2)[0].coords["Q_abs"].values.tolist() == [1.2]
    horace_files.mat(tmp_path / "x.mat", HORACE)
    (usual,), (moved,) = read(tmp_path / "x.mat"), read(tmp_path / "x.mat", q_origin=(0.1, 0, 1))
    np.testing.assert_allclose(moved.coords["h"].values - usual.coords["h"].values, 0.1)
    np.testing.assert_allclose(moved.coords["l"].values, usual.coords["l"].values)
    fields = {**HORACE, "pax": np.array([[1.0, 2.0]]), "iax": np.array([[3.0, 4.0]]),
              "iint": np.array([[-0.1, -np.inf], [0.1, np.inf]])}  # fmt: skip
    horace_files.mat(tmp_path / "e.mat", fields)
    assert read(tmp_path / "e.mat", energy=10)[0].coords["energy_transfer"].values.tolist() == [10.0]
    with pytest.raises(DataError, match="energy = 10 contradicts"):
        read(tmp_path / "x.mat", energy=10)


def test_the_cut_of_an_sqw_is_moved(tmp_path):
    LAYOUTS["sqw"].write(tmp_path)
    (usual,), (moved,) = read(tmp_path / "x.sqw"), read(tmp_path / "x.sqw", q_origin=(0, 0, 1))
    np.testing.assert_allclose(moved.coords["l"].values, usual.coords["l"].values + 1)
    with pytest.raises(DataError, match="energy = 3 contradicts"):
        read(tmp_path / "x.sqw", energy=3)
