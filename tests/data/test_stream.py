"""Streams of a finished measurement: nested, of the right size, and with the statistics of counting."""

import itertools

import numpy as np
import pytest

from insiren.data.counts import count
from insiren.data.files import read, write
from insiren.data.replay import stream
from insiren.data.spectrum import image
from insiren.errors import DataError

RATE = 1 + np.arange(48.0).reshape(6, 8)


def spectrum(seed=1, neutrons=5000):
    hkl = np.linspace([0, 0, 0], [0.5, 0, 0], 6)
    clean = image("one", hkl, np.arange(8.0), RATE, np.ones((6, 8)))
    return count(clean, neutrons, seed)


def counts(step):
    return np.concatenate([one.coords["counts"].values.ravel() for one in step])


def test_each_step_holds_the_neutrons_of_the_one_before_and_the_last_is_the_measurement():
    data = spectrum()
    steps = list(stream([data], 100, None, 9, 3))
    for before, after in itertools.pairwise(steps):
        assert np.all(counts(after) >= counts(before)) and counts(after).sum() > counts(before).sum()
    assert np.array_equal(counts(steps[-1]), counts([data]))
    assert np.allclose(steps[-1][0].coords["norm"].values, data.coords["norm"].values, rtol=1e-12)


def test_the_steps_are_even_in_the_logarithm_of_the_neutrons():
    totals = [counts(step).sum() for step in stream([spectrum(neutrons=200_000)], 2000, None, 5, 3)]
    wanted = np.geomspace(2000, totals[-1], 5)
    assert np.all(np.abs(np.array(totals) - wanted) < 5 * np.sqrt(wanted))


def test_increments_are_the_differences_of_the_totals():
    totals, parts = (list(stream([spectrum()], 100, 4000, 6, 3, flag)) for flag in (False, True))
    assert np.array_equal(sum(counts(step) for step in parts), counts(totals[-1]))
    norm = sum(step[0].coords["norm"].values for step in parts)
    assert np.allclose(norm, totals[-1][0].coords["norm"].values, rtol=1e-12)


@pytest.mark.parametrize("held", ["counts", "errors"])
@pytest.mark.parametrize("events", [600, 20_000])
def test_increments_scatter_like_counts_about_norm_times_intensity(held, events):
    data = spectrum(neutrons=5000)
    if held == "errors":
        data = data.drop_coords(["counts", "norm"])
    seen = []
    for seed in range(200):
        # a new measurement each time, since one that is finished does not scatter any more
        whole = spectrum(seed, 5000) if held == "counts" else data
        seen.append([counts(step) for step in stream([whole], 300, events, 2, seed, incremental=True)][1])
    mean, variance = np.mean(seen, axis=0), np.var(seen, axis=0)
    chosen = mean > 1
    if held == "counts" and events > 5000:
        # beyond the measurement the mean itself is that of a measurement that scattered
        assert np.all(variance[chosen] > 0.7 * mean[chosen])
    else:
        assert np.median(variance[chosen] / mean[chosen]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.h5", "a.csv"])
def test_counts_and_norm_come_back_from_a_file_as_they_were(name, tmp_path):
    for (step,) in stream([spectrum()], 100, None, 3, 3):
        (back,) = read(write(step, tmp_path / name))
        for key in ("counts", "norm"):
            assert np.array_equal(back.coords[key].values, step.coords[key].values)
        assert back.name == "one"


@pytest.mark.parametrize(("first", "events", "steps"), [(10, 5, 3), (0, 100, 3), (10, 100, 1), (10, 100, 0)])
def test_numbers_that_are_no_stream_are_refused(first, events, steps):
    with pytest.raises(DataError, match="are no stream"):
        stream([spectrum()], first, events, steps, 0)


def test_a_measurement_without_counts_or_errors_cannot_be_replayed():
    data = spectrum().drop_coords(["counts", "norm"])
    data.variances = None
    with pytest.raises(DataError, match="neither counts nor error bars"):
        stream([data], 10, 100, 3, 0)
