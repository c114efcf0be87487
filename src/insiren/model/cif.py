"""Crystals from CIF: `cif` and `atom` of a model file become lattice, operations and positions.

What is read replaces the keys, so that a model holds all that it needs and no path.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from insiren.errors import ModelError
from insiren.model.symmetry import centred, space_group, tabulated

# Atomic numbers of ions that carry moments: 3d, 4f, then 4d, 5d and 5f.
_MAGNETIC = (range(22, 30), range(58, 71), range(40, 48), range(72, 80), range(91, 97))
_OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_FULL = 0.999  # occupancy; below it a site is shared or partly empty


def resolve_cif(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The content of a model file with `crystal.cif` and `site.atom` replaced by what the CIF says.

    Args:
        content: with the keys of the model file.
        folder: where a relative path starts.

    Raises:
        ModelError: the file, its cell, its symmetry or an atom is missing; the text names the remedy.
    """
    found, crystal, sites = dict(content), content.get("crystal"), content.get("site")
    tables = [s for s in sites if isinstance(s, Mapping)] if isinstance(sites, list | tuple) else []
    if not isinstance(crystal, Mapping) or "cif" not in crystal:
        if any("atom" in table for table in tables):
            raise ModelError("site.atom names an atom of a CIF; give crystal.cif, or a position instead.")
        return found
    clash = sorted({"a", "b", "c", "alpha", "beta", "gamma", "vectors"} & set(crystal))
    if clash:
        raise ModelError(f"crystal: the lattice comes from the CIF; leave out {', '.join(clash)}, or cif.")
    path = folder / str(crystal["cif"])
    structure, operations = _read(path)
    table = {key: value for key, value in crystal.items() if key != "cif"} | _cell(structure)
    if "spacegroup" not in table and "operations" not in table:
        table |= _symmetry(path, structure, operations)
    found["crystal"] = table
    if isinstance(sites, list | tuple):
        found["site"] = [
            _site(path, structure, table, f"site.{n}", s) if isinstance(s, Mapping) and "atom" in s else s
            for n, s in enumerate(sites)
        ]
    return found


def _read(path: Path) -> tuple[gemmi.SmallStructure, list[str]]:
    """The first crystal structure of a CIF, and its symmetry operations as they are written."""
    if not path.is_file():
        raise ModelError(f"crystal.cif: there is no file {path}. The path is relative to the model file.")
    try:
        document = gemmi.cif.read(str(path))
    except (ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"crystal.cif: {path} is not a CIF ({error}). Export it again, or give a, b and c.") from None
    for block in document:
        if block.find_value("_cell_length_a") is not None:
            operations = [gemmi.cif.as_string(x) for tag in _OPERATIONS for x in block.find_values(tag)]
            return gemmi.make_small_structure_from_block(block), operations
    raise ModelError(f"crystal.cif: {path} has no unit cell (_cell_length_a). Take another file, or give a, b and c.")


def _cell(structure: gemmi.SmallStructure) -> dict[str, float]:
    cell = structure.cell
    if not cell.is_crystal():
        raise ModelError("crystal.cif: its cell lengths and angles are not those of a crystal. Give a, b and c.")
    return {name: getattr(cell, name) for name in ("a", "b", "c", "alpha", "beta", "gamma")}


def _symmetry(path: Path, structure: gemmi.SmallStructure, operations: list[str]) -> dict[str, Any]:
    """`spacegroup` or `operations`: the operations of the file, by their name if they have one."""
    named = structure.spacegroup_hm or str(structure.spacegroup_number or "")
    if not operations:
        if not named:
            raise ModelError(f"crystal.cif: {path} says nothing about symmetry. Give crystal.spacegroup as well.")
        return {"spacegroup": tabulated(named, np.array(structure.cell.orth.mat.tolist()).T).xhm()}
    try:
        group = gemmi.GroupOps([gemmi.Op(x) for x in operations])
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"crystal.cif: the symmetry operations of {path} cannot be read ({error}).") from None
    found = gemmi.find_spacegroup_by_ops(group)
    number = structure.spacegroup_number or getattr(gemmi.find_spacegroup_by_name(named or "?"), "number", 0)
    if found is not None and number and found.number != number:
        raise ModelError(
            f"crystal.cif: {path} names the space group {named}, but its operations are those of {found.hm}. Give "
            "crystal.spacegroup to say which holds."
        )
    return {"operations": tuple(operations)} if found is None else {"spacegroup": found.xhm()}


def _site(
    path: Path, structure: gemmi.SmallStructure, crystal: Mapping[str, Any], what: str, table: Mapping[str, Any]
) -> dict[str, Any]:
    """A `[[site]]` with the atom's position instead of its name, and its label and ion unless given."""
    if "position" in table:
        raise ModelError(f"{what}: give atom or position, not both.")
    atom = _atom(path, structure, what, str(table["atom"]))
    if atom.occ < _FULL:
        raise ModelError(
            f"{what}: {atom.label} occupies only {atom.occ:g} of its site in {path}, and a spin model has a spin on "
            f"every site. To take it as full, give position = {_rounded(atom)} instead of atom."
        )
    site = {key: value for key, value in table.items() if key != "atom"}
    ion = {"ion": f"{atom.element.name}{atom.charge}"} if 0 < atom.charge < 10 else {}
    return {"position": _special(structure, crystal, atom), "label": atom.label} | ion | site


def _special(structure: gemmi.SmallStructure, crystal: Mapping[str, Any], atom: Any) -> tuple[float, ...]:
    """The position of an atom; a rounded one, such as 0.3333, moved to where the symmetry has it."""
    vectors = np.array(structure.cell.orth.mat.tolist()).T
    triplets = crystal.get("operations")
    if triplets is None:
        triplets = [op.triplet() for op in tabulated(crystal["spacegroup"], vectors).operations()]
    group = space_group(str(crystal.get("spacegroup", "of the operations")), triplets, vectors)
    return tuple(round(x, 12) + 0.0 for x in centred(group, np.array(atom.fract.tolist())).tolist())


def _atom(path: Path, structure: gemmi.SmallStructure, what: str, name: str) -> Any:
    found = [site for site in structure.sites if site.label == name]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{site.label} {_rounded(site)}" for site in sorted(structure.sites, key=_rank)[:12])
    if found:
        raise ModelError(f"{what}: {path} has {len(found)} atoms {name!r} ({listed}); give a position instead of atom.")
    close = difflib.get_close_matches(name, [site.label for site in structure.sites], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ModelError(f"{what}: {path} has no atom {name!r}.{hint} Its atoms: {listed or 'none'}.")


def _rank(site: Any) -> int:
    """Where an atom stands in a list: magnetic ions first."""
    number = site.element.atomic_number
    return next((n for n, group in enumerate(_MAGNETIC) if number in group), len(_MAGNETIC))


def _rounded(site: Any) -> list[float]:
    return [round(x, 4) + 0.0 for x in site.fract.tolist()]
