"""Claim: no structure is called stable that is not (below −1e-3 of the band), and none unstable that is stable.

Forty random models of one to three sites in one to three dimensions, with several shells, Dzyaloshinskii–Moriya
interaction, anisotropy and a field. The truth is the least eigenvalue of H(Q) over a dense grid of the zone, 60
wavevectors an axis. A third are polarised by a field, a third have an anisotropy along each spin, of such a size that
they just give way, in a small pocket, or just do not; the others are structures of least energy in a small cell.
Where a refusal finds a pocket that the dense grid misses, the eigenvalue at the wavevector that it names is worked
out anew and decides.

    python studies/stability.py [MODELS [DIVISIONS]]

Prints a table and ends with status 1 where the claim fails.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import Parameters, complete
from insiren.model.hamiltonian import MU_B
from insiren.model.spec import Model
from insiren.simulate.lswt import spin_waves, weights
from insiren.simulate.stability import require_stable

MODELS, DIVISIONS = 40, 60
SURE = 1e-3  # of the band: what is further below zero must be refused
SHARES = (-0.03, -0.004, -0.0015, 1e-3, 0.003, 0.02)  # of the band: the least eigenvalue that is chosen


def drawn(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """A random crystal with couplings, in a field along its spins or with the structure of least energy in a cell."""
    sites, dimensions = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    content: dict[str, Any] = {
        "crystal": {"a": 4.0, "b": 5.0, "c": 6.0},
        "site": [{"position": rng.uniform(size=3).tolist(), "spin": float(rng.choice([1, 1.5, 2.5]))}
                 for _ in range(sites)],
        "instrument": {"resolution": {"constant": 1.0}},
        "parameters": {"B": {"value": 0.0, "min": -1e3, "max": 1e3}},
        "field": {"B": [0, 0, "B"]},
    }  # fmt: skip
    steps = np.eye(3, dtype=int)[:dimensions]
    chain = [(i, i + 1, np.zeros(3, int)) for i in range(sites - 1)]
    own = [(int(rng.integers(sites)), int(rng.integers(sites)), step) for step in steps]
    far = [(i, i, n * steps[rng.integers(dimensions)]) for i in range(sites) for n in (1, 2)]
    across = [(int(rng.integers(sites)), int(rng.integers(sites)), rng.integers(-1, 2, 3) @ np.diag(steps.sum(0)))
              for _ in range(2)]  # fmt: skip
    content["bond"] = []
    for i, j, offset in (*chain, *own, *far, *across):
        if i == j and not np.any(offset):
            continue
        D = rng.normal() * 0.4 * (rng.uniform() < 0.4)
        exchange = rng.normal() * np.eye(3) + D * np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 0]])
        content["bond"].append({"i": i, "j": j, "offset": np.asarray(offset).tolist(), "exchange": exchange.tolist()})
    content["anisotropy"] = [{"site": n, "matrix": np.diag([0, 0, rng.uniform(-0.5, 0.2)]).tolist()}
                             for n in range(sites)]  # fmt: skip
    if kind == "polarised":
        return content | {"structure": {"directions": [[0, 0, -1]] * sites}}
    cell = [int(rng.integers(1, 3)) if kind == "minimised" and n < dimensions and sites < 3 else 1 for n in range(3)]
    return content | {"structure": {"directions": "minimise", "supercell": cell, "starts": 8}}


def least(model: Model, params: Parameters, divisions: int) -> tuple[float, float]:
    """The least eigenvalue of H(Q) and the largest, the band, over an even grid of the zone, in meV."""
    waves, inverse = spin_waves(model), np.linalg.inv(model.structure.cell)
    reach = np.abs(waves.offsets @ inverse).max(0) > 1e-9
    axes = [np.arange(divisions) / divisions if moves else np.zeros(1) for moves in reach]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ inverse.T
    E = [
        eigenvalues(model, np.asarray(weights(model, params)), part)
        for part in np.array_split(hkl, -(-len(hkl) // 8192))
    ]
    return min(float(e.min()) for e in E), max(float(e.max()) for e in E)


def eigenvalues(model: Model, W: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    X = np.tensordot(np.exp(2j * np.pi * (hkl @ spin_waves(model).offsets.T)), W, 1)
    return np.linalg.eigvalsh(X + np.conj(np.swapaxes(X, 1, 2)))


def shifted(content: dict[str, Any], model: Model, by: float) -> Model:
    """The same model with every eigenvalue of H(Q) moved by so many meV, its spins as they are.

    By a field along the spins of a ferromagnet, else by an anisotropy −by/2S along the direction of each spin.
    """
    if content["structure"]["directions"] != "minimise":
        field = content["parameters"]["B"] | {"value": -by / (2 * MU_B)}  # the spins point down, and g = 2
        return Model.from_dict({**content, "name": model.name, "parameters": {"B": field}})
    n = spin_waves(model).cell.direction
    along = [
        {"site": i, "matrix": (-by / 2 / s.spin * np.outer(n[i], n[i])).tolist()} for i, s in enumerate(model.sites)
    ]
    structure = {"directions": n.tolist()}
    return Model.from_dict({**content, "name": model.name, "structure": structure,
                            "anisotropy": [*content["anisotropy"], *along]})  # fmt: skip


def models(count: int, divisions: int, seed: int = 0):
    """Random models with their parameters, their least eigenvalue over the dense grid, and the band."""
    rng, found = np.random.default_rng(seed), 0
    while found < count:
        kind = ("polarised", "tuned", "minimised")[found % 3]
        content = drawn(rng, kind)
        model = Model.from_dict({**content, "name": f"{kind}-{found}"})
        params = complete(model.all_parameters, {})
        try:
            low, band = least(model, params, divisions)
            if kind != "minimised":
                share = SHARES[found // 3 % len(SHARES)]
                by = (share * band - low) / (1 - share)
                model = shifted(content, model, by)
                params, low, band = complete(model.all_parameters, {}), low + by, band + by
            require_stable(model, params)
        except UnstableStructure as error:
            if "eigenvalue" not in str(error):  # a torque, or no unique structure: nothing to compare
                continue
        found += 1
        yield model, params, low, band


def verdict(model: Model, params: Parameters, low: float, band: float) -> tuple[str, bool]:
    """What is said of a structure, and whether that is right."""
    try:
        require_stable(model, params)
    except UnstableStructure as error:
        Q = re.search(r"at Q = \((.*?)\)", str(error))
        assert Q is not None
        named = np.array([[float(x) for x in Q.group(1).split(",")]])
        there = float(eigenvalues(model, np.asarray(weights(model, params)), named).min())
        return f"unstable, {there / band:+.2e} at ({Q.group(1)})", there < 0
    return "stable", low >= -SURE * band


def main(count: int = MODELS, divisions: int = DIVISIONS) -> int:
    wrong = 0
    print(f"{'model':<15} {'rows of H':>9} {'axes':>4} {'least/band':>11}  said")
    for model, params, low, band in models(count, divisions):
        said, right = verdict(model, params, low, band)
        wrong += not right
        waves = spin_waves(model)
        axes = int((np.abs(waves.offsets).max(0) > 0).sum())
        size = f"{2 * len(waves.cell.site):>9} {axes:>4} {low / band:>+11.2e}"
        print(f"{model.name:<15} {size}  {said}{'' if right else '  WRONG'}", flush=True)
    print(f"{wrong} of {count} are called what they are not.")
    return int(wrong > 0)


if __name__ == "__main__":
    try:
        sys.exit(main(*map(int, sys.argv[1:])))
    except ModelError as error:
        sys.exit(str(error))
