"""Damaged files by the thousand, kills by the dozen, updates by the hundred."""

import pytest
from killing import killed_and_resumed
from mutate_files import campaign
from test_killed import ends_right, killed_often
from test_run import LINE, ONCE, grown

pytestmark = pytest.mark.slow


def test_two_thousand_damaged_files_end_in_data_or_a_message():
    outcome = campaign(2000, seed=2)
    assert outcome.failed == [] and outcome.data.total() + outcome.refused.total() == 2000


@pytest.mark.parametrize(("kills", "incremental"), [(3, True), (3, False), (10, True)])
def test_a_live_run_that_is_killed_ends_with_the_right_neutrons(place, kills, incremental):
    ends_right(place, incremental, killed_often(place, kills, incremental, kills))


def test_a_training_killed_ten_times_ends_with_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    killed_and_resumed(10, tmp_path, monkeypatch)


def test_memory_of_a_live_run_is_flat_over_hundreds_of_updates(place):
    assert grown(place, 300, 20) < ONCE + 300 * LINE
