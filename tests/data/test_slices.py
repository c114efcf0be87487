"""Slices printed by SNS reductions give the axes that their header names."""

import numpy as np
import pytest

from insiren.data.files import read
from insiren.data.spectrum import measured, place_of
from insiren.errors import DataError

XI, OMEGA = np.array([-0.1, 0.0, 0.1]), np.array([5.0, 6.0, 7.0, 8.0])


def table(columns, header, shape="3x1x4"):
    """A slice in text; the last axis is the fastest."""
    lines = [*header, f"#  shape: {shape}"] if shape else list(header)
    return "\n".join([*lines, *(" ".join(f"{x:.8g}" for x in row) for row in columns)]) + "\n"


def pixels():
    """Intensity, error, [H,H,0], [H,-H,0] (integrated) and DeltaE."""
    return [[10 * x + e, 0.25, x, 0.5, e] for x in XI for e in OMEGA]


HEADER = (
    "# Name: cut",
    "# Ei = 60.5 meV",
    "# lattice 5.5 5.5 7.25 90 90 120",
    "# Intensity Error [H,H,0] [H,-H,0] DeltaE",
)


def test_axes_add_up_to_wavevectors(tmp_path):
    (tmp_path / "slice.txt").write_text(table(pixels(), HEADER))
    (data,) = read(tmp_path / "slice.txt", q_origin=(0, 0, 1))
    taken = measured(data)
    assert taken.shape == (3, 4)
    np.testing.assert_allclose(taken.points.hkl, [[x + 0.5, x - 0.5, 1.0] for x in XI], atol=1e-12)
    np.testing.assert_allclose(taken.intensity.reshape(3, 4), 10 * XI[:, None] + OMEGA)
    assert data.coords["Ei"].value == 60.5 and data.coords["lattice"].value == "5.5, 5.5, 7.25, 90, 90, 120"
    assert "(0 0 1) in r.l.u.; --q-origin" in data.coords["assumed"].value


def test_nan_is_missing_and_a_covered_zero_has_the_error_of_one_neutron(tmp_path):
    rows = pixels()
    rows[0][:2] = [np.nan, np.nan]
    rows[1][:2] = [0.0, 0.0]  # at 6 meV, where the others are 6 ± 0.25 and 7 ± 0.25
    (tmp_path / "slice.txt").write_text(table(rows, HEADER))
    (data,) = read(tmp_path / "slice.txt")
    taken = measured(data)
    assert taken.used.tolist() == [False] + [True] * 11
    assert taken.sigma[1] == pytest.approx(np.sqrt(0.0625 / 6 * 0.0625 / 7))
    assert "1 pixels of 0 ± 0 were covered" in data.coords["assumed"].value


def test_a_powder_slice_is_over_the_length_of_q(tmp_path):
    rows = [[1.0, 0.1, q, e] for q in (0.5, 1.0) for e in OMEGA]
    (tmp_path / "powder.txt").write_text(table(rows, ["# Intensity Error |Q| DeltaE"], "2x4"))
    (data,) = read(tmp_path / "powder.txt")
    assert place_of(data) == ("Q_abs",) and data.shape == (2, 4)


def test_a_slice_at_one_energy_asks_for_it(tmp_path):
    rows = [[1.0, 0.1, h, k] for h in XI for k in (0.0, 1.0)]
    (tmp_path / "elastic.txt").write_text(table(rows, ["# Intensity Error [H,0,0] [0,K,0]"], "3x2"))
    with pytest.raises(DataError, match=r"at what energy transfer .*--energy 10"):
        read(tmp_path / "elastic.txt")
    (data,) = read(tmp_path / "elastic.txt", energy=12.5)
    assert data.shape == (6, 1) and data.coords["energy_transfer"].values.tolist() == [12.5]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (table(pixels()[:-1], HEADER), "11 rows where its header promises 12"),
        (table(pixels(), HEADER, "3x4"), "names 3 axes but gives the lengths of 2"),
        (table(pixels(), HEADER, "99999999999x99999999999x9999999999"), "12 rows where its header promises"),
        (table([row[:4] for row in pixels()], HEADER), "line 6: 4 values where the header names 5"),
        (table(pixels(), ["# Intensity Error Q_sample_x [H,-H,0] DeltaE"]), "'Q_sample_x' is neither"),
        (table([[*row[:4], np.nan] for row in pixels()], HEADER), "12 coordinates are not finite"),
        ("# Intensity Error [H,0,0] DeltaE\n", "no rows"),
    ],
)
def test_damage_to_a_slice_is_named(tmp_path, content, match):
    (tmp_path / "bad.txt").write_text(content)
    with pytest.raises(DataError, match=match):
        read(tmp_path / "bad.txt")


def test_names_of_the_axes_need_no_comment(tmp_path):
    (tmp_path / "slice.txt").write_text(table(pixels(), [line.lstrip("# ") for line in HEADER[-1:]], ""))
    (data,) = read(tmp_path / "slice.txt", q_origin=(0, 0, 1))
    assert data.shape == (3, 4) and data.coords["l"].values.tolist() == [1, 1, 1]


def test_what_mslice_marks_as_not_measured_is_missing(tmp_path):
    rows = pixels()
    rows[0][:2] = [-1e20, -1.0]
    (tmp_path / "slice.txt").write_text(table(rows, HEADER))
    (data,) = read(tmp_path / "slice.txt")
    assert measured(data).used.tolist() == [False] + [True] * 11
    assert "1 of 12 pixels hold -1e+20" in data.coords["noted"].value


def test_axes_may_be_h_k_and_l(tmp_path):
    rows = [[10 * x + e, 0.25, x, 0.5, 0.0, e] for x in XI for e in OMEGA]
    (tmp_path / "slice.txt").write_text(table(rows, ["# Intensity Error H K L DeltaE"], "3x1x1x4"))
    (data,) = read(tmp_path / "slice.txt")
    assert data.shape == (3, 4) and data.coords["k"].values.tolist() == [0.5] * 3
