"""pySpinW's compiled core on a problem: energies and perpendicular intensities.

How its convention differs: bonds are listed from both ends with the same J (½ Σ_ij); a single-ion
term is a bond of a spin with itself, twice A; the Zeeman energy is + μ_B BᵀgS, with a B that is
given twice; intensities are per spin of the magnetic cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pyspinw.rust import Coupling, MagneticField, spinwave_calculation
from serve import serve


def matrix(values: np.ndarray) -> np.ndarray:
    """As the core wants its matrices."""
    return np.array(values, dtype=complex, order="F")


def couplings(problem: Any) -> list[Coupling]:
    found = []
    bonds = zip(problem["start"], problem["end"], problem["shift"].astype(float), problem["exchange"], strict=True)
    for i, j, shift, J in bonds:
        found += [Coupling(int(i), int(j), matrix(J), shift), Coupling(int(j), int(i), matrix(J.T), -shift)]
    return found + [Coupling(s, s, matrix(2 * A), np.zeros(3)) for s, A in enumerate(problem["anisotropy"]) if A.any()]


def prepare(problem: Any) -> Callable[[], Any]:
    axes = np.stack([problem["frame"].real, problem["frame"].imag, problem["direction"]], axis=-1)
    arguments = {
        "rotations": [matrix(one) for one in axes],
        "magnitudes": problem["spin"].astype(float),
        "q_vectors": problem["hkl"],
        "couplings": couplings(problem),
        "positions": list(problem["position"]),
        "rlu_to_cart": problem["to_cartesian"],
    }
    if problem["field"].any():
        arguments["field"] = MagneticField(matrix(-2 * problem["field"]), [matrix(g) for g in problem["g"]])
    return lambda: spinwave_calculation(**arguments)


def results(problem: Any, found: Any) -> dict[str, np.ndarray]:
    energies, intensities = np.array(found[0]), np.array(found[1]).real
    count, cells = len(problem["spin"]), abs(round(np.linalg.det(problem["cell"])))
    order = np.argsort(energies.real, axis=1)[:, count:]  # the negative half is the energy gain
    return {
        "energies": np.take_along_axis(energies.real, order, 1),
        "imaginary": energies.imag,
        "intensities": np.take_along_axis(intensities, order, 1) * count / cells,
    }


if __name__ == "__main__":
    serve(prepare, results)
