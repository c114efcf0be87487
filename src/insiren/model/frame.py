"""The rotating frame of a single-k structure, and which Hamiltonians allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from insiren.errors import ModelError
from insiren.forward import Parameters
from insiren.model.cell import Cell, rotation
from insiren.model.hamiltonian import couplings
from insiren.model.spec import Model

_ROUNDING = 1e-12  # of rotations, relative
_NOT_TURNING = (
    "structure.k: in a frame that turns by k about the axis, {what} differs from cell to cell, so a single k cannot "
    "describe {name}. Give a supercell as well, or couplings that the turn leaves as they are."
)


def turn(cell: Cell, shift: tuple[int, ...]) -> np.ndarray:
    """How the frame turns over a displacement; not at all unless it rotates."""
    if cell.k is None or cell.axis is None:
        return np.eye(3)
    return rotation(cell.axis, 2 * np.pi * float(np.dot(cell.k, shift)))


def require_turning_symmetry(model: Model, cell: Cell) -> None:
    """Refuses a rotating frame in which the Hamiltonian would differ from cell to cell.

    Tried at parameters drawn at random, so that no special value hides a coupling.

    Raises:
        ModelError: names the coupling.
    """
    if cell.k is None:
        return
    terms = jax.tree.map(np.asarray, drawn(model, couplings))
    size = max(np.max(np.abs(x), initial=0.0) for x in terms)
    for step in np.eye(3, dtype=int):
        R = turn(cell, tuple(step.tolist()))
        for key, matrices in (("bond", terms.exchange), ("anisotropy of site", terms.anisotropy)):
            bad = np.flatnonzero(np.max(np.abs(R @ matrices @ R.T - matrices), axis=(1, 2)) > _ROUNDING * size)
            if bad.size:
                number = model.bonds[bad[0]].declared if key == "bond" else bad[0]
                raise ModelError(_NOT_TURNING.format(what=f"{key} {number}", name=model.name))
        if np.max(np.abs(terms.zeeman @ R.T - terms.zeeman)) > _ROUNDING * size:
            raise ModelError(_NOT_TURNING.format(what="field", name=model.name))


def drawn(model: Model, function: Callable[[Model, Parameters], Any]) -> Any:
    """A function of a model at parameters drawn at random."""
    rng = np.random.default_rng(0)
    values = {p.name: np.asarray(rng.uniform(0.5, 1.5)) for p in model.all_parameters}
    # Compiled ahead, it runs as one function also while another is traced; piece by piece it would take seconds.
    return jax.jit(function, static_argnums=0).lower(model, values).compile()(values)
