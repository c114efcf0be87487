"""Mistakes that other programs have made with lines and grids, seen on a whole spectrum.

Those that concern the Hamiltonian are in test_lswt.py: the spin of the other end in the level, the
sign of the Zeeman term, and E(Q) against E(−Q) under a DM interaction.
"""

from __future__ import annotations

import numpy as np
import pytest

import systems
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import Model
from insiren.simulate.intensity import bands

AT = np.array([[0.3, 0.0, 0.0]])
FWHM = 4.0  # meV, of systems.ISOTROPIC_LINE
PARAMS = {"J": -10.0, "D": -5.0}  # one magnon, far from zero energy


def line(step: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies of a grid and the spectrum of a single magnon on it."""
    omega = np.arange(5.0, 80.0, step)
    forward = exact(Model.from_dict(systems.fm_chain())).given({"q_fwhm": 0.0})
    return omega, np.asarray(forward(PARAMS | {"q_fwhm": 0.0}, Points.table(AT, omega)))


def test_a_line_has_the_standard_deviation_of_its_full_width():
    omega, S = line(0.01)
    weight = S / np.sum(S)
    centre = np.sum(weight * omega)
    sigma = np.sqrt(np.sum(weight * (omega - centre) ** 2))
    np.testing.assert_allclose(sigma, FWHM / (2 * np.sqrt(2 * np.log(2))), rtol=1e-6)
    half = np.max(S) / 2
    inside = omega[half < S]
    np.testing.assert_allclose(inside[-1] - inside[0], FWHM, atol=0.03)
    energy = systems.fm_chain_energy(AT[:, 0], PARAMS["J"], PARAMS["D"])[0]
    np.testing.assert_allclose(centre, energy, rtol=1e-9)


@pytest.mark.parametrize("step", [0.1, 0.25, 1.0])
def test_the_integral_over_energy_is_the_weight_on_any_grid(step: float):
    _, S = line(step)
    weight = np.trace(np.asarray(bands(Model.from_dict(systems.fm_chain()), AT, PARAMS)[1])[0, 0]).real
    np.testing.assert_allclose(step * np.sum(S), weight, rtol=1e-6)
