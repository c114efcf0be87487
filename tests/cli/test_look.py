"""Looking at data: inspect with its picture and its hints, and measurements that were fetched."""

import json

import numpy as np
import pytest
import scipp as sc

from insiren.data import fetch as fetching
from insiren.data.files import write
from insiren.data.spectrum import image, measured
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

ROWS = "".join(f"{x} {e} {10 * x + e} 0.5\n" for x in (0.0, 0.1, 0.2) for e in (1.0, 2.0))


@pytest.fixture
def columns(tmp_path):
    (tmp_path / "map.dat").write_text(ROWS)
    return "map.dat"


def test_what_a_file_lacks_is_asked_for_and_taken_from_the_options(insiren, columns):
    said = insiren("inspect", columns)
    assert said.code == 2 and "--q-direction 0,0,1" in said.err
    said = insiren("inspect", columns, "--q-direction", "1,1,0", "--q-origin", "0,0,2", "--json", "-")
    (entry,) = json.loads(said.out)["data"]
    assert entry["kind"] == "image" and entry["shape"] == [3, 2]
    assert entry["h"] == [0.0, 0.2] and entry["l"] == [2.0, 2.0]
    assert json.loads(insiren("inspect", columns, "--q-direction", "powder", "--json", "-").out)["data"][0]["Q_abs"]


def test_masks_are_given_one_by_one_or_in_a_file(insiren, columns, tmp_path):
    (tmp_path / "masks.txt").write_text(
        "# a phonon\nE=2:3; h=0.05:0.1\n\nE=1:1.5; h=0.2:0.3  # the tail of a Bragg peak\n"
    )
    look = ("inspect", columns, "--q-direction", "1,0,0", "--json", "-")
    (entry,) = json.loads(insiren(*look, "--mask", "masks.txt", "--mask", "E=1:2; h=-0.1:0.05").out)["data"]
    assert entry["masked"] == {"E=2:3; h=0.05:0.1": 1, "E=1:1.5; h=0.2:0.3": 1, "E=1:2; h=-0.1:0.05": 2}
    assert entry["left_out"] == 4 and entry["missing"] == 0
    assert insiren("inspect", columns, "--q-direction", "1,0,0", "--mask", "E=1:1.5", "--plot", "map.svg").code == 0


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ("E=8:9", "--mask E=8:9 covers no pixel of the data"),
        ("Q_abs=0:9", "--mask Q_abs=0:9 covers no pixel of the data"),
        ("nowhere.txt", "--mask nowhere.txt: neither a file nor ranges"),
        ("E=8:", "'' is not a number"),
        ("E=9:8", "LO must lie below HI"),
        ("Q=1:2", "Q is no axis; write E, h, k, l, Q_abs"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(insiren, columns, mask, said):
    answer = insiren("inspect", columns, "--q-direction", "1,0,0", "--mask", mask)
    assert answer.code == 2 and said in answer.err


@pytest.fixture
def histogram(tmp_path):
    """A histogram of 4 wavevectors along (h, 0, 1) and 5 energies."""
    hkl = np.array([0.0, 0.0, 1.0]) + np.arange(4)[:, None] * np.array([0.5, 0.0, 0.0])
    write(image("cut", hkl, np.arange(1.0, 6.0), np.ones((4, 5)), np.ones((4, 5))), tmp_path / "cut.nxs")
    return "cut.nxs"


def test_a_part_of_a_histogram_is_read(insiren, histogram):
    said = insiren("inspect", histogram, "--cut", "h=0.4:1.1; [0,0,L]=1; E=2:4", "--json", "-")
    (entry,) = json.loads(said.out)["data"]
    assert entry["shape"] == [2, 3] and entry["h"] == [0.5, 1.0] and entry["energy_meV"] == [2.0, 4.0]


def test_whole_numbers_of_a_hint_may_count_cells(insiren, histogram):
    said = insiren("inspect", histogram, "--hint", "sample=7", "--hint", "seed=1", "--json", "-")
    assert json.loads(said.out)["data"][0]["shape"] == [7]


def test_what_hdf5_lacks_is_asked_for_by_the_flag_that_gives_it(insiren, tmp_path):
    energies = sc.DataArray(
        sc.array(dims=["energy_transfer"], values=np.ones(3), variances=np.ones(3)),
        coords={"energy_transfer": sc.array(dims=["energy_transfer"], values=[1.0, 2.0, 3.0], unit="meV")},
    )
    energies.save_hdf5(tmp_path / "cut.h5")
    said = insiren("inspect", "cut.h5")
    assert said.code == 2 and "--q-origin 0.5,0.5,0" in said.err and "--hint Q_abs=1.5" in said.err
    said = insiren("inspect", "cut.h5", "--q-origin", "1,0,0.5", "--json", "-")
    assert json.loads(said.out)["data"][0]["l"] == [0.5, 0.5]
    assert "intensity █" in insiren("inspect", "cut.h5", "--hint", "Q_abs=1.5").out, "one |Q| is drawn as bars"


def test_every_reader_gets_only_the_hints_that_it_takes(insiren, columns, measurement):
    said = insiren("inspect", columns, measurement, "--q-direction", "0,0,1", "--json", "-")
    assert [entry["name"] for entry in json.loads(said.out)["data"]] == ["map", "small"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--Ei", "12"), "Ei: none of these files has a use for that"),
        (("--hint", "colour=red"), "colour: none of these files"),
        (("--q-direction", "0,1"), "3 numbers with commas between are needed, not 2"),
        (("--q-direction", "0,0,up"), "'up' is not a number"),
        (("--lattice", "1,2"), "3 or 6 numbers"),
        (("--Ei", "much"), "'much' is not a number"),
        (("--errors", "both"), "errors = 'both' is none of sigma, variance. Write it as in --errors variance"),
        (("--columns", "x,E"), "names 2 columns where a row has 4"),
        (("--energy-unit", "mile"), "no unit of energy that is known"),
        (("--sigma", "some"), "'some' is not a number"),
        (("--q-convention", "inelastic"), "q_convention: none of these files has a use for that"),
        (("--cut", "h"), "write it as NAME=VALUE"),
        (("--cut", "h=0:1"), "cut: none of these files"),
        (("--plot", "look.tiff"), ".png or .svg"),
        (("--plot", "nowhere/look.png"), "does not exist"),
    ],
)
def test_hints_that_make_no_sense_are_refused(insiren, columns, words, said):
    given = () if words[0] == "--q-direction" else ("--q-direction", "0,0,1")
    answer = insiren("inspect", columns, *given, *words)
    assert answer.code == 2 and said in answer.err and "Traceback" not in answer.err


def test_what_was_taken_for_granted_is_overridden_by_the_option_that_the_line_names(insiren, columns):
    words = ("inspect", columns, "--q-direction", "1,1,0")
    (usual,) = json.loads(insiren(*words, "--json", "-").out)["data"]
    assert any(line.endswith("--errors variance changes it") for line in usual["assumed"])
    (told,) = json.loads(insiren(*words, "--errors", "variance", "--energy-unit", "eV", "--json", "-").out)["data"]
    assert told["sigma"] == pytest.approx([0.5**0.5] * 2) and told["energy_meV"] == pytest.approx([1000, 2000])
    said = insiren("inspect", "--help").out
    for flag in ("--errors", "--sigma", "--zeros", "--bins", "--signal", "--kf-over-ki", "--q-convention"):
        assert flag in said


def test_inspect_draws_the_data_in_the_terminal(insiren, tmp_path):
    values = np.zeros((8, 5))
    values[5, 3] = 10.0
    values[0, 0] = np.nan
    write(
        image("spot", None, np.arange(5.0), values, np.ones((8, 5)), Q_abs=np.linspace(0.5, 4, 8)), tmp_path / "s.csv"
    )
    said = insiren("inspect", "s.csv", "--plot", "s.png")
    assert said.code == 0
    rows = [line.split("│")[1] for line in said.out.splitlines() if "│" in line]
    assert [row.rstrip() for row in rows] == ["", "     █", "", "", "·"]
    assert "4 meV │" in said.out and "|Q| 0.5 … 4 1/Å" in said.out and "figure: s.png" in said.out
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


def test_inspect_of_several_kinds_of_data_draws_all(insiren, shared, columns, tmp_path):
    peaks = shared / "data" / "luvo3" / "LuVO3_fitted_modes.txt"
    said = insiren(
        "inspect", columns, peaks, shared / "data" / "la2nio4", "--q-direction", "0,0,1", "--plot", "all.svg"
    )
    assert said.code == 0, said.err
    assert "LuVO3_fitted_modes: peaks 17" in said.out and "path3: image 217 × 121" in said.out
    assert (tmp_path / "all.svg").read_text("utf-8").count('<g id="axes_') >= 4


def test_the_meaning_of_zeros_can_be_overridden(insiren, shared):
    said = insiren("inspect", shared / "data" / "la2nio4", "--hint", "zeros=measured", "--json", "-")
    one, two = json.loads(said.out)["data"]
    assert one["missing"] == 0 and one["zero"] == 399 and two["zero"] == 2407
    assert any("--zeros missing" in line for line in one["assumed"])


@pytest.mark.slow
def test_a_list_of_peaks_is_fitted(insiren, shared):
    peaks = shared / "data" / "luvo3" / "LuVO3_fitted_modes.txt"
    said = insiren("fit", "luvo3", peaks, "--starts", "2", "--out", "out", "--json", "-")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["parameters"]["Jab"]["value"] == pytest.approx(5.95, rel=0.05)
    assert found["parameters"]["Jab"]["error"] > 0 and len(found["peaks"]) > 10


@pytest.fixture
def cached(la2nio4_folder, monkeypatch):
    """The paper's folder in the place of the cache; whoever opens a connection fails."""

    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("insiren.data.fetch.folder_of", lambda name, cache=None: la2nio4_folder)


@pytest.fixture
def la2nio4_folder(shared):
    return shared / "data" / "la2nio4"


def test_a_fetched_name_stands_for_its_data_and_opens_no_connection(insiren, cached):
    said = insiren("inspect", "la2nio4", "--json", "-")
    assert [entry["name"] for entry in json.loads(said.out)["data"]] == ["path2", "path3"]
    assert insiren("fetch", "la2nio4").out.startswith("la2nio4: ")


def test_an_existing_path_wins_over_a_fetched_name(insiren, cached, columns, tmp_path):
    (tmp_path / "map.dat").rename(tmp_path / "la2nio4")
    said = insiren("inspect", "la2nio4", "--q-direction", "0,0,1", "--json", "-")
    assert json.loads(said.out)["data"][0]["shape"] == [3, 2]


def test_a_published_name_that_was_not_fetched_says_how(insiren, monkeypatch, tmp_path):
    monkeypatch.setattr(fetching, "folder_of", lambda name, cache=None: tmp_path / "cache" / name)
    for words in (("inspect", "la2nio4"), ("fit", "la2nio4", "la2nio4", "--out", "out")):
        said = insiren(*words)
        assert said.code == 2 and "insiren fetch la2nio4" in said.err
    said = insiren("fetch", "la2nio5")
    assert said.code == 2 and "there are la2nio4" in said.err
    assert not list(tmp_path.iterdir())


def test_fetch_lists_what_is_published(insiren):
    said = insiren("fetch")
    assert said.code == 0 and "la2nio4" in said.out and "MIT" in said.out
    (entry,) = json.loads(insiren("fetch", "--json", "-").out)["published"]
    assert entry["name"] == "la2nio4" and "slaclab" in entry["source"]


def test_a_simulation_is_written_by_its_suffix(insiren, tmp_path):
    said = insiren(
        "simulate", "la2nio4", "--set", "q_fwhm=0", "--path", "0.7,0.3,0 0.6,0.4,0", "--omega", "40:60:10", "--counts",
        500, "--out", "s.h5",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert (tmp_path / "s.h5").read_bytes()[:4] == b"\x89HDF"


def test_a_fit_takes_hints(insiren, tmp_path):
    """Straight columns along (h, 1 − h, 0): the fit gets as far as the data, which hold one energy only."""
    along = np.array([0.0, 0.01, 0.02, 0.03, 0.04])
    hkl = np.array([0.6, 0.4, 0]) + along[:, None] * [1, -1, 0]
    S = exact(load_model("la2nio4"))({"J": 29.0, "Jp": 1.6, "q_fwhm": 0.0}, Points(hkl, np.full(5, 60.0)))
    S = np.asarray(S) / np.max(S)
    (tmp_path / "map.dat").write_text("".join(f"{x} 60 {y} 0.01\n" for x, y in zip(along, S, strict=True)))
    words = ("fit", "la2nio4", "map.dat", "--fix", "q_fwhm=0", "--fix", "Jp=1.6", "--background", "none", "--starts", 1)
    said = insiren(*words, "--q-direction", "1,-1,0", "--q-origin", "0.6,0.4,0", "--out", "out", "--json", "-")
    assert said.code == 0, said.err
    content = json.loads(said.out)
    assert content["n_data"] == 5
    assert any("(1 -1 0) from (0.6 0.4 0)" in line for line in content["assumed"]["map"])


def test_hostile_text_is_refused_within_seconds_and_little_memory(insiren, tmp_path):
    (tmp_path / "wide.csv").write_text("h,k,l,E,I,sigma\n" + "1," * 10_000_000 + "1\n")
    (tmp_path / "columns.txt").write_text(" ".join(["1"] * 10_000_000) + "\n")
    (tmp_path / "junk.csv").write_bytes(np.random.default_rng(0).bytes(1_000_000))
    (tmp_path / "empty.csv").write_bytes(b"")
    with (tmp_path / "huge.dat").open("wb") as stream:
        stream.write(ROWS.encode() * 3000)  # recognised by its beginning
        stream.truncate(1 << 40)  # takes no room on the disk
    for name, said in (
        ("wide.csv", "line 2 is longer than 1,048,576 bytes"), ("columns.txt", "no known format"),
        ("junk.csv", "no known format"), ("empty.csv", "is empty"), ("huge.dat", "of more than 512 MB is not read"),
    ):  # fmt: skip
        answer = insiren("inspect", name, *(("--q-direction", "0,0,1") if name == "huge.dat" else ()))
        assert answer.code == 2 and said in answer.err, (name, answer.err)


def test_a_table_that_was_written_is_inspected_as_it_was(measurement):
    """The file that the other tests take has what they count on."""
    from insiren.data.files import read

    (data,) = read(measurement)
    assert measured(data).used.sum() == 229


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_a_single_cut_is_drawn_as_points_with_errors(insiren, tmp_path, shape):
    hkl, omega = np.linspace([0, 0, 1], [0.5, 0, 1], shape[0]), np.arange(1.0, 1.0 + shape[1])
    write(image("cut", hkl, omega, np.ones(shape), np.ones(shape)), tmp_path / "cut.h5")
    assert insiren("inspect", "cut.h5", "--plot", "cut.svg").code == 0
    drawn = (tmp_path / "cut.svg").read_text("utf-8")
    assert "Intensity" in drawn and drawn.count('<g id="axes_') == 1, "no bar of colours beside it"
