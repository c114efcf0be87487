"""The search of the box: of any width, past corners without an answer, and refused where there is nothing to find."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from theory import HKL, OMEGA, PARAMETERS, THEORY, TRUTH, fit, ridge, seen

import insiren
from insiren.data.spectrum import image, measured
from insiren.errors import FitError, UnstableStructure
from insiren.fit.choice import choose
from insiren.fit.draws import boxes, drawn
from insiren.fit.objective import target
from insiren.fit.problem import Problem
from insiren.fit.search import Found
from insiren.fit.signal import significance, without_magnons
from insiren.fit.valley import metric, share
from insiren.fit.verdict import judged
from insiren.forward import Forward, Parameter

WIDE = {"A": (-6000.0, 6000.0), "B": (-4000.0, 4000.0)}  # 1000 times the bounds of the theory


class Cornered(Forward):
    """The ridge, which has no answer where A is negative; there it fits better than anywhere else."""

    @property
    def parameters(self):
        return PARAMETERS

    def spectrum(self, params, points):
        blunt = jnp.where(params["A"] < 0, 1.0, 1.3)
        return ridge({**params, "A": jnp.abs(params["A"]), "C": blunt}, points)

    def check(self, params):
        if params["A"] < 0:
            raise UnstableStructure("the corner is unstable")


@pytest.fixture(scope="module")
def wide():
    return [fit(THEORY, seen(3, 0.5), bounds=WIDE, starts=2, seed=seed) for seed in (0, 1)]


def test_a_box_a_thousand_times_as_wide_leads_to_the_same_minimum(wide):
    for found in wide:
        assert abs(found.values["A"] - TRUTH["A"]) < 3 * found.errors["A"]
        assert abs(found.values["B"] - TRUTH["B"]) < 3 * found.errors["B"]
        assert found.search["agree"] and found.search["expected"] > 4
    assert wide[0].objective_value == pytest.approx(wide[1].objective_value, rel=1e-9)


def test_a_signal_is_the_objective_against_that_of_backgrounds_alone(wide):
    one = wide[0]
    drop = without_magnons(one.problem) - one.problem.objective(one.theta)
    assert one.signal.drop == pytest.approx(drop, rel=1e-9)
    assert one.signal.sigma == pytest.approx(np.sqrt(drop / one.noise), rel=1e-9)
    assert one.signal.beyond_chance < one.signal.sigma
    assert one.to_dict()["signal"]["sigma"] == one.signal.sigma


def test_noise_alone_is_refused_with_the_number_of_sigma_and_the_remedy():
    noise = np.random.default_rng(0).normal(size=(len(HKL), len(OMEGA)))
    data = image("noise", HKL, OMEGA, 0.5 + 0.2 * noise, np.full_like(noise, 0.2))
    with pytest.raises(FitError, match=r"no magnon that this model can explain .* σ\) against no magnon .*--bound A="):
        fit(THEORY, data, bounds=WIDE, starts=2)


def test_a_corner_without_an_answer_does_not_end_the_fit_and_is_told_of_where_it_fits_better():
    found = fit(Cornered(), seen(3, 0.5), bounds={"A": (-18.0, 18.0)}, starts=2)
    assert found.values["A"] == pytest.approx(TRUTH["A"], abs=0.2)
    assert any(line.startswith("A = -1") and "unstable there" in line for line in found.remarks())
    with pytest.raises(UnstableStructure, match="corner"):
        fit(Cornered(), seen(3, 0.5), bounds={"A": (-18.0, -6.0)}, starts=2)


def test_two_searches_that_disagree_are_told_with_both_answers(wide):
    one = dataclasses.replace(wide[0], warnings=())
    pair = np.array([[11.0, 5.0], [4.0, 7.0]])
    found = Found(pair[:1], np.array([0]), pair, np.array([700.0, 800.0]), False, 512, 3.0)
    said = judged(one, found, (), 0.0).remarks()
    assert any("A = 11" in line and "A = 4" in line and "700" in line and "--seed" in line for line in said)
    assert any("512 points" in line and "--bound" in line for line in said)
    with pytest.raises(FitError, match=r"too wide to be searched.* 512 points .*A = 1.*--bound"):
        judged(one, found._replace(same=True, expected=0.5), (), 0.0)


def test_scales_are_halves_down_to_that_of_the_energies_and_leave_other_parameters_alone():
    free = (
        Parameter("J", 1.0, -100.0, 100.0, "meV", True),
        Parameter("D", 0.1, 0.0, 0.5, "meV", True),
        Parameter("g", 2.0, 1.8, 2.6, "", True),
    )
    within = boxes(choose(free), 3.0)
    np.testing.assert_allclose(within.upper[:, 0], 100 / 2.0 ** np.arange(9))
    np.testing.assert_allclose(within.upper[:, 1], np.minimum(0.5, within.upper[:, 0]))
    assert np.all(within.lower[:, 2] == 1.8) and np.all(within.upper[:, 2] == 2.6) and within.wide
    points = drawn(within, 3, 64, (0, 1))
    assert np.all((points >= within.lower[3]) & (points <= within.upper[3]))
    np.testing.assert_allclose(within.around(np.array([0.5, 0.1, 2.0])), [2 * 0.78125, 0.5, 0.8])


def test_a_box_that_does_not_hold_zero_stays_as_it_is():
    within = boxes(choose((Parameter("J", 30.0, 20.0, 39.0, "meV", True),)), 3.0)
    assert len(within.lower) == 1 and not within.wide


def test_couplings_in_kelvin_have_the_scale_of_the_energies_too():
    in_meV, in_K = (
        boxes(choose((Parameter("J", 1.0, -100.0 * of, 100.0 * of, unit, True),)), 3.0)
        for unit, of in (("meV", 1.0), ("K", 1 / 0.0861733))
    )
    np.testing.assert_allclose(in_K.upper * 0.0861733, in_meV.upper)


def test_the_valley_of_a_gaussian_ridge_is_as_wide_as_it_is():
    # ∫ (∂S)² / ∫ S² of S = exp(−(ω − ω₀)²/2) is 1/2
    one = measured(seen(0, 0.0))
    problem = Problem(
        THEORY, (THEORY,), (one.points,), (target(one, "none"),), choose(PARAMETERS, fixed={"A": 5.0}), "gaussian"
    )
    M = metric(problem, np.array([9.0 - 5.0]), 2)
    assert M[0, 0] == pytest.approx(0.5, rel=0.02)
    assert share(M, np.array([40.0])) == pytest.approx(2 * np.sqrt(2 / M[0, 0]) / 40)
    assert share(M, np.array([0.1])) == 1.0


def test_chance_takes_as_many_places_as_errors_fit_into_the_box():
    found = significance(100.0, 2.0, np.diag([0.01, np.nan]), np.array([10.0, 1.0]))
    assert found.places == pytest.approx(10 / (0.1 * np.sqrt(2 * np.pi)))
    assert found.sigma == pytest.approx(np.sqrt(50)) and found.drop == 100
    assert found.beyond_chance == pytest.approx(np.sqrt(50 - 2 * np.log(found.places)))
    assert significance(-1.0, 1.0, np.eye(1), np.ones(1)).beyond_chance == 0


def test_a_theory_without_units_is_searched_on_all_scales():
    bare = insiren.forward(ridge, tuple(dataclasses.replace(p, unit="") for p in PARAMETERS))
    assert fit(bare, seen(3, 0.5), bounds=WIDE, starts=2).values["A"] == pytest.approx(TRUTH["A"], abs=0.1)
