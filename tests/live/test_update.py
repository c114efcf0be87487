"""Descents from likely places: which are made, and what becomes of one that leads nowhere."""

import jax.numpy as jnp
import numpy as np
import pytest
from ridge import PLACES, RIDGE, SIGMA, TRUTH, asked, counted, line

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.errors import FitError
from insiren.fit.optimise import fit
from insiren.fit.systematics import of_structure
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


def bent(params, points):
    """A line whose J grows along Q, of which `line` knows nothing."""
    stretched = params["J"] * (1 + 0.5 * (points.hkl[:, 0] - 0.15))[points.index]
    energy = stretched * jnp.abs(jnp.sin(2 * jnp.pi * points.hkl[:, 0]))[points.index]
    return jnp.exp(-(((points.omega - energy) / SIGMA) ** 2))


def test_the_errors_of_an_update_hold_the_structure_that_is_left():
    found = []
    for law in (line, bent):
        data = count(simulate(forward(law, RIDGE.parameters), {"J": TRUTH}, PLACES), 20_000, 1, background=0.05)
        found.append(searched(asked(), [data], 20_000, lambda made: [np.array([TRUTH])], None, quiet).fit)
    right, wrong = found
    assert right.total_errors["J"] < 2 * right.errors["J"] and wrong.total_errors["J"] > 2 * wrong.errors["J"]
    # the same misfit has the same error, however the answer was found
    fitted = fit(RIDGE, data, starts=1, background="per-energy", weights="data")
    assert of_structure(fitted)["J"] == pytest.approx(wrong.systematics.total["J"], rel=0.1)
