"""magnopy on a problem: energies, one wavevector at a time as its interface has it.

Its convention can be chosen: bonds once, spins not normalised, all factors 1. The Zeeman energy
then is a term linear in the spin, − μ_B gᵀB. Wavevectors are in r.l.u. of the magnetic cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import magnopy
import numpy as np
from serve import serve

MU_B = 0.057883818060  # meV/T. Source: CODATA 2018


def prepare(problem: Any) -> Callable[[], Any]:
    cell, count = problem["cell"].astype(float), len(problem["spin"])
    inverse = np.linalg.inv(cell)
    vectors = cell @ np.linalg.inv(problem["to_cartesian"] / (2 * np.pi)).T
    spins = magnopy.SpinHamiltonian(
        cell=vectors,
        atoms={
            "names": [f"A{n}" for n in range(count)],
            "positions": problem["position"] @ inverse,
            "spins": list(problem["spin"]),
            "g_factors": [2.0] * count,
        },
        convention=magnopy.Convention(multiple_counting=False, spin_normalized=False, c1=1, c21=1, c22=1),
        units="meV",
    )
    shifts = np.rint(problem["shift"] @ inverse).astype(int)
    for i, j, shift, J in zip(problem["start"], problem["end"], shifts, problem["exchange"], strict=True):
        spins.add([tuple(map(int, shift))], [int(i), int(j)], J, when_present="sum")
    for s, (A, g) in enumerate(zip(problem["anisotropy"], problem["g"], strict=True)):
        spins.add([(0, 0, 0)], [s, s], A)
        spins.add([], [s], -MU_B * g.T @ problem["field"])
    theory = magnopy.LSWT(spins, spin_directions=problem["direction"])
    wavevectors = problem["hkl"] @ cell.T
    return lambda: [theory.omega(k=Q, relative=True) for Q in wavevectors]


def results(problem: Any, found: Any) -> dict[str, np.ndarray]:
    energies = np.array(found)
    return {"energies": np.sort(energies.real, axis=1), "imaginary": energies.imag}


if __name__ == "__main__":
    serve(prepare, results)
