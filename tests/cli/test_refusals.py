"""What the user can mend: exit status 2, one message that can be read, and nothing left behind."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import insiren.report  # noqa: F401
from insiren.data.files import read, write_csv
from insiren.model.spec import bundled_text

SIMULATE = ("--path", "0.7,0.3,0 0.6,0.4,0", "--omega", "40:60:10", "--out", "out.csv")


@pytest.fixture
def refused(insiren, tmp_path):
    """Runs a command that must be refused; the message."""

    def run(*words) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = insiren(*words)
        assert said.code == 2, (said.code, said.err)
        assert said.out == ""
        told = "s since the start"  # what is being done, on a machine that is busy
        lines = [line for line in said.err.splitlines() if line.strip() and not line.endswith(told)]
        assert lines and lines[0].startswith("insiren: ") and "Traceback" not in said.err
        assert len([line for line in lines if line.startswith("insiren: ")]) == 1
        assert len(said.err) < 1500
        assert sorted(tmp_path.rglob("*")) == before
        return said.err

    return run


@pytest.fixture
def model(tmp_path):
    """Writes a model file, the bundled one with a text replaced."""

    def write(old: str, new: str):
        text = bundled_text("la2nio4")
        assert old in text
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return path

    return write


def test_a_model_file_with_an_unknown_key(refused, model, measurement):
    path = model("spin = 1", "spin = 1\nspinn = 2")
    assert "spinn" in refused("simulate", path, *SIMULATE)
    assert "spinn" in refused("fit", path, measurement, "--out", "out")


def test_a_page_that_cannot_be_served(refused, tmp_path):
    assert "not a folder" in refused("page", "nowhere")
    (tmp_path / "out" / "snapshots").mkdir(parents=True)
    assert "Give a token" in refused("page", "out", "--host", "0.0.0.0")
    assert "12 or more" in refused("page", "out", "--token", "short")


def test_an_expression_with_an_unknown_name(refused, model):
    said = refused("simulate", model('exchange = "Jp"', 'exchange = "Jp + K"'), *SIMULATE)
    assert "'K'" in said or "K" in said.replace("mine.toml", "")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", ""), (b"name = ", "mine.toml"), (b"\xff\xfe\x00J", "mine.toml"), (b"[crystal]", "crystal")],
)
def test_a_file_that_is_no_model(refused, tmp_path, content, said):
    (tmp_path / "mine.toml").write_bytes(content)
    assert said in refused("simulate", "mine.toml", *SIMULATE)


def test_a_model_that_is_not_there(refused):
    assert "la2nio5" in refused("simulate", "la2nio5", *SIMULATE)
    assert "none.toml" in refused("simulate", "none.toml", *SIMULATE)
    assert "none.insiren" in refused("simulate", "none.insiren", *SIMULATE)


def test_a_structure_that_is_unstable(refused, model, measurement):
    assert "energy minimum" in refused("simulate", "la2nio4", "--set", "J=20", "--set", "Jp=20", *SIMULATE)
    ferromagnet = model("value = 29.0, min = 20.0, max = 75.0", "value = -29.0, min = -75.0, max = -20.0")
    assert "energy minimum" in refused("fit", ferromagnet, measurement, "--fix", "q_fwhm=0", "--out", "out")


@pytest.mark.parametrize("missing", ["Err_path3_woBG.csv", "Qlist_path3_woBG.csv", "Elist_path2_woBG.csv"])
def test_a_data_folder_that_lacks_a_file_of_a_path(refused, shared, tmp_path, missing):
    shutil.copytree(shared / "data" / "la2nio4", tmp_path / "data", ignore=shutil.ignore_patterns(missing))
    assert missing.split("_")[0] in refused("fit", "la2nio4", "data", "--out", "out")
    assert missing.split("_")[0] in refused("inspect", "data")


def test_nan_among_the_errors_of_a_folder(refused, shared, tmp_path):
    shutil.copytree(shared / "data" / "la2nio4", tmp_path / "data")
    file = tmp_path / "data" / "Err_path2_woBG.csv"
    lines = file.read_text().splitlines()
    lines[4] = "nan," + lines[4].split(",", 1)[1]
    file.write_text("\n".join(lines))
    said = refused("fit", "la2nio4", "data", "--out", "out")
    assert "Err_path2_woBG.csv, line 5, column 1" in said


def altered(measurement, path, change):
    (data,) = read(measurement)
    change(data)
    write_csv([data], path)


def test_nan_among_the_errors_of_a_table(refused, measurement, tmp_path):
    def change(data):
        variances = data.variances.copy()
        variances[1, 1] = np.nan
        data.variances = variances

    altered(measurement, tmp_path / "bad.csv", change)
    assert "variance that is NaN" in refused("fit", "la2nio4", "bad.csv", "--fix", "q_fwhm=0", "--out", "out")


def test_data_that_are_masked_throughout(refused, measurement, tmp_path):
    def change(data):
        for mask in data.masks.values():
            mask.values[:] = True

    altered(measurement, tmp_path / "dark.csv", change)
    said = refused("fit", "la2nio4", "dark.csv", "--fix", "q_fwhm=0", "--out", "out")
    assert "all 230 pixels are masked" in said


def test_data_that_are_not_there_or_of_no_known_format(refused, tmp_path):
    assert "nowhere.csv does not exist" in refused("fit", "la2nio4", "nowhere.csv", "--out", "out")
    (tmp_path / "poem.txt").write_text("Tyger Tyger, burning bright")
    assert "no known format" in refused("inspect", "poem.txt")
    assert "no known format" in refused("simulate", "la2nio4", "--like", "poem.txt", "--out", "out.csv")


def test_a_truncated_surrogate_file(refused, measurement, tmp_path):
    (tmp_path / "cut.insiren").write_bytes(b"\x40\x00\x00\x00\x00\x00\x00\x00{")
    for words in (("fit", "cut.insiren", measurement, "--out", "out"), ("simulate", "cut.insiren", *SIMULATE)):
        assert "cut.insiren is truncated" in refused(*words)


@pytest.mark.parametrize("command", ["fit", "landscape"])
def test_a_folder_that_is_not_empty_is_not_overwritten(refused, measurement, tmp_path, command):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    axes = ("--x", "J", "--y", "Jp") if command == "landscape" else ()
    assert "not an empty folder" in refused(command, "la2nio4", measurement, *axes, "--out", "out")
    (tmp_path / "file").write_text("mine")
    assert "not an empty folder" in refused(command, "la2nio4", measurement, *axes, "--out", "file")


def test_a_tube_for_a_surrogate_which_averages_over_no_bin(refused, measurement):
    assert "only the exact simulator" in refused("fit", "la2nio4.insiren", measurement, "--tube", 0.2, "--out", "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fix", "J"), "--fix 'J': write it as NAME=VALUE"),
        (("--fix", "J="), "NAME=VALUE"),
        (("--fix", "J=many"), "'many' is not a number"),
        (("--fix", "j=29"), "Did you mean 'J'"),
        (("--free", "K"), "No parameter is called 'K'"),
        (("--bound", "J=30"), "LO:HI"),
        (("--bound", "J=40:30"), "LO must lie below HI"),
        (("--bound", "J=a:b"), "'a' is not a number"),
        (("--bound", "J=20:inf"), "finite"),
        (("--tie", "Jp"), "NAME=VALUE"),
        (("--tie", "Jp=J +"), "not an expression"),
        (("--tie", "Jp=J/K"), "No parameter is called 'K'"),
        (("--tie", "Jp=J/0"), "Jp has no finite value"),
        (("--fix", "J=29", "--tie", "J=Jp"), "cannot be two"),
        (("--fix", "J=nan"), "not finite"),
        (("--fix", "J=29", "--fix", "Jp=1.6"), "nothing to fit"),
        (("--objective", "chi2"), "no objective 'chi2'"),
        (("--background", "linear"), "no background 'linear'"),
        (("--preset", "best"), "no preset 'best'"),
        (("--objective", "pearson"), "--background savgol or none"),
        (("--background", "savgol"), "counts"),
        (("--background", "savgol:5:2"), "first and the last of the Q columns"),
        (("--background", "savgol:5"), "as in savgol:160:170"),
        (("--json", "nowhere/fit.json"), "does not exist"),
        (("--tube", "0.2"), "along one line"),
        (("--tube", "0"), "no width"),
    ],
)
def test_options_of_a_fit_that_make_no_sense(refused, measurement, words, said):
    assert said in refused("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, *words, "--out", "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Say where to simulate"),
        (("--path", "P M", "--like", "x.csv"), "one of them"),
        (("--path", "P Y"), "Y"),
        (("--path", "P"), ""),
        (("--path", "0,0 1,1"), ""),
        (("--path", "P M", "--omega", "10:20"), "LO:HI:STEP"),
        (("--path", "P M", "--omega", "20:10:1"), "HI must lie above LO"),
        (("--path", "P M", "--omega", "10:20:0"), "STEP above 0"),
        (("--path", "P M", "--set", "K=1"), "'K'"),
        (("--path", "P M", "--set", "J"), "NAME=VALUE"),
        (("--path", "P M", "--omega", "40:60:10", "--plot", "s.tiff"), ".png or .svg"),
        (("--path", "P M", "--omega", "40:60:10", "--json", "nowhere/s.json"), "does not exist"),
    ],
)
def test_options_of_a_simulation_that_make_no_sense(refused, words, said):
    assert said in refused("simulate", "la2nio4", "--set", "q_fwhm=0", *words, "--out", "out.csv")


def test_a_simulation_into_a_folder_that_is_not_there(refused):
    refused("simulate", "la2nio4", "--set", "q_fwhm=0", *SIMULATE[:-1], "nowhere/out.csv")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "small.txt"), "ends in .insiren"),
        (("--out", "nowhere/small.insiren"), "does not exist"),
        (("--out", "s.insiren", "--minutes", "1", "--steps", "5"), "not both"),
        (("--out", "s.insiren", "--omega", "0-100"), "LO:HI"),
        (("--out", "s.insiren", "--omega", "100:0", "--steps", "1"), "LO must lie below HI"),
        (("--out", "s.insiren", "--region", "l"), "NAME=VALUE"),
        (("--out", "s.insiren", "--resume", "--steps", "1"), "s.insiren.checkpoint"),
        (("--out", "s.insiren", "--path", "P M", "--plane", "1,0,0 0,1,0"), "Give one of"),
        (("--out", "s.insiren", "--around", "0.1"), "around --path or --plane"),
        (("--out", "s.insiren", "--plane", "1,0,0"), "two directions"),
        (("--out", "s.insiren", "--plane", "1,0,0 0,y,0"), "'y' is not a number"),
        (("--out", "s.insiren", "--path", "P Q"), "Q"),
        (("--out", "s.insiren", "--path", "P M", "--path", "P Q"), "Q"),
        (("--out", "s.insiren", "--free", "K"), "'K'"),
        (("--out", "s.insiren", "--bound", "J=35:25"), "LO must lie below HI"),
        (("--out", "s.insiren", "--bound", "width=0.5:2"), "is no input"),
        (("--out", "s.insiren", "--preset", "paper", "--free", "width"), "--fraction"),
        (("--out", "s.insiren", "--preset", "paper", "--guide", "3"), "--fraction"),
        (("--out", "s.insiren", "--preset", "paper", "--width", "32"), "--fraction"),
    ],
)
def test_options_of_a_training_that_make_no_sense(refused, words, said):
    assert said in refused("train", "la2nio4", *words)


def test_axes_of_a_landscape_that_are_no_parameters(refused, measurement):
    words = ("landscape", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, "--out", "out")
    assert "K" in refused(*words, "--x", "K", "--y", "J")
    assert "Both axes" in refused(*words, "--x", "J", "--y", "J")


def test_a_fit_may_put_its_json_into_the_folder_that_it_makes(insiren, measurement, tmp_path):
    words = ("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, "--out", "out", "--json", "out/a.json")
    assert insiren(*words).code == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.json", "fit.json", "report.html"]


@pytest.mark.parametrize("words", [("fit",), ("fit", "la2nio4", "x.csv"), ("weld",), ("fit", "--starts", "few")])
def test_words_that_are_no_command_exit_with_two_and_no_traceback(insiren, words):
    said = insiren(*words)
    assert said.code == 2 and said.out == "" and "Traceback" not in said.err and said.err


def test_a_process_that_is_refused_exits_with_two_and_one_line(tmp_path):
    command = [sys.executable, "-m", "insiren", "inspect", "nowhere.csv"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert said.returncode == 2 and said.stdout == ""
    assert len(said.stderr.strip().splitlines()) == 1 and said.stderr.startswith("insiren: nowhere.csv does not exist")
    assert not os.listdir(tmp_path)


def test_an_interrupt_leaves_nothing_behind(insiren, measurement, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["insiren.report"], "save_fit", stop)
    said = insiren("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, "--out", "out")
    assert said.code == 130 and "stopped" in said.err
    assert not list(tmp_path.iterdir())
