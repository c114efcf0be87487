"""A single k in its rotating frame against the supercell that repeats after so many cells."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import insiren as ins
import systems
from insiren.forward import Points, complete
from insiren.model.cell import rotation
from insiren.model.ground import minimise_energy
from insiren.model.hamiltonian import MU_B
from insiren.model.spec import Model
from insiren.simulate.intensity import bands, magnons
from insiren.simulate.lswt import branch_wavevectors

Z = [0, 0, 1]
HKL = np.random.default_rng(3).uniform(-1, 1, (6, 3))  # none on a Goldstone point
CONE = np.radians(65.0)  # between the spins and the axis
PLACES, LENGTHS = (0.0, 0.27, 0.61), (1.0, 0.5, 1.5)  # along a, and the lengths of the spins
PHASES = (0.0, 0.4, -1.1)  # by which the spins of a cell differ, rad


def easy_axis(**more: Any) -> dict[str, Any]:
    """A square lattice whose spins alternate along a both ways, with an easy axis that the π turn leaves as it is."""
    return systems.square(
        crystal={"a": 4.0, "b": 4.0, "c": 6.0},
        bond=systems.SQUARE_BONDS[:2],
        anisotropy=[{"site": 0, "matrix": [["A", 0, 0], [0, 0, 0], [0, 0, 0]]}],
        structure={"directions": [[1, 0, 0]], "k": [0.5, 0.5, 0], "axis": Z},
        parameters={"J": systems.parameter(1.0), "A": systems.parameter(-0.1)},
        **more,
    )


def repeated(content: dict[str, Any], cells: list[int]) -> Model:
    """The same magnet in a supercell."""
    return Model.from_dict(content | {"structure": content["structure"] | {"supercell": cells}})


def test_an_easy_axis_is_seen_across_itself_only():
    """Sxx = 0, and the sums over modes are those of the supercell and of another programme."""
    hkl = np.array([[0.5, 0.2, 0], [0.1, 0.3, 0], [0.6, 0.45, 1]])
    one = Model.from_dict(easy_axis(scattering={"correlation": "perp"}))
    E, S = bands(one, hkl)
    assert E.shape == (3, 2)  # at Q, and at Q + k
    np.testing.assert_allclose(np.asarray(S)[..., 0, 0], 0, atol=1e-12)
    _, I = magnons(one, complete(one.all_parameters, {}), jnp.asarray(hkl))
    np.testing.assert_allclose(np.asarray(I).sum(1), [1.3103, 0.4315, 2.2873], atol=5e-5)


# Random magnets. In the rotating frame they are ferromagnets on a cone about the axis, the field as large as it takes.


@functools.cache
def random_magnets(sites: int, k: float, cells: int) -> tuple[Model, Model]:
    """A single k along a and its supercell, with a parameter for each number that symmetry lets differ."""
    half = (2 * k) % 1 == 0
    names: list[str] = [f"g{s}" for s in range(sites)] + ["D"] + ["A"] * half
    bonds = []
    for n, (i, j, offset) in enumerate(bonds_of(sites)):
        entries = [f"{part}{n}" for part in ("xx", "xy", "yx", "yy", "zz")]
        names += entries
        xx, xy, yx, yy, zz = entries
        if not half:  # the couplings must let the spins turn by any angle
            yx, yy = f"-{xy}", xx
        bonds.append({"i": i, "j": j, "offset": list(offset), "exchange": [[xx, xy, 0], [yx, yy, 0], [0, 0, zz]]})
    easy = np.array([["A", 0, 0], [0, 0, 0], [0, 0, "D"]] if half else [[0, 0, 0], [0, 0, 0], [0, 0, "D"]], object)
    content = {
        "crystal": {"a": 5.0, "b": 6.0, "c": 7.0},
        "site": [
            {"position": [x, x / 2, 0], "spin": S, "g": [[0, 0, 0], [0, 0, 0], [0, 0, f"g{s}"]]}
            for s, (x, S) in enumerate(spins_of(sites))
        ],
        "bond": bonds,
        "anisotropy": [{"site": 0, "matrix": easy.tolist()}],
        "field": {"B": [0, 0, 1 / MU_B]},
        "structure": {"directions": directions_of(sites, half).tolist(), "k": [k, 0, 0], "axis": Z},
        "parameters": {name: systems.parameter(0.0) for name in names},
        "instrument": systems.ISOTROPIC_LINE,
    }
    return Model.from_dict(content), repeated(content, [cells, 1, 1])


def spins_of(sites: int) -> list[tuple[float, float]]:
    return list(zip(PLACES[:sites], LENGTHS[:sites], strict=True))


def bonds_of(sites: int) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Each site with itself along a and b, with the next one in the cell, and the last with the first one cell on."""
    found = [(s, s, d) for s in range(sites) for d in ((1, 0, 0), (0, 1, 0))]
    found += [(s, s + 1, (0, 0, 0)) for s in range(sites - 1)]
    return [*found, (sites - 1, 0, (1, 1, 0))]


def directions_of(sites: int, half: bool) -> np.ndarray:
    """An easy axis holds all spins in one plane."""
    phases = np.zeros(sites) if half else np.array(PHASES[:sites])
    return np.stack([np.sin(CONE) * np.cos(phases), np.sin(CONE) * np.sin(phases), np.cos(CONE) + 0 * phases], 1)


def drawn(sites: int, k: float, seed: int) -> dict[str, float]:
    """Couplings that the cone is the ground state of.

    In the frame of its spins, so turned that all point along x but for the cone, each bond is −diag(a, b, c) with
    a ≥ b and a > c, D across the axis is hard and A along x easy; the moment of each site follows from its torque.
    """
    rng, half = np.random.default_rng(seed), (2 * k) % 1 == 0
    phases = np.zeros(sites) if half else np.array(PHASES[:sites])
    values = {"D": rng.uniform(0, 0.3)} | ({"A": -rng.uniform(0, 0.3)} if half else {})
    pull, S = np.zeros(sites), np.array(LENGTHS[:sites])
    for n, (i, j, offset) in enumerate(bonds_of(sites)):
        a = rng.uniform(0.3, 1)
        b, c = a * (rng.uniform(0.7, 1) if half else 1), a * rng.uniform(-0.5, 0.8)
        turn = [rotation(np.array(Z), x) for x in (phases[i], phases[j] + 2 * np.pi * k * offset[0])]
        J = turn[0] @ -np.diag([a, b, c]) @ turn[1].T
        values |= {f"xx{n}": J[0, 0], f"xy{n}": J[0, 1], f"yx{n}": J[1, 0], f"yy{n}": J[1, 1], f"zz{n}": J[2, 2]}
        pull[i] += S[j] * (a - c)
        pull[j] += S[i] * (a - c)
    pull[0] += 2 * S[0] * (values["D"] - values.get("A", 0.0))
    return values | {f"g{s}": pull[s] * np.cos(CONE) for s in range(sites)}


@pytest.mark.parametrize(
    ("sites", "k", "cells", "branches"), [(3, 0.5, 2, 2), (2, 0.0, 1, 1), (2, 1 / 3, 3, 3), (1, 0.25, 4, 3)]
)
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6))
def test_a_rotating_frame_shows_the_modes_of_its_supercell(sites: int, k: float, cells: int, branches: int, seed: int):
    frame, repeats = random_magnets(sites, k, cells)
    values = {name: x for name, x in drawn(sites, k, seed).items() if name in frame.parameters}
    (E, S), (E_all, S_all) = ([np.asarray(x) for x in bands(one, HKL, values)] for one in (frame, repeats))
    assert E.shape[1] == branches * sites and E_all.shape[1] == cells * sites
    size = np.max(np.abs(S_all))
    for q in np.flatnonzero(E_all.min(1) > 1e-3 * E_all.max()):
        apart = np.abs(E[q][:, None] - E_all[q])
        np.testing.assert_array_less(apart.min(1), 1e-9 * E_all.max())
        edges = _between_levels(np.concatenate([E[q], E_all[q]]), 1e-7 * E_all.max())
        for low, high in itertools.pairwise(edges):
            one, other = (s[q][(e[q] > low) & (e[q] < high)].sum(0) for e, s in ((E, S), (E_all, S_all)))
            np.testing.assert_allclose(one, other, atol=1e-9 * size)


def _between_levels(energies: np.ndarray, apart: float) -> list[float]:
    E = np.sort(energies)
    gaps = np.flatnonzero(np.diff(E) > apart)
    return [-np.inf, *((E[gaps] + E[gaps + 1]) / 2).tolist(), np.inf]


# All that is made of the modes


@pytest.mark.parametrize(
    ("scattering", "instrument"),
    [
        (
            {
                "temperature": 20.0,
                "damping": 0.2,
                "domains": [{"axis": Z, "angle": angle, "fraction": 0.5} for angle in (0, 90)],
            },
            {},
        ),
        ({"temperature": 20.0}, {"Ei": 20.0, "integrate": [{"axis": [0, 0, 1], "range": [-1.0, 1.0]}]}),
        ({"powder": True}, {}),
    ],
    ids=["warm, damped and twinned", "a range of l", "powder"],
)
def test_a_spectrum_is_that_of_the_supercell(scattering: dict[str, Any], instrument: dict[str, Any]):
    content = easy_axis(
        scattering={"correlation": "perp", **scattering}, instrument={"resolution": {"constant": 0.4}, **instrument}
    )
    omega = np.linspace(0.5, 5.0, 12)
    if "powder" in scattering:
        points = Points(Q_abs=np.full(12, 1.3), omega=omega)
    else:
        points = Points(hkl=np.repeat(HKL[:2], 12, 0), omega=np.tile(omega, 2))
    found = [np.asarray(ins.exact(one)({}, points)) for one in (Model.from_dict(content), repeated(content, [2, 2, 1]))]
    np.testing.assert_allclose(found[0], found[1], atol=1e-9 * found[1].max())


# A k that a search ended at


@pytest.mark.parametrize(
    ("exchange", "further", "k"), [(1.0, 0.0, 0.5), (-1.0, 0.0, 0.0), (-1.0, 0.25, 0.0)], ids=["½", "0", "0, quartic"]
)
def test_a_free_k_that_ends_at_a_half_or_at_zero_is_exact(exchange: float, further: float, k: float):
    content = systems.chain([1.0], exchange, []) | {
        "structure": {"directions": "minimise", "k": [0.1, 0, 0], "axis": Z},
        "anisotropy": [{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, 0.2]]}],
    }
    content["bond"].append({"i": 0, "j": 0, "offset": [2, 0, 0], "exchange": further})
    found = minimise_energy(Model.from_dict(content), free_k=True, starts=4)
    assert found.k is not None
    np.testing.assert_array_equal(found.k, [k, 0, 0])
    assert branch_wavevectors(found.model, jnp.zeros((1, 3))).shape == (1, 2 if k else 1, 3)


def test_a_k_that_was_typed_with_a_few_digits_is_the_half_that_it_stands_for():
    content = easy_axis()
    content["structure"]["k"] = [0.499999, 0.500001, 0]
    one = Model.from_dict(content)
    np.testing.assert_array_equal(branch_wavevectors(one, jnp.zeros((1, 3)))[0, 1], [0.5, 0.5, 0])
