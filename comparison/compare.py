"""Energies and intensities of insiren beside pySpinW's and magnopy's; fails where they differ.

    python comparison/compare.py PEERS_PYTHON

PEERS_PYTHON is the interpreter of an environment with the peers; `make compare` makes one. They
are only run: nothing of them is in insiren. What is left out of the verdict, and shown below it,
is where a peer is known to be wrong.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
from problem import ours, write_problem
from rich.console import Console
from rich.table import Table

from insiren.errors import UnstableStructure
from insiren.forward import complete
from insiren.model.spec import Model
from insiren.simulate.stability import require_stable

HERE = Path(__file__).parent
TOLERANCE = 1e-6  # relative to the largest of the model
LEVEL = 1e-5  # relative: closer energies are one level, whose modes share their intensity as they please
IMAGINARY = 1e-3  # meV; far above rounding, far below the instability that is shown
HKL = np.random.default_rng(11).uniform(-1, 1, (60, 3))


def peer(python: str, code: str, model: Model, folder: Path) -> dict[str, np.ndarray]:
    """What a peer finds for a model."""
    problem, found = folder / "problem.npz", folder / f"{code}.npz"
    write_problem(problem, model, HKL)
    command = [python, str(HERE / f"run_{code}.py"), str(problem), str(found)]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return dict(np.load(found))


def largest(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest value; infinite where a value is missing."""
    difference = np.max(np.abs(one - other)) / np.max(np.abs(one))
    return float(difference) if np.isfinite(difference) else np.inf


def levels(E: np.ndarray, I: np.ndarray) -> np.ndarray:
    """Each mode's intensity replaced by the mean over its level; energies ascend."""
    out = np.empty_like(I)
    for q in range(len(E)):
        groups = np.split(np.arange(E.shape[1]), np.flatnonzero(np.diff(E[q]) > LEVEL * np.max(E)) + 1)
        for group in groups:
            out[q, group] = I[q, group].mean()
    return out


def agreement(python: str, folder: Path) -> tuple[Table, float]:
    table = Table("model", "spins", "pySpinW energies", "intensities", "magnopy energies")
    worst = 0.0
    for name, content in models.AGREED.items():
        model = built(name, content)
        require_stable(model, complete(model.all_parameters, {}), HKL)
        E, I = ours(model, HKL)
        spinw, magnopy = (peer(python, code, model, folder) for code in ("pyspinw", "magnopy"))
        found = (
            largest(E, spinw["energies"]),
            largest(levels(E, I), levels(E, spinw["intensities"])),
            largest(E, magnopy["energies"]),
        )
        worst = max(worst, *found)
        table.add_row(name, str(E.shape[1]), *(f"{x:.1e}" for x in found))
    return table, worst


def built(name: str, content: Callable[[], dict[str, Any]]) -> Model:
    return Model.from_dict({"name": name, **content()})


def unequal_spins(python: str, folder: Path) -> str:
    """Which of the codes has the levels of a ferrimagnet, known in closed form."""
    model = built("ferrimagnet", models.ferrimagnetic_chain)
    (SA, SB), (J, D) = (2.0, 0.5), (1.0, -0.1)
    A, B = 2 * J * SB - 2 * D * SA, 2 * J * SA - 2 * D * SB  # the cost of a magnon on each, from the field of the other
    mixed = 2 * J * np.sqrt(SA * SB) * np.cos(np.pi * HKL[:, 0])
    root = np.sqrt(((A + B) / 2) ** 2 - mixed**2)
    exact = np.sort(np.stack([root + (A - B) / 2, root - (A - B) / 2], axis=1), axis=1)
    off = [largest(exact, ours(model, HKL)[0])]
    off += [largest(exact, peer(python, code, model, folder)["energies"]) for code in ("pyspinw", "magnopy")]
    values = ", ".join(f"{code} {x:.1e}" for code, x in zip(("insiren", "pySpinW", "magnopy"), off, strict=True))
    return f"Ferrimagnetic chain, spins 2 and 1/2, off the closed form by: {values}."


def unstable(python: str, folder: Path) -> str:
    """What the codes say of a structure that is no energy minimum."""
    model = built("unstable square", models.unstable_square)
    try:
        require_stable(model, complete(model.all_parameters, {}), HKL)
        said = "accepts it"
    except UnstableStructure as error:
        said = f"refuses it ({str(error).split(':')[0]})"
    parts = [f"insiren {said}"]
    for code in ("pyspinw", "magnopy"):
        found = peer(python, code, model, folder)
        E, imaginary = found["energies"], found["imaginary"]
        parts.append(
            f"{code} returns energies from {np.nanmin(E):.2g} to {np.nanmax(E):.3g} meV and no warning, with NaN at "
            f"{np.isnan(E).any(1).sum()} Q and an imaginary part at {(np.abs(imaginary) > IMAGINARY).any(1).sum()} Q"
        )
    return f"Square antiferromagnet across its easy axis, {len(HKL)} Q: " + "; ".join(parts) + "."


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("Say which Python has the peers: python comparison/compare.py PEERS_PYTHON, or run `make compare`.")
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as name:
        table, worst = agreement(sys.argv[1], Path(name))
        console.print(f"Largest differences over {len(HKL)} wavevectors, relative to the largest value of the model")
        console.print(table)
        console.print("Where a peer is known to be wrong (not part of the verdict):", style="bold")
        console.print(unequal_spins(sys.argv[1], Path(name)))
        console.print(unstable(sys.argv[1], Path(name)))
    if worst > TOLERANCE:
        console.print(f"The largest difference is {worst:.1e}, above {TOLERANCE:.0e}.", style="bold red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
