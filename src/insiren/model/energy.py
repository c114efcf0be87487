"""The classical energy of a magnetic structure, a quadratic form in its spins."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from insiren.forward import Parameters
from insiren.model.cell import Cell, cell_of
from insiren.model.hamiltonian import couplings
from insiren.model.spec import Model


class EnergyForm(NamedTuple):
    """The couplings of one magnetic cell with the spin lengths multiplied in, as arrays of JAX or NumPy.

    Attributes:
        start, end: magnetic sites of each bond, shape (b,).
        shift: displacement of the cell of the end, in crystal cells, shape (b, 3).
        exchange: Sᵢ Sⱼ J of each bond in meV, shape (b, 3, 3).
        onsite: S² A in meV, shape (s, 3, 3).
        field: S μ_B gᵀB in meV, shape (s, 3).
        axis: unit vector about which the frame turns; any where k is zero.
        cells: crystal cells in the magnetic cell.
    """

    start: np.ndarray
    end: np.ndarray
    shift: np.ndarray
    exchange: Any
    onsite: Any
    field: Any
    axis: np.ndarray
    cells: int


def energy_form(model: Model, params: Parameters, xp: Any = jnp) -> EnergyForm:
    """The couplings of a model for every parameter by name; traceable by JAX, or at once by xp = NumPy."""
    cell, terms = cell_of(model), couplings(model, params, xp)
    start, end, which = (np.array([bond[n] for bond in cell.bonds], int) for n in (0, 1, 3))
    S = cell.spin
    return EnergyForm(
        start=start,
        end=end,
        shift=np.array([bond[2] for bond in cell.bonds], float).reshape(-1, 3),
        exchange=(S[start] * S[end])[:, None, None] * terms.exchange[which],
        onsite=(S**2)[:, None, None] * terms.anisotropy[cell.site],
        field=S[:, None] * terms.zeeman[cell.site],
        axis=np.array([0.0, 0.0, 1.0]) if cell.axis is None else cell.axis,
        cells=cell.cells,
    )


def classical_energy(
    model: Model, params: Parameters, directions: Float[ArrayLike, "s 3"], k: Float[ArrayLike, "3"] | None = None
) -> Float[Array, ""]:
    """Energy in meV per crystal cell of spins along given directions; traceable by JAX in all that varies.

    E = (1/N) [Σ_bonds Sᵢ Sⱼ nᵢᵀ J Rot(2π k·d) nⱼ + Σᵢ Sᵢ² nᵢᵀ Aᵢ nᵢ − μ_B Σᵢ Sᵢ Bᵀ gᵢ nᵢ]

    Args:
        model: the magnet, with its magnetic cell.
        params: every parameter by name.
        directions: unit vectors, one a magnetic site.
        k: how the frame turns about the axis of the structure, r.l.u.; by default as the model says.

    Source: Toth and Lake, J. Phys.: Condens. Matter 27, 166002 (2015), for the rotating frame.
    """
    form, n, own = energy_form(model, params), jnp.asarray(directions), cell_of(model).k
    wavevector = jnp.asarray(k if k is not None else own if own is not None else np.zeros(3))
    angle = 2 * jnp.pi * (form.shift @ wavevector)[:, None]
    far, x = n[form.end], _cross(form.axis)
    far = far + jnp.sin(angle) * (far @ x.T) + (1 - jnp.cos(angle)) * (far @ (x @ x).T)  # Rodrigues
    pairs = jnp.einsum("ba,bac,bc->", n[form.start], form.exchange, far)
    return (pairs + jnp.einsum("sa,sac,sc->", n, form.onsite, n) - jnp.sum(form.field * n)) / form.cells


def listed_form(form: EnergyForm, cell: Cell) -> EnergyForm:
    """The same energy as a form in the listed directions, which the magnetic sites follow by `Cell.turned`."""
    T, listed, count = cell.turned, cell.listed, cell.listed.max() + 1
    onsite, field = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(onsite, listed, np.einsum("sca,scd,sde->sae", T, form.onsite, T))
    np.add.at(field, listed, np.einsum("sca,sc->sa", T, form.field))
    return form._replace(
        start=listed[form.start],
        end=listed[form.end],
        exchange=np.einsum("bca,bcd,bde->bae", T[form.start], form.exchange, T[form.end]),
        onsite=onsite,
        field=field,
    )


def quadratic(form: EnergyForm, k: Float[np.ndarray, "3"], along: tuple[int, ...] = ()) -> Float[np.ndarray, "x x"]:
    """K of E = ½ nᵀK n − hᵀn, the energy of one magnetic cell in meV, or a derivative of K by components of k.

    Args:
        form: the couplings.
        k: how the frame turns about its axis, r.l.u.: the far end of a bond turns by 2π k·d.
        along: components of k by which to derive, none for K itself.
    """
    x = _cross(form.axis)
    angle = 2 * np.pi * (form.shift @ k)[:, None, None]
    turn = np.eye(3) + np.sin(angle) * x + (1 - np.cos(angle)) * x @ x  # Rodrigues
    for component in along:  # d Rot(φ)/dφ = (axis ×) Rot(φ)
        turn = 2 * np.pi * form.shift[:, component, None, None] * (x @ turn)
    J, s = form.exchange @ turn, len(form.field)
    K = np.zeros((s, s, 3, 3))
    np.add.at(K, (form.start, form.end), J)
    if not along:
        K[np.arange(s), np.arange(s)] += form.onsite
    K = K.swapaxes(1, 2).reshape(3 * s, 3 * s)
    return K + K.T


def _cross(axis: np.ndarray) -> np.ndarray:
    """The matrix of axis ×."""
    return np.cross(np.eye(3), axis)


def relative_torque(form: EnergyForm, directions: Float[np.ndarray, "s 3"], k: Float[np.ndarray, "3"]) -> float:
    """The largest torque on a spin over the largest local field −∂E/∂n; infinite where no spin feels a field."""
    field = form.field - (quadratic(form, k) @ directions.ravel()).reshape(-1, 3)
    size = np.max(np.linalg.norm(field, axis=1))
    return float(np.max(np.linalg.norm(np.cross(field, directions), axis=1)) / size) if size > 0 else np.inf
