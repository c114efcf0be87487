"""Models that insiren and its peers are compared on, with the keys of a model file."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from insiren.model.hamiltonian import MU_B

_COMMON = {"instrument": {"resolution": {"constant": 1.0}}, "scattering": {"correlation": "perp"}}
_HEXAGONAL = {"a": 4.0, "b": 4.0, "c": 9.0, "alpha": 90.0, "beta": 90.0, "gamma": 120.0}


def bond(i: int, j: int, offset: tuple[int, int, int], exchange: Any) -> dict[str, Any]:
    return {"i": i, "j": j, "offset": list(offset), "exchange": exchange}


def axis(site: int, D: float, n: np.ndarray | list[float]) -> dict[str, Any]:
    """D (n·S)²."""
    return {"site": site, "matrix": (D * np.outer(n, n)).tolist()}


def site(x: float, y: float, spin: float, g: Any = 2.0) -> dict[str, Any]:
    return {"position": [x, y, 0.0], "spin": spin, "g": g}


def dm(J: float, D: float) -> list[list[float]]:
    """J Sᵢ·Sⱼ + D z·(Sᵢ × Sⱼ)."""
    return [[J, D, 0.0], [-D, J, 0.0], [0.0, 0.0, J]]


def ferromagnetic_chain() -> dict[str, Any]:
    return _COMMON | {
        "crystal": {"a": 3.0, "b": 7.0, "c": 8.0},
        "site": [site(0, 0, 1.5)],
        "bond": [bond(0, 0, (1, 0, 0), -1.3)],
        "anisotropy": [axis(0, -0.2, [0, 0, 1])],
        "field": {"B": [0.0, 0.0, 3.0]},
        "structure": {"directions": [[0, 0, 1]]},
    }


def antiferromagnetic_chain() -> dict[str, Any]:
    return ferromagnetic_chain() | {
        "bond": [bond(0, 0, (1, 0, 0), 1.1)],
        "field": {"B": [0.0, 0.0, 1.0]},  # below the spin flop
        "structure": {"directions": [[0, 0, 1], [0, 0, -1]], "supercell": [2, 1, 1]},
    }


def square() -> dict[str, Any]:
    """J and J′ with a hard axis and a hard plane, Néel order."""
    return _COMMON | {
        "crystal": {"a": 3.9, "b": 3.9, "c": 12.5},
        "site": [site(0, 0, 1.0)],
        "bond": [bond(0, 0, (*d, 0), J) for d, J in (((1, 0), 29.0), ((0, 1), 29.0), ((1, 1), 1.67), ((1, -1), 1.67))],
        "anisotropy": [axis(0, 0.5, [0, 0, 1]), axis(0, 0.1, [0, 1, 0])],
        "structure": {
            "directions": [[1, 0, 0]],
            "k": [0.5, 0.5, 0],
            "axis": [0, 0, 1],
            "supercell": [[1, 1, 0], [1, -1, 0], [0, 0, 1]],
        },
    }


def kagome() -> dict[str, Any]:
    """Antiferromagnet at q = 0 with an easy axis in the plane for each spin."""
    angles = np.radians([90.0, 210.0, 330.0])
    n = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    pairs = [(0, 1, (0, 0, 0)), (0, 1, (0, -1, 0)), (0, 2, (0, 0, 0)), (0, 2, (-1, 0, 0))]
    pairs += [(1, 2, (0, 0, 0)), (1, 2, (-1, 1, 0))]
    return _COMMON | {
        "crystal": _HEXAGONAL,
        "site": [site(0, 0, 1.0), site(0, 0.5, 1.0), site(0.5, 0, 1.0)],
        "bond": [bond(i, j, d, 1.0) for i, j, d in pairs],
        "anisotropy": [axis(s, -0.3, n[s]) for s in range(3)],
        "structure": {"directions": n.tolist()},
    }


def triangular() -> dict[str, Any]:
    """120° order of planar exchange on the three sublattices of the supercell."""
    J = np.diag([1.0, 1.0, 0.8]).tolist()
    return _COMMON | {
        "crystal": _HEXAGONAL,
        "site": [site(0, 0, 0.5)],
        "bond": [bond(0, 0, d, J) for d in ((1, 0, 0), (0, 1, 0), (1, 1, 0))],
        "structure": {
            "directions": [[1, 0, 0]],
            "k": [1 / 3, 1 / 3, 0],
            "axis": [0, 0, 1],
            "supercell": [[1, -1, 0], [1, 2, 0], [0, 0, 1]],
        },
    }


def honeycomb() -> dict[str, Any]:
    """Ferromagnet with a DM interaction of second neighbours of one sense, so that E(Q) differs from E(−Q)."""
    first = [bond(0, 1, d, -2.0) for d in ((0, 0, 0), (-1, 0, 0), (0, -1, 0))]
    second = [bond(s, s, d, dm(-0.1, D)) for s, D in ((0, 0.3), (1, 0.2)) for d in ((1, 0, 0), (0, -1, 0), (-1, 1, 0))]
    return _COMMON | {
        "crystal": _HEXAGONAL,
        "site": [site(1 / 3, 1 / 3, 1.5), site(2 / 3, 2 / 3, 1.5)],
        "bond": first + second,
        "anisotropy": [axis(s, -0.4, [0, 0, 1]) for s in range(2)],
        "structure": {"directions": [[0, 0, 1], [0, 0, 1]]},
    }


def random_in_field() -> dict[str, Any]:
    """Two spins with every element of exchange, anisotropy and g, in a field in a general direction."""
    rng = np.random.default_rng(4)
    g = [(2 * np.eye(3) + 0.2 * rng.normal(size=(3, 3))).tolist() for _ in range(2)]
    pairs = [(0, 1, (0, 0, 0)), (1, 0, (1, 0, 0)), (0, 0, (0, 1, 0)), (1, 1, (0, 1, 1)), (0, 1, (1, -1, 1))]
    A = [(x + x.T) / 10 for x in rng.normal(size=(2, 3, 3))]
    return settled(
        _COMMON
        | {
            "crystal": {"a": 4.0, "b": 5.0, "c": 6.0, "alpha": 80.0, "beta": 95.0, "gamma": 105.0},
            "site": [site(0, 0, 1.0, g[0]), site(0.4, 0.3, 1.0, g[1])],
            "bond": [bond(i, j, d, (0.3 * rng.normal(size=(3, 3))).tolist()) for i, j, d in pairs],
            "anisotropy": [{"site": s, "matrix": A[s].tolist()} for s in range(2)],
            "field": {"B": [20.0, 35.0, 50.0]},
        }
    )


def settled(content: dict[str, Any]) -> dict[str, Any]:
    """A model of one cell with each spin turned along its local field; the field is strong, so that this converges."""
    B = np.array(content["field"]["B"])
    spins = np.array([s["spin"] for s in content["site"]])
    zeeman = np.array([MU_B * np.array(s["g"]).T @ B for s in content["site"]])
    n = zeeman / np.linalg.norm(zeeman, axis=1, keepdims=True)
    for _ in range(500):
        pull = zeeman.copy()
        for one in content["bond"]:
            i, j, J = one["i"], one["j"], np.array(one["exchange"])
            pull[i] -= spins[j] * J @ n[j]
            pull[j] -= spins[i] * J.T @ n[i]
        for term in content["anisotropy"]:
            s = term["site"]
            pull[s] -= 2 * spins[s] * np.array(term["matrix"]) @ n[s]
        n = pull / np.linalg.norm(pull, axis=1, keepdims=True)
    return content | {"structure": {"directions": n.tolist()}}


def ferrimagnetic_chain() -> dict[str, Any]:
    """Spins 2 and 1/2 in turn, antiparallel: the level of each takes the length of the other."""
    return _COMMON | {
        "crystal": {"a": 6.0, "b": 7.0, "c": 8.0},
        "site": [site(0, 0, 2.0), site(0.5, 0, 0.5)],
        "bond": [bond(0, 1, (0, 0, 0), 1.0), bond(1, 0, (1, 0, 0), 1.0)],
        "anisotropy": [axis(s, -0.1, [0, 0, 1]) for s in range(2)],
        "structure": {"directions": [[0, 0, 1], [0, 0, -1]]},
    }


def unstable_square() -> dict[str, Any]:
    """Antiferromagnetic square of four spins in the plane, although the easy axis stands on it."""
    places = list(itertools.product((0.0, 0.5), (0.0, 0.5)))
    pairs = [(0, 1, (0, 1, 0)), (2, 3, (0, 1, 0)), (0, 2, (1, 0, 0)), (1, 3, (1, 0, 0))]
    both = [(i, j, (0, 0, 0)) for i, j, _ in pairs] + [(j, i, d) for i, j, d in pairs]
    return _COMMON | {
        "crystal": {"a": 6.0, "b": 6.0, "c": 9.0},
        "site": [site(x, y, 1.0) for x, y in places],
        "bond": [bond(i, j, d, 0.5) for i, j, d in both],
        "anisotropy": [axis(s, -0.1, [0, 0, 1]) for s in range(4)],
        "structure": {"directions": [[1, 0, 0], [-1, 0, 0], [-1, 0, 0], [1, 0, 0]]},
    }


AGREED = {
    "ferromagnetic chain, axis, field": ferromagnetic_chain,
    "antiferromagnetic chain, axis, field": antiferromagnetic_chain,
    "square J–J′, biaxial": square,
    "kagome, q = 0, easy axes": kagome,
    "triangular, 120°, planar": triangular,
    "honeycomb ferromagnet, DM": honeycomb,
    "two spins, random 3×3, field": random_in_field,
}
