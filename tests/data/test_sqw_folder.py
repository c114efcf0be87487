"""The paper's CSV folder is read as it is meant, and damage to it is named."""

import numpy as np
import pytest

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError


def edit(file, change):
    """Replaces the matrix of a CSV file by what `change` makes of it in place."""
    matrix = np.loadtxt(file, delimiter=",", ndmin=2)
    change(matrix)
    np.savetxt(file, matrix, delimiter=",")


def test_both_paths_have_the_shape_and_the_gaps_that_were_counted(la2nio4):
    data = read(la2nio4)
    assert [d.name for d in data] == ["path2", "path3"]
    assert [d.shape for d in data] == [(217, 121)] * 2
    assert [int(d.masks["missing"].values.sum()) for d in data] == [399, 2407]
    assert [d.coords["energy_transfer"].values[[0, -1]].tolist() for d in data] == [[20.0, 140.0]] * 2
    assert "399 pixels" in data[0].coords["assumed"].value
    hkl = np.stack([data[0].coords[c].values for c in "hkl"], axis=1)
    np.testing.assert_allclose(hkl[0], [0.75, 0.25, 0.0])
    for first in (36, 89, 126, 163):  # the corners of the path are there twice
        np.testing.assert_array_equal(hkl[first], hkl[first + 1])


def test_the_advised_treatment_of_sigma_leaves_the_known_number_of_pixels(la2nio4):
    paths = [measured(d) for d in read(la2nio4, errors="sigma")]
    assert [int(p.used.sum()) for p in paths] == [25384, 23476]
    assert [p.n_masked for p in paths] == [873, 2781]
    assert [float(p.sigma[p.used].min()) for p in paths] == [0.03, 0.03]
    assert all(p.sigma[p.used].max() <= 5 for p in paths)
    assert [int(measured(d, sigma_max=np.inf).used.sum()) for d in read(la2nio4, errors="sigma")] == [25858, 23850]


def test_negative_intensities_are_kept_and_the_mask_is_that_of_the_raw_file(la2nio4):
    without, raw = (read(la2nio4, variant=v) for v in ("woBG", "raw"))
    assert [int(np.sum(d.values[~d.masks["missing"].values] < 0)) for d in without] == [9023, 8302]
    for variant in (without, read(la2nio4, variant="corr")):
        for a, b in zip(variant, raw, strict=True):
            np.testing.assert_array_equal(a.masks["missing"].values, b.masks["missing"].values)


def test_the_filled_gap_of_the_corr_files_is_read_where_there_is_one(la2nio4):
    path2, path3 = read(la2nio4, variant="corr")
    assert "Sqw_path2_woBG.csv" in path2.coords["assumed"].value
    assert "Sqw_path3_woBG_corr.csv" in path3.coords["assumed"].value


@pytest.mark.parametrize(
    "file", ["Qlist_path3_woBG.csv", "Err_path2_woBG.csv", "Elist_path2_woBG.csv", "Sqw_path2.csv"]
)
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(DataError, match=file):
        read(folder)


def test_a_single_energy_list_serves_for_all_but_two_do_not(folder):
    (folder / "Elist_path9.csv").write_text("1\n")
    with pytest.raises(DataError, match=r"path3 needs its energies.*2 other"):
        read(folder)


@pytest.mark.parametrize("file", ["Err_path2_woBG.csv", "Qlist_path3_woBG.csv"])
def test_nan_outside_the_intensities_is_refused_with_its_place(folder, file):
    def spoil(matrix):
        matrix[1, 6] = np.nan

    edit(folder / file, spoil)
    with pytest.raises(DataError, match=f"{file}, line 2, column 7: nan"):
        read(folder)


def test_nan_and_blank_intensities_are_missing(folder):
    lines = (folder / "Sqw_path2.csv").read_text().splitlines()
    for row, blank in ((0, "NaN"), (1, "")):
        lines[row] = ",".join([blank, *lines[row].split(",")[1:]])
    (folder / "Sqw_path2.csv").write_text("\n".join(lines))
    assert read(folder)[0].masks["missing"].values.sum() == 401


def test_text_that_is_no_number_is_refused_with_its_place(folder):
    lines = (folder / "Sqw_path2.csv").read_text().splitlines()
    lines[3] = lines[3].replace(",", ",abc,", 1)
    (folder / "Sqw_path2.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"Sqw_path2.csv, line 4, column 2: 'abc' is not a number"):
        read(folder)


def test_binary_empty_and_ragged_files_are_refused(folder):
    for content, match in (
        (b"\xff\xfe\x00", "bytes that are no text"),
        (b"\xff\xfe", "not a number"),
        (b"", "empty"),
        (b"1,2\n3\n", "line 2: 1 values"),
    ):
        (folder / "Err_path2_woBG.csv").write_bytes(content)
        with pytest.raises(DataError, match=match):
            read(folder)


def test_matrices_that_do_not_fit_together_are_refused(folder):
    (folder / "Err_path2_woBG.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match=r"Err_path2_woBG.csv has 2 rows and 2 columns where 121 and 217"):
        read(folder)


def test_a_path_without_a_measured_pixel_is_refused(folder):
    def blank(matrix):
        matrix[:] = 0

    edit(folder / "Sqw_path3.csv", blank)
    with pytest.raises(DataError, match="path3: all 26257 pixels are masked"):
        [measured(d) for d in read(folder)]


def test_the_published_errors_are_taken_for_variances_unless_told_otherwise(la2nio4):
    by_themselves, variances, by_name = (
        read(la2nio4, **given) for given in ({}, {"errors": "variance"}, {"errors": "sigma"})
    )
    for one, other, named in zip(by_themselves, variances, by_name, strict=True):
        np.testing.assert_array_equal(one.variances, other.variances)
        np.testing.assert_allclose(named.variances, one.variances**2, rtol=1e-12)
        assert "holds variances, for neighbouring pixels scatter by" in one.coords["assumed"].value


def test_an_unknown_variant_or_option_is_refused(la2nio4):
    with pytest.raises(DataError, match="raw, woBG, corr"):
        read(la2nio4, variant="smooth")
    with pytest.raises(DataError, match="no option lattice; it takes variant"):
        read(la2nio4, lattice=3.89)


def test_a_folder_of_other_files_is_refused_with_their_names(tmp_path):
    for name in ("one.nxspe", "two.nxspe"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"folder of one\.nxspe, two\.nxspe; name the files"):
        read(tmp_path)
