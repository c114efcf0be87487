"""The fit of a measurement that arrives, as a person asks for it."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

FIT = ("--fix", "q_fwhm=0", "--fix", "width=1")


@pytest.fixture
def counting(insiren, measurement):
    assert insiren("replay", measurement, "--out", "counts", "--first", 20_000, "--steps", 2).code == 0


def test_live_once_gives_the_answer_of_a_fit(insiren, counting, tmp_path):
    wanted = ("--target", "J=0.5", "--decide", "Jp=-20", "--odds", 50)
    said = insiren("live", "la2nio4", "counts", "--out", "run", "--once", *FIT, *wanted, "--json", "-")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told == json.loads((tmp_path / "run/snapshots/000001/fit.json").read_text())
    assert told["live"]["files"] == 1 and told["live"]["targets"]["J"]["target"] == 0.5
    assert told["command"].startswith("insiren live")
    (decided,) = [one for one in told["live"]["stop"]["conditions"] if one["name"] == "target Jp = -20"]
    assert decided["met"] and "against it ≥ 50" in decided["text"]
    fit = insiren("fit", "la2nio4", "counts/small-2.h5", "--out", "fit", *FIT, "--json", "-")
    same = json.loads(fit.out)["parameters"]
    for name in ("J", "Jp"):
        assert told["parameters"][name]["value"] == pytest.approx(same[name]["value"], abs=0.02 * same[name]["error"])
        assert told["parameters"][name]["error"] == pytest.approx(same[name]["error"], rel=0.02)
    assert (tmp_path / "run/snapshots/000001/landscape.json").exists()
    # the same again has nothing to add
    assert insiren("live", "la2nio4", "counts", "--out", "run", "--once", *FIT).code == 0
    assert [one.name for one in (tmp_path / "run/snapshots").iterdir()] == ["000001"]


def test_live_fits_a_part_of_the_data_as_a_fit_does(insiren, counting):
    part = (*FIT, "--range", "E=60:110")
    live = insiren("live", "la2nio4", "counts", "--out", "run", "--once", *part, "--json", "-")
    assert live.code == 0, live.err
    fit = insiren("fit", "la2nio4", "counts/small-2.h5", "--out", "fit", *part, "--json", "-")
    told, same = (json.loads(one.out) for one in (live, fit))
    assert told["n_data"] == same["n_data"]
    J, wanted = told["parameters"]["J"], same["parameters"]["J"]
    assert J["value"] == pytest.approx(wanted["value"], abs=0.02 * wanted["error"])
    wrong = insiren("live", "la2nio4", "counts", "--out", "other", "--once", "--range", "E=60")
    assert wrong.code == 2 and "LO:HI" in wrong.err


def test_another_run_in_the_same_folder_is_refused(insiren, tmp_path):
    (tmp_path / "counts").mkdir()
    insiren("live", "la2nio4", "counts", "--out", "run", "--once")
    said = insiren("live", "la2nio4", "counts", "--out", "run", "--once", "--fix", "Jp=1")
    assert said.code == 2 and "is another run" in said.err and "options" in said.err


def test_live_once_without_data_says_where_to_look(insiren, tmp_path):
    (tmp_path / "counts").mkdir()
    said = insiren("live", "la2nio4", "counts", "--out", "run", "--once")
    assert said.code == 2 and "log.jsonl" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "D=1"), "no parameter is called that"),
        (("--target", "J=-1"), "positive"),
        (("--confidence", "68"), "between 0 and 1"),
        (("--decide", "D=1"), "--decide D: no parameter is called that"),
        (("--decide", "Jp=0", "--odds", "0.5"), "above 1"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(insiren, tmp_path, words, message):
    (tmp_path / "counts").mkdir()
    said = insiren("live", "la2nio4", "counts", "--out", "run", "--once", *words)
    assert said.code == 2 and message in said.err


def test_a_directory_that_is_not_there_is_refused(insiren, tmp_path):
    said = insiren("live", "la2nio4", "nowhere", "--out", "run")
    assert said.code == 2 and "not a directory" in said.err and not (tmp_path / "run").exists()


def test_a_page_that_cannot_start_ends_the_run_with_its_reason(tmp_path):
    (tmp_path / "counts").mkdir()
    with socket.socket() as taken:  # what listens there is no page of this run
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = ("live", "chain", "counts", "--out", "run", "--serve", port)
        said = subprocess.run([sys.executable, "-m", "insiren", *words], cwd=tmp_path, capture_output=True, text=True)
    assert said.returncode == 2 and "the page did not start" in said.stderr and port in said.stderr


@pytest.mark.slow
def test_ctrl_c_ends_whole_with_the_last_answer(insiren, counting, tmp_path):
    words = ("live", "la2nio4", "counts", "--out", "run", *FIT, "--json", "answer.json", "--poll", "0.2")
    command = [sys.executable, "-m", "insiren", *words]
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(command, cwd=tmp_path, stderr=said) as process:
        try:
            deadline = time.monotonic() + 200
            while not (tmp_path / "run/snapshots/000001").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            second = insiren("live", "la2nio4", "counts", "--out", "run", *FIT, "--once")
            assert second.code == 2 and "being written by another process" in second.err
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert json.loads((tmp_path / "answer.json").read_text())["live"]["number"] == 1
