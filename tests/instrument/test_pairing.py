"""Bands that cross between the nodes of a Q broadening."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.forward import Points, complete
from insiren.instrument.exact import exact
from insiren.instrument.pairing import continued, together
from insiren.instrument.resolution import own_neighbours
from insiren.model.spec import Model, load_model
from insiren.simulate.lswt import blocks

OMEGA = np.arange(0.2, 5.0, 0.1)
HKL = np.array([[h, 0.0, 0.0] for h in np.linspace(0.2, 0.3, 5)])


def chains(*which: str, mixed: bool = True, **scattering: Any) -> Model:
    """Ferromagnetic chains along a: A with a wide band from a gap of 0.2 meV, B with a narrow one that it crosses.

    A coupling between them that is 0 makes them one diagonalisation all the same, as in any model with both.
    """
    place, J, D = {"A": [0, 0, 0], "B": [0.2, 0, 0.5]}, {"A": "J", "B": -0.2}, {"A": -0.1, "B": -1.0}
    number = {name: n for n, name in enumerate(which)}
    bonds = [{"i": n, "j": n, "offset": [1, 0, 0], "exchange": J[name]} for name, n in number.items()]
    if len(which) == 2 and mixed:
        bonds.append({"i": 0, "j": 1, "offset": [0, 0, 0], "exchange": "Jc"})
    content = {
        "crystal": {"a": 4.0, "b": 5.0, "c": 6.0},
        "site": [{"position": place[name], "spin": 1.0} for name in which],
        "bond": bonds,
        "anisotropy": [{"site": n, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, D[name]]]} for name, n in number.items()],
        "structure": {"directions": [[0, 0, 1]] * len(which)},
        "parameters": {
            "J": {"value": -1.0, "min": -3, "max": 0},
            "Jc": {"value": 0.0, "min": -1, "max": 1},
            "q_fwhm": {"value": 0.12, "min": 0.01, "max": 0.2},
        },
        "scattering": {"correlation": "perp"} | scattering,
        "instrument": {"resolution": {"constant": 0.15}, "q_axes": [[1, 0, 0]]},
    }
    return Model.from_dict(content)


POINTS = {
    "a grid that wavevectors share": Points.table(HKL, OMEGA),
    "nodes of their own": Points(hkl=np.repeat(HKL, 8, 0), omega=np.tile(OMEGA[::6], 5) + np.arange(40) * 1e-3),
}


def spectrum(model: Model, points: Points) -> np.ndarray:
    forward = exact(model)
    params = complete(forward.parameters, {})
    planned = forward.at(points, params)
    return np.asarray(jax.jit(lambda asked: planned.spectrum(asked, points))(params))


def crossing(E: np.ndarray) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Energies of bands (nodes, n) sorted at each node, and weights that go with the band."""
    order = np.argsort(E, axis=1)
    weight = np.broadcast_to(1.0 + np.arange(E.shape[1]), E.shape)
    return jnp.asarray(np.take_along_axis(E, order, 1)), jnp.asarray(np.take_along_axis(weight, order, 1))


@pytest.mark.parametrize("at", [0.0, 0.2, 0.5, 0.9])
def test_every_band_of_a_crossing_keeps_its_slope_and_its_weight(at: float):
    x = np.arange(-5.0, 6.0)
    bands = np.stack([x - at, -0.5 * (x - at), 0.1 * (x - at) + 2.6, 4 + 0 * x], 1)
    E, weight = crossing(bands)
    beside = zip(own_neighbours(E, 1), own_neighbours(weight, 1), strict=True)
    (up, heavier), (down, _) = continued(E, weight, beside, np.array([True, True, True, False]))
    for n, slope in enumerate([1.0, -0.5, 0.1, 0.0]):
        inner = np.asarray(weight == n + 1) & (np.abs(x) < 5)[:, None]
        np.testing.assert_allclose(np.asarray(up - E)[inner], slope, atol=1e-12)
        np.testing.assert_allclose(np.asarray(E - down)[inner], slope, atol=1e-12)
        np.testing.assert_allclose(np.asarray(heavier)[inner], n + 1)


def test_bands_that_repel_each_other_stay_as_they_are():
    x = np.linspace(-2, 2, 21)
    gap = np.sqrt(x**2 + 1.0)
    E, weight = jnp.asarray(np.stack([-gap, gap], 1)), jnp.ones((21, 2))
    beside = list(zip(own_neighbours(E, 1), own_neighbours(weight, 1), strict=True))
    for one, other in zip(continued(E, weight, beside, np.array([True, False])), beside, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize("where", list(POINTS))
def test_two_sublattices_that_do_not_know_of_each_other_look_as_they_do_alone(where: str):
    both, points = chains("A", "B"), POINTS[where]
    assert max(sum(b < 2 for b in block) for block in blocks(both)) == 2
    alone = spectrum(chains("A"), points) + spectrum(chains("B"), points)
    np.testing.assert_allclose(spectrum(both, points), alone, atol=2e-3 * alone.max())


def test_derivatives_are_those_of_finite_differences_where_bands_cross():
    forward = exact(chains("A", "B"))
    params, points = complete(forward.parameters, {}), POINTS["a grid that wavevectors share"]
    planned = forward.at(points, params)
    at = jax.jit(lambda J: planned.spectrum(params | {"J": J}, points))
    step = 1e-5
    slope = jax.jacfwd(at)(-1.0)
    np.testing.assert_allclose(slope, (at(-1.0 + step) - at(-1.0 - step)) / 2 / step, atol=1e-6 * np.abs(slope).max())


def test_models_whose_magnons_are_found_one_by_one_have_nothing_to_pair():
    assert together(load_model("la2nio4"), 2) is None
