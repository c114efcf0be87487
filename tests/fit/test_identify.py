"""Combinations that data determine, in words, and the pixels that would decide."""

import re

import numpy as np
import pytest

from insiren.data.spectrum import image, measured
from insiren.fit.choice import Choice
from insiren.fit.identify import Seen, identify, regions
from insiren.fit.uncertainty import blind, errors, independent, inverse, rank
from insiren.forward import Parameter

HKL = np.stack([np.linspace(0, 1, 21), np.zeros(21), np.zeros(21)], axis=1)
OMEGA = np.linspace(10.0, 50.0, 9)
UNITS = {"J": "meV", "Jp": "meV", "D": "meV", "width": ""}


def data_set():
    return measured(image("one", HKL, OMEGA, np.ones((21, 9)), np.ones((21, 9))))


def pixel(q: int, w: int) -> int:
    return 9 * q + w


def choice(names, half=20.0):
    return Choice(tuple(Parameter(n, 1.0, -half, half, UNITS[n], True) for n in names), (), ())


def said(names, J, values=None, half=20.0):
    one, theta = choice(names, half), np.ones(len(names)) if values is None else np.array(values)
    edge = np.zeros(len(names), bool)
    C = inverse(J, edge)
    open_ = errors(one, theta, C, blind(J, edge)).undetermined
    return identify(one.free, theta, C, open_, Seen(J, [data_set()]))


def test_parameters_that_are_known_are_told_by_their_relative_errors_alone():
    J = np.random.default_rng(0).normal(size=(189, 2))
    sigma = np.sqrt(np.diag(np.linalg.inv(J.T @ J)))
    (line,) = said(("J", "Jp"), J * sigma, values=[300.0, -50.0])
    assert line == "J is known to 0.3 %, Jp to 2 %."
    J[:, 1] = -2 * J[:, 0] + 0.01 * J[:, 1]  # however they are correlated
    sigma = np.sqrt(np.diag(np.linalg.inv(J.T @ J)))
    assert said(("J", "Jp"), J * sigma * 100, values=[1.0, 0.5]) == ("J is known to 1 %, Jp to 2 %.",)


def test_a_value_of_zero_has_no_relative_error():
    J = np.linalg.qr(np.random.default_rng(0).normal(size=(189, 2)))[0] * [100.0, 20.0]
    assert said(("J", "D"), J, values=[2.0, 0.01]) == ("J is known to 0.5 %; D is 0 within its error of 0.05 meV.",)


def test_a_combination_of_what_is_not_known_is_named_with_its_error():
    J = np.zeros((189, 2))
    J[:100] = [3.0, -6.0]  # a hundred pixels that see J - 2 Jp
    J[pixel(5, 7)] = [0.5, 0.5]  # and one that sees something else
    J[pixel(20, 1)] = [0.02, 0.01]
    first, combined, where = said(("J", "Jp"), J)
    C = np.linalg.inv(J.T @ J)
    error = np.sqrt([1, -2] @ C @ [1, -2])
    assert error == pytest.approx(1 / 30, rel=0.02)  # a hundred pixels of weight 9
    assert first == "Jp is known to 67 %; J is 0 within its error of 1.3 meV."
    assert combined == f"J - 2 Jp (± {error:.2g} meV) is known far better than either alone."
    assert where.startswith("These data tell J and Jp apart near (0.25, 0.00, 0.00) at 45 … 45 meV")
    assert "in 1.6 % of the pixels" in where  # 3 of 189


def test_of_three_parameters_the_loose_pair_is_named_and_the_third_is_not_among_it():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(189, 3))
    J[:, 1] = -J[:, 0] + 1e-3 * J[:, 1]  # J and D enter as J - D
    first, combined, _ = said(("J", "D", "width"), J)
    assert "J and D are not determined" in first and "width is known to" in first
    assert combined.startswith("J - D (± ") and "width" not in combined


def test_no_combination_mixes_units_and_none_names_a_parameter_twice():
    rng = np.random.default_rng(2)
    J = np.repeat(rng.normal(size=(189, 1)), 4, axis=1) + 1e-2 * rng.normal(size=(189, 4))
    assert not any("±" in line for line in said(("J", "width"), J[:, :2]))  # not 1 meV + 1
    J[:, 3] = rng.normal(size=189)
    lines = said(("J", "Jp", "D", "width"), J, values=[1.0, 1.0, 1.0, 0.1])
    combined = [line for line in lines if "±" in line]
    assert len(combined) == 1 and len(re.findall("±", combined[0])) == 1
    assert all(combined[0].count(name) == 1 for name in ("J ", "Jp", "D ")) and "width" not in combined[0]


def test_what_changes_nothing_is_not_determined_however_wide_its_bounds():
    J = 1e4 * np.random.default_rng(3).normal(size=(189, 2)) @ np.array([[1.0, 1.0], [0.0, 0.0]])
    lines = said(("J", "Jp"), J, half=1e9)
    assert lines[0] == "J and Jp are not determined."
    assert lines[1].startswith("J + Jp (± ") and len(lines) == 2  # no pixel would tell them apart
    assert rank(J, np.zeros(2, bool)) == 1 and rank(J, np.array([True, False])) == 1
    assert rank(np.zeros((189, 2)), np.zeros(2, bool)) == 0
    part = np.random.default_rng(3).normal(size=(20, 2)) * [1.0, 1e-9]  # the tail of a line is none of it
    assert rank(part, np.zeros(2, bool)) == 2 and rank(part, np.zeros(2, bool), J + part[:1]) == 1


def test_where_the_data_speak_of_what_they_do_not_determine_is_told():
    J = np.random.default_rng(0).normal(size=(189, 2)) * [10.0, 0.0]
    J[pixel(10, 3), 1] = 0.01
    first, where = said(("J", "D"), J)
    assert first.endswith("; D is not determined.") and where.startswith("These data say most about D near (0.50, 0.00")


def test_an_error_that_covers_the_bounds_is_none():
    one, lost = choice(("J", "Jp"), half=2.0), np.zeros(2, bool)
    found = errors(one, np.ones(2), np.diag([1.9**2, 2.1**2]), lost)
    assert found.of == {"J": pytest.approx(1.9), "Jp": None} and found.undetermined == ("Jp",)
    tied = Choice(one.free, (("D", 1.0),), (("sum", "J + Jp"), ("twice", "2 * J")))
    both = np.array([[4.0, -3.999], [-3.999, 4.0]]) * 100  # each is lost, their sum is known
    found = errors(tied, np.ones(2), both, lost)
    assert found.of["sum"] == pytest.approx(np.sqrt(0.2)) and found.of["D"] is None
    assert found.undetermined == ("J", "Jp", "twice")


def test_parameters_without_an_error_are_passed_over():
    J = np.random.default_rng(3).normal(size=(189, 2)) @ np.array([[1.0, 1.0], [1e-3, -1e-3]])
    C = np.full((3, 3), np.nan)
    C[:2, :2] = np.linalg.inv(J.T @ J)
    seen = Seen(np.column_stack([J, np.zeros(189)]), [data_set()])
    first, combined, *_ = identify(choice(("J", "Jp", "D")).free, np.ones(3), C, ("J", "Jp"), seen)
    assert first == "J and Jp are not determined; D ended at a bound."
    assert "J + Jp" in combined and "D" not in combined


def test_more_weight_where_the_words_point_helps_the_loose_combination_most():
    """The pixels that hold the information along the loose direction are those that shrink its error."""
    rng = np.random.default_rng(4)
    J = rng.normal(size=(189, 1)) * [1.0, -2.0]
    J += 0.02 * rng.normal(size=(189, 2)) * np.where(np.arange(189) // 9 == 10, 5.0, 0.2)[:, None]
    _, _, where = said(("J", "Jp"), J)
    assert "near (0.50, 0.00, 0.00)" in where
    loose = np.array([2.0, 1.0])

    def error(extra: np.ndarray) -> float:
        weighed = J * np.sqrt(1 + 3 * extra)[:, None]
        return float(np.sqrt(loose @ np.linalg.inv(weighed.T @ weighed) @ loose))

    there = np.arange(189) // 9 == 10
    elsewhere = [np.arange(189) // 9 == q for q in range(21) if q != 10]
    assert error(there) < 0.75 * error(np.zeros(189))
    assert min(error(e) for e in elsewhere) > error(there)


def test_a_region_without_information_is_not_named():
    assert regions(np.zeros(189), [data_set()]) == []
    spread = np.ones(189)
    assert len(regions(spread, [data_set()])) <= 2


def test_the_share_of_a_region_is_its_share():
    information = np.zeros(189)
    information[[pixel(10, w) for w in range(9)]] = 1.0
    (text,) = regions(information, [data_set()])
    assert text.startswith("near (0.50, 0.00, 0.00) at 10 … 50 meV (80 % of it in ")
    assert float(re.search(r"in ([\d.]+) %", text)[1]) == pytest.approx(100 * 9 / 189, abs=0.05)


def test_of_parameters_that_replace_each_other_the_first_are_taken():
    J = np.random.default_rng(0).normal(size=(189, 2)) @ np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert independent(J, np.ones(4, bool)).tolist() == [True, False, False, True]
    assert independent(J, np.array([False, True, True, False])).tolist() == [False, True, False, False]
