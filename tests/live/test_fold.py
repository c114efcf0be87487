"""Laws of folding: order, duplicates, and increments against totals."""

import itertools

import numpy as np
import pytest
import scipp as sc
from ridge import counted

from insiren.data.replay import stream
from insiren.errors import DataError
from insiren.live.fold import State, added, by_key, checked, fold, neutrons


def folded(files, incremental, stem="file"):
    state = State(incremental)
    for sets in files:
        state = fold(state, by_key(state, [checked(one) for one in sets], stem))
    return state


def steps(incremental, n=5):
    return list(stream([counted(3000, 1, "a"), counted(2000, 2, "b")], 200, None, n, 7, incremental))


def test_increments_add_to_the_totals_of_a_cumulative_stream():
    totals, parts = folded(steps(False), False), folded(steps(True), True)
    assert list(totals.totals) == list(parts.totals) == ["a", "b"]
    for one, other in zip(totals.sets, parts.sets, strict=True):
        assert np.array_equal(one.coords["counts"].values, other.coords["counts"].values)
        assert np.allclose(one.coords["norm"].values, other.coords["norm"].values, rtol=1e-12)
        assert np.allclose(one.values, other.values, rtol=1e-12, equal_nan=True)


def test_the_order_of_increments_changes_nothing():
    parts = steps(True, 4)
    first = folded(parts, True)
    for order in itertools.permutations(parts):
        other = folded(order, True)
        for key, one in first.totals.items():
            assert np.array_equal(one.coords["counts"].values, other.totals[key].coords["counts"].values)
            assert np.allclose(one.coords["norm"].values, other.totals[key].coords["norm"].values, rtol=1e-12)


def test_of_cumulative_files_the_newest_counts_alone():
    files = steps(False)
    assert folded(files, False).neutrons == sum(map(neutrons, files[-1]))


def test_a_file_without_one_of_the_data_sets_leaves_that_as_it_was():
    files = steps(False)
    state = folded([files[1], files[3][:1]], False)
    assert state.neutrons == neutrons(files[3][0]) + neutrons(files[1][1])


def test_data_sets_without_a_name_are_known_by_their_grid():
    state = State(False)
    for n, neutrons_ in enumerate((500, 900)):
        one = counted(neutrons_, n, name=f"step-{n}")
        state = fold(state, by_key(state, [checked(one)], f"step-{n}"))
    assert list(state.totals) == ["step-0"] and len(state.sets) == 1


def test_another_grid_under_the_same_name_is_refused():
    one = checked(counted(500))
    state = fold(State(), by_key(State(), [one], "file"))
    with pytest.raises(DataError, match=r"another grid \(8 × 12\)"):
        fold(state, by_key(state, [checked(one["energy_transfer", :12].copy())], "file"))


def test_pixels_that_one_part_alone_measured_count_by_it():
    a, b = counted(500, 1), counted(500, 2)
    a.masks["missing"].values[0, :] = True
    b.masks["missing"].values[:2, :] = True
    total = added(checked(a), checked(b))
    assert total.masks["missing"].values[0].all() and not total.masks["missing"].values[1:].any()
    assert np.array_equal(total.coords["counts"].values[1], a.coords["counts"].values[1])
    both = a.coords["counts"].values[2:] + b.coords["counts"].values[2:]
    assert np.array_equal(total.coords["counts"].values[2:], both)


def test_increments_without_counts_are_refused():
    one = counted(500).drop_coords(["counts", "norm"])
    with pytest.raises(DataError, match="no counts"):
        fold(State(True), by_key(State(True), [checked(one)], "file"))


def test_counts_are_not_replaced_by_what_has_none():
    one = checked(counted(500))
    state = fold(State(), by_key(State(), [one], "file"))
    with pytest.raises(DataError, match="holds none"):
        fold(state, {"ridge": one.drop_coords(["counts", "norm"])})


def test_counts_that_are_no_numbers_are_refused():
    one = counted(500)
    one.coords["counts"].values[0, 0] = np.nan
    with pytest.raises(DataError, match="counts that are NaN"):
        checked(one)
    with pytest.raises(DataError, match="masked or missing"):
        checked(sc.DataArray(one.data * np.nan, coords=one.coords, masks=one.masks, name="x"))
