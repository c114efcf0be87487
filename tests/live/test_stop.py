"""When counting may stop: each condition alone forbids it."""

import numpy as np
import pytest

from insiren.live.history import Answer, forecast, judged, moved, tension, thinned
from insiren.live.stop import Hypothesis, Quality, advise

FINE = Quality(1.02, 0.01)


def answer(neutrons, error=None, value=1.0, calm=0.5):
    error = 10 / np.sqrt(neutrons) if error is None else error
    return Answer(1, neutrons, ("J",), np.array([value]), np.array([[error**2]]), calm)


def history(*tensions):
    return [answer(1000 * 1.2**n, calm=calm) for n, calm in enumerate(tensions)]


def advised(history, targets=None, share=0.99, quality=FINE, confidence=0.6827):
    return advise(history, {"J": 0.3} if targets is None else targets, {"J": "meV"}, confidence, share, quality)


def test_stopping_is_advised_when_every_condition_is_met():
    found = advised(history(0.3, 1.0, 0.5, 0.2))
    assert found.advised and found.missing == []


def test_without_a_target_it_is_never_advised():
    found = advised(history(0.3, 1.0, 0.5), targets={})
    assert not found.advised and "--target" in found.missing[0]


def test_a_target_that_is_not_met_says_by_how_much():
    found = advised(history(0.3, 1.0, 0.5), targets={"J": 0.2})
    assert not found.advised and found.missing == ["J: error 0.26 > 0.2 meV"]


def test_a_higher_confidence_asks_for_a_smaller_error():
    assert advised(history(0.1, 0.1, 0.1)).advised
    assert not advised(history(0.1, 0.1, 0.1), confidence=0.95).advised


@pytest.mark.parametrize("when", [-1, -2])
def test_an_answer_that_moved_lately_is_not_steady(when):
    calm = [0.1] * 5
    calm[when] = 2.5
    found = advised(history(*calm))
    assert not found.advised and "2.5 σ" in found.missing[0]


def test_an_answer_that_moved_long_ago_is_steady():
    assert advised(history(0.1, 4.0, 0.1, 0.1, 0.1)).advised


def test_the_first_answers_have_nothing_to_be_steady_against():
    assert not advised(history(0.1)).advised
    assert not advised(history(None, None, None)).advised


def test_two_minima_forbid_it_and_so_does_not_knowing():
    assert not advised(history(0.1, 0.1, 0.1), share=0.9).advised
    assert not advised(history(0.1, 0.1, 0.1), share=None).advised


def test_a_misfit_that_is_neither_noise_nor_small_forbids_it():
    assert not advised(history(0.1, 0.1, 0.1), quality=Quality(1.5, 0.01)).advised
    assert not advised(history(0.1, 0.1, 0.1), quality=Quality(0.5, 0.01)).advised
    assert advised(history(0.1, 0.1, 0.1), quality=Quality(1.5, 0.2)).advised  # few counts: noise
    assert not advised(history(0.1, 0.1, 0.1), quality=None).advised


def test_a_parameter_without_an_error_meets_no_target():
    here = [one._replace(covariance=np.array([[np.nan]])) for one in history(0.1, 0.1, 0.1)]
    assert not advised(here).advised


def test_nested_estimates_of_pure_noise_have_the_tension_of_noise():
    rng, found = np.random.default_rng(1), []
    for _ in range(2000):
        half, other = rng.normal(size=(2, 2))
        early, late = half, (half + other) / 2
        before = Answer(1, 1.0, ("a", "b"), early, np.eye(2))
        found.append(tension(before, Answer(2, 2.0, ("a", "b"), late, np.eye(2) / 2)))
    assert np.mean(np.array(found) > 2) == pytest.approx(0.0455, abs=0.015)
    assert np.mean(np.array(found) > 1) == pytest.approx(0.317, abs=0.04)


def test_an_earlier_answer_that_is_no_less_certain_has_no_tension():
    assert tension(answer(100, 0.1), answer(200, 0.2)) is None
    assert tension(answer(100, 0.1), answer(200, 0.0999, value=1.1)) is None  # nor one that is as certain, nearly


def test_directions_of_which_the_later_counts_say_nothing_are_not_judged():
    """One combination has become surer; along the other two nearly equal variances would make any move a wonder."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    early, late = (turn @ np.diag(v) @ turn.T for v in ([1.0, 100.0], [0.5, 99.9]))
    before = Answer(1, 1.0, ("a", "b"), np.zeros(2), early)
    now = Answer(2, 2.0, ("a", "b"), turn @ [np.sqrt(0.5), 3.0], late)
    assert tension(before, now) == pytest.approx(1.0) and judged(before, now) == (1, 2)
    assert moved(before, now) == pytest.approx(0.55, abs=0.01)  # χ² of 1.09 with two degrees of freedom
    clone = Answer(2, 2.0, ("a", "b"), np.ones(2), np.ones((2, 2)) / 2)  # and none is there along a − b
    assert tension(Answer(1, 1.0, ("a", "b"), np.zeros(2), np.ones((2, 2))), clone) == pytest.approx(np.sqrt(2))


def test_the_errors_of_the_rule_are_those_that_are_quoted():
    """A target is met by the error with the misfit of the model, not by the smaller one of the counts alone."""
    past = history(0.1, 0.1, 0.1)
    assert advised(past, targets={"J": 0.28}).advised
    wide = [*past[:-1], past[-1]._replace(quoted={"J": 0.32})]
    found = advised(wide, targets={"J": 0.28})
    assert not found.advised and found.missing == ["J: error 0.32 > 0.28 meV"]
    open_ = [*past[:-1], past[-1]._replace(quoted={"J": None})]
    assert "not determined" in advised(open_, targets={"J": 0.28}).missing[0]


def test_the_forecast_follows_the_root_of_the_neutrons():
    past = [answer(n) for n in np.geomspace(1000, 8000, 12)]
    found = forecast(past, "J", 0.05)
    assert found.neutrons == pytest.approx((10 / 0.05) ** 2, rel=1e-6)
    assert found.low < found.neutrons < found.high
    assert forecast(past, "J", 0.05, 2.0).neutrons == pytest.approx((20 / 0.05) ** 2, rel=1e-6)


def test_the_interval_of_a_forecast_is_as_wide_as_errors_scatter():
    rng, hits = np.random.default_rng(2), 0
    for _ in range(300):
        errors = 10 / np.sqrt(1000) * np.exp(rng.normal(0, 0.1, 12))
        past = [answer(1000 * 1.01**n, error * 1.01 ** (-n / 2)) for n, error in enumerate(errors)]
        found = forecast(past, "J", 0.05)
        needed = (10 / 0.05) ** 2 * np.exp(2 * rng.normal(0, 0.1))
        hits += found.low <= needed <= found.high
    assert hits / 300 > 0.5  # of 68 %; the centre is known from three answers only


def test_a_history_stays_short_and_keeps_its_last():
    kept = ()
    for n in range(10_000):
        kept = thinned((*kept, answer(1000 + n)))
    assert len(kept) < 60 and kept[-1].neutrons == 10_999 and kept[0].neutrons == 1000


def questioned(value, error, odds=20.0, at=0.0, low=-20.0, high=20.0):
    past = [answer(1000 * 1.2**n, error, value) for n in range(4)]
    return advise(past, {}, {"J": "meV"}, 0.68, 0.99, FINE, {"J": Hypothesis(at, low, high, odds)})


@pytest.mark.parametrize(
    ("value", "error", "low"),
    [(0.3, 1.0, -20.0), (2.0, 1.0, -20.0), (5.0, 1.0, -20.0), (0.3, 1.0, 0.0), (3.0, 9.0, 0.0)],
)
def test_the_odds_are_the_ratio_of_evidences(value, error, low):
    """The likelihood at the value, over its mean within the bounds, at one of which the value may lie."""
    at = np.linspace(low, 20, 400_001)
    likelihood = np.exp(-0.5 * ((at - value) / error) ** 2)
    ratio = np.exp(-0.5 * (value / error) ** 2) / np.mean(likelihood)
    odds = max(ratio, 1 / ratio)
    assert questioned(value, error, odds=0.99 * odds, low=low).advised
    found = questioned(value, error, odds=1.01 * odds, low=low)
    assert not found.advised and ("for" if ratio > 1 else "against") in found.missing[0]
    assert f"odds {odds:.3g} " in found.missing[0]


def test_a_question_far_from_open_is_told_by_its_power_of_ten():
    found = questioned(30.0, 1.0, high=40.0)
    assert found.advised and "odds 10^194 against it" in found.conditions[0].text


def test_a_value_outside_the_bounds_has_no_odds():
    found = questioned(3.0, 1.0, at=-1.0, low=0.0)
    assert not found.advised and "-1 lies outside the bounds 0 … 20" in found.missing[0]


def test_a_value_of_a_parameter_without_an_error_is_never_decided():
    assert not questioned(1.0, np.nan).advised
