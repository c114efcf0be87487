"""Closed forms and laws of linear spin wave theory."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import systems
from insiren.errors import ModelError, UnstableStructure
from insiren.model.spec import Model, load_model
from insiren.simulate import lswt
from insiren.simulate.intensity import bands, magnons

RNG = np.random.default_rng(7)
HKL = RNG.uniform(-1, 1, (12, 3))  # none on a Goldstone point
anywhere = st.tuples(*[st.floats(-1.5, 1.5)] * 3).map(np.array)


@functools.cache
def model(name: str) -> Model:
    return Model.from_dict(getattr(systems, name)())


def trace(correlations) -> np.ndarray:
    return np.trace(np.asarray(correlations), axis1=2, axis2=3).real


def energies(name: str, hkl: np.ndarray, **params: float) -> np.ndarray:
    return np.asarray(_magnons(model(name), params, hkl)[0])


def total(name: str, hkl: np.ndarray, **params: float) -> np.ndarray:
    """The weight of all modes of each Q, shape (q,)."""
    return np.asarray(_magnons(model(name), params, hkl)[1]).sum(axis=1)


@functools.partial(jax.jit, static_argnums=0)
def _jitted(one: Model, params: dict[str, float], hkl):
    return magnons(one, params, hkl)


def _magnons(one: Model, params: dict[str, float], hkl):
    return _jitted(one, {p.name: params.get(p.name, p.value) for p in one.all_parameters}, jnp.asarray(hkl))


# Closed forms


@pytest.mark.parametrize(("J", "Jp"), [(29.0, 1.67), (60.0, -25.0), (25.0, 8.0)])
def test_the_square_lattice_has_its_closed_form_with_its_absolute_weight(J: float, Jp: float):
    E, S = bands(model("square"), HKL, {"J": J, "Jp": Jp})
    np.testing.assert_allclose(E, systems.square_energies(HKL, J, Jp), rtol=1e-9)
    np.testing.assert_allclose(trace(S).sum(1), systems.square_weight(HKL, J, Jp), rtol=1e-9)


def test_anisotropy_splits_the_pair_of_the_square_lattice_as_in_closed_form():
    E, _ = bands(model("square_biaxial"), HKL, {"Dy": 0.3, "Dz": 0.8})
    np.testing.assert_allclose(E, systems.square_energies(HKL, 29.0, 1.67, Dy=0.3, Dz=0.8), rtol=1e-9)


def test_the_ferromagnetic_chain_has_its_closed_form():
    E, S = bands(model("fm_chain"), HKL, {"J": -1.3, "D": -0.2, "B": 5.0})
    np.testing.assert_allclose(E[:, 0], systems.fm_chain_energy(HKL[:, 0], -1.3, -0.2, 5.0), rtol=1e-9)
    np.testing.assert_allclose(trace(S)[:, 0], 1.0, rtol=1e-9)


def test_the_antiferromagnetic_chain_has_its_closed_form():
    E, S = bands(model("afm_chain"), HKL)
    np.testing.assert_allclose(E, np.repeat(systems.afm_chain_energy(HKL[:, 0], 1.0)[:, None], 2, 1), rtol=1e-8)
    np.testing.assert_allclose(trace(S).sum(1), systems.afm_chain_weight(HKL[:, 0]), rtol=1e-8)


@pytest.mark.parametrize("B", [0.0, 5.0])
def test_the_level_of_a_spin_takes_the_length_of_its_neighbour(B: float):
    E, _ = bands(model("ferrimagnetic_chain"), HKL, {"B": B})
    np.testing.assert_allclose(E, systems.ferrimagnetic_chain_energies(HKL[:, 0], 1.0, B), rtol=1e-8, atol=1e-9)


def test_a_field_along_the_spins_raises_magnons_and_one_against_them_is_refused():
    at = np.zeros((1, 3))
    E, _ = bands(model("fm_chain"), at, {"B": 10.0})
    np.testing.assert_allclose(E, 2 * systems.MU_B * 10.0, rtol=1e-9)
    with pytest.raises(UnstableStructure):
        bands(model("fm_chain"), at, {"B": -10.0})


def test_the_dm_interaction_tells_q_from_minus_q():
    up, down = (np.asarray(bands(model("dm_chain"), hkl)[0])[:, 0] for hkl in (HKL, -HKL))
    np.testing.assert_allclose(up, systems.dm_chain_energy(HKL[:, 0], -1.0, 0.5, 40.0), rtol=1e-9)
    np.testing.assert_allclose(up - down, 4 * 0.5 * np.sin(2 * np.pi * HKL[:, 0]), atol=1e-9)


def test_the_bundled_gaps_are_the_published_ones():
    zone = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    E, S = bands(load_model("la2nio4-gap"), zone)
    np.testing.assert_allclose(E, [[3.5, 16.4]] * 2, atol=0.01)
    along_z = np.asarray(S)[..., 2, 2].real
    assert along_z[0, 1] > 1 and along_z[0, 0] < 1e-9  # at M the upper mode leaves the plane
    assert along_z[1, 0] > 1e-3 and along_z[1, 1] < 1e-9  # folded back, the lower one shows along z


def test_the_bundled_gaps_close_with_their_terms():
    E, _ = bands(load_model("la2nio4-gap"), np.array([[0.5, 0.5, 0.0]]), {"Dx": 0.0})
    np.testing.assert_allclose(E, [[0.0, 1.09 * np.sqrt(8 * 29.0 * 2 * 0.48779)]], atol=1e-3)


# Laws


NEEL = (1, 1, -1, -1)


@given(hkl=anywhere, Dy=st.floats(0, 3), Dz=st.floats(0, 3), J=st.floats(5, 80))
def test_vectors_are_para_unitary(hkl, Dy, Dz, J):
    W = _weights(model("square_biaxial"), {"J": J, "Jp": 0.05 * J, "Dy": Dy, "Dz": Dz})
    E, T = (np.asarray(x) for x in _solve(lswt.hamiltonian(model("square_biaxial"), W, jnp.asarray(hkl[None]))[0]))
    g = np.diag(NEEL)
    # near a Goldstone point the vectors grow as E^(-1/2), and rounding with their square
    largest = np.max(np.abs(T)) ** 2
    np.testing.assert_allclose(T.conj().T @ g @ T, np.diag(np.sign(E)), atol=1e-12 * largest**2)
    assert np.sum(E < 0) == 2


_weights = jax.jit(lswt.weights, static_argnums=0)
_solve = jax.jit(lambda H: lswt.bogoliubov(H, NEEL))


@pytest.mark.parametrize("metric", [(1, 1, -1, -1), (1, 1, 1, -1), (1, -1, -1), (1, 1)])
def test_any_number_of_magnons_and_holes_has_the_eigenvalues_of_g_h(metric: tuple[int, ...]):
    root = RNG.normal(size=(len(metric),) * 2) + 1j * RNG.normal(size=(len(metric),) * 2)
    H, g = root @ root.conj().T + np.eye(len(metric)), np.diag(metric)
    E, T = (np.asarray(x) for x in lswt.bogoliubov(jnp.asarray(H), metric))
    np.testing.assert_allclose(E, np.sort(np.linalg.eigvals(g @ H).real), rtol=1e-10)
    np.testing.assert_allclose(T.conj().T @ g @ T, np.diag(np.sign(E)), atol=1e-11)
    w, P = jnp.asarray(RNG.normal(size=(len(metric), 3)) + 0j), jnp.eye(3)
    magnons, I = lswt.lines(metric, jnp.asarray(H), w, P)
    np.testing.assert_allclose(magnons, E[metric.count(-1) :], rtol=1e-12)
    seen = np.sum(np.abs(T[:, metric.count(-1) :].conj().T @ np.asarray(w)) ** 2, axis=1)
    np.testing.assert_allclose(I, seen, rtol=1e-10)


@given(hkl=anywhere, G=st.tuples(*[st.integers(-3, 3)] * 3))
def test_energies_are_periodic_in_the_reciprocal_lattice(hkl, G):
    at = dict(Dy=0.4, Dz=0.9)
    here, there = (energies("square_biaxial", q[None], **at) for q in (hkl, hkl + np.array(G)))
    np.testing.assert_allclose(here, there, rtol=1e-7)


@given(hkl=anywhere)
def test_an_enlarged_cell_gives_the_same_spectrum(hkl):
    small, large = (np.asarray(x) for x in _magnons(model("square"), {}, hkl[None]))
    E, I = (np.asarray(x) for x in _magnons(model("square_8_sites"), {}, hkl[None]))
    if np.min(small) < 1e-2:  # at a Goldstone point the intensity is that of the rounding
        return
    omega = np.linspace(0, 130, 40)[:, None]
    spectrum, enlarged = (np.sum(i * np.exp(-((omega - e) ** 2) / 50), -1) for e, i in ((small, large), (E, I)))
    np.testing.assert_allclose(enlarged, spectrum, rtol=1e-6, atol=1e-6 * np.max(spectrum))


@given(hkl=anywhere, J=st.floats(-10, -0.1), D=st.floats(-2, 0), B=st.floats(0.1, 20))
def test_a_ferromagnet_has_the_weight_of_its_spin_at_every_wavevector(hkl, J, D, B):
    np.testing.assert_allclose(total("fm_chain", hkl[None], J=J, D=D, B=B), 1.0, rtol=1e-9)


@given(hkl=anywhere, factor=st.floats(0.01, 100))
def test_energies_scale_with_all_couplings_and_weights_do_not(hkl, factor):
    one = {"J": 29.0, "Jp": 1.67, "Dy": 0.2, "Dz": 0.5}
    scaled = {name: factor * value for name, value in one.items()}
    np.testing.assert_allclose(
        energies("square_biaxial", hkl[None], **scaled),
        factor * energies("square_biaxial", hkl[None], **one),
        rtol=1e-7,
    )
    np.testing.assert_allclose(
        total("square_biaxial", hkl[None], **scaled), total("square_biaxial", hkl[None], **one), rtol=1e-6
    )


def test_a_frame_turned_as_a_whole_leaves_isotropic_spectra_alone():
    turned = Model.from_dict(
        systems.square() | {"structure": systems.NEEL | {"directions": [[1, 2, 3]], "axis": [3, 0, -1]}}
    )
    E, S = bands(turned, HKL)
    reference, T = bands(model("square"), HKL)
    np.testing.assert_allclose(E, reference, rtol=1e-9)
    np.testing.assert_allclose(trace(S).sum(1), trace(T).sum(1), rtol=1e-9)


# Two routes


def test_a_single_k_and_its_supercell_agree():
    structure = {k: v for k, v in systems.NEEL.items() if k != "supercell"}
    E, I = (np.asarray(x) for x in _magnons(Model.from_dict(systems.square() | {"structure": structure}), {}, HKL))
    assert E.shape == (12, 2)  # Q, and Q + k, which is Q − k too
    small = np.asarray(_magnons(model("square"), {}, HKL)[0])
    np.testing.assert_allclose(E, np.repeat(small[:, :1], 2, 1), rtol=1e-8)
    np.testing.assert_allclose(I.sum(1), total("square", HKL), rtol=1e-8)


@pytest.mark.parametrize("name", ["square", "square_in_field", "ferrimagnetic_chain", "afm_chain"])
def test_pairs_in_closed_form_agree_with_the_general_diagonalisation(name: str, monkeypatch: pytest.MonkeyPatch):
    one = model(name)
    assert {len(block) for block in lswt.blocks(one)} == {2}
    params = {p.name: p.value for p in one.all_parameters} | ({"B": 3.0} if "B" in one.used_names else {})
    E, I = jax.jit(functools.partial(magnons, one))(params, HKL)
    whole = tuple(range(sum(map(len, lswt.blocks(one)))))
    monkeypatch.setattr(lswt, "blocks", lambda _: (whole,))
    general, weight = (np.asarray(x) for x in jax.jit(functools.partial(magnons, one))(params, HKL))
    order = np.argsort(np.asarray(E), axis=1)
    closed = np.take_along_axis(np.asarray(E), order, 1)
    np.testing.assert_allclose(closed, general, rtol=1e-10)
    np.testing.assert_allclose(np.asarray(I).sum(1), weight.sum(1), rtol=1e-8)
    if "B" in one.used_names:  # no longer degenerate, so that each mode has its own weight
        np.testing.assert_allclose(np.take_along_axis(np.asarray(I), order, 1), weight, rtol=1e-8)


# A rotating frame needs a Hamiltonian that turns with it


def spiral(**more) -> dict:
    """An antiferromagnetic chain as a single k, whose spins turn about z."""
    return systems.chain([1.0], 1.0, [[1, 0, 0]], **more) | {
        "structure": {"directions": [[1, 0, 0]], "k": [0.31, 0, 0], "axis": [0, 0, 1]}
    }


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("bond 0", {"exchange": [[1, 0, 0], [0, 0.5, 0], [0, 0, 1]]}),
        ("anisotropy of site 0", {"anisotropy": [{"site": 0, "matrix": [[0.1, 0, 0], [0, 0, 0], [0, 0, 0]]}]}),
        ("field", {"field": {"B": [1.0, 0, 0]}}),
    ],
)
def test_a_single_k_is_refused_where_the_hamiltonian_does_not_turn_with_it(what: str, more: dict):
    content = spiral(**{key: value for key, value in more.items() if key != "exchange"})
    if "exchange" in more:
        content["bond"][0]["exchange"] = more["exchange"]
    with pytest.raises(ModelError, match=rf"structure\.k: .*{what} differs from cell to cell"):
        bands(Model.from_dict(content), HKL)


def test_a_single_k_takes_axial_terms_about_its_axis():
    content = spiral(anisotropy=[{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, 0.1]]}], field={"B": [0, 0, 0]})
    content["bond"][0]["exchange"] = [[1, 0.2, 0], [-0.2, 1, 0], [0, 0, 0.9]]
    assert lswt.spin_waves(Model.from_dict(content)).turn.shape == (1, 3, 3)
