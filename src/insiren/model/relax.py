"""Descents of the classical energy over directions, and over k where it is free.

Conjugate gradients on n = x/|x| from anywhere, then Newton steps on the spheres until no spin feels a torque.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

from insiren.model.energy import EnergyForm, quadratic

SOFT = 1e-7  # of the largest coupling; less curvature counts as none
_DESCENT_SLOPE = 1e-7  # of the largest coupling; the energy is then right to its square, and Newton steps do the rest
_NEWTON_STEPS = 60  # at a quartic minimum, such as that at a saturation field, the torque falls only threefold a step
_FURTHEST = 0.3  # rad; a Newton step beyond it would leave the region that it was computed for


class Search(NamedTuple):
    """What is minimised: the energy of one magnetic cell in units of the largest coupling.

    Attributes:
        form: the couplings as a form in the listed directions.
        held: k, where it does not move.
        free: which components of k move.
        scale: the largest coupling, meV.
        fixed: K at the k held.
    """

    form: EnergyForm
    held: np.ndarray
    free: tuple[int, ...]
    scale: float
    fixed: np.ndarray

    @property
    def moving(self) -> np.ndarray:
        """True for each component of k that moves, shape (3,)."""
        return np.isin(np.arange(3), self.free)


def slope_of(search: Search, n: np.ndarray, k: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy in units of the scale, and its slopes by n, shape (l, 3), and by the free components of k, shape (3,)."""
    flat, by_k = n.ravel(), np.zeros(3)
    pull = (quadratic(search.form, k) if search.free else search.fixed) @ flat
    for c in search.free:
        by_k[c] = flat @ quadratic(search.form, k, (c,)) @ flat / 2
    h = search.form.field
    return float(flat @ pull / 2 - np.sum(h * n)), pull.reshape(-1, 3) - h, by_k


def energy_of(search: Search, n: np.ndarray, k: np.ndarray) -> float:
    """Energy in meV per crystal cell."""
    return slope_of(search, n, k)[0] * search.scale / search.form.cells


def descended(search: Search, x: np.ndarray, k: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """One descent in vectors x of any length, n = x/|x|, which need no constraint.

    Conjugate gradients, since scipy's L-BFGS-B calls a threaded LAPACK on its tiny matrices: with two
    threads on a busy machine it took seventeen times as long as with one.
    """
    size = x.size

    def fall(z: np.ndarray) -> tuple[float, np.ndarray]:
        x = z[:size].reshape(-1, 3)
        length = np.linalg.norm(x, axis=1, keepdims=True)
        E, dn, dk = slope_of(search, x / length, z[size:])
        return E, np.concatenate([(_across(dn, x / length) / length).ravel(), dk])

    options = {"maxiter": 3000, "gtol": _DESCENT_SLOPE}
    start = np.concatenate([_unit(x).ravel(), k])
    end = scipy.optimize.minimize(fall, start, jac=True, method="CG", options=options).x
    n = _unit(end[:size].reshape(-1, 3))
    return energy_of(search, n, end[size:]), n, end[size:]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _across(vectors: np.ndarray, n: np.ndarray) -> np.ndarray:
    return vectors - np.sum(vectors * n, axis=1, keepdims=True) * n


def tangents_of(n: np.ndarray) -> np.ndarray:
    """Two unit vectors across each n and each other, shape (l, 2, 3)."""
    return np.linalg.svd(n[:, None, :])[2][:, 1:]


def _local(search: Search, n: np.ndarray, k: np.ndarray, tangents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and curvature of the energy along the tangents of the spheres and the components of k.

    On a sphere the curvature of ½ nᵀK n − hᵀn is that of K less the slope along n itself.
    """
    _, dn, dk = slope_of(search, n, k)
    across, flat = scipy.linalg.block_diag(*tangents), n.ravel()
    curvature = np.zeros((2 * len(n) + 3,) * 2)
    curvature[:-3, :-3] = across @ quadratic(search.form, k) @ across.T
    curvature[:-3, :-3] -= np.diag(np.repeat(np.sum(dn * n, axis=1), 2))
    for c in search.free:
        curvature[:-3, c - 3] = curvature[c - 3, :-3] = across @ quadratic(search.form, k, (c,)) @ flat
        for d in search.free:
            curvature[c - 3, d - 3] = flat @ quadratic(search.form, k, (c, d)) @ flat / 2
    return np.concatenate([across @ dn.ravel(), dk]), curvature


def polished(search: Search, n: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps on the spheres while the slope falls.

    Each step divides by the size of the curvature, so that it never climbs, and by no less than a
    small one, so that directions which cost nothing stay where they are.
    """
    best = (np.inf, n, k)
    for _ in range(_NEWTON_STEPS):
        tangents = tangents_of(n)
        slope, curvature = _local(search, n, k, tangents)
        size = float(np.max(np.abs(slope)))
        if not size < best[0]:
            break
        best = (size, n, k)
        levels, modes = np.linalg.eigh(curvature)
        step = -modes @ ((modes.T @ slope) / np.maximum(np.abs(levels), SOFT))
        step *= min(1.0, _FURTHEST / max(float(np.max(np.abs(step))), _FURTHEST))
        n = _unit(n + np.einsum("lt,lta->la", step[:-3].reshape(-1, 2), tangents))
        k = k + search.moving * step[-3:]
    return best[1:]


def soft_directions(search: Search, n: np.ndarray, k: np.ndarray, axes: np.ndarray) -> int:
    """Ways of turning spins against each other that have no curvature.

    Args:
        search: what is minimised.
        n: directions at a minimum.
        k: wavevector there.
        axes: about which all spins may turn together, which is not counted; shape (a, 3).
    """
    _, curvature = _local(search, n, k, tangents_of(n))
    levels = np.linalg.eigvalsh(curvature[:-3, :-3])
    swung = np.cross(axes[:, None], n).reshape(len(axes), n.size)
    together = np.linalg.matrix_rank(swung, tol=1e-6) if len(axes) else 0  # collinear spins: two of three axes
    return max(0, int(np.sum(levels <= SOFT)) - int(together))
