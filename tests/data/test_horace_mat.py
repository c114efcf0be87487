"""Horace cuts from MATLAB structs; the files are laid out here as MATLAB lays them out."""

import time

import h5py
import numpy as np
import pytest
from horace_files import EDGES, NPIX, PROJECTION, E, S
from horace_files import mat as write

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError


def test_a_cut_with_its_projection_needs_nothing_else(tmp_path):
    (data,) = read(write(tmp_path / "cut.mat", {"s": S, "e": E, "npix": NPIX, **PROJECTION}))
    assert data.name == "cut" and data.shape == (3, 2)
    taken = measured(data)
    # hkl = (0, 0, 1) + x (1, 1, 0) + 0.5 (1, −1, 0) + 0.1 (0, 0, 2)
    np.testing.assert_allclose(taken.points.hkl, [[x + 0.5, x - 0.5, 1.2] for x in (-0.1, 0.0, 0.1)], atol=1e-12)
    np.testing.assert_allclose(taken.points.rows[0], [1.0, 3.0])
    assert taken.used.tolist() == [True, True, True, True, False, True]
    np.testing.assert_allclose(taken.intensity, [1, 2, 3, -4, 0, 6])
    np.testing.assert_allclose(taken.sigma, [0.5, 1, 2, 3, 1, 5])
    assert data.coords["bin_omega"].value == 2.0
    assert "axis 2 was integrated from 0.4 to 0.6" in data.coords["assumed"].value


def test_a_cut_without_a_projection_asks_for_the_direction(tmp_path):
    file = write(tmp_path / "cut.mat", {"s": S, "e": E, "npix": NPIX})
    with pytest.raises(DataError, match="--q-direction 0,0,1"):
        read(file)
    (data,) = read(file, q_direction=(0, 0, 1), q_origin=(1, 0, 0))
    np.testing.assert_allclose(measured(data).points.hkl, [[1, 0, -0.1], [1, 0, 0], [1, 0, 0.1]], atol=1e-12)


def test_a_map_at_one_energy_takes_it_from_the_integration(tmp_path):
    fields = {"s": S, "e": E, "npix": NPIX, **PROJECTION, "pax": np.array([[1.0, 2.0]]), "iax": np.array([[3.0, 4.0]]),
              "iint": np.array([[-0.1, 9.0], [0.1, 11.0]])}  # fmt: skip
    (data,) = read(write(tmp_path / "map.mat", fields))
    assert data.shape == (6, 1) and data.coords["energy_transfer"].values.tolist() == [10.0]
    np.testing.assert_allclose(data.coords["h"].values, [x + y for x in (-0.1, 0, 0.1) for y in (1, 3)], atol=1e-12)
    fields["iint"] = np.array([[-0.1, -np.inf], [0.1, np.inf]])
    with pytest.raises(DataError, match="energies that it was integrated over"):
        read(write(tmp_path / "map.mat", fields))


@pytest.mark.parametrize(
    ("fields", "edges", "match"),
    [
        ({"signal": S}, EDGES, r"holds no struct with the fields p, s, e and npix \(its structs: cut\)"),
        ({"s": S, "e": E[:2], "npix": NPIX}, EDGES, "not of one shape"),
        ({"s": S, "e": E, "npix": NPIX}, EDGES[:1], "edges of 1 axes, s has 2"),
        ({"s": S, "e": E, "npix": NPIX}, [EDGES[0][::-1], EDGES[1]], "do not rise"),
        ({"s": S, "e": -E, "npix": NPIX, **PROJECTION}, EDGES, "5 variances are negative"),
        ({"s": S, "e": E, "npix": NPIX, **PROJECTION, "pax": np.array([[1.0, 7.0]])}, EDGES, "do not describe 2 axes"),
    ],
)
def test_what_makes_no_sense_in_a_struct_is_named(tmp_path, fields, edges, match):
    with pytest.raises(DataError, match=match):
        read(write(tmp_path / "bad.mat", fields, edges))


def test_an_older_version_says_how_to_save_it(tmp_path):
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN64".ljust(300))
    with pytest.raises(DataError, match=r"-v7\.3"):
        read(tmp_path / "old.mat")


def test_links_to_other_files_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret.mat", {"s": S, "e": E, "npix": NPIX, **PROJECTION})
    file = write(tmp_path / "cut.mat", {"e": E, "npix": NPIX, **PROJECTION})
    with h5py.File(file, "a") as opened:
        opened["cut/s"] = h5py.ExternalLink(str(secret), "/cut/s")
    with pytest.raises(DataError, match="holds no struct"):
        read(file)
    file.unlink()
    write(file, {"e": E, "npix": NPIX, **PROJECTION})
    with h5py.File(file, "a") as opened:
        layout = h5py.VirtualLayout((2, 3), float)
        layout[:] = h5py.VirtualSource(str(secret), "/cut/s", (2, 3))
        opened.create_virtual_dataset("cut/s", layout)
    with pytest.raises(DataError, match="another file"):
        read(file)


def test_a_bomb_is_refused_without_being_unpacked(tmp_path):
    file = write(tmp_path / "bomb.mat", {"e": E, "npix": NPIX})
    with h5py.File(file, "a") as opened:
        opened.create_dataset("cut/s", (1 << 20, 1 << 20), float, chunks=(1024, 1024), compression="gzip")
    begin = time.perf_counter()
    with pytest.raises(DataError, match="more than 67,108,864 numbers"):
        read(file)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    file = write(tmp_path / "cut.mat", {"s": S, "e": E, "npix": NPIX, **PROJECTION})
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(DataError, match="cannot be read"):
        read(file)


@pytest.mark.slow
def test_damaged_files_give_data_or_an_error(tmp_path):
    """Fifteen files with one byte in a hundred replaced; a crash of the library ends the child alone."""
    whole = write(tmp_path / "cut.mat", {"s": S, "e": E, "npix": NPIX, **PROJECTION}).read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(15):
        damaged = np.frombuffer(whole, np.uint8).copy()
        at = rng.choice(np.arange(512, len(damaged)), len(damaged) // 100, replace=False)
        damaged[at] = rng.integers(0, 256, len(at))
        (tmp_path / "bad.mat").write_bytes(damaged.tobytes())
        try:
            read(tmp_path / "bad.mat")
        except DataError:
            continue
