"""Which spin of a supercell each listed direction is, and whether they were listed in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from insiren.forward import Parameters
from insiren.model.cell import Cell, cell_of
from insiren.model.energy import EnergyForm, energy_form, quadratic
from insiren.model.spec import MINIMISE, Model

_LOWER = 1e-6  # of the energy; less is rounding of the directions
_ORDERS = {"a running fastest, as SpinW and Sunny list them": (2, 1, 0), "c running fastest": (0, 1, 2)}


def spins(model: Model) -> list[dict[str, Any]]:
    """The spins of a supercell in the order of the magnetic cell, which is that of the listed directions; else none.

    Returns:
        Of each spin its number, site, crystal cell within the supercell and unit vector (None where it is sought).
    """
    if model.structure.supercell is None:
        return []
    cell, given = cell_of(model), model.structure.directions
    n = None if given == MINIMISE else np.einsum("sab,sb->sa", cell.turned, _unit(given)[cell.listed])
    return [
        {"spin": s, "site": int(site), "cell": R.tolist(), "direction": None if n is None else n[s].tolist()}
        for s, (site, R) in enumerate(zip(cell.site, _cells(model, cell), strict=True))
    ]


def other_order(model: Model, params: Parameters) -> str:
    """A sentence where the listed directions have a lower energy when read in another usual order; else nothing."""
    given = model.structure.directions
    if given == MINIMISE or model.structure.supercell is None or model.structure.k is not None:
        return ""
    cell, form, n = cell_of(model), energy_form(model, params), _unit(given)
    here, scale = _energy(form, n), float(np.sum(np.abs(form.exchange))) / cell.cells
    for name, keys in _ORDERS.items():
        R = _cells(model, cell)
        order = np.lexsort((cell.site, *(R[:, axis] for axis in reversed(keys))))
        there = np.empty_like(n)
        there[order] = n
        if (E := _energy(form, there)) < here - _LOWER * scale:
            listed = ", ".join("(" + ", ".join(map(str, x)) + ")" for x in R[cell.site == 0].tolist())
            return (
                f"structure.directions lists the sites of one crystal cell after the other, in the order {listed}, and "
                f"has {here:.6g} meV per crystal cell; read with {name}, it would have {E:.6g}. Check it in what "
                "`insiren models` lists of this model, and sort the directions as they are meant."
            )
    return ""


def _cells(model: Model, cell: Cell) -> np.ndarray:
    """The crystal cell of each magnetic site within the supercell, shape (s, 3)."""
    return np.round(cell.position - np.array([model.sites[s].position for s in cell.site])).astype(int)


def _energy(form: EnergyForm, n: np.ndarray) -> float:
    """Energy in meV per crystal cell."""
    plain = form._replace(**{name: np.asarray(getattr(form, name)) for name in ("exchange", "onsite", "field")})
    flat = n.ravel()
    return float(flat @ quadratic(plain, np.zeros(3)) @ flat / 2 - np.sum(plain.field * n)) / form.cells


def _unit(directions: Any) -> np.ndarray:
    n = np.array(directions, float)
    return n / np.linalg.norm(n, axis=1, keepdims=True)
