"""Every bundled model: stable, simulated, and with the energies of its closed form."""

from __future__ import annotations

import numpy as np
import pytest

import systems
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.crystal import route
from insiren.model.spec import bundled, load_model
from insiren.simulate.intensity import bands

HKL = np.random.default_rng(11).uniform(-1, 1, (8, 3))


def test_every_bundled_model_has_its_closed_form():
    assert set(bundled()) == set(systems.BUNDLED)


@pytest.mark.parametrize("name", sorted(systems.BUNDLED))
@pytest.mark.parametrize("away", [0.0, 0.1])
def test_energies_are_those_of_the_closed_form(name: str, away: float):
    model = load_model(name)
    # at the values of the file, and a tenth of the way to the lower or the upper bound by turns
    ends = [(p.min, p.max)[n % 2] for n, p in enumerate(model.all_parameters)]
    values = {p.name: p.value + away * (end - p.value) for p, end in zip(model.all_parameters, ends, strict=True)}
    params = {name: x for name, x in values.items() if name in model.parameters and name != "q_fwhm"}
    E = np.asarray(bands(model, HKL, params)[0])
    np.testing.assert_allclose(E, systems.BUNDLED[name](HKL, **params), rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_a_spectrum_along_the_models_own_route_is_finite_and_not_dark(name: str):
    model = load_model(name)
    hkl, _ = route(model, next(iter(model.paths.routes)), spacing=0.2)
    hkl = hkl + np.array([0.011, 0.017, 0.013])  # beside the points where the intensity diverges
    energies = np.linspace(0.0, model.instrument.Ei or 190.0, 15)
    S = np.asarray(exact(model)({"q_fwhm": 0.0}, Points.table(hkl, energies)))
    assert np.all(np.isfinite(S)) and np.all(S >= 0) and np.max(S) > 0


def test_the_gap_of_mnf2_is_the_published_one():
    E = np.asarray(bands(load_model("mnf2"), np.array([[1.0, 0, 0]]))[0])
    np.testing.assert_allclose(E, 1.1, atol=0.001)  # meV; Yamani et al., Can. J. Phys. 88, 771 (2010)


def test_the_gap_of_the_honeycomb_at_k_is_made_by_the_dm_interaction():
    K = np.array([[1 / 3, 1 / 3, 0]])
    for D in (0.1, 0.3):
        E = np.asarray(bands(load_model("honeycomb-dm"), K, {"D": D})[0])[0]
        np.testing.assert_allclose(E[1] - E[0], 6 * np.sqrt(3) * 1.5 * D, rtol=1e-6)


def test_luvo3_lies_near_the_measured_modes(shared):
    rows = np.loadtxt(shared / "data" / "luvo3" / "LuVO3_fitted_modes.txt", skiprows=1)
    E = np.asarray(bands(load_model("luvo3"), rows[:, :3])[0])
    measured = [(n, row[column]) for n, row in enumerate(rows) for column in (6, 9) if row[column] > 0]
    misses = np.array([np.min(np.abs(E[n] - energy)) for n, energy in measured])
    assert len(misses) == 17
    # worst where the mode is broadest, the top of the band at (0, 1.5, 3.5): 3.8 meV
    assert np.max(np.delete(misses, np.argmax(misses))) < 1.2 and np.sqrt(np.mean(misses**2)) < 1.2
