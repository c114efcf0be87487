"""Powder averages: an octant gives what all directions give."""

import dataclasses

import jax
import numpy as np
import pytest

from insiren.forward import Bins, Points
from insiren.instrument import powder
from insiren.instrument.exact import exact
from insiren.model.spec import Model, load_model

POINTS = Points.table(Q_abs=np.array([0.8, 2.1]), omega=np.arange(1.0, 8.0, 0.25), bins=Bins(omega=0.25))
CLOSE = 0.005  # of the largest intensity, as for the plan of directions


def triclinic() -> Model:
    """A ferromagnet whose two chains run along axes that are not at right angles."""
    return Model.from_dict(
        {
            "name": "triclinic",
            "crystal": {"a": 4.0, "b": 5.0, "c": 6.0, "alpha": 80.0, "beta": 85.0, "gamma": 97.0},
            "site": [{"position": [0, 0, 0], "spin": 1.0}],
            "bond": [
                {"i": 0, "j": 0, "offset": [1, 0, 0], "exchange": "J"},
                {"i": 0, "j": 0, "offset": [0, 1, 0], "exchange": "J"},
            ],
            "structure": {"directions": [[0, 0, 1]]},
            "parameters": {"J": {"value": -1.0, "min": -2.0, "max": -0.5, "unit": "meV", "free": True}},
            "instrument": {"resolution": {"constant": 0.3}},
        }
    )


@pytest.fixture(scope="module")
def plain():
    simulator = exact(load_model("mnf2")).given({"q_fwhm": 0.0})
    return dataclasses.replace(simulator, rings=16, octant=False)


@pytest.fixture(scope="module")
def values(plain):
    return {p.name: np.float64(p.value) for p in plain.parameters} | {"q_fwhm": np.float64(0.0)}


def spectrum(forward, values):
    return np.asarray(jax.jit(lambda v: forward.spectrum(v, POINTS))(values))


def test_an_octant_has_an_eighth_of_the_directions_and_all_of_the_weight():
    vectors, weight = powder.directions(16, octant=True)
    assert vectors.shape == (8, 8, 3) and np.all(vectors > 0)
    assert weight.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(np.einsum("ij,ijk->k", weight, vectors**2), 1 / 3, atol=1e-3)


def test_mirrors_are_found_where_they_are_and_not_where_they_are_not():
    assert powder.has_octant(load_model("mnf2"))
    assert not powder.has_octant(triclinic())


def test_an_octant_gives_what_all_directions_give(plain, values):
    whole = spectrum(plain, values)
    np.testing.assert_allclose(spectrum(dataclasses.replace(plain, octant=True), values), whole, rtol=1e-9)
