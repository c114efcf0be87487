"""The magnetic structure: the magnetic cell with its spins, as listed or as found by minimising the energy."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from insiren.errors import UnstableStructure
from insiren.model.cell import Cell, cell_of
from insiren.model.ground import STARTS, minimise_energy
from insiren.model.spec import MINIMISE, Model


@dataclasses.dataclass(frozen=True, eq=False)
class MagneticCell(Cell):
    """A magnetic cell and its spins.

    Attributes:
        direction: unit vectors of the ordered spins, Cartesian, shape (s, 3).
    """

    direction: np.ndarray


@functools.lru_cache(maxsize=64)
def magnetic_cell(model: Model) -> MagneticCell:
    """The magnetic cell of a model with its spins.

    Where the model says `directions = "minimise"` they are those of the lowest energy at the
    model's own parameter values; they stay there when parameters move.

    Raises:
        UnstableStructure: the energy has no unique minimum; the text says what to do.
    """
    cell, given = cell_of(model), model.structure.directions
    directions = _minimised(model) if given == MINIMISE else np.array(given, float)
    spins = np.einsum("sab,sb->sa", cell.turned, directions[cell.listed])
    return MagneticCell(**vars(cell), direction=spins / np.linalg.norm(spins, axis=1, keepdims=True))


def _minimised(model: Model) -> np.ndarray:
    """The listed directions of the lowest energy at the model's own values, shape (l, 3)."""
    starts, seed = model.structure.starts, model.structure.seed
    found = minimise_energy(model, starts=STARTS if starts is None else starts, seed=seed or 0)
    if found.soft:
        ways = f"{found.soft} {'way' if found.soft == 1 else 'ways'}"
        raise UnstableStructure(
            f"structure.directions: the energy of {model.name} has no unique minimum: {ways} of turning spins "
            f"against each other would leave its {found.energy:.6g} meV per crystal cell as they are, so that the "
            "magnons would depend on chance. Add the coupling that decides, or list the directions "
            "(`insiren models FILE --minimise` prints one of the choices)."
        )
    return found.directions
