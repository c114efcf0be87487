"""Crystals from CIF: a model that names a CIF is the model with the numbers written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import systems
from insiren.errors import ModelError
from insiren.model.spec import Model, load_model

CELL = """data_{name}
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {gamma}
"""
OPERATIONS = "loop_\n_space_group_symop_operation_xyz\n{lines}\n"
ATOMS = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{lines}
"""
RUTILE_OPERATIONS = [
    "x,y,z", "-x,-y,z", "1/2-y,x+1/2,z+1/2", "y+1/2,-x+1/2,z+1/2", "-x+1/2,y+1/2,-z+1/2", "x+1/2,-y+1/2,-z+1/2",
    "y,x,-z", "-y,-x,-z", "-x,-y,-z", "x,y,-z", "y+1/2,-x+1/2,-z+1/2", "-y+1/2,x+1/2,-z+1/2", "x+1/2,-y+1/2,z+1/2",
    "-x+1/2,y+1/2,z+1/2", "-y,-x,z", "y,x,z",
]  # fmt: skip
RUTILE_ATOMS = ["F1 F1- 0.3053(2) 0.3053(2) 0 1", "Mn1 Mn2+ 0 0 0 1.0"]


def rutile_text(symmetry: str, atoms: list[str] = RUTILE_ATOMS) -> str:
    cell = CELL.format(name="MnF2", a="4.8736(3)", b="4.8736(3)", c="3.2998(2)", gamma=90)
    return cell + symmetry + ATOMS.format(lines="\n".join(atoms))


NAMED = "_space_group_name_H-M_alt 'P 42/m n m'\n"
LISTED = OPERATIONS.format(lines="\n".join(f"'{x}'" for x in RUTILE_OPERATIONS))


def content(**site: Any) -> dict[str, Any]:
    return {
        "name": "rutile",
        "crystal": {"cif": "crystal.cif"},
        "site": [{"spin": 2.5, "atom": "Mn1"} | site],
        "bond": [{"i": 0, "j": 1, "offset": [0, 0, 0], "exchange": "J"}],
        "structure": {"directions": [[0, 0, 1], [0, 0, -1]]},
        "parameters": {"J": systems.parameter(0.3)},
        "instrument": systems.ISOTROPIC_LINE,
    }


def read(folder: Path, text: str, **more: Any) -> Model:
    (folder / "crystal.cif").write_text(text, encoding="utf-8")
    return Model.from_dict(content() | more, folder=folder)


@pytest.mark.parametrize("symmetry", [NAMED, LISTED, NAMED + LISTED])
def test_a_cif_gives_the_numbers_that_could_have_been_written(tmp_path: Path, symmetry: str):
    found = read(tmp_path, rutile_text(symmetry))
    written = content(position=[0, 0, 0], label="Mn1", ion="Mn2") | {
        "crystal": {"a": 4.8736, "b": 4.8736, "c": 3.2998, "spacegroup": "P 42/m n m"}
    }
    del written["site"][0]["atom"]
    assert found == Model.from_dict(written)
    assert len(found.sites) == 2 and len(found.bonds) == 8


def test_the_model_needs_the_cif_no_more(tmp_path: Path):
    found = read(tmp_path, rutile_text(NAMED))
    (tmp_path / "crystal.cif").unlink()
    assert Model.from_dict(found.model_dump(exclude_none=True)) == found
    assert "crystal.cif" not in found.text


def test_the_path_is_relative_to_the_model_file(tmp_path: Path, monkeypatch):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "crystal.cif").write_text(rutile_text(NAMED), encoding="utf-8")
    (folder / "mine.toml").write_text(
        """
[crystal]
cif = "crystal.cif"
[[site]]
atom = "Mn1"
spin = 2.5
ion = "Mn3"
[structure]
directions = [[0, 0, 1], [0, 0, -1]]
[instrument]
resolution = { constant = 1.0 }
""",
        encoding="utf-8",
    )
    model = load_model(folder / "mine.toml")
    assert [s.position for s in model.sites] == [(0, 0, 0), (0.5, 0.5, 0.5)] and model.sites[1].ion == "Mn3"
    monkeypatch.chdir(folder)
    assert len(Model.from_dict(content()).sites) == 2


def test_operations_in_a_setting_without_a_name_are_used_as_they_are(tmp_path: Path):
    shifted = "loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n'-x+1/4,-y,-z'\n"  # P -1 about (1/8, 0, 0)
    found = read(tmp_path, rutile_text(shifted))
    assert found.crystal.operations == ("x,y,z", "-x+1/4,-y,-z")
    np.testing.assert_allclose([s.position for s in found.sites], [[0, 0, 0], [0.25, 0, 0]])


def test_rounded_special_positions_are_made_exact(tmp_path: Path):
    text = CELL.format(name="layer", a=6, b=6, c=6, gamma=120) + "_symmetry_space_group_name_H-M 'P 6/m m m'\n"
    text += ATOMS.format(lines="Cr1 Cr3+ 0.3333 0.6667 0 1")
    found = read(tmp_path, text, site=[{"atom": "Cr1", "spin": 1.5}], bond=[])
    np.testing.assert_allclose(found.sites[0].position, [1 / 3, 2 / 3, 0], atol=1e-9)
    assert len(found.sites) == 2 and found.sites[0].label == "Cr1" and found.sites[0].ion == "Cr3"


def test_the_space_group_may_be_given_beside_a_cif_that_says_none(tmp_path: Path):
    with pytest.raises(ModelError, match=r"says nothing about symmetry\. Give crystal\.spacegroup as well"):
        read(tmp_path, rutile_text(""))
    found = read(tmp_path, rutile_text(""), crystal={"cif": "crystal.cif", "spacegroup": 136})
    assert len(found.sites) == 2


def test_the_origin_follows_from_the_operations_where_the_name_leaves_it_open(tmp_path: Path):
    cell = CELL.format(name="spinel", a=8.5, b=8.5, c=8.5, gamma=90)
    named = "_symmetry_space_group_name_H-M 'F d -3 m'\n"
    atoms = ATOMS.format(lines="Mn1 Mn2+ 0.125 0.125 0.125 1")
    with pytest.raises(ModelError, match="two origins in use"):
        read(tmp_path, cell + named + atoms)
    found = read(
        tmp_path, cell + named + atoms, crystal={"cif": "crystal.cif", "spacegroup": "F d -3 m:2"}, bond=[],
        structure={"directions": [[0, 0, 1]] * 8},
    )  # fmt: skip
    assert len(found.sites) == 8


def test_a_missing_file_is_named():
    with pytest.raises(ModelError, match=r"crystal\.cif: there is no file .*crystal\.cif\. The path is relative to"):
        Model.from_dict(content(), folder="nowhere")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("this is no CIF\n", r"crystal\.cif is not a CIF \("),
        ("", r"has no unit cell \(_cell_length_a\)"),
        ("data_x\n_chemical_name 'x'\n", r"has no unit cell"),
        (
            rutile_text("_space_group_name_H-M_alt 'P 4/n'\n" + LISTED),
            r"names the space group P 4/n, but its operations are those of P 42/m n m",
        ),
        (rutile_text(OPERATIONS.format(lines="'x,y,q'")), r"the symmetry operations of .* cannot be read"),
        (
            rutile_text(NAMED, ["F1 F 0.3 0.3 0 1", "Mn2 Mn 0 0 0 1", "Tb1 Tb 0.5 0 0 1"]),
            r"has no atom 'Mn1'\. Did you mean 'Mn2'\? Its atoms: Mn2 .*, Tb1 .*, F1 ",
        ),
        (
            rutile_text(NAMED, ["Mn1 Mn2+ 0 0 0 0.9", "Zn1 Zn2+ 0 0 0 0.1"]),
            r"Mn1 occupies only 0\.9 of its site .*give position = \[0\.0, 0\.0, 0\.0\] instead of atom",
        ),
        (rutile_text(NAMED, ["Mn1 Mn2+ 0 0 0 1", "Mn1 Mn2+ 0.5 0 0 1"]), r"has 2 atoms 'Mn1'"),
    ],
)
def test_a_cif_that_cannot_be_used_is_explained(tmp_path: Path, text: str, says: str):
    with pytest.raises(ModelError, match=says):
        read(tmp_path, text)


def test_keys_that_clash_with_a_cif_are_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"the lattice comes from the CIF; leave out a, gamma, or cif"):
        read(tmp_path, rutile_text(NAMED), crystal={"cif": "crystal.cif", "a": 4.0, "gamma": 90.0})
    with pytest.raises(ModelError, match=r"site\.0: give atom or position, not both"):
        read(tmp_path, rutile_text(NAMED), site=[{"atom": "Mn1", "position": [0, 0, 0], "spin": 1}])
    with pytest.raises(ModelError, match=r"site\.atom names an atom of a CIF; give crystal\.cif"):
        read(tmp_path, rutile_text(NAMED), crystal={"a": 4.0, "b": 4.0, "c": 4.0})


def test_an_unknown_key_of_a_site_lists_atom_among_the_known(tmp_path: Path):
    with pytest.raises(ModelError, match=r"site\.1\.atmo: unknown key; did you mean 'atom'"):
        read(tmp_path, rutile_text(NAMED), site=[{"atom": "Mn1", "spin": 1}, {"atmo": "Mn1", "spin": 1}])
