"""Sites, bonds and tensors that symmetry makes, against explicit lists and against the energy itself."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest

import systems
from insiren.errors import ModelError
from insiren.model.crystal import allowed_form, inventory
from insiren.model.hamiltonian import couplings
from insiren.model.spec import Model, load_model
from insiren.simulate.intensity import bands

HKL = np.random.default_rng(3).uniform(-1, 1, (6, 3))
RUTILE = {"a": 4.9, "b": 4.9, "c": 3.3, "spacegroup": "P 4_2/m n m"}
LAYER = {"a": 6.0, "b": 6.0, "c": 8.0, "gamma": 120.0, "spacegroup": "P 6/m m m"}
DIAMOND = {"a": 8.5, "b": 8.5, "c": 8.5, "spacegroup": "F d -3 m:1"}
PEROVSKITE = {"a": 5.3, "b": 5.6, "c": 7.5, "spacegroup": "P b n m"}
CHIRAL = {"a": 7.0, "b": 7.0, "c": 5.0, "gamma": 120.0, "spacegroup": "P 3 2 1"}
PARAMETERS = {n: systems.parameter(v) for n, v in {"J": 1.0, "D": 0.0, "K": 0.3, "G": 0.1, "B": 0.0}.items()}


def content(crystal: dict[str, Any], sites: list[Any], count: int, **more: Any) -> dict[str, Any]:
    return {
        "crystal": crystal,
        "site": [s if isinstance(s, dict) else {"position": s, "spin": 1.0} for s in sites],
        "structure": {"directions": [[0, 0, 1]] * count},
        "parameters": PARAMETERS,
        "instrument": systems.ISOTROPIC_LINE,
        **more,
    }


def built(crystal: dict[str, Any], sites: list[Any], count: int, **more: Any) -> Model:
    return Model.from_dict(content(crystal, sites, count, **more))


def listed(model: Model, directions: list[list[float]], **values: float) -> Model:
    """The same magnet with every site, bond and single-ion term written out and no space group."""
    terms = couplings(model, {p.name: p.value for p in model.all_parameters} | values)
    crystal = {k: v for k, v in model.crystal.model_dump(exclude_none=True).items() if k != "spacegroup"}
    return Model.from_dict({
        "crystal": crystal,
        "site": [{"position": s.position, "spin": s.spin} for s in model.sites],
        "bond": [
            {"i": b.i, "j": b.j, "offset": b.offset, "exchange": np.asarray(J).tolist()}
            for b, J in zip(model.bonds, terms.exchange, strict=True)
        ],
        "anisotropy": [{"site": n, "matrix": np.asarray(A).tolist()} for n, A in enumerate(terms.anisotropy)],
        "structure": {"directions": directions},
        "instrument": systems.ISOTROPIC_LINE,
    })  # fmt: skip


# Explicit lists


def test_the_kagome_bonds_are_those_of_the_explicit_list():
    model = load_model("kagome")
    explicit = built(
        {"a": 7.0, "b": 7.0, "c": 6.0, "gamma": 120.0},
        [{"position": p, "spin": 2.5} for p in ([0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0])],
        3,
        # round each triangle one way: 0 → 2 → 1 → 0, the one and the other triangle
        bond=[
            {"i": i, "j": j, "offset": d, "exchange": 3.0, "dm": [0, 0, 0.2]}
            for i, j, d in [
                (0, 2, [0, 0, 0]), (2, 1, [0, 0, 0]), (1, 0, [-1, 0, 0]),
                (0, 2, [0, -1, 0]), (2, 1, [1, 0, 0]), (1, 0, [0, 1, 0]),
            ]
        ],
        structure=model.structure.model_dump(exclude_none=True),
    )  # fmt: skip
    np.testing.assert_allclose(bands(model, HKL)[0], bands(explicit, HKL)[0], rtol=1e-9)


def test_d_goes_round_the_hexagons_and_alternates_between_the_sublattices():
    model = load_model("honeycomb-dm")
    J = np.asarray(couplings(model, {p.name: p.value for p in model.all_parameters}).exchange)
    round_a = {(1, 0, 0), (0, 1, 0), (-1, -1, 0)}  # one sense of turning about the centre of a hexagon
    seen = {0: 0, 1: 0}
    for bond, matrix in zip(model.bonds, J, strict=True):
        if bond.i == bond.j:
            seen[bond.i] += 1
            sense = 1 if bond.offset in round_a else -1
            expected = 0.3 * sense * (1 if bond.i == 0 else -1)
            np.testing.assert_allclose(matrix, [[0, expected, 0], [-expected, 0, 0], [0, 0, 0]], atol=1e-12)
    assert seen == {0: 3, 1: 3}


def test_the_rutile_bonds_are_those_of_the_explicit_list():
    model = load_model("mnf2")
    corners = list(itertools.product((0, -1), repeat=3))
    bonds = [{"i": 0, "j": 1, "offset": d, "exchange": 0.3161} for d in corners]
    bonds += [{"i": n, "j": n, "offset": [0, 0, 1], "exchange": -0.0575} for n in (0, 1)]
    bonds += [{"i": n, "j": n, "offset": d, "exchange": 0.004} for n in (0, 1) for d in ([1, 0, 0], [0, 1, 0])]
    explicit = built(
        {"a": 4.8736, "b": 4.8736, "c": 3.2998},
        [{"position": [x] * 3, "spin": 2.5} for x in (0, 0.5)],
        2,
        bond=bonds,
        anisotropy=[{"site": n, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, -0.018998]]} for n in (0, 1)],
        structure={"directions": [[0, 0, 1], [0, 0, -1]]},
    )
    np.testing.assert_allclose(bands(model, HKL)[0], bands(explicit, HKL)[0], rtol=1e-9)


def test_the_primitive_cell_of_diamond_has_the_same_energies():
    model, half = load_model("diamond"), 8.5 / 2
    primitive = built(
        {"vectors": [[0, half, half], [half, 0, half], [half, half, 0]]},
        [{"position": [x] * 3, "spin": 1.5} for x in (0, 0.25)],
        2,
        bond=[{"i": 0, "j": 1, "offset": d, "exchange": 1.0} for d in ([0, 0, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1])],
        structure={"directions": [[0, 0, 1], [0, 0, -1]]},
    )
    to_primitive = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    folded = [bands(primitive, (HKL + v) @ to_primitive.T)[0] for v in np.eye(4)[:, :3]]
    np.testing.assert_allclose(bands(model, HKL)[0], np.sort(np.concatenate(folded, 1), 1), rtol=1e-9)


# The law: an operation of the space group changes no energy


def energy(model: Model, S: np.ndarray, B: np.ndarray) -> float:
    """The energy of a structure of one cell, spins (s, 3), in a field (3,)."""
    terms = couplings(model, {p.name: p.value for p in model.all_parameters} | dict(zip("xyz", B, strict=True)))
    ends = [(b.i, b.j) for b in model.bonds]
    exchange = sum(S[i] @ J @ S[j] for (i, j), J in zip(ends, np.asarray(terms.exchange), strict=True))
    return float(exchange + np.einsum("sa,sab,sb", S, terms.anisotropy, S) - np.sum(terms.zeeman * S))


@pytest.mark.parametrize(
    ("crystal", "position", "count", "ends"),
    [
        (RUTILE, [0, 0, 0], 2, (0, 1, (0, 0, 0))),
        (RUTILE, [0, 0, 0], 2, (0, 0, (1, 0, 1))),
        (RUTILE, [0.2, 0.1, 0.3], 16, (0, 5, (0, 1, 0))),
        (LAYER, [1 / 3, 2 / 3, 0], 2, (0, 0, (1, 0, 0))),
        (LAYER, [0.5, 0, 0], 3, (0, 1, (0, 0, 0))),
        (LAYER, [0.5, 0, 0], 3, (0, 1, (0, 0, 1))),
        (DIAMOND, [0, 0, 0], 8, (0, 2, (0, 0, 0))),
        (PEROVSKITE, [0.5, 0, 0], 4, (0, 2, (0, 0, 0))),
        (PEROVSKITE, [0.5, 0, 0], 4, (0, 1, (0, 0, 0))),
        (CHIRAL, [0.25, 0, 0], 3, (0, 1, (0, 0, 0))),
        (CHIRAL, [0.25, 0.1, 0.2], 6, (0, 3, (0, 0, 1))),
    ],
)
def test_an_operation_of_the_space_group_changes_no_energy(crystal, position, count, ends):
    rng = np.random.default_rng(4)
    bare = built(crystal, [position], count)

    def drawn(form) -> list[list[float]]:
        return np.einsum("n,nab->ab", rng.normal(size=len(form.basis)), form.basis).tolist()

    images = bare.site_images
    i, j, offset = ends
    model = built(
        crystal,
        [{"position": position, "spin": 1.0, "g": drawn(images.form_of_site(0, False))}],
        count,
        bond=[{"i": i, "j": j, "offset": offset, "exchange": drawn(images.form_of_bond(ends))}],
        anisotropy=[{"site": count - 1, "matrix": drawn(images.form_of_site(count - 1, True))}],
        field={"B": ["x", "y", "z"]},
        parameters={n: systems.parameter(0.0) for n in "xyz"},
    )
    assert images.images is not None
    S, B = rng.normal(size=(count, 3)), rng.normal(size=3)
    before = energy(model, S, B)
    for turn, site in zip(images.images.group.turn, images.images.site, strict=True):
        axial = np.linalg.det(turn) * turn
        moved = np.zeros_like(S)
        moved[site] = S @ axial.T
        assert energy(model, moved, axial @ B) == pytest.approx(before, rel=1e-9, abs=1e-9)
    assert abs(energy(model, S, -B) - before) > 1e-3  # the field does count


def test_the_reverse_of_a_bond_carries_the_transposed_matrix():
    one, other = (
        built(LAYER, [[1 / 3, 2 / 3, 0]], 2, bond=[bond])
        for bond in (
            {"i": 0, "j": 0, "offset": [1, 0, 0], "exchange": [["J", 0.2, 0], [-0.2, "2*J", 0], [0, 0, 3]]},
            {"i": 0, "j": 0, "offset": [-1, 0, 0], "exchange": [["J", -0.2, 0], [0.2, "2*J", 0], [0, 0, 3]]},
        )
    )
    S = np.random.default_rng(1).normal(size=(2, 3))
    np.testing.assert_allclose(energy(one, S, np.zeros(3)), energy(other, S, np.zeros(3)), rtol=1e-12)


# Shells


def test_the_shells_of_the_square_lattice_are_its_neighbours():
    by_shell = built(
        {"a": 3.9, "b": 3.9, "c": 12.5},
        [[0, 0, 0]],
        1,
        bond=[{"shell": 1, "exchange": "J"}, {"shell": 2, "exchange": "K"}],
    )
    assert [(b.declared, b.offset) for b in by_shell.bonds] == [
        (n, tuple(b["offset"])) for n, b in zip((0, 0, 1, 1), systems.SQUARE_BONDS, strict=True)
    ]
    by_distance = built(
        {"a": 3.9, "b": 3.9, "c": 12.5}, [[0, 0, 0]], 1, bond=[{"distance": 5.5, "tolerance": 0.05, "exchange": "K"}]
    )
    assert [b.offset for b in by_distance.bonds] == [(1, 1, 0), (1, -1, 0)]


@pytest.mark.parametrize(
    ("shell", "count", "length"), [(1, 16, 3.6806), (2, 48, 6.0104), (3, 48, 7.0480), (4, 24, 8.5)]
)
def test_the_shells_of_diamond_have_their_numbers_of_bonds(shell: int, count: int, length: float):
    # 4, 12, 12, 6 neighbours of each of 8 sites, each bond once
    model = built(DIAMOND, [[0, 0, 0]], 8, bond=[{"shell": shell, "exchange": "J"}])
    assert len(model.bonds) == count
    assert inventory(model)["bonds"][0]["length"] == pytest.approx(length, abs=1e-3)


def test_a_shell_in_a_skew_cell_misses_no_bond():
    skew = {"vectors": [[3, 0, 0], [27, 3, 0], [9, -12, 3]]}  # a cubic lattice of 3 Å in an unusual cell
    model = built(skew, [[0, 0, 0]], 1, bond=[{"shell": 1, "exchange": "J"}, {"shell": 2, "exchange": "K"}])
    assert [sum(b.declared == n for b in model.bonds) for n in (0, 1)] == [3, 6]
    lengths = [np.linalg.norm(np.array(b.offset) @ np.array(skew["vectors"])) for b in model.bonds]
    np.testing.assert_allclose(lengths, [3] * 3 + [3 * np.sqrt(2)] * 6)


def test_between_keeps_the_bonds_of_two_labels():
    sites = [{"position": [0, 0, 0], "spin": 1, "label": "Mn"}, {"position": [0.5, 0, 0], "spin": 1, "label": "Fe"}]
    cell = {"a": 4.0, "b": 9.0, "c": 9.0}
    model = built(cell, sites, 2, bond=[{"shell": 1, "between": ["Mn", "Mn"], "exchange": "J"}])
    assert [(b.i, b.j, b.offset) for b in model.bonds] == [(0, 0, (1, 0, 0))]
    model = built(cell, sites, 2, bond=[{"shell": 1, "between": ["Fe", "Mn"], "exchange": "J"}])
    assert [(b.i, b.j) for b in model.bonds] == [(0, 1), (0, 1)]


def test_a_shell_with_a_space_group_turns_its_matrix():
    by_shell = built(LAYER, [[0.5, 0, 0]], 3, bond=[{"shell": 1, "exchange": "J", "dm": [0, 0, 0.3]}])
    by_bond = built(LAYER, [[0.5, 0, 0]], 3, bond=[BOND | {"dm": [0, 0, 0.3]}])
    S = np.random.default_rng(2).normal(size=(3, 3))
    assert inventory(by_shell)["bonds"] == inventory(by_bond)["bonds"]
    assert energy(by_shell, S, np.zeros(3)) == pytest.approx(energy(by_bond, S, np.zeros(3)), rel=1e-12)


# Shorthands


def test_dm_and_kitaev_add_to_the_exchange():
    frame = [[1, 1, 0], [-1, 1, 0], [0, 0, 2]]
    model = built(
        {"a": 3.0, "b": 4.0, "c": 5.0}, [[0, 0, 0]], 1,
        bond=[
            {"i": 0, "j": 0, "offset": [1, 0, 0], "exchange": "J", "dm": [0.1, "2*D", 0.3]},
            {"i": 0, "j": 0, "offset": [0, 1, 0], "kitaev": {"K": "K", "Gamma": "G", "Gammap": 0.05, "axis": "x"}},
            {"i": 0, "j": 0, "offset": [0, 0, 1], "kitaev": {"K": "K", "axis": [2, 0, 0], "frame": frame}},
        ],
    )  # fmt: skip
    params = {p.name: p.value for p in model.all_parameters} | {"D": 0.1, "K": 0.3, "G": 0.1}
    J = np.asarray(couplings(model, params).exchange)
    rng = np.random.default_rng(0)
    S, T = rng.normal(size=(2, 3))
    assert S @ J[0] @ T == pytest.approx(S @ T + np.array([0.1, 0.2, 0.3]) @ np.cross(S, T))
    kitaev = 0.3 * S[0] * T[0] + 0.1 * (S[1] * T[2] + S[2] * T[1])
    kitaev += 0.05 * (S[0] * T[1] + S[1] * T[0] + S[0] * T[2] + S[2] * T[0])
    assert S @ J[1] @ T == pytest.approx(kitaev)
    np.testing.assert_allclose(J[2], 0.15 * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), atol=1e-12)


def test_one_kitaev_bond_makes_the_three_axes_of_the_honeycomb():
    # edge-sharing octahedra: three cubic axes about c, each at right angles to the bond that carries it
    root = np.sqrt
    x = [-1 / root(6), 1 / root(2), 1 / root(3)]
    y = [-1 / root(6), -1 / root(2), 1 / root(3)]
    z = [root(2 / 3), 0, 1 / root(3)]  # the bond 0 → 1 (0, 1, 0) runs along Cartesian y
    model = built(
        LAYER | {"spacegroup": "P -3 1 m"}, [[1 / 3, 2 / 3, 0]], 2,
        bond=[{"i": 0, "j": 1, "offset": [0, 1, 0], "kitaev": {"K": "K", "axis": "z", "frame": [x, y, z]}}],
    )  # fmt: skip
    J = np.asarray(couplings(model, {p.name: p.value for p in model.all_parameters}).exchange)
    assert len(J) == 3
    axes = [np.linalg.eigh(m)[1][:, 2] for m in J]  # of the one eigenvalue K
    axes = sorted(tuple(axis / axis[2] / root(3)) for axis in axes)
    np.testing.assert_allclose(axes, sorted(map(tuple, (x, y, z))), atol=1e-9)
    np.testing.assert_allclose([np.linalg.eigvalsh(m) for m in J], [[0, 0, 0.3]] * 3, atol=1e-12)


def test_couplings_stay_few_operations_however_many_bonds_there_are():
    few = load_model("chain")
    many = built(DIAMOND, [[0, 0, 0]], 8, bond=[{"shell": n, "exchange": "J"} for n in (1, 2, 3, 4)])
    assert len(many.bonds) > 100
    operations = [
        len(jax.make_jaxpr(lambda params, m=m: couplings(m, params))({p.name: 1.0 for p in m.all_parameters}).eqns)
        for m in (few, many)
    ]
    assert operations[1] <= operations[0] + 2


def test_couplings_have_the_derivative_of_finite_differences():
    model = load_model("honeycomb-dm")
    params = {p.name: p.value for p in model.all_parameters}
    slope = jax.jacfwd(lambda D: couplings(model, params | {"D": D}).exchange)(0.3)
    up, down = (np.asarray(couplings(model, params | {"D": 0.3 + h}).exchange) for h in (1e-4, -1e-4))
    np.testing.assert_allclose(slope, (up - down) / 2e-4, atol=1e-9)


def test_a_symmetric_model_and_its_written_out_self_agree():
    crystal, directions = RUTILE, [[0, 0, 1], [0, 0, -1]]
    matrix = [["J", 0.05, 0.1], [0.05, "J", 0.1], [0.02, 0.02, "1.1*J"]]
    model = built(
        crystal, [[0, 0, 0]], 2,
        bond=[{"i": 0, "j": 1, "offset": [0, 0, 0], "exchange": matrix}],
        anisotropy=[{"site": 0, "matrix": [[0.3, 0.1, 0], [0.1, 0.3, 0], [0, 0, -0.5]]}],
        structure={"directions": directions},
    )  # fmt: skip
    A = np.asarray(couplings(model, {p.name: p.value for p in model.all_parameters}).anisotropy)
    np.testing.assert_allclose(A[0][:2, :2], [[0.3, 0.1], [0.1, 0.3]], atol=1e-12)
    np.testing.assert_allclose(A[1][:2, :2], [[0.3, -0.1], [-0.1, 0.3]], atol=1e-12)  # the octahedra stand crosswise
    np.testing.assert_allclose(bands(model, HKL)[0], bands(listed(model, directions), HKL)[0], rtol=1e-9)


# What is told, and what is refused


def test_the_allowed_form_is_asked_by_number_or_by_ends():
    model = load_model("mnf2")
    assert allowed_form(model, 1).text == "[[A, D, E], [D, A, E], [F, F, B]]"
    assert allowed_form(model, (0, 1, (0, 0, 0))).dm == "DM vector along (1, -1, 0)"
    assert allowed_form(load_model("chain"), 0).dm == "any DM vector"
    with pytest.raises(ModelError, match=r"has no \[\[bond\]\] 7; there are 3"):
        allowed_form(model, 7)
    with pytest.raises(ModelError, match="names a site that mnf2 lacks; it has 2"):
        allowed_form(model, (0, 2, (0, 0, 0)))


def test_the_model_comes_back_from_its_own_content_with_a_space_group():
    one = load_model("honeycomb-dm")
    again = Model.from_dict(one.model_dump(exclude_none=True))
    assert again == one and [b.offset for b in again.bonds] == [b.offset for b in one.bonds]


BOND = {"i": 0, "j": 2, "offset": [0, 0, 0], "exchange": "J"}
FIRST = {"i": 0, "j": 0, "offset": [1, 0, 0]}
EASY = [[0, 0, 0], [0, 0, 0], [0, 0, "K"]]
CANTED = [[0, 0, "K"], [0, 0, 0], ["K", 0, 0]]


@pytest.mark.parametrize(
    ("bond", "says"),
    [
        ([FIRST | {"dm": [0, "D", 0]}], r"bond\.0: the symmetry of the bond 0 → 0 \(1, 0, 0\) .* \(no DM vector; .*"),
        ([FIRST | {"dm": [0, 0, "D"]}], r"bond\.0: .*, but the matrix is \[\[0\.0, .*symmetry = false and list every"),
        (
            [BOND | {"dm": ["D", 0, 0]}],
            r"bond\.0: .* allows \[\[A, D, 0\], .* \(DM vector along \(0, 0, 1\); Cartesian",
        ),
        ([BOND, BOND | {"i": 2, "j": 1}], r"bond\.1 names the bond .*, which bond\.0 holds already"),
        ([BOND, {"shell": 1, "exchange": "J"}], r"bond\.1 names the bond .*, which bond\.0 holds already"),
        ([BOND | {"i": 5}], r"bond\.0 names site 5, but there are 3"),
    ],
)
def test_a_bond_that_its_symmetry_forbids_is_refused(bond: list[dict[str, Any]], says: str):
    with pytest.raises(ModelError, match=says):
        built(LAYER, [[0.5, 0, 0]], 3, bond=bond)


@pytest.mark.parametrize(
    ("anisotropy", "says"),
    [
        ([(0, CANTED)], r"anisotropy\.0: the symmetry of site 0 allows \[\[A, 0, 0\], \[0, B, 0\], \[0, 0, C\]\]"),
        ([(0, EASY), (1, EASY)], r"anisotropy\.1 and anisotropy\.0 name the sites 1 and 0, which are images of one"),
        ([(3, EASY)], r"anisotropy\.0 names site 3, but there are 3"),
    ],
)
def test_a_single_ion_term_that_its_symmetry_forbids_is_refused(anisotropy: list[tuple[int, Any]], says: str):
    with pytest.raises(ModelError, match=says):
        built(LAYER, [[0.5, 0, 0]], 3, anisotropy=[{"site": n, "matrix": m} for n, m in anisotropy])


def test_a_matrix_on_a_shell_of_two_kinds_of_bond_is_refused():
    bond = {"distance": 3.8, "tolerance": 0.2, "dm": [1, 0, 0]}
    with pytest.raises(ModelError, match=r"of 2 kinds that no symmetry relates \(0 → 1 .* 8 bonds; .* with 4 bonds\)"):
        built(PEROVSKITE, [[0.5, 0, 0]], 4, bond=[bond])
    assert len(built(PEROVSKITE, [[0.5, 0, 0]], 4, bond=[bond | {"dm": None, "exchange": "J"}]).bonds) == 12


SKEW_FRAME = [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
ANISOTROPIC = [["J", 0, 0], [0, "J", 0], [0, 0, "K"]]


@pytest.mark.parametrize(
    ("bond", "says"),
    [
        ({"shell": 1, "dm": [0, 0, 1]}, r"bond\.0: only isotropic exchange is the same on all 2 bonds .*\.spacegroup"),
        ({"shell": 1, "exchange": ANISOTROPIC}, r"bond\.0: only isotropic exchange"),
        (FIRST | {"exchange": 1, "symmetry": True}, r"bond\.0: symmetry = true needs a space group"),
        ({"distance": 4.5, "exchange": 1}, r"no distances .* within 0\.01 Å of 4\.5 Å; the shortest are 4, 5, "),
        ({"shell": 1, "between": ["Mn", "Fe"], "exchange": 1}, r"between names the label 'Mn', which no site has"),
        ({"shell": 90000, "exchange": 1}, r"shell 90000 lies beyond|too many to list"),
        (FIRST | {"shell": 1, "exchange": 1}, r"bond\.0: say which bonds in one way"),
        (FIRST | {"tolerance": 1, "exchange": 1}, r"bond\.0: between and tolerance belong to shell or distance"),
        ({"shell": 1, "symmetry": False, "exchange": 1}, r"bond\.0: symmetry belongs to a bond given by i, j and"),
        ({"i": 0, "j": 0, "exchange": 1}, r"bond\.0: i, j and offset come together"),
        (FIRST, r"bond\.0: give exchange = \"J\", say, or dm or kitaev"),
        (FIRST | {"dm": ["Q", 0, 0]}, r"bond\.0\.dm: 'Q' uses 'Q', which is not among"),
        (FIRST | {"kitaev": {"K": "Q", "axis": "x"}}, r"bond\.0\.kitaev\.K: 'Q' uses 'Q', which is not among"),
        (FIRST | {"kitaev": {"K": 1, "axis": "w"}}, r"bond\.0\.kitaev\.axis"),
        (FIRST | {"kitaev": {"K": 1, "axis": "x", "frame": SKEW_FRAME}}, r"must be at right angles to each other"),
        (FIRST | {"kitaev": {"K": 1, "Gamma": 1, "axis": [1, 1, 0]}}, r"Gamma and Gammap need all three axes"),
        (FIRST | {"kitaev": {"Kitaev": 1, "axis": "x"}}, r"bond\.0\.kitaev\.Kitaev: unknown key.*Known here: K, Gamma"),
    ],
)
def test_a_bond_that_says_too_much_or_too_little_is_refused(bond: dict[str, Any], says: str):
    with pytest.raises(ModelError, match=says):
        built({"a": 4, "b": 4, "c": 5}, [[0, 0, 0]], 1, bond=[bond])


def test_a_lattice_and_a_symmetry_that_cannot_be_are_refused():
    with pytest.raises(ModelError, match=r"crystal: give spacegroup or operations, not both"):
        built(LAYER | {"operations": ["-x,-y,-z"]}, [[0.5, 0, 0]], 3)
    with pytest.raises(ModelError, match="no volume"):
        built({"vectors": [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "spacegroup": "P -1"}, [[0, 0, 0]], 1)
    with pytest.raises(ModelError, match=r"structure\.directions has 2 entries; this structure needs 3"):
        built(LAYER, [[0.5, 0, 0]], 2)


def test_two_sites_of_one_orbit_are_refused():
    with pytest.raises(ModelError, match=r"site\.1 has an image where one of site\.0 is already"):
        built(LAYER, [[0.5, 0, 0], [0, 0.5, 0]], 3)


def test_a_g_tensor_that_the_site_forbids_is_refused():
    site = {"position": [0.5, 0, 0], "spin": 1, "g": [[2, 0, 0.1], [0, 2, 0], [0, 0, 2]]}
    with pytest.raises(ModelError, match=r"site\.0\.g: the symmetry of the site allows \[\[A, 0, 0\], \[0, B, 0\]"):
        built(LAYER, [site], 3)


def test_a_forbidden_matrix_is_found_although_its_parameter_is_zero_by_default():
    with pytest.raises(ModelError, match=r"bond\.0: the symmetry of the bond"):
        built(LAYER, [[0.5, 0, 0]], 3, bond=[FIRST | {"exchange": [["J", 0, "D"], [0, "J", 0], [0, 0, "J"]]}])


def test_symmetry_false_leaves_a_bond_alone():
    model = built(LAYER, [[0.5, 0, 0]], 3, bond=[FIRST | {"dm": [1, 0, 0], "symmetry": False}])
    assert len(model.bonds) == 1


@pytest.mark.parametrize(
    ("ion", "usable"), [("Ni2", True), ("V3", True), ("Ni", False), ("ni2", False), ("Ni2+", False)]
)
def test_an_ion_is_an_element_and_a_charge(ion: str, usable: bool):
    site = {"position": [0, 0, 0], "spin": 1, "ion": ion}
    if usable:
        assert built({"a": 4, "b": 4, "c": 5}, [site], 1).sites[0].ion == ion
    else:
        with pytest.raises(ModelError, match=r"site\.0\.ion"):
            built({"a": 4, "b": 4, "c": 5}, [site], 1)
