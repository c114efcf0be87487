"""Units of parameters: quoted as the file gives them, converted where a coupling is made."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import systems
from insiren.errors import FitError, ModelError
from insiren.fit.choice import choose
from insiren.instrument.profile import profile, thermal_energy
from insiren.model.hamiltonian import couplings
from insiren.model.spec import Model
from insiren.surrogate.store import _stated

# meV. Source: CODATA 2018: k, h and hc in eV.
IN_MEV = {
    "meV": 1.0,
    "µeV": 1e-3,
    "ueV": 1e-3,
    "K": 0.08617333,
    "THz": 4.13566770,
    "cm-1": 0.12398420,
    "1/cm": 0.1239842,
}


def chain_in(unit: str | None, **more: Any) -> dict[str, Any]:
    """The ferromagnetic chain of 1 meV with J in a unit, an anisotropy in meV and a field."""
    J = -1 / IN_MEV[unit or "meV"]
    content = systems.fm_chain() | more
    content["parameters"]["J"] = {"value": J, "min": 2 * J, "max": 0.0} | ({"unit": unit} if unit else {})
    return content


def at_home(model: Model) -> dict[str, float]:
    return {p.name: p.value for p in model.all_parameters}


@pytest.mark.parametrize("unit", [None, *IN_MEV])
def test_a_coupling_in_any_unit_of_energy_is_the_same_coupling(unit: str | None):
    model = Model.from_dict(chain_in(unit))
    found = couplings(model, at_home(model) | {"D": -0.3, "B": 2.0})
    np.testing.assert_allclose(found.exchange[0], -np.eye(3), rtol=1e-6)
    np.testing.assert_allclose(found.anisotropy[0, 2, 2], -0.3)  # in meV, whatever the unit of J
    np.testing.assert_allclose(found.zeeman[0, 2], 4 * systems.MU_B)


def test_a_kelvin_is_as_many_mev_as_boltzmann_says():
    J = dict(value=-12.0, min=-24.0, max=0.0, unit="K")
    model = Model.from_dict(systems.fm_chain() | {"parameters": chain_in(None)["parameters"] | {"J": J}})
    assert float(couplings(model, at_home(model)).exchange[0, 0, 0]) == pytest.approx(-12 * 0.0861733, rel=1e-6)
    assert {p.name: (p.value, p.min, p.unit) for p in model.all_parameters}["J"] == (-12.0, -24.0, "K")


def test_units_may_be_mixed_within_one_expression_and_numbers_are_in_mev():
    content = chain_in("K")
    content["bond"][0]["exchange"] = "J + D/2 + 0.25"
    model = Model.from_dict(content)
    exchange = couplings(model, at_home(model) | {"D": 1.0}).exchange
    np.testing.assert_allclose(exchange[0], -0.25 * np.eye(3), rtol=1e-6)


def test_the_slope_is_per_the_unit_in_which_the_parameter_is_quoted():
    model = Model.from_dict(chain_in("K"))
    home = at_home(model)
    slope = jax.grad(lambda J: couplings(model, home | {"J": J}).exchange[0, 0, 0])(home["J"])
    assert float(slope) == pytest.approx(IN_MEV["K"], rel=1e-6)


def test_kelvin_stays_kelvin_as_a_temperature_and_is_an_energy_elsewhere():
    content = chain_in("K", scattering={"correlation": "trace", "temperature": "T", "damping": "T"})
    content["parameters"]["T"] = {"value": 10.0, "min": 0.0, "max": 20.0, "unit": "K"}
    model = Model.from_dict(content)
    home = at_home(model)
    np.testing.assert_allclose(thermal_energy(model, home), 0.8617333, rtol=1e-6)
    np.testing.assert_allclose(profile(model, home, 0.0).damping, 0.8617333, rtol=1e-6)


def test_an_angle_may_be_given_in_degrees():
    content = chain_in("meV")
    content["bond"][0]["exchange"] = "J*cos(theta)"
    content["parameters"]["theta"] = {"value": 60.0, "min": 0.0, "max": 90.0, "unit": "deg"}
    model = Model.from_dict(content)
    np.testing.assert_allclose(couplings(model, at_home(model)).exchange[0, 0, 0], -0.5, rtol=1e-6)


def test_without_a_unit_a_parameter_has_that_of_its_use():
    content = chain_in(None, scattering={"temperature": "T"})
    content["parameters"] |= {"T": systems.parameter(5.0), "g": systems.parameter(2.0), "idle": systems.parameter(0.0)}
    content["parameters"]["q_fwhm"] = {"value": 0.05, "min": 0.0, "max": 0.2}
    content["site"][0]["g"] = [["g", 0, 0], [0, "g", 0], [0, 0, "g"]]
    units = {p.name: p.unit for p in Model.from_dict(content).all_parameters}
    assert units == {
        "J": "meV", "D": "meV", "B": "T", "T": "K", "g": "", "idle": "meV", "q_fwhm": "r.l.u.", "width": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "unit", "says"),
    [
        ("J", "kelvin", r"parameters\.J\.unit: the unit 'kelvin' is not known\. Write one of meV, µeV, K, THz, cm-1"),
        ("J", "mev", r"Did you mean 'meV'\?"),
        ("J", "T", r"bond\.0\.exchange is an energy, but parameters\.J has the unit 'T'; it can be \"meV\", "),
        ("B", "K", r"field\.B is a field, but parameters\.B has the unit 'K'; it can be \"T\""),
        ("width", "meV", r"parameters\.width is the factor on the energy resolution.*leave out its unit 'meV'"),
    ],
)
def test_a_unit_that_is_not_known_or_has_no_place_is_refused(name: str, unit: str, says: str):
    content = chain_in(None)
    content["parameters"][name] = content["parameters"].get(name, {"value": 1.0, "min": 0.5, "max": 2.0}) | {
        "unit": unit
    }
    with pytest.raises(ModelError, match=says):
        Model.from_dict(content)


def test_a_tie_between_energies_of_different_units_is_refused():
    parameters = Model.from_dict(chain_in("K")).all_parameters
    with pytest.raises(FitError, match=r"D is in meV and cannot be 'J/2' with J in K: .* same unit in \[parameters\]"):
        choose(parameters, ties={"D": "J/2"})


def test_the_unit_is_part_of_what_a_model_is():
    assert Model.from_dict(chain_in("K")) != Model.from_dict(chain_in("µeV"))
    one = Model.from_dict(chain_in("ueV"))
    assert Model.from_dict(one.model_dump(exclude_none=True)) == one


def test_a_width_has_no_negative_bound():
    parameters = Model.from_dict(chain_in(None)).all_parameters
    with pytest.raises(FitError, match=r"width is a width, so that its lower bound cannot be -1"):
        choose(parameters, free=["width"], bounds={"width": (-1.0, 2.0)})


def test_a_stored_model_of_an_older_version_called_every_parameter_an_energy_and_is_still_read():
    written = Model.from_dict(chain_in(None)).model_dump(mode="json")
    for table in written["parameters"].values():
        table["unit"] = "meV"
    with pytest.raises(ModelError, match=r"field\.B is a field"):
        Model.from_dict(written)
    assert Model.from_dict(_stated(written)) == Model.from_dict(chain_in(None))
