"""Horace .sqw files through scippneutron, which is an extra: what it writes is read back."""

import struct

import numpy as np
import pytest
from horace_files import sqw

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError


@pytest.fixture
def written(tmp_path):
    """A file of three bins along u = (1, 1, 0) and four energies of a tetragonal crystal; one bin is empty."""
    pytest.importorskip("scippneutron.io.sqw")
    return sqw(tmp_path / "cut.sqw")


def test_the_image_of_a_file_has_its_wavevectors_and_energies(written):
    (data,) = read(written, errors="sigma")
    taken = measured(data)
    assert taken.shape == (3, 4) and data.coords["lattice"].value == "4, 4, 8, 90, 90, 90"
    # One 1/Å along (1, 1, 0) is 4 / (2π √2) of it.
    steps = np.array([-0.2, 0.0, 0.2]) * 4 / (2 * np.pi * np.sqrt(2))
    np.testing.assert_allclose(taken.points.hkl, [[x, x, 0.0] for x in steps], atol=1e-12)
    np.testing.assert_allclose(taken.points.rows[0], [1, 3, 5, 7])
    assert np.flatnonzero(~taken.used).tolist() == [6]
    expected = np.where(taken.used, np.arange(1.0, 13.0), 0.0)
    np.testing.assert_allclose(taken.intensity, expected)
    np.testing.assert_allclose(taken.sigma[taken.used], expected[taken.used])


def test_the_errors_are_variances_unless_said_otherwise(written):
    (data,) = read(written)
    assert data.variances[0, 2] == pytest.approx(3.0)
    assert "holds variances; --errors sigma changes it" in data.coords["assumed"].value
    with pytest.raises(DataError, match="sigma, variance"):
        read(written, errors="both")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.97])
def test_a_truncated_sqw_is_refused(written, share):
    written.write_bytes(written.read_bytes()[: int(share * written.stat().st_size)])
    with pytest.raises(DataError, match=r"cannot be read|cannot hold|is damaged"):
        read(written)


@pytest.mark.slow
def test_damaged_sqw_files_give_data_or_an_error(written, tmp_path):
    """Ten files with some bytes replaced; one that leads the library round in circles is given up."""
    whole, rng = written.read_bytes(), np.random.default_rng(3)
    for _ in range(10):
        damaged = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(18, len(damaged), 20)
        damaged[at] = rng.integers(0, 256, 20)
        (tmp_path / "bad.sqw").write_bytes(damaged.tobytes())
        try:
            read(tmp_path / "bad.sqw")
        except DataError:
            continue


def test_an_older_version_names_the_way_out(tmp_path):
    pytest.importorskip("scippneutron")
    (tmp_path / "old.sqw").write_bytes(struct.pack("<I6sdIII", 6, b"horace", 2.0, 1, 2, 0).ljust(400, b"\0"))
    with pytest.raises(DataError, match=r"version 2, and version 4 is read; save the cut"):
        read(tmp_path / "old.sqw")


def test_without_scippneutron_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "cut.sqw").write_bytes(struct.pack("<I6sd", 6, b"horace", 4.0).ljust(400, b"\0"))
    with pytest.raises(DataError, match=r"insiren\[horace\]"):
        read(tmp_path / "cut.sqw")
