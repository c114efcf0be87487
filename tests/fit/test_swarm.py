"""The baseline: SpinW's R-value in closed form, and a swarm that finds what peaks determine."""

import numpy as np
import pytest

from insiren.data.peaks import peak_list
from insiren.data.picking import picked
from insiren.data.simulated import simulate
from insiren.fit.peaks import peak_set
from insiren.fit.swarm import baseline, r_value
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.0}


def listed(energies, window=(0.0, 40.0)):
    n = len(energies)
    return peak_set(peak_list("one", np.zeros((n, 3)), energies, np.full(n, 2.0), window=window))


def test_the_strongest_modes_within_the_window_are_compared():
    E, I = np.array([[5.0, 12.0, 50.0]]), np.array([[1.0, 2.0, 9.0]])
    assert r_value(E, I, listed([10.0])) == pytest.approx(1.0)
    assert r_value(E, I, listed([6.0, 13.0])) == pytest.approx(0.5)


def test_a_missing_mode_is_replaced_by_the_limit_on_its_side():
    E, I = np.array([[12.0, 50.0]]), np.array([[1.0, 1.0]])
    assert r_value(E, I, listed([12.0, 34.0])) == pytest.approx(np.sqrt(0.5 * (6 / 2) ** 2))
    assert r_value(E, I, listed([4.0, 12.0])) == pytest.approx(np.sqrt(0.5 * (4 / 2) ** 2))
    assert r_value(np.array([[50.0]]), np.array([[1.0]]), listed([38.0])) == pytest.approx(1.0)


def test_equal_modes_are_one():
    E, I = np.array([[10.0, 10.0, 20.0]]), np.array([[1.0, 1.0, 1.5]])
    assert r_value(E, I, listed([10.0])) == pytest.approx(0.0)


def test_an_unstable_structure_has_no_r_value():
    assert r_value(np.array([[np.nan]]), np.array([[1.0]]), listed([10.0])) == np.inf


@pytest.mark.slow
def test_a_swarm_finds_the_parameters_of_a_clean_map():
    pytest.importorskip("pymoo")
    simulator = exact(load_model("la2nio4"))
    # Along the diagonal the energies hold hardly more than J (J - 2 Jp); the way over X tells J alone.
    diagonal = np.stack([np.linspace(0.55, 0.75, 8), np.linspace(0.45, 0.25, 8), np.zeros(8)], 1)
    over_X = np.stack([np.linspace(0.5, 0.9, 12), np.zeros(12), np.zeros(12)], 1)
    data = simulate(simulator, TRUTH, Points.table(np.concatenate([diagonal, over_X]), np.arange(20.0, 140.0, 1.0)))
    data.variances = np.full(data.shape, (0.01 * float(np.max(data.values))) ** 2)
    found = baseline(simulator, data, fixed={"q_fwhm": 0.0}, seed=1)
    assert found.names == ("J", "Jp") and found.n_peaks >= 13
    assert found.values["J"] == pytest.approx(TRUTH["J"], abs=0.5)
    assert found.values["Jp"] == pytest.approx(TRUTH["Jp"], abs=0.5)
    again = baseline(simulator, picked(data), fixed={"q_fwhm": 0.0}, seed=1)
    assert again.values == found.values and again.to_dict()["particles"] == 25
