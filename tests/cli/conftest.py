"""The command line as a person uses it, and small files to use it on."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from insiren.cli import main
from insiren.data.counts import count
from insiren.data.files import write_csv
from insiren.data.simulated import simulate
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.0}


@pytest.fixture
def insiren(monkeypatch, capsys, tmp_path):
    """Runs a command in this process, in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["insiren", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        text = capsys.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=text.out, err=text.err)

    return run


@pytest.fixture(scope="session")
def measurement(tmp_path_factory) -> Path:
    """A small table of counts, 10 wavevectors by 23 energies."""
    hkl = np.linspace([0.75, 0.25, 0], [0.52, 0.48, 0], 10)
    clean = simulate(exact(load_model("la2nio4")), TRUTH, Points.table(hkl, np.linspace(30.0, 140.0, 23)))
    noisy = count(clean, 100_000, seed=1, background=0.02)
    noisy.values[2, 3] = np.nan
    noisy.masks["missing"].values[2, 3] = True
    noisy.name = "small"
    path = tmp_path_factory.mktemp("measurement") / "small.csv"
    write_csv([noisy], path)
    return path
