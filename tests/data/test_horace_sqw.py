"""Files of Horace, versions 2 to 4: image, wavevectors, energies and errors, and what is refused."""

import struct
import time
import tracemalloc

import numpy as np
import pytest
from horace_files import MATRIX, NPIX, RANGES, E, S, header, pixels, sqw, sqw2

from insiren.data.bins import bins_of
from insiren.data.files import horace_v4, read
from insiren.data.files.horace_bytes import Stream
from insiren.data.files.orientation import reciprocal
from insiren.data.spectrum import measured
from insiren.errors import DataError

WRITERS = {"2": sqw2, "3 with pixels": lambda path: sqw2(path, version=3.1, runs=3), "4": sqw}
U = 4 / (2 * np.pi * np.sqrt(2))  # h of one 1/Å along (1, 1, 0) where a is 4 Å


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_image_of_a_file_has_its_wavevectors_and_energies(tmp_path, order):
    (data,) = read(sqw(tmp_path / "cut.sqw", order=order), errors="sigma")
    taken = measured(data)
    assert taken.shape == (3, 4) and data.coords["lattice"].value == "4, 4, 8, 90, 90, 90"
    steps = np.array([-0.2, 0.0, 0.2]) * U
    np.testing.assert_allclose(taken.points.hkl, [[x, x, 0.0] for x in steps], atol=1e-12)
    np.testing.assert_allclose(taken.points.rows[0], [1, 3, 5, 7])
    assert np.flatnonzero(~taken.used).tolist() == [6]
    expected = np.where(taken.used, np.arange(1.0, 13.0), 0.0)
    np.testing.assert_allclose(taken.intensity, expected)
    np.testing.assert_allclose(taken.sigma[taken.used], expected[taken.used])


def test_a_cut_is_averaged_over_its_bins_and_over_what_it_was_integrated_over(tmp_path):
    (data,) = read(sqw(tmp_path / "cut.sqw"))
    bins = bins_of(data)
    assert bins.omega == pytest.approx(2.0)
    # Along (1, 1, 0) by 0.2, along l by 0.2, where c is 8 Å, and along (1, −1, 0) by 0.4 1/Å.
    expected = [[0.2 * U, 0.2 * U, 0], [0, 0, 0.2 * 8 / (2 * np.pi)], [0.4 * U, -0.4 * U, 0]]
    np.testing.assert_allclose(bins.hkl, expected, atol=1e-12)
    assert "axis 3 along (0.4502, -0.4502, 0) is averaged from -0.2 to 0.2" in data.coords["assumed"].value
    (points,) = read(sqw(tmp_path / "cut.sqw"), bins="points")
    assert not bins_of(points).hkl and not bins_of(points).omega


def test_the_errors_are_variances_unless_said_otherwise(tmp_path):
    (data,) = read(sqw(tmp_path / "cut.sqw"))
    assert data.variances[0, 2] == pytest.approx(3.0)
    assert "holds variances; --errors sigma changes it" in data.coords["assumed"].value
    with pytest.raises(DataError, match="sigma, variance"):
        read(tmp_path / "cut.sqw", errors="both")


@pytest.mark.parametrize("scaled", ["img_scales", "ulen"])
def test_one_unit_along_an_axis_is_as_long_as_the_file_says(tmp_path, scaled):
    """The projection `rrr`: (1, 1, 0) r.l.u. is 2π √2 / 4 1/Å."""
    scales = (2 * np.pi * np.sqrt(2) / 4, 2 * np.pi / 8, 2 * np.pi * np.sqrt(2) / 4, 1.0)
    (data,) = read(sqw(tmp_path / "cut.sqw", scales=scales, scaled=scaled, offset=(0.5, 0, 1, 2.0)))
    steps = np.array([-0.2, 0.0, 0.2])
    np.testing.assert_allclose(data.coords["h"].values, 0.5 + steps)
    np.testing.assert_allclose(data.coords["k"].values, steps, atol=1e-12)
    np.testing.assert_allclose(data.coords["l"].values, 1)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [3, 5, 7, 9])


def test_axes_that_are_not_orthogonal_run_along_u_and_v_themselves(tmp_path):
    hexagonal = ((4.0, 4.0, 8.0), (90.0, 90.0, 120.0))
    unit = 2 * np.pi / (4 * np.sin(np.pi / 3))  # 1/Å of h, and of k
    options = {"lattice": hexagonal, "scales": (unit,) * 3 + (1.0,), "u": (1, 0, 0), "v": (0, 1, 0)}
    image = tuple(np.ones((1, 3, 1, 1)) for _ in range(3))
    ranges = ((0.9, 1.1), (-0.3, 0.3), (-0.1, 0.1), (0, 1))
    (along,) = read(sqw(tmp_path / "a.sqw", image=image, ranges=ranges, nonorthogonal=True, **options))
    (across,) = read(sqw(tmp_path / "b.sqw", image=image, ranges=ranges, **options))
    np.testing.assert_allclose(along.coords["h"].values, 1)
    np.testing.assert_allclose(along.coords["k"].values, [-0.2, 0, 0.2], atol=1e-12)
    # Across a*, where k alone would have a part along it: h = 1 − k/2.
    np.testing.assert_allclose(across.coords["h"].values, 1 - across.coords["k"].values / 2)


@pytest.mark.parametrize(("version", "runs"), [(2.0, 0), (2.0, 2), (3.1, 1), (3.3, 0)])
def test_a_file_of_version_2_or_3_has_its_wavevectors_and_energies(tmp_path, version, runs):
    (data,) = read(sqw2(tmp_path / "cut.d2d", version=version, runs=runs))
    # (0, 0, 1) + x (1, 1, 0) + 0.5 (1, −1, 0) + 0.1 (0, 0, 2)
    x = np.array([-0.1, 0, 0.1])
    hkl = np.stack([data.coords[name].values for name in "hkl"], axis=1)
    np.testing.assert_allclose(hkl, np.stack([x + 0.5, x - 0.5, np.full(3, 1.2)], axis=1), atol=1e-7)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [1, 3])
    missing = data.masks["missing"].values
    np.testing.assert_array_equal(missing, NPIX == 0)
    np.testing.assert_allclose(data.values[~missing], S[~missing])
    np.testing.assert_allclose(data.variances[~missing], E[~missing])
    np.testing.assert_allclose(bins_of(data).hkl, [[0.1, 0.1, 0], [0.2, -0.2, 0], [0, 0, 0.8]], atol=1e-6)


def test_axes_without_bounds_count_as_zero_and_ask_for_their_energy(tmp_path):
    endless = ((0.4, 0.6), (-np.inf, np.inf))
    (data,) = read(sqw2(tmp_path / "cut.d2d", iint=endless))
    assert data.coords["l"].values.tolist() == [1.0] * 3
    assert "axis 3 was integrated without bounds and counts as 0; --q-origin moves it" in data.coords["assumed"].value
    without = {"pax": (1,), "iax": (2, 3, 4), "edges": [np.array([-0.15, -0.05, 0.05, 0.15])], "s": S[:, 0],
               "e": E[:, 0], "npix": np.ones(3), "iint": (*endless, (-np.inf, np.inf))}  # fmt: skip
    sqw2(tmp_path / "cut.d1d", **without)
    with pytest.raises(DataError, match="none of its axes is the energy transfer"):
        read(tmp_path / "cut.d1d")
    (data,) = read(tmp_path / "cut.d1d", energy=7)
    assert data.coords["energy_transfer"].values.tolist() == [7.0]
    assert "counts as 7; --energy moves it" in data.coords["assumed"].value


def test_energy_may_be_the_first_axis_of_a_file(tmp_path):
    mixed = {"pax": (4, 1), "edges": [np.array([0.0, 2, 4]), np.array([-0.15, -0.05, 0.05, 0.15])]}
    (data,) = read(sqw2(tmp_path / "x.d2d", s=S.T, e=E.T, npix=NPIX.T, **mixed))
    (usual,) = read(sqw2(tmp_path / "y.d2d"))
    np.testing.assert_array_equal(data.values, usual.values)
    np.testing.assert_array_equal(data.coords["h"].values, usual.coords["h"].values)


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused(tmp_path, name):
    path = WRITERS[name](tmp_path / "cut.sqw")
    whole = path.read_bytes()
    end = len(whole) - (48 if "pixels" in name else 0)  # the pixels themselves are not read
    for n in [*range(30, end, max(1, end // 40)), end - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(DataError, match="is damaged, or was not written to the end"):
            read(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_gives_data_or_an_error_and_takes_no_room(tmp_path, name):
    path, rng = WRITERS[name](tmp_path / "cut.sqw"), np.random.default_rng(3)
    whole = path.read_bytes()
    began = time.process_time()
    tracemalloc.start()
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(10, len(damaged), 3)] = rng.choice([0, 1, 127, 255], 3)
        path.write_bytes(damaged.tobytes())
        try:
            (data,) = read(path)
        except DataError:
            continue
        assert data.size <= 24
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()
    assert time.process_time() - began < 10


def test_a_file_that_promises_a_volume_it_cannot_hold_is_refused(tmp_path):
    written = sqw(tmp_path / "x.sqw").read_bytes()
    at = written.index(np.array([3.0, 1, 1, 4]).tobytes())
    wrong = ([-3, 1, 1, 4], [0, 1, 1, 4], [np.inf, 1, 1, 4], [3.5, 1, 1, 4])
    for bins, said in (([3e3, 1e3, 1e3, 4e3], "its image"), *((bins, "its axes have") for bins in wrong)):
        (tmp_path / "x.sqw").write_bytes(written[:at] + np.array(bins, float).tobytes() + written[at + 32 :])
        with pytest.raises(DataError, match=said):
            read(tmp_path / "x.sqw")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "sphere_proj"}, "projection of the kind sphere_proj, which is not read"),
        ({"w": (0.0, 0.0, -1.0), "v": (0.0, 1.0, 0.0)}, "no right-handed axes"),
        ({"v": (2.0, 2.0, 0.0)}, "parallel"),
        ({"scales": (1.0, 1.0, -1.0, 1.0)}, "scales"),
        ({"offset": (np.nan, 0, 0, 0)}, "not finite"),
        ({"ranges": (*RANGES[:3], (8.0, 0.0))}, None),
        ({"ranges": (*RANGES[:3], (8.0, 8.0))}, "rise or fall"),
        ({"ranges": (*RANGES[:3], (-np.inf, np.inf))}, "axis 4 runs from -inf to inf"),
        ({"scaled": "nothing"}, "ulen of its axes or its projection has 0 numbers"),
        ({"image": (pixels()[0], -pixels()[1], pixels()[2])}, "11 of its errors are negative"),
        ({"image": (pixels()[0], pixels()[1], 0 * pixels()[2])}, "nothing was measured"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path, options, said):
    path = sqw(tmp_path / "x.sqw", **options)
    if said is None:
        read(path)
        return
    with pytest.raises(DataError, match=said):
        read(path)


def test_a_projection_that_mixes_wavevector_and_energy_is_refused(tmp_path):
    mixed = MATRIX.copy()
    mixed[3, 0] = 1.0
    with pytest.raises(DataError, match="mixes wavevector and energy"):
        read(sqw2(tmp_path / "x.d2d", matrix=mixed))


@pytest.mark.parametrize("version", [1.0, 5.0, np.nan])
def test_another_version_names_the_way_out(tmp_path, version):
    (tmp_path / "old.sqw").write_bytes(header(version, 0, 2).ljust(400, b"\0"))
    with pytest.raises(DataError, match=r"versions 2 to 4 are read. .* as a struct"):
        read(tmp_path / "old.sqw")


@pytest.mark.filterwarnings("ignore:DND files")
def test_scippneutron_reads_the_same_image_from_the_files_that_these_tests_write(tmp_path):
    peer = pytest.importorskip("scippneutron.io.sqw")
    with peer.Sqw.open(sqw(tmp_path / "x.sqw")) as file:
        values, second, npix = file.read_data_block("data", "nd_data")
    for theirs, own in zip((values, second, npix), pixels(), strict=True):
        np.testing.assert_array_equal(np.ravel(theirs), np.ravel(own.T))


def test_the_pixels_of_a_public_file_fall_into_the_bins_that_count_them(shared):
    """Every pixel keeps its own wavevector in 1/Å: another route to h, k, l, to the means and to their variances."""
    path = shared / "data" / "public" / "horace" / "faccess_sqw_v4_sample.sqw"
    with path.open("rb") as file:
        stream = Stream(file, path, "<")
        stream.skip(26)
        cut = horace_v4.cut_of(stream)
        stream.seek(26)
        stream.seek(horace_v4._blocks(stream)["pix", "data_wrap"][0])
        columns, n = stream.number("u4"), stream.number("u8")
        pix = stream.numbers("f4", columns * n).reshape(n, columns).astype(float)
    hkl = pix[:, :3] @ np.linalg.inv(reciprocal("x", cut.lattice)).T
    along = np.stack([a.direction for a in cut.axes if a.direction is not None])
    place = np.column_stack([(hkl - cut.offset[:3]) @ np.linalg.inv(along), pix[:, 3]])
    edges = [np.append(a.centres - a.widths / 2, a.centres[-1] + a.widths[-1] / 2) for a in cut.axes]
    counted, summed, squared = (np.histogramdd(place, edges, weights=w)[0] for w in (None, pix[:, 7], pix[:, 8]))
    assert n == 4324 and counted.sum() == n
    np.testing.assert_array_equal(counted, cut.npix)
    np.testing.assert_allclose(summed / counted, cut.values, rtol=1e-6)
    np.testing.assert_allclose(squared / counted**2, cut.second, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "first", "last"),
    [
        ("w2d_qe_d2d", (81, 72), (-1, -1, 0), (1, 1, 0)),
        ("faccess_dnd_v4_sample", (176, 1), (-0.7, -0.7, -0.65), (-0.4, -0.4, -0.45)),
        ("faccess_sqw_v4_sample", (21, 1), (1.5, 0.5, 0), (0.5, 1.5, 0)),
    ],
)
def test_public_files_have_their_wavevectors(shared, name, shape, first, last):
    (data,) = read(shared / "data" / "public" / "horace" / f"{name}.sqw")
    hkl = np.stack([data.coords[c].values for c in "hkl"], axis=1)
    assert data.shape == shape
    np.testing.assert_allclose(hkl[[0, -1]], [first, last], atol=1e-6)


def test_the_length_of_a_text_is_checked_before_it_is_read(tmp_path):
    (tmp_path / "x.sqw").write_bytes(header(2.0, 0, 2) + struct.pack("<I", 1 << 31).ljust(100, b"\0"))
    with pytest.raises(DataError, match="2147483648 characters where at most 65536 make sense"):
        read(tmp_path / "x.sqw")
