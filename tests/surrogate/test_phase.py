"""The stable phase of a theory without a simulator, learnt from sets that have no spectrum."""

import numpy as np
import pytest

from insiren.errors import OutsideDomain, SurrogateError
from insiren.forward import Parameter, Points
from insiren.surrogate.phase import phase_of
from insiren.surrogate.samples import samples
from insiren.surrogate.taught import Taught, train_on
from insiren.surrogate.training import Recipe

PARAMETERS = (Parameter("A", 1.0, 0.0, 2.0, "meV", True), Parameter("B", 0.0, -1.0, 1.0, "meV", True))
OMEGA = np.linspace(0.0, 4.0, 21)


def computed(many=120):
    """A line at the energy A + 1, which there is for A > B alone."""
    params = np.random.default_rng(0).uniform([0, -1], [2, 1], (many, 2))
    S = np.exp(-2 * (OMEGA - params[:, :1, None] - 1) ** 2) * np.ones((many, 2, 1))
    S[params[:, 0] < params[:, 1]] = np.nan
    return params, samples(PARAMETERS, params, np.array([[0.0, 0, 0], [0.5, 0, 0]]), OMEGA, S)


@pytest.fixture(scope="module")
def taught():
    return train_on(computed()[1], Recipe(steps=20, width=8, layers=2), "kl")


def test_queries_go_with_the_nearest_set():
    params, found = computed()
    phase = phase_of(params, found.S, PARAMETERS)
    rng, right = np.random.default_rng(1), []
    for A, B in rng.uniform([0, -1], [2, 1], (300, 2)):
        right.append(bool(phase.holds({"A": A, "B": B}, PARAMETERS)) == (A > B))
    assert np.mean(right) > 0.95  # wrong within half the distance of sets at the boundary
    assert phase_of(params, np.nan_to_num(found.S), PARAMETERS) is None


def test_a_query_in_the_unstable_phase_is_refused_by_name(taught):
    points = Points.table(np.array([[0.2, 0, 0]]), OMEGA)
    assert np.all(np.isfinite(taught({"A": 1.5, "B": -0.5}, points)))
    for ask in (taught, taught.error):
        with pytest.raises(OutsideDomain, match=r"A = 0.2, B = 0.8 lies outside the stable phase .* of 120 parameter"):
            ask({"A": 0.2, "B": 0.8}, points)
    assert np.all(np.isnan(taught.spectrum({"A": 0.2, "B": 0.8}, points)))  # within a fit


def test_sets_without_a_spectrum_are_not_held_out():
    _, found = computed()
    training = Taught.of(found, Recipe(), "kl")
    assert np.isfinite(found.S[training.held]).all()


def test_one_set_with_a_spectrum_is_too_few():
    _, found = computed()
    S = found.S.copy()
    S[np.flatnonzero(np.isfinite(S).all((1, 2)))[1:]] = np.nan
    lone = samples(PARAMETERS, found.params, found.hkl[0], OMEGA, S)
    with pytest.raises(SurrogateError, match="There is 1 set of parameters with a spectrum"):
        Taught.of(lone, Recipe(), "kl")
