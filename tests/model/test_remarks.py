"""Remarks on models: each where it is true, with what to do, and none where it is not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import systems
from insiren.instrument.exact import exact
from insiren.model.remarks import how_to_relax, remarks
from insiren.model.spec import Model, bundled, load_model
from insiren.model.structure import magnetic_cell
from insiren.simulate.remarks import all_remarks
from insiren.simulate.stability import torque


def magnet(crystal: dict[str, Any], site: Any, bonds: list[Any], structure: Any, values: dict[str, float], **more: Any):
    """A model without an instrument; its parameters lie within twice their values."""
    boxes = {n: {"value": x, "min": min(0.0, 2 * x), "max": max(0.0, 2 * x)} for n, x in values.items()}
    sites = site if isinstance(site, list) else [site]
    content = {"name": "test", "crystal": crystal, "site": sites, "bond": bonds, "structure": structure}
    return Model.from_dict(content | {"parameters": boxes} | more)


def langasite() -> Model:
    """The iron sites of Ba3NbFe3Si2O14, whose fourth shell holds the two chiral paths between layers, J3 and J5."""
    bonds = [{"shell": n, "exchange": J} for n, J in ((1, "J1"), (2, "J4"), (3, "J2"), (4, "J3"))]
    crystal = {"a": 8.539, "b": 8.539, "c": 5.2414, "gamma": 120, "spacegroup": "P 3 2 1"}
    turning = {"directions": [[1, 0, 0], [-0.5, 3**0.5 / 2, 0], [-0.5, -(3**0.5) / 2, 0]], "k": [0, 0, 1 / 7]}
    values = {"J1": 0.85, "J2": 0.24, "J3": 0.053, "J4": 0.017}
    return magnet(crystal, {"position": [0.24964, 0, 0.5], "spin": 2.5}, bonds, turning | {"axis": [0, 0, 1]}, values)


def test_a_shell_of_bonds_that_no_symmetry_relates_is_named_with_its_classes():
    said = remarks(langasite())[0]
    assert said.startswith(
        "bond.3 gives one exchange to 2 kinds of bonds that no symmetry of P 3 2 1 relates, all of 6.411 Å"
    )
    assert "(3 as 0 → 1 (0, 0, 1); 3 as 0 → 1 (0, 0, -1))" in said and "i, j and offset" in said
    assert not [one for one in remarks(langasite()) if one.startswith(("bond.0", "bond.1", "bond.2"))]


def near_shells(b: float, **more: Any) -> Model:
    bonds = [{"shell": 1, "exchange": "Ja"} | more]
    crystal = {"a": 5.4, "b": b, "c": 7.7}
    return magnet(crystal, {"position": [0, 0, 0], "spin": 2}, bonds, {"directions": [[0, 0, 1]]}, {"Ja": -1.0})


def test_a_shell_that_takes_two_lengths_for_one_says_so():
    (said,) = remarks(near_shells(5.408))
    assert said.startswith("bond.0 gives one exchange to bonds of 2 lengths (1 of 5.4000 Å, 1 of 5.4080 Å)")
    assert "tolerance = 0.004" in said
    assert remarks(near_shells(5.408, tolerance=0.004)) == () and len(near_shells(5.408, tolerance=0.004).bonds) == 1
    assert remarks(near_shells(5.4)) == ()


CUBIC_AXES = [[6**-0.5, -(2**-0.5), 3**-0.5], [6**-0.5, 2**-0.5, 3**-0.5], [-(1.5**-0.5), 0, 3**-0.5]]


def honeycomb(kitaev: dict[str, Any]) -> Model:
    crystal = {"a": 5.96, "b": 5.96, "c": 5.7, "gamma": 120, "spacegroup": "P -3"}
    bond = {"i": 0, "j": 1, "offset": [0, 0, 0], "exchange": "J", "kitaev": {"K": "K", "axis": "z"} | kitaev}
    site, aligned = {"position": [1 / 3, 2 / 3, 0], "spin": 0.5}, {"directions": [[0, 0, 1]] * 2}
    return magnet(crystal, site, [bond], aligned, {"J": -0.5, "K": -5.0})


def test_kitaev_exchange_with_one_axis_on_all_bonds_is_told_that_it_needs_a_frame():
    (said,) = remarks(honeycomb({}))
    assert "(0, 0, 1) on all 3 bonds" in said and "write frame = " in said
    assert not [one for one in remarks(honeycomb({"frame": CUBIC_AXES})) if "kitaev" in one]


def single_ion(S: float, D: float) -> Model:
    content = systems.fm_chain(S)
    content["parameters"]["D"]["value"] = D
    return Model.from_dict(content)


def test_a_single_ion_term_of_a_spin_half_is_told_that_it_is_a_constant():
    (said,) = remarks(single_ion(0.5, -0.1))
    assert "acts on spins 1/2 (site 0), for which (Sᶻ)² = 1/4 is a constant" in said and "[[bond]]" in said
    assert remarks(single_ion(1.0, -0.1)) == ()


@pytest.mark.parametrize(("S", "factor"), [(1.0, 0.5), (2.0, 0.75)])
def test_an_anisotropy_above_the_exchange_is_told_its_quantum_factor(S: float, factor: float):
    (said,) = remarks(single_ion(S, -5.0))
    assert "site 0 (5 meV) exceeds the largest exchange (1 meV)" in said and f'write "{factor:g}*D"' in said
    assert remarks(single_ion(S, -5.0), {"D": -0.5}) == () and remarks(single_ion(S, -0.5)) == ()


def canted() -> Model:
    """An antiferromagnetic chain in a field across it: the spins cant by cos θ = g μ_B B / (4 J S)."""
    cosine = 2 * systems.MU_B * 10.0 / 4
    tilted = [[s * float(np.sqrt(1 - cosine**2)), 0, cosine] for s in (1, -1)]
    return Model.from_dict(
        systems.afm_chain()
        | {
            "structure": {"directions": tilted, "supercell": [2, 1, 1]},
            "field": {"B": [0, 0, "B"]},
            "parameters": {"J": systems.parameter(1.0), "B": systems.parameter(10.0, 0.0, 20.0)},
        }
    )


def test_a_structure_that_would_turn_with_its_parameters_says_that_it_stands_still():
    model = canted()
    (said,) = remarks(model)
    assert said.startswith("The spins would turn with J, B, but stay as given for the values in [parameters]")
    assert "--fix B=VALUE" in said and "`insiren models FILE --minimise --set B=VALUE`" in said
    twist, field = torque(model, {p.name: p.value for p in model.all_parameters})
    assert np.max(twist) < 1e-9 * field  # at its own values it is a minimum
    collinear = systems.afm_chain() | {"field": {"B": [0, 0, 0]}}
    assert remarks(Model.from_dict(collinear)) == ()


def test_a_refused_structure_is_told_the_command_for_these_values():
    model = canted()
    own = {p.name: p.value for p in model.all_parameters}
    assert how_to_relax(model, own).startswith("`insiren models FILE --minimise` prints the [structure]")
    said = how_to_relax(model, own | {"B": 3.0})
    assert "do not follow the parameters: `insiren models FILE --minimise --set B=3` prints" in said and "--fix" in said


def face_centred(**structure: Any) -> Model:
    """The type-II antiferromagnet in its cubic cell of four spins, of which one is enough."""
    crystal = {"a": 4.177, "b": 4.177, "c": 4.177, "spacegroup": "F m -3 m"}
    bonds = [{"shell": 1, "exchange": "J1"}, {"shell": 2, "exchange": "J2"}]
    site = {"position": [0, 0, 0], "spin": 1}
    return magnet(crystal, site, bonds, structure, {"J1": -1.37, "J2": 19.0})


TYPE_II = {"directions": [[1, 1, -2], [-1, -1, 2], [-1, -1, 2], [-1, -1, 2]], "k": [0.5, 0.5, 0.5], "axis": [1, -1, 0]}


def test_a_cell_of_several_primitive_ones_is_told_the_vectors_of_one():
    (said,) = remarks(face_centred(**TYPE_II))
    assert "holds 4 primitive cells, 4 spins where 1 would do" in said and "4 to 16 times slower" in said
    vectors = np.array(json.loads(said.partition("vectors = ")[2].partition(" in [crystal]")[0]))
    assert abs(np.linalg.det(vectors)) == pytest.approx(4.177**3 / 4, rel=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 4.177 / np.sqrt(2), rtol=1e-4)


def test_spins_that_do_not_repeat_make_a_cell_that_is_needed():
    three = copy.deepcopy(TYPE_II)
    three["directions"][3] = [1, 1, -2]
    assert not [one for one in remarks(face_centred(**three)) if "primitive" in one]


def chain_of(directions: list[list[float]]) -> Model:
    return Model.from_dict(
        systems.fm_chain() | {"structure": {"directions": directions, "supercell": [len(directions), 1, 1]}}
    )


def test_a_supercell_that_repeats_itself_is_told_the_smaller_one():
    (said,) = remarks(chain_of([[0, 0, 1]] * 6))
    assert "write supercell = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] with 1 direction." in said
    magnetic_cell(chain_of([[0, 0, 1], [0, 0, -1]] * 3))
    twice = [one for one in remarks(chain_of([[0, 0, 1], [0, 0, -1]] * 3)) if "primitive" in one]
    assert "holds 3 primitive cells, 6 spins where 2 would do" in twice[0] and "with 2 directions" in twice[0]


def test_a_temperature_above_the_magnons_is_told_both_energies():
    content = systems.fm_chain() | {"scattering": {"correlation": "trace", "temperature": 300.0}}
    model = Model.from_dict(content)
    (said,) = all_remarks(model)
    assert said.startswith("At T = 300 K, kT = 25.9 meV lies above the highest magnon, ")
    top = float(said.partition("magnon, ")[2].partition(" meV")[0])
    assert 3.9 < top <= 4.0  # −4 J S at the zone boundary
    assert all_remarks(model, {"J": -10.0}) == ()
    assert all_remarks(Model.from_dict(content | {"scattering": {"temperature": 5.0}})) == ()


def test_what_an_exact_simulator_says_of_itself_holds_the_remarks():
    assert exact(near_shells(5.408)).describe()["remarks"] == list(remarks(near_shells(5.408)))


@pytest.mark.parametrize("name", [name for name in bundled() if name != "diamond"])
def test_there_is_nothing_to_remark_on_a_bundled_model(name: str):
    assert all_remarks(load_model(name)) == ()


def test_the_diamond_lattice_in_its_cubic_cell_is_four_times_its_primitive_cell():
    (said,) = all_remarks(load_model("diamond"))
    assert "holds 4 primitive cells, 8 spins where 2 would do" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nio", "holds 4 primitive cells, 4 spins where 1 would do"),
        ("cri3", "holds 3 primitive cells, 6 spins where 2 would do"),
        (
            "fei2",
            'feels it reduced by 1 − 1/(2S) = 0.5: to use a published D, or to fit one that compares, write "0.5*D"',
        ),
        ("yb2ti2o7", "The spins would turn with J1, J2, J3, J4, gxy, gz, B, but stay as found"),
        ("half", "(Sᶻ)² = 1/4 is a constant"),
        ("kitaev-without-frame", "write frame = "),
        ("near-shells", "1 of 5.4000 Å, 1 of 5.4080 Å"),
    ],
)
def test_files_that_were_taken_without_a_word_are_remarked_on(shared: Path, name: str, says: str):
    assert sum(says in one for one in remarks(load_model(shared / "cases" / f"{name}.toml"))) == 1


def test_the_primitive_cell_leaves_nothing_to_remark_on(shared: Path):
    assert all_remarks(load_model(shared / "cases" / "nio_prim.toml")) == ()


@pytest.mark.parametrize("expression", ["1/(J + 2)", "sqrt(J + 1)", "1e308*J*J*J*J"])
def test_an_expression_without_a_value_elsewhere_hinders_no_remark(expression: str):
    content = systems.afm_chain() | {"parameters": {"J": {"value": -1.0, "min": -2.0, "max": 1.0}}}
    content["bond"][0]["exchange"] = expression
    remarks(Model.from_dict(content), {"J": -2.0})
    remarks(Model.from_dict(content))


def test_a_powder_in_a_field_is_told_that_its_grains_see_it_alike():
    square = {
        "crystal": {"a": 4.0, "b": 4.0, "c": 12.0},
        "site": [{"position": [0, 0, 0], "spin": 1.0}],
        "bond": [{"i": 0, "j": 0, "offset": offset, "exchange": -1.0} for offset in ([1, 0, 0], [0, 1, 0])],
        "structure": {"directions": [[0, 0, 1]]},
        "scattering": {"powder": True},
        "field": {"B": [0, 0, 5.0]},
    }
    (said,) = all_remarks(Model.from_dict(square))
    assert said.startswith("Every grain of this powder sees the field along the same direction")
    assert all_remarks(Model.from_dict(square | {"field": {"B": [0, 0, 0]}})) == ()
