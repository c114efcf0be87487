"""A finished measurement as a stream of files."""

import json

import numpy as np

from insiren.data.files import read


def test_replay_writes_one_whole_file_a_step(insiren, measurement, tmp_path):
    said = insiren("replay", measurement, "--out", "counts", "--first", 500, "--steps", 4, "--json", "-")
    assert said.code == 0
    told = json.loads(said.out)
    files = sorted((tmp_path / "counts").iterdir())
    assert [file.name for file in files] == told["files"] == [f"small-{n}.h5" for n in range(1, 5)]
    last = read(files[-1])[0]
    whole = read(measurement)[0]
    measured = ~whole.masks["missing"].values
    assert np.array_equal(last.coords["counts"].values, whole.coords["counts"].values * measured)
    assert told["neutrons"] == last.coords["counts"].values.sum()


def test_replay_says_where_it_goes_beyond_the_measurement(insiren, measurement):
    said = insiren("replay", measurement, "--out", "counts", "--events", 300_000, "--steps", 2)
    assert said.code == 0 and "beyond the" in said.err and "smoothed" in said.err


def test_replay_keeps_its_pace(insiren, measurement):
    import time

    begun = time.monotonic()
    said = insiren("replay", measurement, "--out", "counts", "--steps", 3, "--pace", 0.5, "--incremental")
    assert said.code == 0 and time.monotonic() - begun >= 1.0


def test_replay_refuses_what_is_no_stream(insiren, measurement, tmp_path):
    said = insiren("replay", measurement, "--out", "counts", "--first", 100, "--events", 50)
    assert said.code == 2 and "no stream" in said.err and not (tmp_path / "counts").exists()
