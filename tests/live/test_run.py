"""Runs against what the world does to them: damage, repetition, a full disk, clocks, two writers."""

import errno
import gc
import json
import os
import shutil
import time
import tracemalloc

import numpy as np
import pytest
from ridge import RIDGE, TRUTH, asked, counted, live

import insiren as ins
from insiren.data.files import sandbox, write
from insiren.data.replay import stream
from insiren.data.within import within
from insiren.live.run import Live, Wishes
from insiren.live.snapshots import LiveError, lines, only_writer

ONCE, LINE = 300_000, 1000  # bytes: of objects that take the place of others, and of a line of the ledger


def put(place, name, neutrons=2000, seed=1, data=None):
    path = place.counts / name
    write(counted(neutrons, seed) if data is None else data, path)
    return path


def looked(run):
    """Two looks, since a file must stand still between them."""
    run.look()
    return run.look()


def log_of(place, level=None):
    return [one["text"] for one in lines(place.run / "log.jsonl") if level in (None, one["level"])]


def fit_of(place, number):
    return json.loads((place.run / "snapshots" / f"{number:06d}" / "fit.json").read_text())


def counts_of(data):
    return float(data.coords["counts"].values.sum())


def test_a_snapshot_holds_what_the_page_needs(place):
    put(place, "a.h5", 5000)
    run = live(place.counts, place.run, targets={"J": 0.5})
    assert looked(run) and run.update() == 1
    content = fit_of(place, 1)
    assert content["parameters"]["J"]["value"] == pytest.approx(TRUTH, abs=4 * content["parameters"]["J"]["error"])
    told = content["live"]
    assert told["number"] == 1 and told["neutrons"] == counts_of(counted(5000)) and told["searched"]
    assert told["mode_share"] > 0.95 and told["targets"]["J"]["error"] < 0.5
    assert told["stop"]["advised"] is False and told["stop"]["missing"][0].startswith("steady answer")
    assert abs(told["quality"]["reduced"] - 1) < 4 * told["quality"]["sigma"]
    assert (place.run / "snapshots/000001/maps.png").read_bytes()[:4] == b"\x89PNG"
    (shown,) = json.loads((place.run / "snapshots/000001/maps.json").read_text())
    assert np.shape(shown["data"]) == np.shape(shown["residual"]) == (20, 8) and len(shown["x"]["values"]) == 8
    written = json.loads((place.run / "live.json").read_text())
    assert {"model", "forward", "directory", "targets", "confidence", "started", "insiren"} <= set(written)


def test_warm_updates_agree_with_a_fit_from_scratch(place):
    run = live(place.counts, place.run)
    for n, (one,) in enumerate(stream([counted(20_000)], 2000, None, 6, 3)):
        put(place, f"{n}.h5", data=one)
        assert looked(run) and run.update()
    told = [fit_of(place, n)["live"]["searched"] for n in range(1, 7)]
    assert told[0] and not all(told)
    fresh = ins.fit(RIDGE, run.state.sets, background="per-energy", weights="data")
    warm = fit_of(place, 6)["parameters"]["J"]
    assert warm["value"] == pytest.approx(fresh.values["J"], abs=0.02 * fresh.errors["J"])
    assert warm["error"] == pytest.approx(fresh.errors["J"], rel=0.05)
    assert fit_of(place, 6)["live"]["stop"]["conditions"][0]["name"] == "steady answer"


def test_a_file_that_grows_is_not_taken_until_it_stands_still(place):
    whole = put(place, "whole.csv").read_bytes()
    (place.counts / "whole.csv").unlink()
    run = live(place.counts, place.run)
    path = place.counts / "a.csv"
    for part in (0.3, 0.6, 1.0):
        path.write_bytes(whole[: int(part * len(whole))])
        assert not run.look()
    assert run.look() and run.state.neutrons == counts_of(counted(2000))
    assert log_of(place, "warning") == []


def test_a_file_left_half_is_put_aside_and_taken_once_it_is_whole(place):
    whole = put(place, "a.csv").read_bytes()
    (place.counts / "a.csv").write_bytes(whole[: len(whole) // 2])
    run = live(place.counts, place.run)
    assert not looked(run) or run.state.neutrons < counts_of(counted(2000))
    (place.counts / "a.csv").write_bytes(whole)
    assert looked(run) and run.state.neutrons == counts_of(counted(2000))


@pytest.mark.parametrize("name", [".a.h5", "a.h5.tmp", "a.h5.part"])
def test_names_of_unfinished_files_are_passed_over(place, name):
    shutil.move(put(place, "a.h5"), place.counts / name)
    run = live(place.counts, place.run)
    assert not looked(run) and log_of(place) == []


@pytest.mark.parametrize("poison", ["text", "nan", "grid", "no counts", "HDF5"])
def test_a_wrong_file_is_put_aside_with_its_reason_and_the_rest_counts(place, poison):
    put(place, "a.h5")
    run = live(place.counts, place.run)
    assert looked(run)
    bad, before = counted(2000, 2), run.state.neutrons
    if poison == "nan":
        bad.values[:] = np.nan
    elif poison == "grid":
        bad = bad["Q", :4].copy()
    elif poison == "no counts":
        bad = bad.drop_coords(["counts", "norm"])
    put(place, "b.h5", data=bad)
    if poison == "text":
        (place.counts / "b.h5").write_text("h,k,l,E,I\n0,0,0,1,x\n")
    elif poison == "HDF5":
        (place.counts / "b.h5").write_bytes((place.counts / "b.h5").read_bytes()[:3000])
    content = (place.counts / "b.h5").read_bytes()
    looked(run)
    assert run.state.neutrons == before
    (said,) = log_of(place, "warning")
    assert said.startswith("b.h5 is put aside: ") and len(said) > 40
    assert (place.counts / "b.h5").read_bytes() == content
    assert run.ledger.latest["b.h5"].status == "refused"
    looked(run)
    assert len(log_of(place, "warning")) == 1  # once, not at every look
    put(place, "b.h5", 3000, 2)
    assert looked(run) and run.state.neutrons == counts_of(counted(3000, 2))


@pytest.mark.parametrize("incremental", [False, True])
def test_the_same_content_under_another_name_counts_once(place, incremental):
    shutil.copy(put(place, "a.h5"), place.counts / "copy.h5")
    run = live(place.counts, place.run, incremental)
    assert looked(run) and run.state.neutrons == counts_of(counted(2000))
    assert "not counted again" in log_of(place)[-1]


def test_an_increment_that_is_replaced_counts_by_its_new_content(place):
    for n in range(3):
        put(place, f"{n}.h5", 1000, n)
    run = live(place.counts, place.run, incremental=True)
    assert looked(run)
    put(place, "1.h5", 1500, 11)
    assert looked(run)
    wanted = counts_of(counted(1000, 0)) + counts_of(counted(1500, 11)) + counts_of(counted(1000, 2))
    assert run.state.neutrons == wanted
    again = live(place.counts, place.run, incremental=True)
    assert again.state.neutrons == wanted


def test_a_content_whose_first_file_was_replaced_still_counts_by_its_copy(place):
    shutil.copy(put(place, "a.h5", 1000), place.counts / "b.h5")
    run = live(place.counts, place.run, incremental=True)
    looked(run)
    put(place, "a.h5", 1500, 5)
    looked(run)
    assert run.state.neutrons == counts_of(counted(1000)) + counts_of(counted(1500, 5))


@pytest.mark.parametrize("incremental", [False, True])
def test_only_what_lies_within_the_ranges_is_counted_and_fitted(place, incremental):
    def started(keep):
        return Live(asked(), Wishes(place.counts, place.run, {}, incremental=incremental, keep=keep))

    for n in range(2):
        put(place, f"{n}.h5", 1000 * (n + 1), n)
    run = started({"E": (1.0, 3.0)})
    assert looked(run) and run.update() == 1
    parts = [counts_of(within(counted(1000 * (n + 1), n), {"E": (1.0, 3.0)})) for n in range(2)]
    whole = [counts_of(counted(1000 * (n + 1), n)) for n in range(2)]
    assert run.state.neutrons == (sum(parts) if incremental else parts[1]) < sum(whole)
    assert started({"E": (1.0, 3.0)}).state.neutrons == run.state.neutrons
    with pytest.raises(LiveError, match="range differ"):
        started({"E": (1.0, 2.0)})


def test_processes_that_read_are_started_when_files_are_first_seen(place, monkeypatch):
    asked_for = []
    monkeypatch.setattr(sandbox, "prepare", asked_for.append)
    put(place, "a.h5")
    run = live(place.counts, place.run)
    assert looked(run) and asked_for == [1, 0]
    for n in range(3):
        put(place, f"b{n}.h5", 3000 + n, n)
    assert looked(run) and asked_for == [1, 0, 2, 0]  # no more than read at once


def test_a_file_with_nothing_within_the_ranges_is_put_aside(place):
    put(place, "a.h5")
    run = Live(asked(), Wishes(place.counts, place.run, {}, keep={"E": (50.0, 60.0)}))
    assert not looked(run) and "holds nothing with E in 50 … 60" in log_of(place, "warning")[0]


def test_a_restart_goes_on_without_counting_again_or_fitting_again(place):
    for n in range(3):
        put(place, f"{n}.h5", 1000, n)
    run = live(place.counts, place.run, incremental=True)
    looked(run), run.update()
    again = live(place.counts, place.run, incremental=True)
    assert again.state.neutrons == run.state.neutrons and again.number == 1 and len(again.history) == 1
    assert not looked(again)
    put(place, "3.h5", 1000, 3)
    assert looked(again) and again.update() == 2
    assert fit_of(place, 2)["live"]["neutrons"] == sum(counts_of(counted(1000, n)) for n in range(4))


def test_neutrons_whose_file_was_removed_still_count_after_a_restart(place):
    for n in range(2):
        put(place, f"{n}.h5", 1000, n)
    looked(live(place.counts, place.run, incremental=True))
    (place.counts / "0.h5").unlink()
    again = live(place.counts, place.run, incremental=True)
    looked(again)
    assert again.state.neutrons == sum(counts_of(counted(1000, n)) for n in range(2))


def test_a_torn_line_of_the_ledger_is_left_out_and_its_file_counted_once(place):
    for n in range(2):
        put(place, f"{n}.h5", 1000, n)
    looked(live(place.counts, place.run, incremental=True))
    ledger = place.run / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-20])
    again = live(place.counts, place.run, incremental=True)
    assert again.state.neutrons == counts_of(counted(1000, 0))
    assert looked(again)
    assert again.state.neutrons == sum(counts_of(counted(1000, n)) for n in range(2))
    assert live(place.counts, place.run, incremental=True).state.neutrons == again.state.neutrons


def test_a_vanished_directory_is_waited_for(place):
    put(place, "a.h5")
    run = live(place.counts, place.run)
    looked(run), run.update()
    place.counts.rename(place.counts.with_name("away"))
    for _ in range(3):
        assert not run.look()
    assert len(log_of(place, "error")) == 1 and "waiting" in log_of(place, "error")[0]
    place.counts.with_name("away").rename(place.counts)
    put(place, "b.h5", 3000)
    assert looked(run) and run.update() == 2 and any("there again" in one for one in log_of(place))


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_the_order_of_arrival_counts_whatever_the_clocks_say(place, jump):
    run = live(place.counts, place.run)
    put(place, "a.h5", 1000)
    looked(run)
    late = put(place, "b.h5", 2000)
    os.utime(late, (time.time() + jump,) * 2)
    looked(run)
    assert run.state.neutrons == counts_of(counted(2000))
    os.utime(late, (time.time() - jump,) * 2)  # touched, but the same content
    assert not looked(run) or run.state.neutrons == counts_of(counted(2000))
    again = live(place.counts, place.run)
    looked(again)
    assert again.state.neutrons == counts_of(counted(2000))


def test_a_full_disk_is_survived_and_the_snapshot_written_later(place, monkeypatch):
    put(place, "a.h5")
    run = live(place.counts, place.run)
    looked(run)
    real = os.fsync

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert run.update() is None and run.number == 0
    assert "No space left" in log_of(place, "error")[-1]
    assert list((place.run / "snapshots").iterdir()) == []
    put(place, "b.h5", 3000)
    assert looked(run)  # what was not written is tried again
    assert run.state.neutrons == counts_of(counted(2000))  # what the ledger does not hold is not counted
    monkeypatch.setattr(os, "fsync", real)
    assert looked(run) and run.update() == 1
    assert fit_of(place, 1)["live"]["neutrons"] == counts_of(counted(3000))


def test_a_second_writer_is_refused(place):
    with only_writer(place.run), pytest.raises(LiveError, match=f"number {os.getpid()}"), only_writer(place.run):
        pass
    with only_writer(place.run):
        pass


def test_another_run_in_the_same_folder_is_refused(place):
    live(place.counts, place.run)
    with pytest.raises(LiveError, match="incremental differ"):
        live(place.counts, place.run, incremental=True)
    live(place.counts, place.run, targets={"J": 0.1})  # targets may change
    (place.run.parent / "other").mkdir()
    (place.run.parent / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(LiveError, match="no run"):
        live(place.counts, place.run.parent / "other")


def test_a_target_of_no_parameter_is_refused(place):
    with pytest.raises(LiveError, match="there are J"):
        live(place.counts, place.run, targets={"D": 0.1})


def test_without_a_neutron_there_is_no_answer_and_later_there_is(place):
    empty = counted(1000)
    empty.coords["counts"].values[:] = 0
    empty.values[:] = 0
    put(place, "a.h5", data=empty)
    run = live(place.counts, place.run)
    assert looked(run) and run.update() is None and "no neutron" in log_of(place, "warning")[-1]
    assert not run.look()  # not tried again at every look
    put(place, "b.h5")
    assert looked(run) and run.update() == 1


def test_snapshots_of_a_killed_writer_vanish(place):
    live(place.counts, place.run)
    (place.run / "snapshots" / ".000001.1").mkdir()
    live(place.counts, place.run)
    assert list((place.run / "snapshots").iterdir()) == []


def grown(place, updates, warm_up):
    """Bytes that Python holds more after so many updates of one file."""
    run, rng = live(place.counts, place.run), np.random.default_rng(0)
    data, before = counted(2000), 0
    for n in range(updates + warm_up):
        if n == warm_up:
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
        data.coords["counts"].values[:] += rng.poisson(0.01, data.shape)
        data.coords["counts"].values[0, 0] += 1  # so that no two contents are the same
        write(data, place.counts / "now.h5")
        assert looked(run) and run.update()
        shutil.rmtree(run.folder.path(run.number))  # the disk is another matter
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return held


@pytest.mark.slow
def test_memory_is_flat_over_updates(place):
    assert grown(place, 12, 5) < ONCE + 12 * LINE


def test_what_a_mask_covers_is_not_counted(place):
    def started(leave):
        return Live(asked(), Wishes(place.counts, place.run, {}, leave=leave))

    put(place, "0.h5", 1000)
    run = started([{"E": (1.0, 3.0)}])
    assert looked(run)
    assert run.state.neutrons == counts_of(counted(1000)) - counts_of(within(counted(1000), {"E": (1.0, 3.0)}))
    with pytest.raises(LiveError, match="masks differ"):
        started([])
