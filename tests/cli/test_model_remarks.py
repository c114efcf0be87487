"""What there is to know of a model, where the user sees it: models, simulate, fit and its report."""

import json

import pytest

from insiren.model.spec import bundled_text

CHAIN = """
name = "strong"
[crystal]
a = 4.0
b = 5.0
c = 5.005
[[site]]
position = [0, 0, 0]
spin = 1
[[bond]]
shell = 2
exchange = "J"
[[anisotropy]]
site = 0
matrix = [[0, 0, 0], [0, 0, 0], [0, 0, -5]]
[structure]
directions = [[0, 0, 1]]
[parameters]
J = { value = -12, min = -24, max = -6, unit = "K" }
"""
# E = 10 meV − 2 J S (2 − cos 2πk − cos 2πl) at J = −1 meV
PEAKS = "QH QK QL I1 EN1 sigma1\n0 0.25 0 1 12 0.1\n0 0.5 0 1 14 0.1\n0 0.25 0.5 1 16 0.1\n"
RESOLUTION = "[instrument]\nresolution = { constant = 0.5 }\n"


@pytest.fixture
def strong(tmp_path):
    """A chain whose shell merges two lengths and whose anisotropy exceeds its exchange; it has no instrument."""
    (tmp_path / "strong.toml").write_text(CHAIN)
    (tmp_path / "peaks.txt").write_text(PEAKS)
    return "strong.toml"


def test_models_lists_the_remarks_after_the_bonds(insiren, strong):
    said = insiren("models", strong, "--json", "all.json")
    notes = [line for line in said.out.splitlines() if line.startswith("note: ")]
    assert said.code == 0 and len(notes) == 2
    assert (
        "bonds of 2 lengths (1 of 5.0000 Å, 1 of 5.0050 Å)" in notes[0] and "exceeds the largest exchange" in notes[1]
    )
    with open("all.json") as file:
        assert [f"note: {one}" for one in json.load(file)["models"][0]["remarks"]] == notes


def test_a_fit_of_peaks_without_an_instrument_says_each_remark_once_and_reports_in_the_unit_of_the_file(
    insiren, strong
):
    said = insiren("fit", strong, "peaks.txt", "--out", "out")
    assert said.code == 0
    assert said.err.count("bonds of 2 lengths") == 1 and said.err.count("exceeds the largest exchange") == 1
    with open("out/fit.json") as file:
        J = json.load(file)["parameters"]["J"]
    assert J["unit"] == "K" and J["value"] == pytest.approx(-1 / 0.0861733, rel=1e-4)
    with open("out/report.html", encoding="utf-8") as file:
        assert "exceeds the largest exchange" in file.read()


def test_a_spectrum_without_an_instrument_is_refused_with_the_lines_to_add(insiren, strong, tmp_path):
    path = ("--path", "0,0,0 0,0.04,0", "--omega", "8:16:2", "--out", "s.csv")
    said = insiren("simulate", strong, *path)
    assert said.code == 2 and "[instrument]\nEi = 30.0\nresolution = { constant = 0.5 }" in said.err
    (tmp_path / strong).write_text(CHAIN + RESOLUTION)
    said = insiren("simulate", strong, *path)
    assert said.code == 0 and said.err.count("note: ") == 2
    assert (
        "width = -1 is the factor on the energy resolution"
        in insiren("simulate", strong, "--set", "width=-1", *path).err
    )


def test_the_example_of_a_model_file_has_the_field_and_the_units(insiren):
    said = insiren("models", "--example").out
    assert '# B = [0, 0, "B"]' in said and "THz" in said and said == bundled_text("la2nio4")
    assert "no bundled model is called 'mine.toml'" in insiren("models", "mine.toml", "--example").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--path", "0,0,0 1e9,0,0"), "is too long: 100,000,000,000 wavevectors"),
        (("--path", "0,0,0 nan,0,0"), "'nan,0,0' is neither h,k,l nor a named point"),
        (("--path", "0,0,0 1,0,0", "--omega", "0:1e9:1e-3"), "1,000,000,000,000 energies are too many"),
        (("--path", "0,0,0 1,0,0", "--omega", "0:8:1", "--set", "J=-1e308"), "finite"),
    ],
)
def test_numbers_beyond_all_measure_are_refused_in_words(insiren, strong, tmp_path, words, says):
    (tmp_path / strong).write_text(CHAIN + RESOLUTION)
    said = insiren(
        "simulate", strong, *(words if "--omega" in words else (*words, "--omega", "0:8:1")), "--out", "s.csv"
    )
    assert said.code == 2 and says in said.err
