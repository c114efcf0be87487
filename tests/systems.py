"""Spin models whose spectra are known in closed form, and those closed forms.

A model is a dict with the keys of the model file. Energies are in meV, wavevectors in r.l.u.;
weights are the trace of the correlations per crystal cell, summed over all modes of one Q.

Where they come from: on one sublattice of spins in their local frames, H = Σ A b†b + ½ Σ B (b b + b†b†)
has E = √(A² − B²), and each transverse component √(S/2) (b ± b†) has the weight
(S/2) |u ± v|² = (S/2) √((A − B)/(A + B)) or its inverse, by the Bogoliubov transformation.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

MU_B = 0.057883818060  # meV/T, CODATA 2018
ISOTROPIC_LINE = {"resolution": {"constant": 4.0}}


def parameter(value: float, low: float = -100.0, high: float = 100.0) -> dict[str, Any]:
    return {"value": value, "min": low, "max": high}


def chain(spins: list[float], exchange: Any, directions: list[list[float]], **more: Any) -> dict[str, Any]:
    """Equally spaced spins along a, each coupled to the next by the same exchange."""
    count = len(spins)
    return {
        "name": "chain",
        "crystal": {"a": 3.0 * count, "b": 7.0, "c": 8.0},
        "site": [{"position": [n / count, 0, 0], "spin": S} for n, S in enumerate(spins)],
        "bond": [
            {"i": n, "j": (n + 1) % count, "offset": [int(n + 1 == count), 0, 0], "exchange": exchange}
            for n in range(count)
        ],
        "structure": {"directions": directions},
        "instrument": ISOTROPIC_LINE,
        "scattering": {"correlation": "trace"},
        **more,
    }


def fm_chain(S: float = 1.0) -> dict[str, Any]:
    """Ferromagnetic chain along z with an easy axis D (S^z)², D < 0, in a field B along z."""
    return chain(
        [S],
        "J",
        [[0, 0, 1]],
        anisotropy=[{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, "D"]]}],
        field={"B": [0, 0, "B"]},
        parameters={"J": parameter(-1.0), "D": parameter(0.0), "B": parameter(0.0)},
    )


def fm_chain_energy(h: np.ndarray, J: float, D: float = 0.0, B: float = 0.0, S: float = 1.0) -> np.ndarray:
    """E = −2JS (1 − cos 2πh) − 2SD + g μ_B B; the weight is S at every Q."""
    return -2 * J * S * (1 - np.cos(2 * np.pi * h)) - 2 * S * D + 2 * MU_B * B


def afm_chain(S: float = 1.0) -> dict[str, Any]:
    """Antiferromagnetic chain, one crystal site, the magnetic cell doubled."""
    return chain(
        [S],
        "J",
        [],
        structure={"directions": [[0, 0, 1], [0, 0, -1]], "supercell": [2, 1, 1]},
        parameters={"J": parameter(1.0)},
    )


def afm_chain_energy(h: np.ndarray, J: float, S: float = 1.0) -> np.ndarray:
    """E = 2JS |sin 2πh|, twice."""
    return 2 * J * S * np.abs(np.sin(2 * np.pi * h))


def afm_chain_weight(h: np.ndarray, S: float = 1.0) -> np.ndarray:
    """S |tan πh|: two components of (S/2) √((A − B)/(A + B)) with A = 2JS, B = A cos 2πh."""
    return S * np.abs(np.tan(np.pi * h))


def ferrimagnetic_chain(SA: float = 2.0, SB: float = 0.5) -> dict[str, Any]:
    """Alternating spins, the larger along z and the field."""
    return chain(
        [SA, SB],
        "J",
        [[0, 0, 1], [0, 0, -1]],
        field={"B": [0, 0, "B"]},
        parameters={"J": parameter(1.0), "B": parameter(0.0)},
    )


def ferrimagnetic_chain_energies(h: np.ndarray, J: float, B: float, SA: float = 2.0, SB: float = 0.5) -> np.ndarray:
    """E = J √((SA + SB)² − 4 SA SB cos² πh) ± [J (SB − SA) + g μ_B B], ascending, shape (q, 2).

    A magnon on A costs the field of its neighbours B, 2J SB, and one on B costs 2J SA: the diagonal
    takes the spin of the other end.
    """
    root = J * np.sqrt((SA + SB) ** 2 - 4 * SA * SB * np.cos(np.pi * h) ** 2)
    split = J * (SB - SA) + 2 * MU_B * B
    return np.sort(np.stack([root + split, root - split], -1), -1)


def dm_chain() -> dict[str, Any]:
    """A chain with D z·(Sᵢ × Sᵢ₊₁), polarised along z by a field of energy g μ_B B."""
    return chain(
        [1.0],
        [["J", "D", 0], ["-D", "J", 0], [0, 0, "J"]],
        [[0, 0, 1]],
        field={"B": [0, 0, "B"]},
        parameters={"J": parameter(-1.0), "D": parameter(0.5), "B": parameter(40.0)},
    )


def dm_chain_energy(h: np.ndarray, J: float, D: float, B: float) -> np.ndarray:
    """E = −2J (1 − cos 2πh) + 2D sin 2πh + g μ_B B for S = 1: another energy at −Q."""
    q = 2 * np.pi * h
    return -2 * J * (1 - np.cos(q)) + 2 * D * np.sin(q) + 2 * MU_B * B


SQUARE_BONDS = [
    {"i": 0, "j": 0, "offset": [1, 0, 0], "exchange": "J"},
    {"i": 0, "j": 0, "offset": [0, 1, 0], "exchange": "J"},
    {"i": 0, "j": 0, "offset": [1, 1, 0], "exchange": "Jp"},
    {"i": 0, "j": 0, "offset": [1, -1, 0], "exchange": "Jp"},
]
NEEL = {
    "directions": [[1, 0, 0]],
    "k": [0.5, 0.5, 0],
    "axis": [0, 0, 1],
    "supercell": [[1, 1, 0], [1, -1, 0], [0, 0, 1]],
}


def square(S: float = 1.0, **more: Any) -> dict[str, Any]:
    """Square lattice in Néel order along x; energies degenerate in pairs at every Q."""
    return {
        "name": "square",
        "crystal": {"a": 3.9, "b": 3.9, "c": 12.5},
        "site": [{"position": [0, 0, 0], "spin": S}],
        "bond": copy.deepcopy(SQUARE_BONDS),
        "structure": copy.deepcopy(NEEL),
        "parameters": {"J": parameter(29.0), "Jp": parameter(1.67)},
        "instrument": {"resolution": {"polynomial": [4.0, -0.01]}, "Ei": 190.0},
        "scattering": {"correlation": "trace"},
        **more,
    }


def square_in_field() -> dict[str, Any]:
    """The same with an easy axis along x and a field along it, which splits the pair."""
    return square(
        anisotropy=[{"site": 0, "matrix": [["D", 0, 0], [0, 0, 0], [0, 0, 0]]}],
        field={"B": ["B", 0, 0]},
        parameters={"J": parameter(29.0), "Jp": parameter(1.67), "D": parameter(-0.6), "B": parameter(0.0)},
    )


def square_biaxial() -> dict[str, Any]:
    """The same with hard terms along z and along y; their difference splits the pair."""
    return square(
        anisotropy=[{"site": 0, "matrix": [[0, 0, 0], [0, "Dy", 0], [0, 0, "Dz"]]}],
        parameters={"J": parameter(29.0), "Jp": parameter(1.67), "Dy": parameter(0.0), "Dz": parameter(0.0)},
    )


def square_levels(
    hkl: np.ndarray, J: float, Jp: float, S: float = 1.0, Dy: float = 0.0, Dz: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A and B of the square lattice as √(A² − B²) needs them, in meV."""
    x, y = 2 * np.pi * np.asarray(hkl)[..., 0], 2 * np.pi * np.asarray(hkl)[..., 1]
    A = 4 * S * (J - Jp * (1 - np.cos(x) * np.cos(y))) + S * (Dy + Dz)
    return A, 2 * S * J * (np.cos(x) + np.cos(y)) + S * (Dz - Dy)


def square_energies(hkl: np.ndarray, J: float, Jp: float, S: float = 1.0, Dy: float = 0.0, Dz: float = 0.0):
    """The two modes, ascending, shape (q, 2): one at Q and one folded back from Q + k.

    At Q the fluctuations along z have E² = (A + B)(A − B) with A + B the cost of tilting along z,
    8SJ at Γ and 2S·S Dz at M; those along y follow with Dy and Dz exchanged.
    """
    out = []
    for first, second in ((Dy, Dz), (Dz, Dy)):
        A, B = square_levels(hkl, J, Jp, S, first, second)
        out.append(np.sqrt(A**2 - B**2))
    return np.sort(np.stack(out, -1), -1)


def square_weight(hkl: np.ndarray, J: float, Jp: float, S: float = 1.0) -> np.ndarray:
    """S √((A − B)/(A + B)), one half from each transverse component; Source: module docstring."""
    A, B = square_levels(hkl, J, Jp, S)
    return S * np.sqrt((A - B) / (A + B))


def square_8_sites() -> dict[str, Any]:
    """The square lattice again, in a cell four times the magnetic one."""
    directions = [[(-1.0) ** (x + y), 0, 0] for x, y in _EIGHT]
    return square() | {"structure": {"directions": directions, "supercell": [[2, 2, 0], [2, -2, 0], [0, 0, 1]]}}


# Translations of that cell in the order in which a magnetic cell lists them: near ones first.
_EIGHT = [(0, 0), (1, 0), (1, -1), (1, 1), (2, 0), (2, -1), (2, 1), (3, 0)]


# Closed forms of the bundled models: energies in ascending order, shape (q, n), of parameters by name.


def square_stripe_energies(hkl: np.ndarray, J: float, Jp: float, S: float = 1.0) -> np.ndarray:
    """Antiparallel along a, parallel along b: A = 2S (2Jp + J cos y), B = 2S cos x (J + 2Jp cos y), twice."""
    x, y = 2 * np.pi * hkl[:, 0], 2 * np.pi * hkl[:, 1]
    A, B = 2 * S * (2 * Jp + J * np.cos(y)), 2 * S * np.cos(x) * (J + 2 * Jp * np.cos(y))
    return np.repeat(np.sqrt(A**2 - B**2)[:, None], 2, 1)


def triangular_energies(hkl: np.ndarray, J: float, S: float = 2.0) -> np.ndarray:
    """3JS √((1 − γ)(1 + 2γ)), γ the mean cosine over neighbours, at Q − k, Q and Q + k.

    Source: Jolicoeur and Le Guillou, Phys. Rev. B 40, 2727 (1989).
    """
    found = []
    for n in (-1, 0, 1):
        a, b = 2 * np.pi * (hkl[:, :2] + n / 3).T
        g = (np.cos(a) + np.cos(b) + np.cos(a + b)) / 3
        found.append(3 * J * S * np.sqrt((1 - g) * (1 + 2 * g)))
    return np.sort(np.stack(found, -1), -1)


def honeycomb_dm_energies(hkl: np.ndarray, J: float, D: float, A: float, S: float = 1.5) -> np.ndarray:
    """S (3|J| − 2A ± √(J² |f|² + 4D² g²)), J < 0: D round the hexagons is a mass of opposite sign on the sublattices.

    f sums the phases to the three neighbours, g the sines to three second ones. Source: Owerre,
    J. Phys.: Condens. Matter 28, 386001 (2016).
    """
    a, b = 2 * np.pi * hkl[:, 0], 2 * np.pi * hkl[:, 1]
    f2 = 3 + 2 * (np.cos(a) + np.cos(b) + np.cos(a + b))
    root = np.sqrt(J**2 * f2 + 4 * D**2 * (np.sin(a) + np.sin(b) - np.sin(a + b)) ** 2)
    return S * np.stack([-3 * J - 2 * A - root, -3 * J - 2 * A + root], -1)


def kagome_energies(hkl: np.ndarray, J: float, D: float, S: float = 2.5) -> np.ndarray:
    """S √(c (4c + Jμ)(4 − μ)), c = (J + √3 D)/2, over the eigenvalues μ of the matrix of neighbours.

    Out of the plane neighbours are coupled by J, in the plane (along the turned axes) by −c, and the
    local field is 4cS, so (A + B)(A − B) = S² (4c + Jμ)(4c − cμ) with
    μ = −2, 1 ± √(1 + 8 cos πh cos πk cos π(h + k)). With D = 0 the first is the flat band at zero.
    """
    h, k = np.pi * hkl[:, 0], np.pi * hkl[:, 1]
    root = np.sqrt(1 + 8 * np.cos(h) * np.cos(k) * np.cos(h + k))
    mu = np.stack([-2 + 0 * root, 1 + root, 1 - root], -1)
    c = (J + np.sqrt(3) * D) / 2
    return np.sort(S * np.sqrt(c * (4 * c + J * mu) * (4 - mu)), -1)


def diamond_energies(hkl: np.ndarray, J: float, S: float = 1.5) -> np.ndarray:
    """4JS √(1 − |γ|²), |γ|² = (ccc)² + (sss)² of half angles, folded into the cubic cell, each twice."""
    found = []
    for shift in ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]):
        half = np.pi / 2 * (hkl + np.array(shift))
        g2 = np.prod(np.cos(half), 1) ** 2 + np.prod(np.sin(half), 1) ** 2
        found += [4 * J * S * np.sqrt(1 - g2)] * 2
    return np.sort(np.stack(found, -1), -1)


def rutile_energies(hkl: np.ndarray, J1: float, J2: float, J3: float, Dz: float, S: float = 2.5) -> np.ndarray:
    """A = S [8J2 − 2J1 (1 − cos l) − 2J3 (2 − cos h − cos k) − 2Dz], B = 8S J2 ccc of half angles; twice."""
    h, k, l = 2 * np.pi * hkl.T
    A = S * (8 * J2 - 2 * J1 * (1 - np.cos(l)) - 2 * J3 * (2 - np.cos(h) - np.cos(k)) - 2 * Dz)
    B = 8 * S * J2 * np.cos(h / 2) * np.cos(k / 2) * np.cos(l / 2)
    return np.repeat(np.sqrt(A**2 - B**2)[:, None], 2, 1)


def perovskite_energies(hkl: np.ndarray, Jab: float, Jc: float, Dx: float, Dy: float, S: float = 1.0) -> np.ndarray:
    """S √((J0 + J + 2Dx)(J0 − J + 2Dy)) with both signs of J, at Q and folded back from half the zone of Pbnm.

    J0 = 4Jab + 2Jc and J = ±4Jab cos πh cos πk + 2Jc cos πl.
    """
    h, k, l = np.pi * hkl.T
    found = []
    for fold in (1, -1):
        J = fold * 4 * Jab * np.cos(h) * np.cos(k) + 2 * Jc * np.cos(l)
        J0 = 4 * Jab + 2 * Jc
        found += [S * np.sqrt((J0 + s * J + 2 * Dx) * (J0 - s * J + 2 * Dy)) for s in (1, -1)]
    return np.sort(np.stack(found, -1), -1)


BUNDLED = {
    "chain": lambda hkl, J: np.repeat(afm_chain_energy(hkl[:, 0], J, S=2.5)[:, None], 2, 1),
    "square-neel": lambda hkl, J, Jp: square_energies(hkl, J, Jp, S=0.5),
    "square-stripe": square_stripe_energies,
    "triangular": triangular_energies,
    "honeycomb-dm": honeycomb_dm_energies,
    "kagome": kagome_energies,
    "diamond": diamond_energies,
    "mnf2": rutile_energies,
    "luvo3": perovskite_energies,
    "la2nio4": lambda hkl, J, Jp: 1.09 * square_energies(hkl, J, Jp),
    "la2nio4-gap": lambda hkl, J, Jp, Dz, Dx: 1.09 * square_energies(hkl, J, Jp, Dy=Dx, Dz=Dz),
}
