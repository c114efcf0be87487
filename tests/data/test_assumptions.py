"""Every sentence about what a reader took for granted names an option that really exists for that file."""

import re
from pathlib import Path

import horace_files
import numpy as np
import pytest
import typer
from healthy_files import FLAT, LAYOUTS, POLAR, SMALL
from nexus_files import EDGES, cells, mdhisto, nxdata, nxspe
from text_files import par, spe

from insiren.cli import app
from insiren.cli.hints import _OPTIONS
from insiren.data.files import options_of, read
from insiren.data.files.hints import CHOICES, EXAMPLES
from insiren.data.summary import assumed
from insiren.errors import DataError

ENERGY = np.linspace(-2, 4, 7)
OWN = ("of a test",)  # sentences that a file itself carries
ELSEWHERE = "convert it to NXSPE"  # options named after this are of another format


def flags_of_commands() -> set[str]:
    """The options that inspect or fit have of themselves, not for a reader."""
    group = typer.main.get_command(app)
    names = {
        flag
        for name in ("inspect", "fit")
        for one in group.commands[name].params
        for flag in one.opts  # type: ignore[attr-defined]
    }
    return names - {"--" + name.replace("_", "-") for name in _OPTIONS} - {"--hint"}


def check(lines: list[str], takes: tuple[str, ...]) -> None:
    """Every line names an option, and each of these is the reader's or a command's."""
    known = flags_of_commands()
    for line in lines:
        named = re.findall(r"--[A-Za-z][\w-]*(?: \w+=)?", line)
        assert named, f"no option is named: {line}"
        for flag in re.findall(r"--[A-Za-z][\w-]*", line.split(ELSEWHERE)[0]):
            assert flag == "--hint" or flag[2:].replace("-", "_") in takes or flag in known, (flag, line)
        for name in re.findall(r"--hint (\w+)=", line):
            assert name in takes, (name, line)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_says_how_its_assumptions_are_overridden(tmp_path, name):
    layout = LAYOUTS[name]
    layout.write(tmp_path)
    takes = options_of(tmp_path / layout.read)
    for data in read(tmp_path / layout.read, **layout.options):
        check([line for line in assumed(data) if line not in OWN], takes)


def _zeros(signal, variance, events):
    for array in (signal, variance, events):
        array[0, 0, 0, 0] = 0
    return signal, variance, events


def _unworthy():
    signal = np.ones_like(cells(SMALL)[0])
    signal[0, 0, 0, 0] = 0
    return signal, signal, np.zeros_like(signal)


def _spe_dark(folder: Path) -> None:
    intensity = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1e30, -1e30, -1e30]])
    (folder / "x.spe").write_text(spe(intensity, np.abs(intensity) * (intensity > 0)))
    (folder / "x.par").write_text(par([10.0, 40.0, 80.0]))


def _nxspe_dark(folder: Path) -> None:
    intensity = FLAT.copy()
    intensity[1], intensity[2] = 0, np.nan
    nxspe(folder / "x.nxspe", intensity, intensity, ENERGY[:-1] + 0.5, POLAR, np.zeros(5), Ei=np.arange(5) + 20.0)


def _mat_open(folder: Path) -> None:
    projection = {**horace_files.PROJECTION, "iint": np.array([[-np.inf, -0.1], [np.inf, 0.3]])}
    fields = {"s": horace_files.S, "e": horace_files.E, "npix": horace_files.NPIX}
    horace_files.mat(folder / "x.mat", {**fields, **projection})


MORE = {
    "no convention, no normalisation": (
        lambda f: mdhisto(f / "x", _zeros(*cells(SMALL)), edges=SMALL, normalisation=None, convention=None), "x", {}),
    "bins of several widths": (
        lambda f: mdhisto(f / "x", cells([*SMALL[:3], np.array([0.0, 1, 3, 7])]),
                          edges=[*SMALL[:3], np.array([0.0, 1, 3, 7])], W=np.arange(9.0)), "x", {}),
    "rounded labels": (
        lambda f: mdhisto(f / "x", cells(SMALL), edges=SMALL, labels=("[0.333H,0,0]", "[0,K,0]", "[0,0,L]", "DeltaE"),
                          W=np.diag([1 / 3, 1, 1])), "x", {}),
    "nothing tells what a neutron is worth": (lambda f: mdhisto(f / "x", _unworthy(), edges=SMALL), "x", {}),
    "no events, no errors, one energy": (
        lambda f: mdhisto(f / "x", [np.ones((2, 2, 1, 1)) * (n == 0) for n in range(3)],
                          edges=[*SMALL[:3], EDGES[3][:2]]), "x", {}),
    "spe with dark detectors": (_spe_dark, "x.spe", {"Ei": 20}),
    "nxspe with dark detectors": (_nxspe_dark, "x.nxspe", {}),
    "mat integrated without bounds": (_mat_open, "x.mat", {}),
    "mat without projection": (
        lambda f: horace_files.mat(f / "x.mat", {"s": horace_files.S, "e": horace_files.E}), "x.mat",
        {"q_direction": (0, 0, 1)}),
    "NXdata with nothing": (
        lambda f: nxdata(f / "x", FLAT, [("a", np.arange(5.0), ""), ("E", ENERGY, "meV")]), "x",
        {"q_direction": (0, 0, 1), "q_origin": (0, 0, 0)}),
    "three columns": (lambda f: (f / "x").write_text("0 1 2\n0 2 3\n"), "x", {"q_direction": "powder"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_sentences_that_only_some_files_need_name_their_option_too(tmp_path, name):
    write, file, options = MORE[name]
    write(tmp_path)
    (data,) = read(tmp_path / file, **options)
    assert len(assumed(data)) > 1
    check(assumed(data), options_of(tmp_path / file))


@pytest.mark.parametrize("place", ["la2nio4", "luvo3/LuVO3_fitted_modes.txt", "mdhisto/1Dcut_sym_0p00T_K.nxs",
                                   "mnf2/MAR18301_Ei12.00meV.nxspe"])  # fmt: skip
def test_measured_files_say_how_their_assumptions_are_overridden(shared, place):
    path = shared / "data" / place
    for data in read(path):
        assert assumed(data)
        check(assumed(data), options_of(path))


def test_what_is_asked_for_is_said_with_its_option_as_well(tmp_path):
    """An assumption that the user made is one as well."""
    mdhisto(tmp_path / "x", cells(SMALL), edges=SMALL, W=np.eye(3))
    given = {"q_convention": "inelastic", "directions": "rows", "signal": "integral", "bins": "averaged",
             "zeros": "missing", "normalisation": "volume"}  # fmt: skip
    (data,) = read(tmp_path / "x", **given)
    check(assumed(data), options_of(tmp_path / "x"))
    said = "\n".join(assumed(data))
    for flag in ("--q-convention", "--directions", "--signal", "--hint normalisation="):
        assert flag in said


@pytest.mark.parametrize("hint", CHOICES)
def test_a_word_that_an_option_does_not_know_is_refused_with_those_that_it_does(tmp_path, hint):
    mdhisto(tmp_path / "x.nxs", cells(SMALL), edges=SMALL)
    LAYOUTS["nxspe"].write(tmp_path)
    (tmp_path / "map.dat").write_text("0 1 2 3\n")
    file, more = {"errors": ("map.dat", {"q_direction": (0, 0, 1)}), "kf_over_ki": ("x.nxspe", {})}.get(
        hint, ("x.nxs", {})
    )
    for wrong in ("up", 7):
        with pytest.raises(DataError, match=rf"{hint} = .* is none of {', '.join(CHOICES[hint])}.*{EXAMPLES[hint][0]}"):
            read(tmp_path / file, **more, **{hint: wrong})


def test_every_option_of_a_reader_has_an_example():
    from insiren.data.files import HDF5_READERS, READERS

    for reader in (*READERS, *HDF5_READERS):
        assert set(reader.options) <= set(EXAMPLES), reader.what
    for name, (option, _) in EXAMPLES.items():
        flag = option.split()[0]
        assert flag == "--hint" or flag[2:].replace("-", "_") == name in _OPTIONS
    for hint, allowed in CHOICES.items():
        assert EXAMPLES[hint][0].split()[1] in allowed
