"""Tables of fitted peaks are lists of energies with errors, and nobody takes them for a spectrum."""

import numpy as np
import pytest
import scipp as sc

from insiren.data.files import read
from insiren.data.peaks import is_peaks, peak_list
from insiren.data.spectrum import image, measured
from insiren.errors import DataError

HEADER = "QH QK QL ENlim1 ENlim2 I1 EN1 sigma1 I2 EN2 sigma2\n"


def test_the_published_modes_of_luvo3_are_all_there(shared):
    """The numbers were counted in the file itself: two triplets a row, those with I = 0 empty."""
    file = shared / "data" / "luvo3" / "LuVO3_fitted_modes.txt"
    (peaks,) = read(file)
    cells = np.array([line.split() for line in file.read_text().splitlines()[1:]], float)
    there = cells[:, [5, 8]] != 0
    assert is_peaks(peaks) and peaks.dims == ("peak",) and peaks.sizes["peak"] == there.sum()
    assert peaks.unit == "meV" and peaks.coords["kind"].value == "peaks"
    np.testing.assert_array_equal(np.sort(peaks.values), np.sort(cells[:, [6, 9]][there]))
    assert peaks.values[0] == 27.9475 and np.sqrt(peaks.variances[0]) == pytest.approx(0.1788)
    assert [peaks.coords[c].values[0] for c in "hkl"] == [0.0, 1.0, 2.1]
    assert peaks.coords["intensity"].values[0] == 185.522
    assert peaks.coords["energy_low"].values[0] == 2.0 and peaks.coords["energy_high"].values[0] == 40.0
    assert peaks.sizes["peak"] == 17 and len(cells) == 15
    assert set(peaks.coords["mode"].values.tolist()) == {0, 1}
    with pytest.raises(DataError, match="list of peaks"):
        measured(peaks)


def test_modes_are_numbered_by_energy_within_their_wavevector():
    hkl = [[0, 0, 1], [0, 0, 2], [0, 0, 1], [0, 0, 1]]
    peaks = peak_list("p", hkl, [3.0, 1.0, 1.0, 2.0], [0.1] * 4)
    assert peaks.coords["mode"].values.tolist() == [2, 0, 0, 1]
    assert np.isnan(peaks.coords["intensity"].values).all() and np.isinf(peaks.coords["energy_high"].values).all()


def test_tags_between_the_rows_are_read_past_and_named(tmp_path):
    (tmp_path / "peaks.txt").write_text(HEADER + "[Mxx] [1 0 0]\n0 0 1 2 40 5 10 0.5 0 0 0\n")
    (peaks,) = read(tmp_path / "peaks.txt")
    assert peaks.sizes["peak"] == 1 and "[Mxx] [1 0 0]" in peaks.coords["noted"].value


def test_a_spectrum_is_no_list_of_peaks():
    assert not is_peaks(image("a", np.zeros((1, 3)), [1.0], [[1.0]], None))
    assert not is_peaks(sc.DataArray(sc.scalar(1.0)))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (HEADER, "every peak of its 0 rows"),
        (HEADER + "0 0 1 2 40 0 0 0 0 0 0\n", "every peak of its 1 rows is 0"),
        (HEADER + "0 0 1 2 40 5 10 0.5\n", "line 2: 8 values where the header names 11"),
        (HEADER + "0 0 1 2 40 5 ten 0.5 0 0 0\n", "line 2, column 7: 'ten' is not a number"),
        (HEADER + "0 0 1 2 40 5 10 0 0 0 0\n", "1 peaks have an error that is not positive"),
        (HEADER + "nan 0 1 2 40 5 10 1 0 0 0\n", "1 peaks have a wavevector or energy that is not finite"),
        ("QH QK QL I1 EN1\n0 0 1 5 10\n", "lacks s1"),
    ],
)
def test_damage_to_a_table_of_peaks_is_named(tmp_path, content, match):
    (tmp_path / "bad.txt").write_text(content)
    with pytest.raises(DataError, match=match):
        read(tmp_path / "bad.txt")


def test_lists_that_do_not_fit_together_are_refused():
    with pytest.raises(DataError, match=r"not \(2, 3\), \(1,\)"):
        peak_list("p", [[0, 0, 1], [0, 0, 2]], [3.0], [0.1])
    with pytest.raises(DataError, match="no peak"):
        peak_list("p", np.zeros((0, 3)), [], [])
