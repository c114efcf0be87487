"""Descents from likely places: which are made, and what becomes of one that leads nowhere."""

import numpy as np

from insiren.live.update import ends_of

WIDTH = np.array([10.0, 1.0])
HERE, BESIDE, AWAY = np.array([5.0, 0.5]), np.array([5.1, 0.505]), np.array([8.0, 0.5])


def ends(starts, leads):
    made = []

    def descent(theta):
        made.append(tuple(theta))
        return tuple(theta) if leads(theta) else None

    found, lost = ends_of(starts, WIDTH, descent, lambda stage, part: None)
    return found, [tuple(theta) for theta in lost], made


def test_one_descent_is_made_from_starts_that_lie_close():
    found, lost, made = ends([HERE, BESIDE, AWAY], lambda theta: True)
    assert found == made == [tuple(HERE), tuple(AWAY)]
    assert lost == []


def test_a_start_beside_one_that_led_nowhere_is_not_left_out():
    found, lost, made = ends([HERE, BESIDE, AWAY], lambda theta: theta is not HERE)
    assert made == [tuple(HERE), tuple(BESIDE), tuple(AWAY)]
    assert found == [tuple(BESIDE), tuple(AWAY)]
    assert lost == []


def test_a_place_from_which_no_descent_led_anywhere_is_not_given_up_for_another():
    found, lost, _ = ends([HERE, BESIDE, AWAY], lambda theta: theta is AWAY)
    assert found == [tuple(AWAY)]
    assert lost == [tuple(HERE), tuple(BESIDE)]
