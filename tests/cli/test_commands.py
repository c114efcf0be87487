"""Commands that succeed: what they print, what they write, and how fast they answer."""

import errno
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from insiren.cli import session
from insiren.data.files import read
from insiren.data.spectrum import image, is_image
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report import load_fit

COMMANDS = (
    "demo", "models", "fetch", "inspect", "simulate", "train", "fit", "landscape", "live", "replay", "page",
)  # fmt: skip


def process(*words, cwd):
    command = [sys.executable, "-m", "insiren", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, insiren):
    for option in ("--help", "-h"):
        said = insiren(command, option)
        assert said.code == 0 and said.err == ""
        assert f"Example: insiren {command}" in re.sub(r"[`\s]+", " ", said.out)


def test_help_of_the_whole_names_every_command(insiren):
    said = insiren("--help")
    assert said.code == 0 and all(command in said.out for command in COMMANDS)


def test_help_is_instant_and_loads_no_jax(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = process("fit", "--help", cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert said.returncode == 0 and "Example" in said.stdout and said.stderr == ""
    # processor time, since the clock also counts what else the machine does
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
    script = "import sys, insiren.cli; print([m for m in ('jax', 'scipp', 'scipy', 'matplotlib') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_models_lists_what_is_bundled_with_its_parameters(insiren):
    said = insiren("models")
    assert said.code == 0 and "la2nio4 " in said.out and "la2nio4-gap" in said.out
    said = insiren("models", "la2nio4")
    assert re.search(r"J +29 +20 … 75 meV +free", said.out)
    assert re.search(r"width +1 ", said.out) and "Chitturi" in said.out
    content = json.loads(insiren("models", "--json", "-").out)
    assert {"la2nio4", "la2nio4-gap"} <= {entry["name"] for entry in content["models"]}


def test_models_tells_what_symmetry_made_of_a_file(insiren, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(insiren("models", "mnf2", "--example").out, encoding="utf-8")
    said = insiren("models", file)
    assert said.code == 0 and "site 1     Mn   (0.5, 0.5, 0.5)  S = 2.5" in said.out
    assert "8 bonds of 3.821 Å  [[A, D, E], [D, A, E], [F, F, B]]; DM vector along (1, -1, 0)" in said.out
    content = json.loads(insiren("models", file, "--json", "-").out)["models"][0]
    assert [b["count"] for b in content["bonds"]] == [2, 8, 4] and len(content["sites"]) == 2
    assert "allowed" not in insiren("models", "chain").out


def test_models_finds_the_structure_of_lowest_energy_as_a_table_that_can_be_pasted(insiren):
    said = insiren("models", "la2nio4-gap", "--minimise")
    assert said.code == 0 and "-54.66 meV per crystal cell, reached by 32 of 32 starts" in said.out
    assert "the structure is stable" in said.out
    table = tomllib.loads(said.out[said.out.index("[structure]") :])["structure"]
    np.testing.assert_allclose(table["directions"], [[0.5**0.5, 0.5**0.5, 0]], atol=1e-9)
    assert table["k"] == [0.5, 0.5, 0] and table["supercell"] == [[1, 1, 0], [1, -1, 0], [0, 0, 1]]


def test_models_says_where_a_minimum_in_its_cell_is_not_stable(insiren):
    said = insiren("models", "la2nio4", "--minimise", "--set", "Jp=25", "--starts", 3, "--json", "-")
    content = json.loads(said.out)
    assert content["energy"] == pytest.approx(-8) and content["starts"] == {"n": 3, "agree": 3}
    assert content["stability"].startswith("It is not stable. H(Q) has the eigenvalue -")


@pytest.mark.parametrize("name", [None, "la2nio4-gap"])
def test_the_example_is_a_model_with_comments(insiren, tmp_path, name):
    said = insiren("models", *([name] if name else []), "--example")
    assert said.code == 0 and said.err == "" and "#" in said.out
    assert tomllib.loads(said.out)["name"] == name or name is None
    file = tmp_path / "mine.toml"
    file.write_text(said.out, encoding="utf-8")
    assert load_model(str(file)).all_parameters == load_model(name or "la2nio4").all_parameters


def test_inspect_tells_what_the_la2nio4_files_hold(insiren, shared, tmp_path):
    said = insiren("inspect", shared / "data" / "la2nio4", "--json", tmp_path / "seen.json")
    assert said.code == 0
    assert "path2: image 217 × 121" in said.out and "exactly 0 in Sqw_path2.csv means not measured: 399" in said.out
    one, two = json.loads((tmp_path / "seen.json").read_text("utf-8"))["data"]
    assert [one["left_out"], two["left_out"]] == [399, 2407]
    assert one["shape"] == two["shape"] == [217, 121] and one["pixels"] == 217 * 121
    assert one["energy_meV"] == [20.0, 140.0] and one["kind"] == "image"
    assert one["negative"] == 0 and one["zero"] == 0 and one["counts"] is None
    assert one["advised"] == {"sigma_floor": 0.03, "sigma_max": 5.0}
    assert one["h"] == pytest.approx([0.5, 1.0]) and one["l"] == [0.0, 0.0]


def test_inspect_tells_how_many_neutrons_a_table_holds(insiren, measurement):
    said = insiren("inspect", measurement, "--json", "-")
    (entry,) = json.loads(said.out)["data"]
    assert entry["name"] == "small" and entry["shape"] == [10, 23]
    assert entry["left_out"] == 1
    assert entry["counts"] == pytest.approx(100_000, rel=0.03)


def test_simulate_along_a_path_writes_counts_and_a_picture(insiren, tmp_path):
    said = insiren(
        "simulate", "la2nio4", "--set", "J=30", "--set", "q_fwhm=0", "--path", "0.7,0.3,0 0.55,0.45,0",
        "--omega", "40:120:20", "--counts", 5000, "--background", 0.01, "--seed", 3, "--out", "s.csv",
        "--plot", "s.png", "--json", "s.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s.csv", "s.json", "s.png"]
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"
    (data,) = read(tmp_path / "s.csv")
    assert is_image(data) and data.sizes["energy_transfer"] == 5
    assert data.coords["counts"].values.sum() == pytest.approx(5000, rel=0.1)
    np.testing.assert_allclose(data.coords["energy_transfer"].values, [40, 60, 80, 100, 120])
    facts = json.loads((tmp_path / "s.json").read_text("utf-8"))
    assert facts["data"] == [{"name": data.name, "shape": list(data.shape)}] and facts["seconds"]["simulate"] > 0


def test_simulate_along_a_named_route_takes_the_points_of_the_model(insiren, tmp_path):
    said = insiren("simulate", "la2nio4", "--set", "q_fwhm=0", "--path", "P X", "--omega", "50:60:10", "--out", "s.csv")
    assert said.code == 0, said.err
    (data,) = read(tmp_path / "s.csv")
    np.testing.assert_allclose([data.coords[c].values[0] for c in "hkl"], [0.75, 0.25, 0])
    np.testing.assert_allclose([data.coords[c].values[-1] for c in "hkl"], [0.5, 0, 0])


def test_simulate_like_a_measurement_keeps_its_pixels_and_gaps(insiren, measurement, tmp_path):
    said = insiren("simulate", "la2nio4", "--set", "q_fwhm=0", "--like", measurement, "--out", "like.csv")
    assert said.code == 0, said.err
    (data,), (seen,) = read(tmp_path / "like.csv"), read(measurement)
    for c in ("h", "k", "l", "energy_transfer"):
        np.testing.assert_array_equal(data.coords[c].values, seen.coords[c].values)
    np.testing.assert_array_equal(np.isnan(data.values), np.isnan(seen.values))
    assert data.name == "small"


FIT_KEYS = {
    "insiren", "model", "forward", "objective", "background", "parameters", "correlation", "objective_value",
    "chi2_reduced", "n_data", "n_masked", "starts", "identifiability", "scattering", "quadrature", "sigma_floor",
    "surrogate_check", "seconds", "warnings",
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(measurement, tmp_path_factory):
    """A fit in a process of its own: the process, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "out").mkdir()  # an existing empty folder is accepted
    words = ("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--bound", "J=25:35", "--starts", 2, "--out", "out")
    return process(*words, "--json", "-", cwd=folder), folder


def test_a_fit_leaves_standard_output_to_the_json_alone(fitted):
    said, folder = fitted
    assert said.returncode == 0, said.stderr
    content = json.loads(said.stdout)
    assert content["parameters"]["J"]["value"] == pytest.approx(29.0, abs=1.0)
    assert "Traceback" not in said.stderr
    saved = json.loads((folder / "out" / "fit.json").read_text("utf-8"))
    assert saved["parameters"] == content["parameters"]


def test_a_fit_writes_every_key_of_the_contract_and_a_report_and_nothing_else(fitted):
    _, folder = fitted
    assert [file.name for file in folder.iterdir()] == ["out"]
    assert sorted(file.name for file in (folder / "out").iterdir()) == ["fit.json", "report.html"]
    content = json.loads((folder / "out" / "fit.json").read_text("utf-8"))
    assert set(content) >= FIT_KEYS
    assert {"value", "error", "unit", "fixed", "at_bound"} <= set(content["parameters"]["J"])
    assert content["parameters"]["q_fwhm"]["fixed"] is True and content["parameters"]["q_fwhm"]["error"] is None
    assert content["parameters"]["J"]["unit"] == "meV" and content["parameters"]["J"]["error"] > 0
    assert np.shape(content["correlation"]) == (2, 2)
    assert set(content["starts"]) >= {"n", "agree"} and content["starts"]["n"] == 2
    assert {"read", "compile", "fit", "errors"} <= set(content["seconds"])
    assert content["model"] == "la2nio4" and content["forward"] == "exact" and content["objective"] == "poisson"
    assert content["n_data"] == 229 and content["n_masked"] == 1 and content["surrogate_check"] is None
    assert content["command"].startswith("insiren fit la2nio4") and content["assumed"]
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and "la2nio4" in page
    assert load_fit(folder / "out" / "fit.json").values["J"] == content["parameters"]["J"]["value"]


def test_legs_of_a_path_have_a_scale_each(insiren):
    made = insiren("simulate", "la2nio4", "--set", "q_fwhm=0", "--path", "P M X", "--omega", "30:140:5",
                   "--counts", 100_000, "--out", "bent.csv")  # fmt: skip
    assert made.code == 0, made.err
    said = insiren("fit", "la2nio4", "bent.csv", "--fix", "q_fwhm=0", "--starts", 1, "--legs", "--out", "out")
    assert said.code == 0, said.err
    content = load_fit("out/fit.json").content
    first, second = content["data"]
    assert first["name"].endswith("-1") and second["name"].endswith("-2")
    assert first["scale"] != second["scale"] > 0
    assert content["parameters"]["J"]["value"] == pytest.approx(29.0, abs=4 * content["parameters"]["J"]["error"])


def test_files_that_a_command_writes_can_be_read_by_others(fitted):
    _, folder = fitted
    assert os.stat(folder / "out").st_mode & 0o555 == 0o555
    assert all(os.stat(file).st_mode & 0o444 == 0o444 for file in (folder / "out").iterdir())


@pytest.mark.slow
def test_a_landscape_is_drawn_over_the_bounds(insiren, measurement, tmp_path):
    said = insiren(
        "landscape", "la2nio4", measurement, "--fix", "q_fwhm=0", "--x", "J", "--y", "Jp", "--bound", "J=27:31",
        "--bound", "Jp=-1:4", "--points", 5, "--starts", 1, "--out", "map",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert sorted(file.name for file in (tmp_path / "map").iterdir()) == ["landscape.json", "landscape.svg"]
    content = json.loads((tmp_path / "map" / "landscape.json").read_text("utf-8"))
    assert content["x_values"] == [27, 28, 29, 30, 31] and np.shape(content["objective"]) == (5, 5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map"]


@pytest.mark.slow
def test_a_fit_tells_systematic_shifts_and_the_posterior_when_asked(insiren, measurement):
    said = insiren("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", "1", "--out", "out",
                   "--systematics", "--posterior")  # fmt: skip
    assert said.code == 0
    assert re.search(r"width free +[+-][\d.e-]+ \([+-][\d.]+ σ\)", said.out)
    assert "(systematic) meV" in said.out and "68 % of the posterior" in said.out
    content = load_fit("out/fit.json").content
    entry = content["parameters"]["J"]
    assert entry["total_error"] == pytest.approx((entry["error"] ** 2 + entry["systematic"] ** 2) ** 0.5)
    assert {"what", "shift", "sigmas"} <= set(content["systematics"]["rows"][0])
    assert content["posterior"]["method"] == "importance" and content["posterior"]["diagnostics"]["ess"] > 100
    with open("out/report.html", encoding="utf-8") as page:
        text = page.read()
    assert "What each choice moves" in text and "<h2>Posterior</h2>" in text


def test_what_cannot_be_had_besides_a_fit_does_not_cost_the_fit(insiren, measurement):
    said = insiren("fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, "--bound", "Jp=2.5:4",
                   "--posterior", "--out", "out")  # fmt: skip
    assert said.code != 0
    assert "The fit is written to out" in said.err and "Jp ended at a bound" in said.err
    content = load_fit("out/fit.json").content
    assert content["parameters"]["Jp"]["at_bound"] and not content["posterior"]
    assert any("--posterior" in line for line in content["warnings"])
    with open("out/report.html", encoding="utf-8") as page:
        assert "Jp ended at a bound" in page.read()


def test_a_template_is_cut_as_the_data_are(insiren, tmp_path):
    rng = np.random.default_rng(0)
    hkl, omega = np.linspace([0.75, 0.25, 0], [0.52, 0.48, 0], 12), np.linspace(30.0, 130.0, 26)
    can = 0.5 + 0.3 * np.sin(omega / 9) * np.linspace(1, 2, 12)[:, None]
    S = np.asarray(exact(load_model("la2nio4"))({"q_fwhm": 0.0}, Points.table(hkl, omega))).reshape(12, 26)
    for name, values in (("data", S + 2 * can), ("can", can)):
        seen = image(name, hkl, omega, values + 0.01 * rng.normal(size=S.shape), np.full_like(S, 0.01))
        seen.save_hdf5(tmp_path / f"{name}.h5")
    said = insiren("fit", "la2nio4", "data.h5", "--fix", "q_fwhm=0", "--starts", 1, "--range", "E=40:120", "--legs",
                   "--mask", "E=60:70; h=0.6:0.7", "--background", "template:can.h5", "--out", "out")  # fmt: skip
    assert said.code == 0, said.err
    content = load_fit("out/fit.json").content
    covered = np.sum((hkl[:, 0] >= 0.6) & (hkl[:, 0] <= 0.7)) * np.sum((omega >= 60) & (omega <= 70))
    assert content["n_data"] == 12 * int(np.sum((omega >= 40) & (omega <= 120))) - covered and covered > 0
    assert content["masks"] == ["E=60:70; h=0.6:0.7"]
    assert f"the mask E=60:70; h=0.6:0.7 leaves out {covered} pixels" in next(iter(content["assumed"].values()))
    for name, true in (("J", 29.0), ("Jp", 1.67)):
        entry = content["parameters"][name]
        assert entry["value"] == pytest.approx(true, abs=4 * entry["error"])


def test_an_answer_survives_a_full_disk(insiren, measurement, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importlib.import_module("insiren.report"), "report", full)
    said = insiren(
        "fit", "la2nio4", measurement, "--fix", "q_fwhm=0", "--starts", 1, "--background", "per-energy", "--out", "out"
    )
    assert said.code == 2 and "J " in said.out and "Traceback" not in said.err
    assert "No space left on device" in said.err and "name a folder on another disk by --out" in said.err
    assert load_fit("out/fit.json").values["J"] > 0 and not Path("out/report.html").exists()


def test_in_a_pipe_a_line_says_from_time_to_time_what_is_being_done(capsys, monkeypatch):
    monkeypatch.setattr(session, "_TOLD_EVERY", 0.05)
    with session.Timer() as timer:
        timer("search", 0.25)
        time.sleep(0.3)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert 1 < len(lines) < 8 and all(line.startswith("searching the box, 25% of it; ") for line in lines)


def test_a_lack_of_memory_is_said_in_plain_words(insiren, measurement, monkeypatch):
    def lacking(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.")

    monkeypatch.setattr(importlib.import_module("insiren.fit.optimise"), "fit", lacking)
    said = insiren("fit", "la2nio4", measurement, "--out", "out")
    assert said.code == 2 and "not enough memory" in said.err and "RESOURCE" not in said.err
