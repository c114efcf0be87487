"""Descents from likely places: which are made, and what becomes of one that leads nowhere."""

import jax.numpy as jnp
import numpy as np
import pytest
from ridge import RIDGE, TRUTH, asked, counted, line

from insiren.errors import FitError
from insiren.forward import forward
from insiren.live.update import ends_of, searched

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


def test_a_likely_place_without_a_spectrum_is_passed_over():
    whole = forward(lambda params, points: jnp.where(params["J"] < 3, line(params, points), jnp.nan), RIDGE.parameters)
    likely = [np.array([3.3]), np.array([2.1])]
    found = searched(asked()._replace(forward=whole), [counted(5000)], 5000, lambda made: likely, None, quiet)
    assert found.fit.values["J"] == pytest.approx(TRUTH, abs=5 * found.fit.errors["J"])


def test_an_error_of_all_places_is_told():
    nowhere = forward(lambda params, points: line(params, points) * jnp.nan, RIDGE.parameters)
    with pytest.raises(FitError):
        searched(asked()._replace(forward=nowhere), [counted(5000)], 5000, lambda made: [], None, quiet)


def quiet(stage, part):
    """No word of progress."""
