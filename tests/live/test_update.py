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

    return ends_of(starts, WIDTH, descent, lambda stage, part: None), made


def test_one_descent_is_made_from_starts_that_lie_close():
    found, made = ends([HERE, BESIDE, AWAY], lambda theta: True)
    assert found == made == [tuple(HERE), tuple(AWAY)]


def test_a_start_beside_one_that_led_nowhere_is_not_left_out():
    found, made = ends([HERE, BESIDE, AWAY], lambda theta: theta is not HERE)
    assert made == [tuple(HERE), tuple(BESIDE), tuple(AWAY)]
    assert found == [tuple(BESIDE), tuple(AWAY)]


def test_where_no_descent_leads_anywhere_there_is_no_end():
    found, made = ends([HERE, BESIDE], lambda theta: False)
    assert found == [] and len(made) == 2
