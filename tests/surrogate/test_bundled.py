"""The surrogate that comes with the package, against the simulator it stands for."""

import numpy as np
import pytest
from surrogate_accuracy import on_paths

from insiren.data.files import read
from insiren.fit.optimise import fit
from insiren.surrogate.store import bundled_path, load_surrogate

NAME = "la2nio4.insiren"


def test_the_bundled_surrogate_is_small():
    path = bundled_path(NAME)
    assert path is not None and path.stat().st_size < 1_000_000


@pytest.mark.slow
def test_the_bundled_surrogate_follows_the_simulator_on_the_papers_paths():
    found = on_paths(load_surrogate(NAME), q_fwhm=0.085, sets=200)
    assert np.median(found.r) >= 0.999
    assert np.min(found.r) >= 0.99
    assert abs(np.nanmedian(found.ridge_bias)) < 0.2  # meV


@pytest.mark.slow
def test_the_bundled_surrogate_gives_the_measured_exchange_of_the_exact_simulator(shared):
    learnt = load_surrogate(NAME)
    data = read(shared / "data" / "la2nio4")
    ours, exact = fit(learnt, data, starts=1), fit(learnt.exact, data, starts=1)
    assert ours.values["J"] == pytest.approx(exact.values["J"], abs=0.05)
    assert ours.values["Jp"] == pytest.approx(exact.values["Jp"], abs=0.03)
    assert ours.surrogate_check is not None
    assert ours.surrogate_check["exact"]["J"] == pytest.approx(exact.values["J"], abs=0.01)
