"""Four columns of text are laid out along the line in Q that is given."""

import numpy as np
import pytest

from insiren.data.files import read
from insiren.data.spectrum import is_image, measured, place_of
from insiren.errors import DataError

X, E = np.array([0.0, 0.1, 0.2]), np.array([1.0, 2.0])


def rows(order="x"):
    """x, E, I = 10 x + E, σ = 0.5 over the grid, one or the other fastest."""
    pairs = [(x, e) for x in X for e in E] if order == "x" else [(x, e) for e in E for x in X]
    return [(x, e, 10 * x + e, 0.5) for x, e in pairs]


def text(lines, separator=" "):
    return "\n".join(separator.join(map(repr, map(float, line))) for line in lines) + "\n"


@pytest.mark.parametrize("order", ["x", "E"])
@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_a_grid_in_either_order_is_an_image(tmp_path, order, separator):
    (tmp_path / "map.dat").write_text("# gnuplot\n\n" + text(rows(order), separator))
    (data,) = read(tmp_path / "map.dat", q_direction=(1, 1, 0), q_origin=(0, 0, 2))
    assert is_image(data) and data.shape == (3, 2) and data.name == "map"
    taken = measured(data)
    np.testing.assert_allclose(taken.points.hkl, [[x, x, 2.0] for x in X])
    np.testing.assert_allclose(taken.intensity.reshape(3, 2), 10 * X[:, None] + E)
    assert np.all(taken.sigma == 0.5)
    assert "column x times (1 1 0) from (0 0 2)" in data.coords["assumed"].value


def test_blocks_with_a_gap_are_points_and_nan_is_missing(tmp_path):
    lines = rows()
    lines[2] = (*lines[2][:2], np.nan, np.nan)
    (tmp_path / "scan.txt").write_text(text(lines[:4]) + "\n\n" + text(lines[5:]))
    (data,) = read(tmp_path / "scan.txt", q_direction=(0, 0, 1))
    assert data.dims == ("point",)
    assert measured(data).used.tolist() == [True, True, False, True, True]


def test_a_powder_is_a_direction_of_its_own(tmp_path):
    (tmp_path / "powder.dat").write_text(text(rows()))
    (data,) = read(tmp_path / "powder.dat", q_direction="powder")
    assert place_of(data) == ("Q_abs",)
    np.testing.assert_array_equal(data.coords["Q_abs"].values, X)


def test_three_columns_have_no_errors(tmp_path):
    (tmp_path / "three.dat").write_text(text([line[:3] for line in rows()]))
    (data,) = read(tmp_path / "three.dat", q_direction=(0, 0, 1))
    assert data.variances is None


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        (text(rows()), {}, r"--q-direction 0,0,1, or q_direction=\(0, 0, 1\)"),
        (text(rows()), {"q_direction": (0, 0, 0)}, "no direction"),
        (text(rows()), {"q_direction": (0, 1)}, "not made of 3 numbers"),
        (text(rows()), {"q_direction": "abc"}, "not made of 3 numbers"),
        (text(rows()), {"q_direction": (0, 0, 1), "lattice": 3}, "no option lattice"),
        (
            text(rows()) * 1000 + "1 2 3\n",
            {"q_direction": (0, 0, 1)},
            "line 6001: 3 values where the lines above have 4",
        ),
        (text(rows()) * 1000 + "1 2 3 x\n", {"q_direction": (0, 0, 1)}, "line 6001, column 4: 'x' is not a number"),
        ("nan 1 2 3\n", {"q_direction": (0, 0, 1)}, "1 rows have a wavevector or energy that is not finite"),
    ],
)
def test_what_is_lacking_or_damaged_is_named(tmp_path, content, options, match):
    (tmp_path / "bad.dat").write_text(content)
    with pytest.raises(DataError, match=match):
        read(tmp_path / "bad.dat", **options)


def test_only_nan_is_refused_when_it_is_fitted(tmp_path):
    (tmp_path / "dark.dat").write_text("0 1 nan nan\n0 2 nan nan\n")
    (data,) = read(tmp_path / "dark.dat", q_direction=(0, 0, 1))
    with pytest.raises(DataError, match="all 2 pixels are masked or missing"):
        measured(data)
