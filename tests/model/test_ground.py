"""Magnetic structures of lowest energy: closed forms, laws, and structures that others found."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import insiren as ins
import systems
from insiren.errors import ModelError, UnstableStructure
from insiren.forward import complete
from insiren.model.cell import cell_of
from insiren.model.energy import classical_energy, energy_form, quadratic
from insiren.model.ground import TORQUE, GroundState, minimise_energy
from insiren.model.orient import oriented
from insiren.model.relax import Search, slope_of
from insiren.model.spec import Model
from insiren.model.structure import magnetic_cell
from insiren.simulate.intensity import bands
from insiren.simulate.stability import is_stable, require_stable

CELL = {"a": 4.0, "b": 4.0, "c": 9.0}
HEXAGONAL = CELL | {"gamma": 120.0}
ANY = "minimise"
Z_AXIS = [0, 0, 1]
ROOT_3 = [[2, 1, 0], [-1, 1, 0], [0, 0, 1]]  # three cells, √3 × √3


def model(bonds: list[tuple[int, int, list[int], Any]], structure: dict[str, Any], **more: Any) -> Model:
    """A model of bonds (i, j, offset, exchange), with as many sites of spin 1 as they name."""
    count = 1 + max(max(i, j) for i, j, *_ in bonds)
    content = {
        "crystal": CELL,
        "site": [{"position": [n / count, n / count, 0], "spin": 1.0} for n in range(count)],
        "bond": [{"i": i, "j": j, "offset": d, "exchange": J} for i, j, d, J in bonds],
        "structure": {"directions": ANY, **structure},
        "instrument": systems.ISOTROPIC_LINE,
    }
    return Model.from_dict(content | more)


def single_ion(x: Any, y: Any, z: Any) -> dict[str, Any]:
    return {"anisotropy": [{"site": 0, "matrix": [[x, 0, 0], [0, y, 0], [0, 0, z]]}]}


def triangular(structure: dict[str, Any]) -> Model:
    bonds = [(0, 0, d, 2.0) for d in ([1, 0, 0], [0, 1, 0], [1, 1, 0])]
    return model(bonds, structure, crystal=HEXAGONAL)


def kagome(structure: dict[str, Any]) -> Model:
    up = [(0, 1, [0, 0, 0], 1.0), (1, 2, [0, 0, 0], 1.0), (2, 0, [0, 0, 0], 1.0)]
    down = [(1, 0, [1, 0, 0], 1.0), (2, 1, [-1, 1, 0], 1.0), (0, 2, [0, -1, 0], 1.0)]
    return model(up + down, structure, crystal=HEXAGONAL)


def j1_j2_chain(J1: float, J2: float, structure: dict[str, Any], **more: Any) -> Model:
    return model([(0, 0, [1, 0, 0], J1), (0, 0, [2, 0, 0], J2)], structure, **more)


def settled(one: Model, **options: Any) -> GroundState:
    """The ground state, after what holds for every one: no torque, and stable magnons about it."""
    found = minimise_energy(one, **options)
    assert found.torque <= TORQUE
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1, rtol=1e-14)
    require_stable(found.model, complete(one.all_parameters, {}))
    return found


def angles(n: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(n @ n.T, -1, 1)))


# Energies and angles in closed form


def test_a_ferromagnetic_chain_gains_j_a_bond():
    found = settled(j1_j2_chain(-1.5, 0.0, {}))
    assert found.energy == pytest.approx(-1.5, rel=1e-12) and found.reached == found.starts == 32
    np.testing.assert_allclose(found.directions, [[0, 0, 1]], atol=1e-12)


def test_an_antiferromagnetic_chain_alternates_with_the_lengths_of_its_spins():
    bonds = [(0, 1, [0, 0, 0], 1.0), (1, 0, [1, 0, 0], 1.0)]
    sites = [{"position": [x, 0, 0], "spin": S} for x, S in ((0, 2.0), (0.5, 0.5))]
    found = settled(model(bonds, {}, site=sites))
    assert found.energy == pytest.approx(-2 * 2.0 * 0.5, rel=1e-12)
    np.testing.assert_allclose(found.directions, [[0, 0, 1], [0, 0, -1]], atol=1e-9)


def test_the_square_lattice_finds_neel_order_in_a_supercell_and_with_k():
    """E = −2JS² + 2J_pS² a site."""
    table = systems.NEEL | {"directions": ANY}
    for structure in (table, {key: table[key] for key in ("directions", "supercell")}):
        found = settled(Model.from_dict(systems.square() | {"structure": structure}))
        assert found.energy == pytest.approx(-2 * 29.0 + 2 * 1.67, rel=1e-12)
        n = magnetic_cell(found.model).direction
        np.testing.assert_allclose(n[0], -n[1], atol=1e-9)


@pytest.mark.parametrize("supercell", [pytest.param([3, 3, 1], marks=pytest.mark.slow), ROOT_3])
def test_the_triangular_lattice_finds_120_degrees(supercell: Any):
    """Three bonds a site at cos 120° = −1/2: E = −3/2 J S²."""
    found = settled(triangular({"supercell": supercell}))
    assert found.energy == pytest.approx(-3.0, rel=1e-12) and found.soft == 0
    np.testing.assert_allclose(np.unique(np.round(angles(found.directions), 4)), [0, 120])
    np.testing.assert_allclose(found.directions[:, 2], 0, atol=1e-9)  # the plane that is agreed on


def test_a_rotating_frame_finds_the_energy_of_its_supercell():
    turning = settled(triangular({"k": [1 / 3, 1 / 3, 0], "axis": Z_AXIS}))
    assert turning.energy == pytest.approx(-3.0, rel=1e-12)
    np.testing.assert_allclose(turning.directions, [[1, 0, 0]], atol=1e-9)


def test_the_kagome_lattice_finds_its_triangles_and_no_soft_direction_in_one_cell():
    """Two triangles a cell, each −3/2 J S²."""
    found = settled(kagome({}))
    assert found.energy == pytest.approx(-3.0, rel=1e-12) and found.soft == 0
    np.testing.assert_allclose(angles(found.directions)[np.triu_indices(3, 1)], 120, atol=1e-6)


def test_kagome_triangles_in_a_larger_cell_are_free_to_turn():
    found = minimise_energy(kagome({"supercell": [2, 2, 1]}))
    assert found.energy == pytest.approx(-3.0, rel=1e-9) and found.soft > 0
    assert "one of many such structures" in " ".join(found.describe().split())


@pytest.mark.parametrize(("J1", "J2"), [(1.0, 0.6), (-1.0, 0.9)])
def test_a_frustrated_chain_finds_its_spiral(J1: float, J2: float):
    """E(k) = J₁ cos 2πk + J₂ cos 4πk is least at cos 2πk = −J₁/4J₂, where E = −J₁²/8J₂ − J₂."""
    chain = j1_j2_chain(J1, J2, {"k": [0.1, 0, 0], "axis": Z_AXIS})
    found = settled(chain, free_k=True)
    assert found.k is not None and found.model.structure.k == tuple(found.k)
    assert np.cos(2 * np.pi * found.k[0]) == pytest.approx(-J1 / (4 * J2), rel=1e-9)
    assert found.energy == pytest.approx(-(J1**2) / (8 * J2) - J2, rel=1e-12)
    assert 0 < found.k[0] < 0.5 and not found.k[1:].any()  # no bond reaches along b and c
    np.testing.assert_allclose(found.directions, [[1, 0, 0]], atol=1e-9)


def test_k_stays_where_it_was_put_unless_freed():
    chain = j1_j2_chain(1.0, 0.6, {"k": [0.1, 0, 0], "axis": Z_AXIS}, **single_ion(0, 0, 0.5))
    found = minimise_energy(chain)
    assert found.energy == pytest.approx(np.cos(0.2 * np.pi) + 0.6 * np.cos(0.4 * np.pi), rel=1e-12)
    np.testing.assert_array_equal(found.k, [0.1, 0, 0])
    assert not is_stable(found.model, complete(chain.all_parameters, {}))


def test_the_dm_interaction_decides_which_way_a_free_spiral_turns():
    """J cos 2πk + D sin 2πk with Rot about z, D along z."""
    bond = [(0, 0, [1, 0, 0], [[-1.0, 0.3, 0], [-0.3, -1.0, 0], [0, 0, -1.0]])]
    found = settled(model(bond, {"k": [0, 0, 0], "axis": Z_AXIS}), free_k=True)
    assert found.k is not None and found.k[0] == pytest.approx(np.arctan2(-0.3, 1.0) / (2 * np.pi), rel=1e-9)
    assert found.energy == pytest.approx(-np.hypot(1.0, 0.3), rel=1e-12)


def test_an_easy_plane_antiferromagnet_cants_towards_a_field_across_it():
    """s = n_z: E = 2J(2s² − 1) + D s² − g μ_B B s a site of the square lattice, S = 1."""
    J, D, B = 1.0, 0.3, 20.0
    bonds = [(0, 0, [1, 0, 0], J), (0, 0, [0, 1, 0], J)]
    more = single_ion(0, 0, D) | {"field": {"B": [0, 0, B]}}
    found = settled(model(bonds, {"supercell": [[1, 1, 0], [1, -1, 0], Z_AXIS]}, **more))
    sine = 2 * systems.MU_B * B / (8 * J + 2 * D)
    np.testing.assert_allclose(found.directions[:, 2], sine, rtol=1e-9)
    assert found.energy == pytest.approx(-2 * J - (4 * J + D) * sine**2, rel=1e-12)


@pytest.mark.parametrize("part", [0.99, 1.01])
def test_the_spins_of_an_easy_axis_antiferromagnet_flop_at_the_field_of_the_closed_form(part: float):
    """Chain, D < 0: −J + D along the field equals −J − h²/4(2J + D) across it at h = 2√(−D(2J + D))."""
    J, D = 1.0, -0.2
    flop = 2 * np.sqrt(-D * (2 * J + D)) / (2 * systems.MU_B)  # T
    more = single_ion(0, 0, D) | {"field": {"B": [0, 0, part * flop]}}
    found = settled(model([(0, 0, [1, 0, 0], J)], {"supercell": [2, 1, 1]}, **more))
    h = 2 * systems.MU_B * part * flop
    tilt = [1, -1] if part < 1 else np.full(2, h / (4 * J + 2 * D))
    np.testing.assert_allclose(found.directions[:, 2], tilt, atol=1e-9)
    assert found.energy == pytest.approx(-J + D if part < 1 else -J - h**2 / (8 * J + 4 * D), rel=1e-12)


def test_a_staggered_dm_interaction_cants_spins_by_half_the_angle_of_d_over_j():
    """J cos φ + D sin φ is least where φ differs from 180° by atan(D/J); half of it is each spin's."""
    J, D = 1.0, 0.25
    there, back = ([[J, d, 0], [-d, J, 0], [0, 0, J]] for d in (D, -D))
    found = settled(model([(0, 1, [0, 0, 0], there), (1, 0, [1, 0, 0], back)], {}))
    assert found.energy == pytest.approx(-2 * np.hypot(J, D), rel=1e-12)
    moment = np.linalg.norm(found.directions.sum(axis=0)) / 2
    assert np.degrees(np.arcsin(moment)) == pytest.approx(np.degrees(np.arctan(D / J)) / 2, rel=1e-9)
    np.testing.assert_allclose(found.directions[0], [1, 0, 0], atol=1e-9)


def test_spins_at_their_saturation_field_come_to_rest_although_the_minimum_is_quartic():
    h = 4.0  # 4JS
    field = {"field": {"B": [0, 0, h / (2 * systems.MU_B)]}}
    found = minimise_energy(model([(0, 0, [1, 0, 0], 1.0)], {"supercell": [2, 1, 1]}, **field))
    assert found.energy == pytest.approx(1.0 - h, rel=1e-9) and found.torque <= TORQUE
    np.testing.assert_allclose(found.directions[:, 2], 1, atol=1e-5)


# Laws

number = st.floats(-1, 1).map(lambda x: round(x, 3))
matrix = st.lists(st.lists(number, min_size=3, max_size=3), min_size=3, max_size=3)


@st.composite
def magnets(draw: st.DrawFn) -> Model:
    """Three sites in a ring: any exchange about an antiferromagnetic one, any single-ion term, any g and field."""
    bonds = [(n, (n + 1) % 3, [int(n == 2), 0, 0], (np.eye(3) + draw(matrix)).tolist()) for n in range(3)]
    A = np.array(draw(matrix))
    more = {
        "anisotropy": [{"site": 0, "matrix": (A + A.T).tolist()}],
        "field": {"B": [5.0, *draw(st.lists(number, min_size=2, max_size=2))]},
        "site": [{"position": [n / 3, 0, 0], "spin": 0.5 * (n + 1), "g": draw(matrix)} for n in range(3)],
    }
    return model(bonds, {}, **more)


@settings(max_examples=12)
@given(magnets(), st.integers(0, 2**31))
def test_no_random_structure_lies_below_the_minimum(magnet: Model, seed: int):
    found = minimise_energy(magnet, starts=8)
    form = energy_form(magnet, {})
    n = np.random.default_rng(seed).standard_normal((500, 3, 3))
    n = np.concatenate([n, found.directions + 0.1 * n])
    n /= np.linalg.norm(n, axis=2, keepdims=True)
    flat, K = n.reshape(-1, 9), quadratic(form, np.zeros(3))
    energies = np.einsum("rx,xy,ry->r", flat, K, flat) / 2 - flat @ np.ravel(form.field)
    assert np.min(energies) >= found.energy - 1e-9
    assert found.torque <= TORQUE


def spiral() -> tuple[Model, np.ndarray, np.ndarray]:
    """Two sites, unequal spins, DM along the axis, in a frame at a k of no symmetry; directions; k."""
    dm = [["J", "D", 0], ["-D", "J", 0], [0, 0, "2*J"]]
    bonds = [(0, 1, [0, 0, 0], "J"), (1, 0, [1, 0, 0], dm), (0, 0, [0, 1, 0], dm), (1, 1, [1, 1, 2], "D")]
    sites = [{"position": [x, 0, 0], "spin": S, "g": 2.0} for x, S in ((0, 1.5), (0.4, 1.0))]
    more = single_ion("D", "D", "-J") | {"field": {"B": [0, 0, "B"]}, "site": sites, "parameters": PARAMETERS}
    n = np.random.default_rng(3).standard_normal((2, 3))
    k = np.array([0.21, -0.34, 0.13])
    return model(bonds, {"k": k.tolist(), "axis": Z_AXIS}, **more), n / np.linalg.norm(n, axis=1, keepdims=True), k


PARAMETERS = {"J": systems.parameter(1.0), "D": systems.parameter(0.3), "B": systems.parameter(4.0)}


def difference(function: Any, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a scalar function, by each number of x."""
    moves = step * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(function(x + d) - function(x - d)) / (2 * step) for d in moves]).reshape(x.shape)


def test_the_gradient_of_the_energy_agrees_with_finite_differences():
    one, n, k = spiral()
    names = list(PARAMETERS)
    values = np.array([PARAMETERS[name]["value"] for name in names])

    @jax.jit
    def energy(p: Any, n: Any, k: Any) -> Any:
        return classical_energy(one, dict(zip(names, p, strict=True)), n, k)

    slopes = jax.jit(jax.grad(energy, argnums=(0, 1, 2)))(values, n, k)
    for at, slope in enumerate(slopes):
        args = [values, n, k]

        def along(x: np.ndarray, at: int = at, args: list[Any] = args) -> float:
            return float(energy(*args[:at], x, *args[at + 1 :]))

        np.testing.assert_allclose(slope, difference(along, args[at]), rtol=1e-7, atol=1e-8)


def test_the_slopes_that_descents_follow_are_those_of_the_energy():
    one, n, k = spiral()
    params = complete(one.all_parameters, {})
    form = jax.tree.map(np.asarray, energy_form(one, params))
    search = Search(form, k, (0, 1, 2), 1.0, quadratic(form, k))
    E, by_n, by_k = slope_of(search, n, k)
    np.testing.assert_allclose(E, classical_energy(one, params, n), rtol=1e-12)
    slopes = jax.jit(jax.grad(lambda n, k: classical_energy(one, params, n, k), argnums=(0, 1)))(n, k)
    np.testing.assert_allclose(by_n, slopes[0], rtol=1e-12)
    np.testing.assert_allclose(by_k, slopes[1], rtol=1e-12)
    for c in range(3):
        moved = [slope_of(search, n, k + s * 1e-6 * np.eye(3)[c])[2] for s in (1, -1)]
        bent = [n.ravel() @ quadratic(form, k, (c, d)) @ n.ravel() / 2 for d in range(3)]
        np.testing.assert_allclose(bent, (moved[0] - moved[1]) / 2e-6, rtol=1e-7, atol=1e-8)


def test_the_energy_of_a_spiral_is_that_of_a_long_supercell():
    """The classical energy of a rotating frame, against its spins written out in ten cells."""
    chain = j1_j2_chain(1.0, 0.6, {"k": [0.3, 0, 0], "axis": Z_AXIS})
    n = np.array([[0.6, 0.0, 0.8]])
    long = j1_j2_chain(1.0, 0.6, {"supercell": [10, 1, 1]})
    phase = 2 * np.pi * 0.3 * np.arange(10)
    turned = np.stack([0.6 * np.cos(phase), 0.6 * np.sin(phase), np.full(10, 0.8)], -1)
    assert cell_of(long).position[:, 0].tolist() == list(range(10))
    assert float(classical_energy(chain, {}, n)) == pytest.approx(float(classical_energy(long, {}, turned)), rel=1e-12)


@pytest.mark.parametrize(
    "one",
    [
        triangular({"supercell": ROOT_3}),
        kagome({}),
        j1_j2_chain(1.0, 0.0, {"supercell": [2, 1, 1]}, **single_ion(0.4, 0, 0)),
        j1_j2_chain(1.0, 0.0, {"supercell": [2, 1, 1]}, **single_ion(0, -0.1, -0.4)),
        j1_j2_chain(1.0, 0.0, {"supercell": [2, 1, 1]}, field={"B": [3.0, 4.0, 0.0]}),
    ],
    ids=["three axes", "noncollinear", "one axis", "no axis", "a field"],
)
def test_reruns_and_other_seeds_find_the_same_orientation(one: Model):
    first, again, other = (minimise_energy(one, seed=seed) for seed in (0, 0, 7))
    np.testing.assert_array_equal(first.directions, again.directions)
    np.testing.assert_allclose(first.directions, other.directions, atol=1e-7)


def test_an_orientation_is_one_of_those_that_the_symmetry_allows():
    rng = np.random.default_rng(4)
    n = rng.standard_normal((4, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    for axes in (np.zeros((0, 3)), np.array([[0.6, 0.0, 0.8]]), np.eye(3)):
        found = oriented(n, axes, even=False)
        np.testing.assert_allclose(found @ found.T, n @ n.T, atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(found[:3]), np.linalg.det(n[:3]), rtol=1e-9)  # a rotation
        if len(axes) == 1:
            np.testing.assert_allclose(found @ axes[0], n @ axes[0], atol=1e-12)
        np.testing.assert_allclose(oriented(found, axes, even=False), found, atol=1e-12)
        reversed_ = oriented(-n, axes, even=True)
        np.testing.assert_allclose(reversed_, oriented(n, axes, even=True), atol=1e-12)


# In a model file


def test_a_model_file_may_ask_for_the_minimum():
    asked = triangular({"supercell": ROOT_3})
    found = minimise_energy(asked)
    np.testing.assert_array_equal(magnetic_cell(asked).direction, magnetic_cell(found.model).direction)
    hkl = np.array([[0.1, 0.23, 0.0], [0.4, 0.11, 0.0]])
    for one, other in zip(bands(asked, hkl), bands(found.model, hkl), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_the_structure_is_found_while_a_function_is_compiled():
    asked = triangular({"supercell": ROOT_3, "seed": 5})
    n = jax.jit(lambda x: x * magnetic_cell(asked).direction)(jnp.ones(()))
    np.testing.assert_allclose(angles(np.asarray(n))[np.triu_indices(3, 1)], 120, atol=1e-6)


def test_directions_stay_at_the_models_own_values_when_a_fit_moves_too_far():
    more = single_ion(0, 0, "D") | {"parameters": {"D": systems.parameter(0.3), "B": systems.parameter(20.0)}}
    one = model([(0, 0, [1, 0, 0], 1.0)], {"supercell": [2, 1, 1]}, field={"B": [0, 0, "B"]}, **more)
    require_stable(one, complete(one.all_parameters, {}))
    with pytest.raises(UnstableStructure, match=r"torque of .* at B = 25, D = 0\.3: .*insiren models FILE --minimise"):
        require_stable(one, complete(one.all_parameters, {"B": 25.0}))
    found = minimise_energy(one, {"B": 25.0})
    np.testing.assert_allclose(found.directions[:, 2], 2 * systems.MU_B * 25 / (4 + 0.6), rtol=1e-9)


def test_a_degenerate_minimum_is_refused_in_a_model_file_and_described_otherwise():
    """Without first neighbours, the two halves of a chain turn freely against each other."""
    halves = j1_j2_chain(0.0, 1.0, {"supercell": [4, 1, 1]})
    assert minimise_energy(halves).soft == 1
    with pytest.raises(UnstableStructure, match=r"no unique minimum: 1 way of turning .* -1 meV .* list the direct"):
        magnetic_cell(halves)


def test_what_was_found_is_said_in_words_and_as_a_table_for_a_model_file():
    found = minimise_energy(j1_j2_chain(1.0, 0.0, {"supercell": [2, 1, 1], "starts": 5, "seed": 1}), starts=6)
    said = found.describe()
    assert said.startswith("-1 meV per crystal cell, reached by 6 of 6 starts.") and "about any axis" in said
    assert found.toml() == ("[structure]\ndirections = [\n    [0, 0, 1],\n    [0, 0, -1],\n]\nsupercell = [2, 1, 1]\n")
    assert found.model.structure.starts is None
    turning = minimise_energy(triangular({"k": [1 / 3, 1 / 3, 0], "axis": [0, 0, 2]}))
    assert "k = [0.33333333333, 0.33333333333, 0]\naxis = [0, 0, 2]\n" in turning.toml()


def test_other_minima_are_counted():
    """An Ising-like ring, in which domain walls are minima too."""
    ring = j1_j2_chain(-1.0, 0.0, {"supercell": [8, 1, 1]}, **single_ion(0, 0, -3.0))
    told = []
    found = minimise_energy(ring, progress=lambda stage, part: told.append((stage, part)))
    assert found.energy == pytest.approx(-4.0, rel=1e-12) and len(found.energies) > 1
    assert found.counts.sum() == 32 and np.all(np.diff(found.energies) > 0) and "Other ends" in found.describe()
    assert told[-1] == ("minimise", 1.0) and len(told) == 32


# Refusals


@pytest.mark.parametrize(
    ("structure", "says"),
    [
        ({"directions": "minimize"}, r"structure\.directions.*'minimise'"),
        ({"directions": [[0, 0, 1]], "seed": 1}, r"starts and seed belong to directions = \"minimise\""),
        ({"starts": 0}, r"structure\.starts: .*greater than or equal to 1"),
        ({"seed": -1}, r"structure\.seed: .*greater than or equal to 0"),
    ],
)
def test_a_bad_structure_table_is_explained(structure: dict[str, Any], says: str):
    with pytest.raises(ModelError, match=says):
        j1_j2_chain(-1.0, 0.0, structure)


def test_a_search_that_cannot_be_made_is_refused():
    with pytest.raises(ModelError, match=r"starts = 0: a search needs at least one start"):
        minimise_energy(j1_j2_chain(-1.0, 0.0, {}), starts=0)
    with pytest.raises(ModelError, match=r"free_k needs a rotating frame: give k and axis"):
        minimise_energy(j1_j2_chain(-1.0, 0.0, {"supercell": [2, 1, 1]}), free_k=True)
    with pytest.raises(UnstableStructure, match=r"The largest coupling of model is 0 meV"):
        minimise_energy(j1_j2_chain(0.0, 0.0, {}))
    with pytest.raises(ModelError, match=r"No parameter is called 'K'"):
        minimise_energy(j1_j2_chain(-1.0, 0.0, {}), {"K": 1.0})


def test_a_frame_that_the_couplings_do_not_let_turn_is_refused():
    easy = single_ion(-0.1, 0, 0)
    turning = {"k": [0.5, 0, 0], "axis": Z_AXIS}
    assert minimise_energy(j1_j2_chain(1.0, 0.0, turning, **easy)).energy == pytest.approx(-1.1, rel=1e-12)
    with pytest.raises(ModelError, match=r"anisotropy of site 0 differs from cell to cell"):
        minimise_energy(j1_j2_chain(1.0, 0.0, turning, **easy), free_k=True)  # half a turn was all it allowed


def test_spins_tied_by_k_in_a_field_that_would_cant_them_are_refused():
    tied = j1_j2_chain(1.0, 0.0, {"k": [0.5, 0, 0], "axis": Z_AXIS, "supercell": [2, 1, 1]}, field={"B": [5.0, 0, 0]})
    with pytest.raises(UnstableStructure, match=r"still has a torque of .*Leave out k and axis"):
        minimise_energy(tied)


def test_the_search_is_a_public_name():
    assert ins.minimise_energy is minimise_energy
