"""Damaged files of every format end in data that can be used, or in a message; and what once did not."""

import warnings

import h5py
import numpy as np
import pytest
from healthy_files import LAYOUTS
from mutate_files import campaign, use

from insiren.data.files import read
from insiren.data.spectrum import measured
from insiren.errors import DataError


@pytest.mark.parametrize("name", LAYOUTS)
def test_files_that_are_not_damaged_are_data(tmp_path, name):
    LAYOUTS[name].write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(tmp_path / LAYOUTS[name].read, LAYOUTS[name])


def test_some_damaged_files_of_each_format_end_in_data_or_a_message():
    outcome = campaign(120, seed=1)
    assert outcome.failed == []
    assert outcome.data.total() + outcome.refused.total() == 120
    assert outcome.data.total() > 15 and outcome.refused.total() > 50 and set(outcome.slowest) == set(LAYOUTS)


# Files of the campaign that ended in anything else, by seed and number; each is repeated as it was.
@pytest.mark.parametrize(
    "number",
    [216, 642, 655, 847, 2462, 3691, 4138, 8016, 14915, 16563, 23338, 26098, 42480, 44979, 47658, 71818, 91743],
)
def test_files_that_once_failed_do_not(number):
    assert campaign(number + 1, seed=5, first=number).failed == []


def test_numbers_beyond_any_float_are_found_without_a_warning(tmp_path):
    rows = "".join(f"{x} {e} 1 {s}\n" for x, e, s in ((0, 1, 1), (0, 2, 1), (1, 1, 1), (1, 2, "1e308")))
    (tmp_path / "map.dat").write_text(rows)
    (data,) = read(tmp_path / "map.dat", q_direction=(0, 0, 1))
    with pytest.raises(DataError, match="a variance that is NaN, infinite or negative"):
        measured(data)


def test_an_angle_that_is_no_number_is_asked_for(tmp_path):
    layout = LAYOUTS["nxspe of a crystal"]
    layout.write(tmp_path)
    with h5py.File(tmp_path / layout.read, "a") as file:
        file["some_name/NXSPE_info/psi"][...] = np.inf
    with pytest.raises(DataError, match="--psi"):
        read(tmp_path / layout.read, **layout.options)
