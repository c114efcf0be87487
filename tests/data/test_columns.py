"""Four columns of text are laid out along the line in Q that is given."""

import numpy as np
import pytest

from insiren.data.files import read
from insiren.data.peaks import is_peaks
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


def header_cases():
    """Texts that say the same: (0, 0, x) r.l.u., E in meV, I, σ; under every kind of header."""
    hkl = [(0.0, 0.0, x, e, i, s) for x, e, i, s in rows()]
    return {
        "commas": "H,K,L,E,I,sigma\n" + text(hkl, ","),
        "blanks": "QH QK QL EN Intensity Error\n" + text(hkl),
        "tabs": "h\tk\tl\tE (meV)\tI\terr\n" + text(hkl, "\t"),
        "semicolons": "h; k; l; energy; signal; σ\n" + text(hkl, "; "),
        "behind a comment": "# a map\n# h k l E I sigma\n" + text(hkl),
        "another unit": "h,k,l,E (µeV),I,sigma\n" + text([(*r[:3], 1000 * r[3], *r[4:]) for r in hkl], ","),
        "another order": "I sigma E l k h\n" + text([(i, s, e, l, k, h) for h, k, l, e, i, s in hkl]),
    }


@pytest.mark.parametrize("how", header_cases())
def test_columns_are_known_by_the_names_that_people_give_them(tmp_path, how):
    (tmp_path / "map.txt").write_text(header_cases()[how])
    (data,) = read(tmp_path / "map.txt")
    assert data.shape == (3, 2)
    np.testing.assert_allclose(data.coords["l"].values, X)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, E)
    np.testing.assert_allclose(data.values, 10 * X[:, None] + E)
    np.testing.assert_allclose(data.variances, 0.25)


@pytest.mark.parametrize("header", ["x E I err\n", "q,energy,signal,sigma\n", "# Q E I dI\n"])
def test_a_line_of_names_without_a_comment_is_no_row(tmp_path, header):
    (tmp_path / "map.txt").write_text(header + text(rows(), "," if "," in header else " "))
    (data,) = read(tmp_path / "map.txt", q_direction=(1, 0, 0))
    np.testing.assert_allclose(data.coords["h"].values, X)


def test_names_say_the_order_and_the_unit_of_length(tmp_path):
    (tmp_path / "map.txt").write_text("# E Q(1/Å) I sigma\n" + text([(e, x + 1, i, s) for x, e, i, s in rows()]))
    (data,) = read(tmp_path / "map.txt")
    np.testing.assert_allclose(data.coords["Q_abs"].values, X + 1)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, E)


def test_counts_with_their_norm_are_intensities(tmp_path):
    (tmp_path / "scan.txt").write_text("h k l E counts monitor\n0 0 1 2 9 100\n0 0 1 3 0 100\n0 0 1 4 5 0\n")
    (data,) = read(tmp_path / "scan.txt")
    np.testing.assert_allclose(data.values, [[0.09, 0.0, np.nan]])
    np.testing.assert_allclose(data.variances[0, :2], [0.03**2, 0.01**2])
    taken = measured(data)
    assert taken.used.tolist() == [True, True, False]
    np.testing.assert_allclose(taken.counts[:2], [9, 0])
    assert "σ the root of the counts" in data.coords["assumed"].value


def dave(sentinel=True):
    """A slice as DAVE and MSlice write it: intensity, error, Q, energy."""
    found = [(10 * x + e - 2, 0.5, x - 5.5, e) for x in np.arange(6.0) for e in (1.0, 2.0, 3.0, 4.0)]
    if sentinel:
        found[5] = (-1.000000020040877e20, -1.0, *found[5][2:])
    return found


def test_the_columns_of_mslice_are_known_by_what_was_not_measured(tmp_path):
    (tmp_path / "slice.iexy").write_text(text(dave()))
    (data,) = read(tmp_path / "slice.iexy", q_direction=(1, 1, 0))
    assert data.shape == (6, 4) and int(data.masks["missing"].values.sum()) == 1
    np.testing.assert_allclose(data.coords["k"].values, np.arange(6.0) - 5.5)
    assert "I, sigma, x, E, since −1e20" in data.coords["assumed"].value
    assert "1 of 24 pixels hold -1e+20" in data.coords["noted"].value


def test_columns_that_cannot_be_what_they_are_taken_for_are_refused(tmp_path):
    path = tmp_path / "slice.txt"
    path.write_text(text([(abs(i), s, x, e) for i, s, x, e in dave(sentinel=False)]))
    with pytest.raises(DataError, match=r"cannot be x, E, I, sigma: .*grid.*--columns I,sigma,x,E.*all the same"):
        read(path, q_direction=(1, 1, 0))
    assert read(path, q_direction=(1, 1, 0), columns="I,sigma,x,E")[0].shape == (6, 4)
    for bad, why in (
        ([(1e20, 1, 2, 3), (0.5, 1, 2, 3)], "x reaches 1e.20"),
        ([(0.1, 1, -2, 3), (0.5, 1, -2, 3)], "every intensity is negative"),
        ([(0.1, 1, 2, -3), (0.5, 1, 2, 3)], "1 standard deviations are negative"),
    ):
        path.write_text(text(bad))
        with pytest.raises(DataError, match=why):
            read(path, q_direction=(1, 1, 0))


def test_what_was_not_measured_is_missing(tmp_path):
    lines = rows()
    lines[2] = (*lines[2][:2], -1e20, -1.0)
    (tmp_path / "map.txt").write_text(text(lines))
    (data,) = read(tmp_path / "map.txt", q_direction=(0, 0, 1))
    assert measured(data).used.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("others", "used"),
    [
        ([(2.0, 2.0), (8.0, 4.0)], 3),  # single neutrons, worth 2: others may have caught none
        ([(2.0, 0.1), (8.0, 0.2)], 2),  # hundreds of neutrons
        ([(2.0, 2.0), (-8.0, 4.0)], 2),  # a background was subtracted
    ],
)
def test_zero_with_no_error_is_measured_where_single_neutrons_are_seen(tmp_path, others, used):
    values = [(0.0, 0.0), *others]
    for name, head_ in (("map.txt", ""), ("map.csv", "h,k,l,E,I,sigma\n")):
        lines = [((0, 0, x) if head_ else (x,)) + (1.0, *v) for x, v in zip(X, values, strict=True)]
        (tmp_path / name).write_text(head_ + text(lines, "," if head_ else " "))
        (data,) = read(tmp_path / name, **({} if head_ else {"q_direction": (0, 0, 1)}))
        assert measured(data).used.sum() == used and "--zeros" in data.coords["assumed"].value
        (other,) = read(
            tmp_path / name,
            zeros="measured" if used == 2 else "missing",
            **({} if head_ else {"q_direction": (0, 0, 1)}),
        )
        assert measured(other, sigma_floor=0.1).used.sum() == 5 - used


def test_energies_with_errors_alone_are_peaks(tmp_path):
    for name, content, options in (
        ("hkl.txt", "h k l E sigma\n0 0 0.5 3 0.1\n0 0 0.5 5 0.2\n", {}),
        ("spinw.csv", "QH,QK,QL,EN,sigma_E,I\n0,0,0.5,3,0.1,7\n0,0,0.5,5,0.2,8\n", {}),
        ("q.txt", "0.5, 0.01, 3, 0.1, 0, 1\n0.5, 0.0, 5, 0.2, 1, 1\n",
         {"columns": "x,-,E,sigma,-,-", "q_direction": (0, 0, 1)}),
    ):  # fmt: skip
        (tmp_path / name).write_text(content)
        (peaks,) = read(tmp_path / name, **options)
        assert is_peaks(peaks) and peaks.values.tolist() == [3, 5] and peaks.coords["mode"].values.tolist() == [0, 1]
        np.testing.assert_allclose(np.sqrt(peaks.variances), [0.1, 0.2])
        np.testing.assert_allclose(peaks.coords["l"].values, 0.5)
    assert read(tmp_path / "spinw.csv")[0].coords["intensity"].values.tolist() == [7, 8]


def test_a_table_of_energies_without_names_says_how_to_name_them(tmp_path, shared):
    with pytest.raises(
        DataError, match=r"has 6 columns and no line that names them.*--columns h,k,l,E,sigma,-.*--q-dir"
    ):
        read(shared / "data" / "public" / "tables" / "sw_KFe3J.txt")
    options = {"columns": "x,-,E,sigma,-,-", "q_direction": (1, 0, 0)}
    assert read(shared / "data" / "public" / "tables" / "sw_KFe3J.txt", **options)[0].sizes["peak"] == 45


def test_a_scan_at_one_wavevector_or_energy_asks_for_what_it_lacks(tmp_path):
    (tmp_path / "scan.txt").write_text("E I err\n1 5 1\n2 6 1\n")
    with pytest.raises(DataError, match=r"at which wavevector it was taken.*--q-origin"):
        read(tmp_path / "scan.txt")
    (data,) = read(tmp_path / "scan.txt", q_origin=(0.5, 0, 1))
    assert data.shape == (1, 2) and data.coords["l"].values.tolist() == [1]
    (tmp_path / "cut.txt").write_text("x I err\n0.1 5 1\n0.2 6 1\n")
    with pytest.raises(DataError, match=r"at what energy transfer.*--energy 10"):
        read(tmp_path / "cut.txt", q_direction=(1, 0, 0))
    (data,) = read(tmp_path / "cut.txt", q_direction=(1, 0, 0), energy=7.0)
    assert data.shape == (2, 1) and data.coords["energy_transfer"].values.tolist() == [7]


def test_names_that_nobody_knows_are_asked_for(tmp_path):
    (tmp_path / "map.txt").write_text("xx yy zz ww\n" + text(rows()))
    with pytest.raises(
        DataError, match=r"line 1, which names the columns, names xx, yy, zz, ww.*--columns x,E,I,sigma"
    ):
        read(tmp_path / "map.txt", q_direction=(1, 0, 0))
    assert read(tmp_path / "map.txt", q_direction=(1, 0, 0), columns="x,E,I,sigma")[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ("x,E,I,weird", "names weird, which is read as nothing"),
        ("x,h,E,I", "q_direction|q-direction"),
        ("x,Q_abs,E,I", "more than one place"),
        ("h,k,l,E", "neither an intensity"),
    ],
)
def test_names_that_make_no_spectrum_are_refused(tmp_path, columns, match):
    (tmp_path / "map.dat").write_text(text(rows()))
    with pytest.raises(DataError, match=match):
        read(tmp_path / "map.dat", columns=columns)


def test_the_measured_map_of_csvcl3_is_read_with_what_was_not_measured(shared):
    file = shared / "data" / "public" / "csvcl3" / "CsVCl3_processed_data_Ei_102meV.txt"
    (data,) = read(file, q_direction=(0, 0, 1))
    assert data.shape == (122, 100) and int(data.masks["missing"].values.sum()) == 2998
    assert data.coords["l"].values[[0, -1]].tolist() == [0.366231, 3.98739]


def test_the_slice_of_dave_is_read_in_its_own_order(shared):
    (data,) = read(shared / "data" / "public" / "neutronpy" / "test_filetypes.iexy", q_direction=(1, 1, 0))
    # 1149 pixels of −1e20, and 61 of 0 ± 0 in a map from which a background was subtracted.
    assert data.shape == (45, 90) and int(data.masks["missing"].values.sum()) == 1149 + 61
