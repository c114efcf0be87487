"""The page of a fit."""

import dataclasses
import re
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest
import scipp as sc

from insiren.cli.answer import print_fit
from insiren.data.counts import count
from insiren.data.spectrum import image, point_list
from insiren.errors import FitError
from insiren.fit.landscape import around
from insiren.fit.optimise import fit
from insiren.fit.systematics import Systematics
from insiren.forward import Parameter, Points, forward
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report import landscape_figure, report, spectrum_figure, value_text, words
from insiren.report.page import symbol
from insiren.report.path import corners, powder_ticks, ticks
from insiren.report.spectra import cuts, dispersion, maps, spectra
from insiren.report.words import rounded

_VOID = {"meta", "img", "br", "link", "hr", "input"}
TURN = np.array([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.75, 0.25, 0.0]])
HKL = np.concatenate([TURN[:-1][i] + np.linspace(0, 1, 6)[:-1, None] * (TURN[i + 1] - TURN[i]) for i in range(3)])
OMEGA = np.linspace(30.0, 140.0, 23)


class Page(HTMLParser):
    """Collects the addresses, images and text of a page, and sees that every tag is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in _VOID:
            self.open.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "srcset", "data")]
        self.alts += [value for key, value in attrs if key == "alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words += data


@pytest.fixture(scope="module")
def found():
    simulator = exact(load_model("la2nio4"))
    truth = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.0}
    S = np.array(simulator(truth, Points.table(HKL, OMEGA))).reshape(len(HKL), len(OMEGA))
    S[3, 4] = np.nan
    data = count(image("<path & one>", HKL, OMEGA, S, None), 200_000, seed=1, background=0.02)
    return fit(simulator, data, fixed={"q_fwhm": 0.0}, starts=2)


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    written = report(
        found,
        folder / "report.html",
        landscape=around(found, points=5),
        facts={"date": "1 May 2024", "seed": 7, "seconds": {"fit": 1.5}, "assumed": ["zeros mean <missing>"]},
    )
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    return written


def test_a_report_is_one_whole_page_that_loads_nothing(page):
    text = page.read_text("utf-8")
    parsed = Page(text)
    assert text.startswith("<!doctype html>")
    assert len(parsed.alts) == 5 and all(parsed.alts)
    assert all(address.startswith("data:image/svg+xml,") for address in parsed.addresses)
    assert "<script" not in text and "@import" not in text and "url(" not in text.split("</style>")[0]
    assert len(text) < 3_000_000


def test_a_report_names_the_parameters_their_values_and_what_was_assumed(found, page):
    words = Page(page.read_text("utf-8")).words
    for name in found.names:
        value, error = rounded(found.values[name], found.errors[name])
        assert f"{name} = {value} ± {error} meV" in words
    for said in ("la2nio4", "<path & one>", "1 May 2024", "zeros mean <missing>", "each bond once", "Seed", "1.5 s"):
        assert said in words
    assert found.n_masked >= 1 and f"{found.n_masked} left out" in words
    for remark in (*found.remarks(), *found.identifiability()):
        assert remark in words


def test_the_same_fit_gives_the_same_page(found, tmp_path):
    pages = [report(found, tmp_path / f"{n}.html", facts={"date": "today"}).read_bytes() for n in range(2)]
    assert pages[0] == pages[1]


def test_a_report_replaces_an_older_one_and_says_where_it_cannot_write(found, tmp_path):
    (tmp_path / "report.html").write_text("old")
    assert report(found, tmp_path / "report.html").read_text("utf-8") != "old"
    with pytest.raises(FitError, match="cannot be written"):
        report(found, tmp_path / "nowhere" / "report.html")


def test_a_list_of_points_of_a_theory_without_bands_has_a_report(tmp_path):
    rng = np.random.default_rng(3)
    h, omega = rng.uniform(size=60), rng.uniform(0, 4, size=60)
    theory = forward(
        lambda p, q: (q.omega - p["a"] * q.hkl[q.index, 0]) ** 2, (Parameter("a", 1.0, 0.0, 4.0, "", True),)
    )
    hkl = np.stack([h, 0 * h, 0 * h], axis=1)
    data = point_list("list", hkl, omega, (omega - 2 * h) ** 2 + rng.normal(scale=0.05, size=60), np.full(60, 0.05))
    answer = fit(theory, data, background="none", starts=2)
    words = Page(report(answer, tmp_path / "list.html").read_text("utf-8")).words
    assert "a = 2.0" in words or "a = 1.9" in words


def test_what_is_not_determined_is_never_quoted_with_an_error(tmp_path, capsys):
    """Of a − b and a + b the data hold the first; c does nothing."""
    rng = np.random.default_rng(3)
    h, omega = rng.uniform(size=60), rng.uniform(0, 4, size=60)
    free = [Parameter(name, 1.0, -2.0, 4.0, "meV", True) for name in "abc"]
    theory = forward(lambda p, q: (q.omega - (p["a"] - p["b"]) * q.hkl[q.index, 0]) ** 2, tuple(free))
    hkl = np.stack([h, 0 * h, 0 * h], axis=1)
    data = point_list("list", hkl, omega, (omega - 2 * h) ** 2 + rng.normal(scale=0.05, size=60), np.full(60, 0.05))
    answer = fit(theory, data, background="none", starts=2)
    text = Page(report(answer, tmp_path / "list.html").read_text("utf-8")).words
    warned = text.split("Before quoting these numbers")[1]
    for name in "abc":
        assert f"{name} not determined" in text and f"{name} is not determined: " in warned
        assert answer.errors[name] is None and f"{name} = " not in text
    assert "c is not determined: it has no effect on these pixels" in warned
    print_fit(answer.to_dict())
    printed = capsys.readouterr().out
    assert printed.count("not determined (best ") == 3 and "±" not in printed


def test_a_surrogate_without_a_simulator_says_how_far_its_errors_move_the_answer(found, tmp_path):
    name = found.names[0]
    alone = dataclasses.replace(found, surrogate_check={"predicted": dict.fromkeys(found.names, 0.0123)})
    report(alone, tmp_path / "alone.html")
    text = (tmp_path / "alone.html").read_text()
    assert "There is no exact simulator to compare this surrogate with" in text
    assert name in text and "0.012" in text


def test_a_landscape_with_unstable_corners_is_drawn(found, tmp_path):
    over = around(found, points=5)
    over.objective[0, 0] = np.inf
    assert landscape_figure(over, found, tmp_path / "landscape.png").read_bytes()[:4] == b"\x89PNG"
    assert landscape_figure(dataclasses.replace(over, kind="pearson"), found, tmp_path / "landscape.svg").exists()


def test_values_are_rounded_to_two_digits_of_the_error():
    assert rounded(29.77935, 0.03024) == ("29.779", "0.030")
    assert rounded(-1.2345, 0.0996) == ("−1.23", "0.10")
    assert rounded(1234.5, 321.0) == ("1234", "320")
    assert rounded(1.0, None) == ("1", "")
    assert value_text(29.77935, 0.03024) == "29.779 ± 0.030"
    assert value_text(1.0, None) == "1"


def test_corners_are_where_a_path_turns_and_carry_simple_fractions():
    assert corners(HKL) == [0, 5, 10, 14]
    at, labels, axis = ticks(HKL, {"M": (0.5, 0.5, 0.0)})
    assert at == [0, 5, 10, 14]
    assert labels[1] == "M\n½\n½" and labels[2] == "½\n0"
    assert axis == "Q = (h, k, 0) in r.l.u."
    assert len(corners(np.random.default_rng(0).normal(size=(100, 3)))) == 5
    assert corners(np.zeros((1, 3))) == [0]


def test_labels_become_symbols_or_stay_names():
    labelled = Parameter("q", 0, 0, 1, label=r"q_{\mathrm{fwhm}}")
    assert re.sub("<[^>]*>", "|", symbol(labelled)) == "||q||fwhm||"
    assert "my_name" in symbol(Parameter("my_name", 0, 0, 1))
    assert "<" not in re.sub(r"</?(span|i|sub)[^>]*>", "", symbol(Parameter("x", 0, 0, 1, label="<b>")))


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_spectrum_is_drawn_as_picture(tmp_path, suffix):
    values = np.random.default_rng(0).uniform(size=(len(HKL), len(OMEGA)))
    values[0, 0] = np.nan
    spectrum = image("one", HKL, OMEGA, values, None)
    written = spectrum_figure(spectrum, tmp_path / f"one.{suffix}", "Simulated")
    assert written.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")
    points = point_list("list", HKL, np.full(len(HKL), 3.0), values[:, 1], None)
    assert spectrum_figure(points, tmp_path / f"list.{suffix}").exists()
    with pytest.raises(FitError, match=r"\.png or \.svg"):
        spectrum_figure(spectrum, tmp_path / "one.tiff")


def test_the_answer_is_quoted_with_its_systematic_error_where_there_is_one(found):
    assert "systematic" not in words.headline(found)
    both = dataclasses.replace(found, systematics=Systematics((), {}, {"J": 0.234, "Jp": 0.14}, ()))
    J, Jp = (words.value_text(found.values[name], found.errors[name]) for name in ("J", "Jp"))
    assert words.headline(both).startswith(
        f"J = {J} (statistical) ± 0.23 (systematic) meV and Jp = {Jp} (statistical) ± 0.14 (systematic) meV, from "
    )


@pytest.fixture(scope="module")
def powder_fit():
    """A fit of a band that rises with |Q|, of a powder whose |Q| are uneven."""

    def band(params, points):
        energy = params["A"] * points.Q_abs[points.index]
        return jnp.exp(-((points.omega - energy) ** 2) / 0.5)

    theory = forward(band, (Parameter("A", 2.0, 1.0, 3.0, "meV Å", free=True),))
    lengths, omega = np.array([0.5, 0.6, 0.8, 1.2, 2.0]), np.linspace(0.5, 5.0, 19)
    clean = np.asarray(theory({}, Points.table(omega=omega, Q_abs=lengths))).reshape(5, 19)
    data = image("powder", None, omega, clean, np.full_like(clean, 0.05), Q_abs=lengths)
    listed = point_list("list", None, omega[:5], clean[1, :5], np.full(5, 0.05), Q_abs=np.full(5, 0.6))
    return fit(theory, [data, listed], background="none", starts=1)


def test_a_powder_is_drawn_over_the_length_of_q(powder_fit, tmp_path):
    assert powder_fit.values["A"] == pytest.approx(2.0, abs=1e-4)
    report(powder_fit, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert sum("powder" in alt for alt in page.alts) == 2
    shown, listed = spectra(powder_fit)
    assert dispersion(powder_fit, shown.hkl) is None
    np.testing.assert_allclose(listed.Q_abs, 0.6)
    titles = [axes.get_title() for axes in cuts(shown).axes]
    assert sum("|Q| = " in title and "1/Å" in title for title in titles) == 3
    labels = [axes.get_xlabel() for axes in maps(shown, None).axes]
    assert labels.count("|Q| (1/Å)") == 3


def test_ticks_of_a_powder_stand_where_their_values_are():
    at, labels, label = powder_ticks(np.array([0.5, 1.0, 2.0, 4.0]))
    assert label == "|Q| (1/Å)"
    np.testing.assert_allclose(np.interp(at, range(4), [0.5, 1.0, 2.0, 4.0]), [float(x) for x in labels])
    assert len(at) > 3
    assert powder_ticks(np.array([2.0, 1.0]))[:2] == ([0.0, 1.0], ["2", "1"])


def test_a_powder_and_a_scipp_array_of_other_axes_have_a_picture(powder_fit, tmp_path):
    data = image("powder", None, [1.0, 2.0], np.ones((3, 2)), None, Q_abs=[0.5, 1.0, 2.0])
    edges = data.drop_coords("energy_transfer")
    edges.coords["DeltaE"] = sc.array(dims=["energy_transfer"], values=[0.5, 1.5, 2.5], unit="meV")
    for n, one in enumerate((data, edges)):
        assert spectrum_figure(one, tmp_path / f"{n}.png").read_bytes()[:4] == b"\x89PNG"
