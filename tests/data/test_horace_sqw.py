"""Horace .sqw files through scippneutron, which is an extra: what it writes is read back."""

import struct

import numpy as np
import pytest
import scipp as sc

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError

SHAPE = (3, 1, 1, 4)


@pytest.fixture
def written(tmp_path):
    """A file of three bins along u = (1, 1, 0) and four energies of a tetragonal crystal; one bin is empty."""
    sqw = pytest.importorskip("scippneutron.io.sqw")
    values = np.arange(1.0, 13.0).reshape(SHAPE)
    data = sc.array(dims=["u1", "u2", "u3", "u4"], values=values, variances=values**2)
    counts = np.full(SHAPE, 2)
    counts[1, 0, 0, 2] = 0

    def each(numbers, energy):
        return [*(sc.scalar(x, unit="1/angstrom") for x in numbers), sc.scalar(energy, unit="meV")]

    ranges = [sc.array(dims=["range"], values=r, unit="1/angstrom") for r in ([-0.3, 0.3], [-0.1, 0.1], [-0.2, 0.2])]
    metadata = sqw.SqwDndMetadata(
        axes=sqw.SqwLineAxes(
            title="", label=["a", "b", "c", "d"], img_scales=each([1.0, 1.0, 1.0], 1.0),
            img_range=[*ranges, sc.array(dims=["range"], values=[0.0, 8.0], unit="meV")],
            n_bins_all_dims=sc.array(dims=["axis"], values=list(SHAPE), unit=None),
            single_bin_defines_iax=sc.array(dims=["axis"], values=[True] * 4),
            dax=sc.arange("axis", 4, unit=None), offset=each([0.0, 0.0, 0.0], 0.0), changes_aspect_ratio=True,
        ),
        proj=sqw.SqwLineProj(
            title="", lattice_spacing=sc.vector([4.0, 4.0, 8.0], unit="angstrom"),
            lattice_angle=sc.vector([90.0, 90.0, 90.0], unit="deg"), offset=each([0.0, 0.0, 0.0], 0.0),
            label=["a", "b", "c", "d"], u=sc.vector([1.0, 1.0, 0.0], unit="1/angstrom"),
            v=sc.vector([0.0, 0.0, 1.0], unit="1/angstrom"), w=None, non_orthogonal=False, type="aaa",
        ),
    )  # fmt: skip
    path = tmp_path / "cut.sqw"
    builder = sqw.Sqw.build(path, title="cut")
    counted = sc.array(dims=["u1", "u2", "u3", "u4"], values=counts)
    builder.add_dnd_data(metadata, data=data, counts=counted).create()
    return path


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
    assert "is the variance; the other is --hint errors=sigma" in data.coords["assumed"].value
    with pytest.raises(DataError, match="variance, sigma"):
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
