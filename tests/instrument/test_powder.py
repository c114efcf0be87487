"""Powder averages: even nodes, an octant for the whole, gathered lines for single ones."""

import dataclasses

import jax
import numpy as np
import pytest

from insiren.forward import Bins, Points
from insiren.instrument import powder
from insiren.instrument.exact import exact
from insiren.model.crystal import lattice
from insiren.model.spec import Model, load_model

POINTS = Points.table(Q_abs=np.array([0.8, 2.1]), omega=np.arange(1.0, 8.0, 0.25), bins=Bins(omega=0.25))


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
    return dataclasses.replace(exact(load_model("mnf2")), orientations=256, octant=False)


@pytest.fixture(scope="module")
def values(plain):
    return {p.name: np.float64(p.value) for p in plain.parameters}


def spectrum(forward, values, points=POINTS):
    return np.asarray(jax.jit(lambda v: forward.spectrum(v, points))(values))


def one_by_one(forward, values, points):
    """The mean over the crystals that the orientations of a powder stand for, each broadened for itself."""
    nodes = powder.orientations(forward.orientations, forward.octant)
    to_hkl = np.linalg.inv(lattice(forward.model).reciprocal)
    crystal = forward.given({"q_fwhm": 0.0})
    means = []
    for number, length in enumerate(np.asarray(points.Q_abs)):
        hkl = np.asarray(nodes.at(length, points.bins.Q_abs, number)) @ to_hkl
        rows = Points.table(hkl, points.rows[number], bins=Bins(omega=points.bins.omega))
        means.append(spectrum(crystal, values | {"q_fwhm": 0.0}, rows).reshape(len(hkl), -1).mean(0))
    return np.array(means)


def test_orientations_are_even_and_those_of_an_octant_lie_within_it():
    for octant in (False, True):
        vectors = np.asarray(powder.orientations(512, octant).at(1.0, 0.0, 3))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose((vectors**2).mean(0), 1 / 3, atol=2e-3)
        assert np.all(vectors > 0) == octant


def test_nodes_fill_the_bin_in_q_and_differ_from_one_q_to_the_next():
    nodes = powder.orientations(512, True)
    first, second = (np.asarray(nodes.at(2.0, 0.1, number)) for number in (0, 1))
    lengths = np.sort(np.linalg.norm(first, axis=1))
    np.testing.assert_allclose(lengths, 1.95 + 0.1 * (np.arange(512) + 0.5) / 512, atol=1e-3)
    assert np.min(np.linalg.norm(first[:, None] - second, axis=2)) > 0


def test_mirrors_are_found_where_they_are_and_not_where_they_are_not():
    assert powder.has_octant(load_model("mnf2"))
    assert not powder.has_octant(triclinic())


def test_an_octant_gives_what_all_orientations_give(plain, values):
    whole = spectrum(dataclasses.replace(plain, orientations=2**15), values)
    octant = spectrum(dataclasses.replace(plain, orientations=2**12, octant=True), values)
    assert np.linalg.norm(octant - whole) < powder.TOLERANCE * np.linalg.norm(whole)


@pytest.mark.parametrize("scattering", [{}, {"damping": 0.5, "line": "oscillator", "temperature": 30.0}])
def test_gathered_lines_make_the_spectrum_that_they_make_one_by_one(plain, values, scattering):
    content = load_model("mnf2").model_dump(exclude_none=True)
    content["scattering"] |= scattering
    forward = dataclasses.replace(plain, model=Model.from_dict(content))
    # most of the band lies beyond these energies, and the tails of its damped lines reach in
    points = Points.table(Q_abs=np.array([0.8, 2.1]), omega=np.arange(1.0, 4.0, 0.25), bins=Bins(Q_abs=0.1, omega=0.25))
    wanted = one_by_one(forward, values, points)
    np.testing.assert_allclose(spectrum(forward, values, points).reshape(2, -1), wanted, atol=1e-5 * wanted.max())


def test_lists_and_rows_of_their_own_energies_are_seen_as_tables_are(plain, values):
    shifted = np.stack([POINTS.rows[0], POINTS.rows[0] + 0.1])
    table, uneven = spectrum(plain, values), Points.table(Q_abs=POINTS.Q_abs, omega=shifted, bins=POINTS.bins)
    assert POINTS.is_even and not uneven.is_even
    first = spectrum(plain, values, uneven).reshape(2, -1)[0]
    listed = spectrum(plain, values, POINTS.subset(np.arange(len(POINTS))))
    close = 1e-5 * table.max()  # the grids of energies differ
    np.testing.assert_allclose(first, table.reshape(2, -1)[0], atol=close)
    np.testing.assert_allclose(listed, table, atol=close)


def test_an_unstable_structure_has_no_powder_spectrum(plain, values):
    assert np.all(np.isnan(spectrum(plain, values | {"J2": np.float64(-0.3)})))
    assert powder.enough(plain, values | {"J2": np.float64(-0.3)}, POINTS, True) == powder.FIRST
