"""A model in plain numbers, as a peer in another environment can read them.

Everything is in the convention of `insiren.model.hamiltonian`: H = Σ_bonds SᵢᵀJSⱼ + Σ SᵢᵀASᵢ − μ_B Σ BᵀgSᵢ, each bond
once, meV and T. Each peer's own file says how it converts them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from insiren.forward import complete
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.hamiltonian import couplings
from insiren.model.spec import Model
from insiren.simulate.intensity import magnons
from insiren.simulate.lswt import spin_waves


def write_problem(path: Path, model: Model, hkl: np.ndarray) -> None:
    """Writes the magnetic cell of a model at its own parameters, and wavevectors in crystal r.l.u., as .npz.

    The structure must be a supercell: peers differ in what a single k means.
    """
    waves = spin_waves(model)
    cell, params = waves.cell, complete(model.all_parameters, {})
    if cell.k is not None:
        raise ValueError(f"{model.name} is a single k; give it a supercell.")
    terms = jax.tree.map(np.asarray, couplings(model, params))
    i, j, shift, which = zip(*cell.bonds, strict=True)
    values = model.field.B if model.field else (0.0, 0.0, 0.0)
    np.savez(
        path,
        hkl=hkl,
        to_cartesian=np.asarray(to_inverse_angstrom(model, jnp.eye(3))),  # rows: reciprocal vectors, 1/Å
        cell=model.structure.cell,  # rows: vectors of the magnetic cell, in crystal cells
        position=cell.position,  # of the spins, in crystal cells
        spin=cell.spin,
        frame=waves.frames,  # e₁ + i e₂ of each spin
        direction=cell.direction,
        start=i,
        end=j,
        shift=shift,  # of the magnetic cell of `end`, in crystal cells
        exchange=terms.exchange[list(which)],
        anisotropy=terms.anisotropy[cell.site],
        field=np.array([float(x) for x in values]),
        g=np.array([_tensor(model.site[s].g) for s in cell.site]),
    )


def _tensor(g: Any) -> np.ndarray:
    return np.array(g, float) if np.ndim(g) == 2 else float(g) * np.eye(3)


def ours(model: Model, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies (q, n) in meV, ascending, and intensities (q, n) per crystal cell."""
    params = complete(model.all_parameters, {})
    E, I = (np.asarray(x) for x in jax.jit(magnons, static_argnums=0)(model, params, jnp.asarray(hkl)))
    order = np.argsort(E, axis=1)
    return np.take_along_axis(E, order, 1), np.take_along_axis(I, order, 1)
