"""The wavevector at which a structure gives way first, and the structure that it leads to."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from jaxtyping import Complex, Float

from insiren.model.spec import Model
from insiren.simulate.lswt import branches, spin_waves
from insiren.simulate.zone import ZERO, zone

_CHUNK = 4096  # wavevectors at once
_DESCENTS, _HALVINGS = 8, 16
_ROUNDING = 1e-12  # of eigenvalues, relative
_CELLS = 6  # the largest supercell, along one axis, that is proposed
_ON_FRACTION = 2e-3  # r.l.u.: so near a fraction the supercell is the better proposal


def _hamiltonian(model: Model, W: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """`lswt.hamiltonian` without a compilation for every number of wavevectors."""
    X = np.tensordot(np.exp(2j * np.pi * (hkl @ spin_waves(model).offsets.T)), W, 1)
    return X + np.conj(np.swapaxes(X, 1, 2))


def unstable_at(
    model: Model, W: Complex[np.ndarray, "o m m"], hkl: Float[np.ndarray, "q 3"], unit: float
) -> Float[np.ndarray, "b 3"]:
    """Those of the wavevectors at which H(Q) has an eigenvalue below zero, or, where many have, some of them."""
    shift = ZERO * unit * np.eye(W.shape[-1])
    for start in range(0, len(hkl), _CHUNK):
        H = _hamiltonian(model, W, hkl[start : start + _CHUNK])
        try:
            np.linalg.cholesky(H + shift)
        except np.linalg.LinAlgError:
            bad = np.linalg.eigvalsh(H)[:, 0] < -ZERO * unit
            if bad.any():
                return hkl[start : start + _CHUNK][bad]
    return hkl[:0]


def softest(
    model: Model, W: Complex[np.ndarray, "o m m"], also: Float[np.ndarray, "q 3"]
) -> tuple[float, Float[np.ndarray, "3"], Complex[np.ndarray, " m"]]:
    """The least eigenvalue of H(Q) in meV, its wavevector in crystal r.l.u. and its vector.

    From the grid over the zone and some more wavevectors, by the descents of `zone.worst`.
    """
    found = zone(model)
    points = np.concatenate([also, found.points])
    low = np.linalg.eigvalsh(_hamiltonian(model, W, points))[:, 0]
    Q = points[np.argsort(low, kind="stable")[:_DESCENTS]]
    for n in range(_HALVINGS):
        tried = Q[:, None] + found.moves * 0.5**n
        values = np.linalg.eigvalsh(_hamiltonian(model, W, tried.reshape(-1, 3)))[:, 0].reshape(tried.shape[:2])
        values -= (
            1e-12 * np.abs(values) * np.all(found.moves == 0, axis=1)
        )  # a point of symmetry is not left for rounding
        Q = tried[np.arange(len(Q)), np.argmin(values, axis=1)]
    E, vectors = np.linalg.eigh(_hamiltonian(model, W, Q))
    best = int(np.argmin(E[:, 0]))
    return float(E[best, 0]), _folded(model, Q[best]), vectors[best, :, 0]


def _folded(model: Model, Q: np.ndarray) -> np.ndarray:
    """An equal wavevector, or its opposite, within half of a zone; its first component that is not 0 is positive."""
    cell = np.array(model.structure.cell, float)
    inner = np.round(cell @ Q, 9)
    inner -= np.ceil(inner - 0.5)
    leading = inner[np.abs(inner) > 1e-6]
    inner = -inner if leading.size and leading[0] < 0 else inner
    inner -= np.ceil(inner - 0.5)
    return np.linalg.inv(cell) @ inner


def ordering(model: Model, Q: Float[np.ndarray, "3"], vector: Complex[np.ndarray, " m"]) -> Float[np.ndarray, "3"]:
    """The wavevector of the crystal at which the spins turn when H(Q) gives way along a vector.

    Spins of a magnetic cell move at Q and at all that differ from it by one of its reciprocal vectors; those of a
    rotating frame at Q − k, Q and Q + k besides. The one at which most of them move is meant.
    """
    waves = spin_waves(model)
    cell, s = waves.cell, len(waves.cell.site)
    u = np.sqrt(cell.spin / 2)[:, None] * waves.frames
    moved = u.conj() * vector[:s, None] + u * vector[s:, None]  # the phase of a boson is that of its magnetic cell
    sites = np.array([site.position for site in model.sites])[cell.site]
    inverse = np.linalg.inv(model.structure.cell)
    extra = np.unique(
        np.round(np.array(list(itertools.product(range(cell.cells), repeat=3))) @ inverse.T, 9) % 1, axis=0
    )
    best, found = -1.0, Q
    for away, P in zip(*branches(cell), strict=True):
        for G in extra:
            phase = np.exp(-2j * np.pi * ((cell.position - sites) @ (Q + G)))
            parts = phase[:, None] * (moved @ P.conj().T)
            size = sum(np.sum(np.abs(parts[cell.site == n].sum(axis=0)) ** 2) for n in range(len(model.sites)))
            if size > best * (1 + 1e-6):
                best, found = float(size), Q + G - away
    found = found - np.ceil(found - 0.5 - 1e-9)
    leading = found[np.abs(found) > 1e-6]
    return -found if leading.size and leading[0] < 0 else found


def remedy(model: Model, Q: Float[np.ndarray, "3"], vector: Complex[np.ndarray, " m"]) -> str:
    """What to type to find the structure that an unstable one leads to, as a sentence."""
    k = ordering(model, Q, vector)
    row = "[" + ", ".join(f"{round(float(x), 4) + 0.0:g}" for x in k) + "]"
    minimise = "`insiren models FILE --minimise"
    if np.max(np.abs(k - np.round(k))) < _ON_FRACTION and model.structure.supercell is None:
        return f"Other directions in the same cell are lower: {minimise}` finds them; or narrow the bounds."
    near = [Fraction(float(x)).limit_denominator(_CELLS) for x in k]
    turn = f"a turning structure of k = {row}: give it in [structure] with an axis, and {minimise} --free-k`"
    if np.max(np.abs(k - np.array(near, float))) < _ON_FRACTION:
        cells = [x.denominator for x in near]
        return f"Lower is one of supercell = {cells}, with {minimise}`, or {turn} finds it; or narrow the bounds."
    return f"Lower is {turn} finds it; or narrow the bounds."
