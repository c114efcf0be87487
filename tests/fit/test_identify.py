"""Combinations that data determine, in words, and the pixels that would decide."""

import re

import numpy as np
import pytest

from insiren.data.spectrum import image, measured
from insiren.fit.identify import identify, regions

HKL = np.stack([np.linspace(0, 1, 21), np.zeros(21), np.zeros(21)], axis=1)
OMEGA = np.linspace(10.0, 50.0, 9)
UNITS = {"J": "meV", "Jp": "meV", "D": "meV", "width": ""}


def data_set():
    return measured(image("one", HKL, OMEGA, np.ones((21, 9)), np.ones((21, 9))))


def pixel(q: int, w: int) -> int:
    return 9 * q + w


def said(names, J):
    return identify(names, UNITS, np.linalg.inv(J.T @ J), J, [data_set()])


def test_two_parameters_that_are_told_apart_need_no_words():
    J = np.random.default_rng(0).normal(size=(189, 2))
    assert said(("J", "Jp"), J) == ()


def test_the_combination_that_is_determined_is_named_with_its_error():
    J = np.zeros((189, 2))
    J[:100] = [3.0, -6.0]  # a hundred pixels that see J - 2 Jp
    J[pixel(5, 7)] = [0.5, 0.5]  # and one that sees something else
    J[pixel(20, 1)] = [0.02, 0.01]
    first, where = said(("J", "Jp"), J)
    C = np.linalg.inv(J.T @ J)
    error = np.sqrt([1, -2] @ C @ [1, -2])
    assert error == pytest.approx(1 / 30, rel=0.02)  # a hundred pixels of weight 9
    assert first.startswith(f"Only J - 2 Jp (± {error:.2g} meV) is well determined; J + 2 Jp")
    sigma = np.sqrt(np.diag(C))
    assert f"J alone {sigma[0]:.2g} meV, Jp alone {sigma[1]:.2g} meV" in first
    assert "near (0.25, 0.00, 0.00) at 45 … 45 meV" in where and "in 1.6 % of the pixels" in where  # 3 of 189


def test_of_three_parameters_the_loose_pair_is_named_and_the_third_is_not_among_it():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(189, 3))
    J[:, 1] = -J[:, 0] + 1e-3 * J[:, 1]  # J and D enter as J - D
    first, _ = said(("J", "D", "width"), J)
    strong, weak = first.split(" well determined; ")
    assert "J - D" in strong and "width" in strong and strong.endswith("are")
    assert weak.startswith("J + D") and "width" not in weak


def test_of_three_parameters_known_as_one_sum_two_combinations_are_open():
    rng = np.random.default_rng(2)
    J = np.repeat(rng.normal(size=(189, 1)), 3, axis=1) + 1e-3 * rng.normal(size=(189, 3))
    first, *where = said(("J", "Jp", "D"), J)
    strong, weak = first.split(" well determined; ")
    assert len(re.findall("±", strong)) == 1 and len(re.findall("±", weak)) == 2 and len(where) == 2


def test_parameters_without_an_error_are_passed_over():
    J = np.random.default_rng(3).normal(size=(189, 2)) @ np.array([[1.0, 1.0], [1e-3, -1e-3]])
    C = np.full((3, 3), np.nan)
    C[:2, :2] = np.linalg.inv(J.T @ J)
    lines = identify(("J", "Jp", "D"), UNITS, C, np.column_stack([J, np.zeros(189)]), [data_set()])
    assert "J + Jp" in lines[0] and "D" not in lines[0]


def test_more_weight_where_the_words_point_helps_the_loose_combination_most():
    """The pixels that hold the information along the loose direction are those that shrink its error."""
    rng = np.random.default_rng(4)
    J = rng.normal(size=(189, 1)) * [1.0, -2.0]
    J += 0.02 * rng.normal(size=(189, 2)) * np.where(np.arange(189) // 9 == 10, 5.0, 0.2)[:, None]
    _, where = said(("J", "Jp"), J)
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
