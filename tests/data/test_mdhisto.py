"""MDHistoWorkspace files, of Mantid and of SpinW, become spectra without a cell lost or confused with another."""

import h5py
import numpy as np
import pytest
from nexus_files import EDGES, HKL_LABELS, cells, mdhisto

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

ROUND = 1e-6  # the real file keeps its edges in single precision


def centres(edges):
    return (edges[1:] + edges[:-1]) / 2


def hkl(data):
    return np.stack([data.coords[c].values for c in "hkl"], axis=1)


def said(data):
    return data.coords["assumed"].value


def test_a_real_cut_has_its_numbers(shared):
    # Numbers read from the file with h5py alone.
    (data,) = read(shared / "data" / "mdhisto" / "1Dcut_sym_0p00T_K.nxs")
    assert dict(data.sizes) == {"Q": 1, "energy_transfer": 88}
    # Crystallography's sign: minus 0.667 (-1/2, 1, 0).
    np.testing.assert_allclose(hkl(data), [[0.3335, -0.667, 0]], atol=ROUND)
    energy = data.coords["energy_transfer"].values
    np.testing.assert_allclose([energy[0], energy[-1], np.ptp(energy)], [-0.096, 0.6, 87 * 0.008], atol=ROUND)
    assert not data.masks["missing"].values.any()
    assert (data.values < 0).sum() == 7, "negatives of a subtracted background are kept"
    np.testing.assert_allclose(data.values.sum(), 1.769705864847453, rtol=1e-12)
    np.testing.assert_allclose(data.variances[0, 0], 4.58253630e-09, rtol=1e-8)
    assert "multiplied by −1" in said(data)
    assert "num_events goes up to 32396" in said(data)
    assert "[0,0,L] is averaged from -0.25 to 0.25" in said(data)


def test_a_real_cut_tells_the_bin_around_each_pixel(shared):
    (data,) = read(shared / "data" / "mdhisto" / "1Dcut_sym_0p00T_K.nxs")
    bins = measured(data).points.bins
    assert bins.omega == pytest.approx(0.008)
    np.testing.assert_allclose(np.abs(bins.hkl), [[0, 0, 0.5], [0.05, 0.1, 0], [0.1, 0, 0]], atol=ROUND)


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 1, 2, 3), (1, 3, 0, 2)])
def test_the_order_of_the_arrays_is_what_the_axes_say(tmp_path, order):
    arrays = cells()
    (data,) = read(mdhisto(tmp_path / "x.nxs", arrays, order=order, lattice=(4, 4, 5, 90, 90, 120), Ei=55.0))
    where = {tuple(np.round(q, 9)): i for i, q in enumerate(hkl(data))}
    h, k, l, omega = (centres(e) for e in EDGES)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, omega)
    for i, j in [(0, 0), (3, 1), (2, 2)]:
        row = where[round(h[i], 9), round(k[j], 9), round(l[0], 9)]
        np.testing.assert_array_equal(data.values[row], arrays[0][i, j, 0])
        np.testing.assert_array_equal(data.variances[row], arrays[1][i, j, 0])
    assert data.coords["Ei"].value == 55.0
    assert data.coords["lattice"].value == "4, 4, 5, 90, 90, 120"


def test_directions_scale_and_mix_the_components(tmp_path):
    labels = ("[H,H,0]", "[-0.5K,0.5K,0]", "[0,0,L]", "DeltaE")
    (data,) = read(mdhisto(tmp_path / "x.nxs", cells(), labels=labels))
    x, y, z, _ = (centres(e) for e in EDGES)
    expected = [(a - b / 2, a + b / 2, c) for c in z for b in y for a in x]  # in the order of the file: D2, D1, D0
    np.testing.assert_allclose(hkl(data), expected, atol=1e-12)
    edges = measured(data).points.bins.hkl
    np.testing.assert_allclose(edges, [[0, 0, 1], [-0.1, 0.1, 0], [0.25, 0.25, 0]], atol=1e-12)


def test_rounded_labels_are_refined_by_a_matrix_that_agrees(tmp_path):
    labels = ("[0.333H,-0.667H,0]", "[K,K,0]", "[0,0,L]", "DeltaE")
    third = np.array([[1 / 3, -2 / 3, 0], [1, 1, 0], [0, 0, 1]])
    for W in (third, third.T):
        (data,) = read(mdhisto(tmp_path / "x.nxs", cells(), labels=labels, W=W))
        np.testing.assert_allclose(hkl(data)[1] - hkl(data)[0], [0.25 / 3, -0.5 / 3, 0], atol=1e-12)
        assert "[0.333H,-0.667H,0] is rounded" in said(data)
    (data,) = read(mdhisto(tmp_path / "x.nxs", cells(), labels=labels, W=np.eye(3)))
    np.testing.assert_allclose(hkl(data)[1] - hkl(data)[0], [0.25 * 0.333, -0.25 * 0.667, 0], atol=1e-12)
    assert "W_MATRIX contradicts" in said(data)


def test_crystallography_turns_the_sign_of_hkl_and_of_nothing_else(tmp_path):
    (one,) = read(mdhisto(tmp_path / "x.nxs", cells()))
    (other,) = read(mdhisto(tmp_path / "y.nxs", cells(), convention="Crystallography"))
    (missing,) = read(mdhisto(tmp_path / "z.nxs", cells(), convention=None))
    np.testing.assert_array_equal(hkl(other), -hkl(one))
    np.testing.assert_array_equal(hkl(missing), hkl(one))
    np.testing.assert_array_equal(other.values, one.values)
    with pytest.raises(DataError, match="QConvention 'Left'"):
        read(mdhisto(tmp_path / "x.nxs", cells(), convention="Left"))


def test_empty_masked_and_never_covered_cells_are_told_apart(tmp_path):
    signal, errors, events = cells()
    signal[0, 0, 0, 1] = errors[0, 0, 0, 1] = np.nan
    signal[1, 0, 0, 1] = errors[1, 0, 0, 1] = events[1, 0, 0, 1] = 0
    signal[2, 0, 0, 1] = -3.0
    mask = np.zeros(signal.shape, bool)
    mask[3, 0, 0, 1] = True
    (data,) = read(mdhisto(tmp_path / "x.nxs", (signal, errors, events), mask=mask))
    rows = [int(np.argmin(np.abs(hkl(data) - [x, -0.1, 0]).sum(axis=1))) for x in (0.125, 0.375, 0.625, 0.875)]
    never, empty, negative, masked = rows
    missing = data.masks["missing"].values
    assert missing[never, 1] and missing[masked, 1] and missing.sum() == 2
    assert data.masks["mask"].values[masked, 1] and data.masks["mask"].values.sum() == 1
    assert data.values[empty, 1] == 0 and data.values[negative, 1] == -3.0
    # σ² = N·0.25² and I = N·0.25 everywhere, so that one neutron is worth 0.25.
    np.testing.assert_allclose(data.variances[empty, 1], 0.0625)
    assert "1 cells are 0 ± 0 without events" in said(data)
    assert measured(data).n_masked == 2


def test_the_worth_of_a_neutron_is_found_at_each_energy(tmp_path):
    signal, errors, events = cells()
    worth = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    signal, errors = events * worth, events * worth**2
    signal[1, 1], errors[1, 1], events[1, 1] = 0, 0, 0
    for order in ((3, 2, 1, 0), (1, 3, 0, 2)):
        (data,) = read(mdhisto(tmp_path / "x.nxs", (signal, errors, events), order=order))
        row = np.flatnonzero((data.values == 0).all(axis=1))
        np.testing.assert_allclose(data.variances[row[0]], worth**2)
    (part,) = read(tmp_path / "x.nxs", cut={"omega": (4, 8)})
    row = np.flatnonzero((part.values == 0).all(axis=1))
    np.testing.assert_allclose(part.variances[row[0]], worth[2:4] ** 2)


def test_sums_over_events_are_divided_and_cells_without_events_are_missing(tmp_path):
    signal, errors, events = cells()
    signal[0, 0, 0, 0] = errors[0, 0, 0, 0] = events[0, 0, 0, 0] = 0
    stored = mdhisto(tmp_path / "x.nxs", (signal, errors, events), normalisation=2)
    (data,) = read(stored)
    there = ~data.masks["missing"].values
    assert (~there).sum() == 1
    np.testing.assert_allclose(data.values[there], 0.25)
    np.testing.assert_allclose(np.sort(data.variances[there]), np.sort((0.0625 / events[events > 0]).ravel()))
    (plain,) = read(stored, normalisation="none")
    assert not plain.masks["missing"].values.any() and plain.values.max() == signal.max()
    (density,) = read(stored, normalisation="volume")
    assert density.masks["missing"].values.sum() == 1 and np.nanmax(density.values) == signal.max()
    with pytest.raises(DataError, match="there are none, volume, num_events"):
        read(stored, normalisation="events")


def test_a_file_of_spinw_has_no_errors_and_is_not_blank(tmp_path):
    signal = cells()[0]
    nothing = np.zeros_like(signal)
    labels = ("[1 0 0]", "[0 1 0]", "[0 0 1]", "DeltaE")
    path = mdhisto(
        tmp_path / "x.nxs", (signal, nothing, nothing), labels=labels, order=(0, 1, 2, 3), spinw=True,
        units=("r.l.u", "r.l.u", "r.l.u", "DeltaE"),
    )  # fmt: skip
    (data,) = read(path)
    assert data.variances is None and not data.masks["missing"].values.any()
    # Bins of 2 meV: per meV, half of what is in the bin.
    np.testing.assert_allclose(data.values[0], signal[0, 0, 0] / 2)
    np.testing.assert_allclose(hkl(data)[0], [0.125, -0.1, 0], atol=1e-12)
    assert "written by SpinW" in said(data) and "no error bars" in said(data)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_axes_ask_for_what_they_do_not_say(tmp_path, n):
    keep = [0, 1, 3] if n == 3 else [0, 3] if n == 2 else [3]
    edges, labels = [EDGES[i] for i in keep], [HKL_LABELS[i] for i in keep]
    path = mdhisto(tmp_path / "x.nxs", cells(edges), edges=edges, labels=labels)
    with pytest.raises(DataError, match="Give q_origin"):
        read(path)
    (data,) = read(path, q_origin=(0, 0, 0.5))
    assert np.all(data.coords["l"].values == 0.5) and data.ndim == 2
    with pytest.raises(DataError, match="3 finite numbers"):
        read(path, q_origin=(0, np.nan, 1))


def test_a_powder_has_the_modulus_of_q(tmp_path):
    edges, labels = (np.linspace(0, 4, 9), EDGES[3]), ("|Q|", "DeltaE")
    arrays = cells(edges)
    (data,) = read(mdhisto(tmp_path / "x.nxs", arrays, edges=edges, labels=labels))
    np.testing.assert_allclose(data.coords["Q_abs"].values, centres(edges[0]))
    np.testing.assert_array_equal(data.values, arrays[0])
    taken = measured(data)
    np.testing.assert_allclose(taken.points.Q_abs, centres(edges[0]))
    assert taken.points.bins == ((), pytest.approx(0.5), pytest.approx(2.0))


def test_cartesian_axes_become_hkl_by_the_matrix_of_the_file(tmp_path):
    labels = ("Q_sample_x", "Q_sample_y", "Q_sample_z", "DeltaE")
    UB = np.array([[0.25, 0, 0], [0, 0, 0.2], [0, -0.25, 0]])
    (data,) = read(mdhisto(tmp_path / "x.nxs", cells(), labels=labels, UB=UB))
    Q = np.array([0.125, -0.1, 0.0])
    np.testing.assert_allclose(hkl(data)[0], np.linalg.solve(2 * np.pi * UB, Q), atol=1e-12)
    with pytest.raises(DataError, match="no UB matrix"):
        read(mdhisto(tmp_path / "x.nxs", cells(), labels=labels))


def test_directions_in_inverse_angstrom_need_the_lattice(tmp_path):
    units = ("Angstrom^-1", "in 1.571 A^-1", "r.l.u.", "DeltaE")
    path = mdhisto(tmp_path / "x.nxs", cells(), units=units)
    with pytest.raises(DataError, match="Give it as --lattice 3"):
        read(path)
    (data,) = read(path, lattice=(4, 4, 5, 90, 90, 90))
    # a* = 2π/4; the unit of K is that of its vector, so that its numbers are r.l.u.
    np.testing.assert_allclose(hkl(data)[0], [0.125 / (2 * np.pi / 4), -0.1, 0], atol=1e-12)


def test_a_cut_reads_the_bins_asked_for(tmp_path):
    arrays = cells()
    path = mdhisto(tmp_path / "x.nxs", arrays)
    (whole,) = read(path)
    (part,) = read(path, cut={"h": (0.3, 0.7), "DeltaE": (4, 8), "[0,K,0]": 0.12})
    assert dict(part.sizes) == {"Q": 2, "energy_transfer": 2}
    np.testing.assert_array_equal(part.values, arrays[0][1:3, 1, 0, 2:4])
    np.testing.assert_allclose(part.coords["energy_transfer"].values, [5, 7])
    (flipped,) = read(mdhisto(tmp_path / "y.nxs", arrays, convention="Crystallography"), cut={"h": (-0.7, -0.3)})
    assert np.all(flipped.coords["h"].values < 0) and flipped.sizes["Q"] == 6
    assert whole.sizes["Q"] == 12
    for wrong, message in (
        ({"h": (2, 3)}, "no bin along"),
        ({"h": (1, 0)}, "ends before it begins"),
        ({"h": 7.0}, "no bin along"),
        ({"x": (0, 1)}, r"Its axes are DeltaE, \[0,0,L\]"),
        ({"h": "abc"}, "2 finite numbers"),
        ({"h": (0, 0.2), "[H,0,0]": (0.5, 0.9)}, "leave nothing"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, cut=wrong)


def test_a_sample_holds_measured_cells_where_they_are(tmp_path):
    signal, errors, events = cells()
    signal[0] = np.nan
    signal[1, 1], errors[1, 1], events[1, 1] = 0, 0, 0
    path = mdhisto(tmp_path / "x.nxs", (signal, errors, events))
    (whole,) = read(path)
    (everything,) = read(path, sample=10_000)
    assert everything.sizes["point"] == (~whole.masks["missing"].values).sum() == 54
    (some,) = read(path, sample=20, seed=3)
    (again,) = read(path, sample=20, seed=3)
    (other,) = read(path, sample=20, seed=4)
    assert some.sizes["point"] == 20 and "20 of 54 measured cells" in said(some)
    np.testing.assert_array_equal(some.values, again.values)
    assert not np.array_equal(hkl(some), hkl(other))
    table = {
        (*np.round(q, 9), e): (whole.values[i, j], whole.variances[i, j])
        for i, q in enumerate(hkl(whole))
        for j, e in enumerate(whole.coords["energy_transfer"].values)
    }
    for data in (some, everything):
        for q, e, I, s2 in zip(
            hkl(data), data.coords["energy_transfer"].values, data.values, data.variances, strict=True
        ):
            assert table[(*np.round(q, 9), e)] == (I, pytest.approx(s2))
    assert measured(everything).points.bins.omega == pytest.approx(2.0)
    with pytest.raises(DataError, match="sample = 0"):
        read(path, sample=0)


def test_a_sample_is_even(tmp_path):
    edges = (np.linspace(0, 1, 41), EDGES[2], EDGES[2], np.linspace(0, 1, 51))
    path = mdhisto(tmp_path / "x.nxs", cells(edges), edges=edges)
    drawn = sum(read(path, sample=500, seed=seed)[0].coords["h"].values < 0.5 for seed in range(4))
    share = np.sum(drawn) / 2000
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(2000), "five standard deviations"


def test_what_is_no_histogram_is_refused_with_advice(tmp_path):
    with h5py.File(mdhisto(tmp_path / "e.nxs", cells(), entry="MDEventWorkspace"), "a"):
        pass
    with pytest.raises(DataError, match=r"holds events, not a histogram\. Bin them first"):
        read(tmp_path / "e.nxs")
    with h5py.File(tmp_path / "v1.nxs", "w") as file:
        file["MDHistoWorkspace/signal"] = np.zeros(3)
    with pytest.raises(DataError, match="first version of SaveMD"):
        read(tmp_path / "v1.nxs")
    nowhere = np.full_like(cells()[0], np.nan)
    with pytest.raises(DataError, match="none of its 72 cells was measured"):
        read(mdhisto(tmp_path / "n.nxs", (nowhere, nowhere, nowhere)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data["signal"].attrs.__setitem__("axes", "D0:D1"), "names the axes 'D0:D1'"),
        (lambda data: data["signal"].attrs.__setitem__("axes", "D0:D0:D1:D2"), "different ones"),
        (lambda data: data.__delitem__("D1"), "has no D1"),
        (lambda data: data["D1"].__setitem__(1, np.nan), "does not rise or fall"),
        (lambda data: data["D1"].__setitem__(1, 50.0), "does not rise or fall"),
        (lambda data: data["D1"].attrs.__setitem__("long_name", "Temperature"), "called 'Temperature'"),
        (lambda data: data["D1"].attrs.__setitem__("long_name", "[2H,0,0]"), "not independent"),
        (lambda data: data["D1"].attrs.__setitem__("long_name", "DeltaE"), "2 axes of energy|called 'DeltaE'"),
        (lambda data: (data.__delitem__("mask"), data.create_dataset("mask", data=[1])), "mask has the shape"),
        (lambda data: (data.__delitem__("signal"), data.create_group("signal")), "has the shape"),
    ],
)
def test_a_damaged_workspace_is_named_by_its_place(tmp_path, damage, message):
    path = mdhisto(tmp_path / "x.nxs", cells())
    with h5py.File(path, "a") as file:
        damage(file["MDHistoWorkspace/data"])
    with pytest.raises(DataError, match=message):
        read(path)
