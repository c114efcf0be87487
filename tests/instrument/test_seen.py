"""What stands between magnons and a measurement: form factor, twins, temperature, bins, ranges of Q, powders."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.errors import ModelError
from insiren.forward import Bins, Points
from insiren.instrument import integral, powder
from insiren.instrument.exact import _OnGrid, exact
from insiren.instrument.lineshape import BOLTZMANN
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.spec import Model, load_model
from insiren.simulate import lswt
from insiren.simulate.formfactor import form_factor
from insiren.simulate.intensity import magnons

HKL = np.array([[0.13, 0.21, 0.0], [0.2, 0.0, 0.3], [0.75, 0.25, 0.1]])
OMEGA = np.linspace(-30.0, 30.0, 121)


def model(content: dict[str, Any], **scattering: Any) -> Model:
    content = copy.deepcopy(content)
    content["scattering"] = content.get("scattering", {}) | scattering
    return Model.from_dict(content)


def table(of: Model, params: dict[str, float] | None = None, points: Points | None = None) -> np.ndarray:
    points = Points.table(HKL, OMEGA) if points is None else points
    return np.asarray(exact(of)({"q_fwhm": 0.0} | (params or {}), points)).reshape(len(points.hkl), -1)


def values(of: Model, **given: float) -> dict[str, jax.Array]:
    return {p.name: jnp.asarray(p.value) for p in of.all_parameters} | {k: jnp.asarray(v) for k, v in given.items()}


def twin() -> dict[str, Any]:
    """A square magnet whose anisotropy lies across its moments, as in one twin of a crystal."""
    content = systems.square_in_field()
    content["scattering"] = {"correlation": "perp"}
    return content


def gap_model() -> dict[str, Any]:
    return load_model("la2nio4-gap").model_dump(exclude_none=True)


# Form factor and g


def test_the_form_factor_and_g_multiply_the_intensity_by_their_square():
    content = systems.fm_chain()
    content["site"][0] |= {"g": 2.2, "ion": "Ni2"}
    bare, seen = (model(content, form_factor=f) for f in (False, True))
    F = form_factor("Ni2", np.linalg.norm(np.asarray(to_inverse_angstrom(bare, jnp.asarray(HKL))), axis=1))
    np.testing.assert_allclose(table(seen), table(bare) * np.asarray((1.1 * F) ** 2)[:, None], rtol=1e-10, atol=1e-14)


def test_a_g_tensor_weighs_each_component_of_the_spin():
    content = systems.fm_chain()
    content["site"][0] |= {"g": [[1.0, 0, 0], [0, 3.0, 0], [0, 0, 2.0]], "ion": "Ni2"}
    along_x, along_y = (table(model(content, form_factor=True, correlation=c)) for c in ("Sxx", "Syy"))
    np.testing.assert_allclose(along_y, 9 * along_x, rtol=1e-10, atol=1e-14)  # a ferromagnet fluctuates evenly


def test_a_form_factor_without_an_ion_is_refused():
    with pytest.raises(ModelError, match="ion of every site"):
        model(systems.fm_chain(), form_factor=True)


def test_kf_over_ki_multiplies_what_was_not_divided_out():
    content = systems.fm_chain() | {"instrument": {"Ei": 20.0, "resolution": {"constant": 2.0}}}
    reduced, raw = (table(model(content, kf_over_ki=k)) for k in (False, True))
    np.testing.assert_allclose(raw, reduced * np.sqrt(np.maximum(1 - OMEGA / 20.0, 0)), rtol=1e-12, atol=1e-300)


# Domains


def test_twins_are_the_mean_of_two_models_turned_by_hand():
    content = gap_model()
    content["scattering"] |= {"domains": [], "form_factor": False}
    content["instrument"]["integrate"] = []
    turned = copy.deepcopy(content)
    turned["structure"]["directions"] = [[-1, 1, 0]]
    plus = [["Dx/2", "Dx/2", 0], ["Dx/2", "Dx/2", 0], [0, 0, 0]]
    turned["anisotropy"][1]["matrix"] = plus
    share = [
        {"axis": [0, 0, 1], "angle": 0, "fraction": 0.3},
        {"axis": [0, 0, 1], "angle": 90, "fraction": 0.7},
    ]
    points = Points.table(HKL, np.linspace(0.0, 140.0, 60))
    one, other, both = (
        table(model(c, **s), None, points) for c, s in ((content, {}), (turned, {}), (content, {"domains": share}))
    )
    assert np.max(np.abs(one - other)) > 0.1 * np.max(one)  # they do differ
    np.testing.assert_allclose(both, 0.3 * one + 0.7 * other, rtol=1e-8, atol=1e-12)


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ModelError, match=r"sum to 0\.9"):
        model(systems.fm_chain(), domains=[{"axis": [0, 0, 1], "angle": 0, "fraction": 0.9}])


# Temperature and lifetime


def test_at_a_temperature_gain_and_loss_obey_detailed_balance():
    kT = 4.0
    content = systems.fm_chain() | {"instrument": {"resolution": {"constant": 0.3}}}
    of = model(content, temperature=kT / BOLTZMANN)
    E = systems.fm_chain_energy(HKL[:, 0], -1.0)
    step = 0.02
    omega = np.arange(-8.0, 8.0 + step / 2, step)
    S = table(of, None, Points.table(HKL, omega))
    cold = table(model(content), None, Points.table(HKL, omega)).sum(1)
    loss, gain = S[:, omega > 0].sum(1), S[:, omega < 0].sum(1)
    wide = E > 1.0  # clear of the elastic line
    np.testing.assert_allclose((gain / loss)[wide], np.exp(-E / kT)[wide], rtol=1e-6)
    np.testing.assert_allclose((loss / cold)[wide], (1 / (1 - np.exp(-E / kT)))[wide], rtol=1e-6)


def test_absorbed_magnons_are_those_of_the_opposite_wavevector():
    content = systems.dm_chain()
    of = model(content, temperature=20.0)
    E, _ = exact(of).views(values(of), jnp.asarray(HKL), None)
    emitted, _ = magnons(of, values(of), jnp.asarray(HKL))
    absorbed, _ = magnons(of, values(of), -jnp.asarray(HKL))
    np.testing.assert_allclose(E[:, 0], np.concatenate([emitted, -absorbed], 1), rtol=1e-12)


def test_a_lifetime_folds_the_line_with_a_lorentzian():
    of = model(systems.fm_chain(), damping=1.5)
    step = 0.05
    fine = np.arange(-400.0, 400.0 + step / 2, step)
    sharp = table(model(systems.fm_chain()), None, Points.table(HKL, fine))
    lorentz = 0.75 / np.pi / (fine**2 + 0.75**2)
    folded = np.array([np.convolve(row, lorentz, mode="same") * step for row in sharp])
    near = np.abs(fine) < 20
    np.testing.assert_allclose(
        table(of, None, Points.table(HKL, fine[near])), folded[:, near], atol=2e-4 * folded.max()
    )


def test_a_damped_oscillator_without_damping_is_the_plain_line():
    omega = np.linspace(0.5, 12.0, 40)
    content = systems.fm_chain() | {"instrument": {"resolution": {"constant": 0.4}}}
    plain = table(model(content), None, Points.table(HKL[:2], omega))
    still = table(model(content, damping=0.0, line="oscillator"), None, Points.table(HKL[:2], omega))
    np.testing.assert_allclose(still, plain, atol=1e-9 * plain.max())


def test_a_damped_oscillator_is_smooth_across_zero_energy():
    of = model(systems.fm_chain(), damping=2.0, line="oscillator", temperature=40.0)
    S = table(of, None, Points.table(HKL[:1], np.array([-1e-3, 0.0, 1e-3])))[0]
    np.testing.assert_allclose(S[1], (S[0] + S[2]) / 2, rtol=1e-5)


@pytest.mark.parametrize("model_name", ["kagome", "la2nio4-gap"])
def test_no_diagonalisation_of_a_spectrum_is_free_to_run_beside_another(model_name: str):
    # Two batched eigh at once on two threads wait for each other for ever; the data must forbid it.
    of = load_model(model_name)
    W, hkl = lswt.weights(of, values(of)), jnp.asarray(HKL)
    jaxpr = jax.make_jaxpr(lambda q: magnons(of, values(of), q))(hkl).jaxpr
    assert W.ndim == 3
    last: set[Any] = set()
    seen = 0
    for equation in jaxpr.eqns:
        inputs = {x for x in equation.invars if not hasattr(x, "val")}
        below = bool(inputs & last)
        if "eigh" in str(equation):
            assert seen == 0 or below
            seen += 1
            last = set(equation.outvars)
        elif below:
            last |= set(equation.outvars)
    assert seen > 0


# Bins


@pytest.mark.parametrize("width", [0.5, 6.0])  # narrower and wider than the line
def test_an_energy_bin_is_the_mean_over_it(width: float):
    of = model(systems.fm_chain())
    centres = np.linspace(-8.0, 12.0, 21)
    fine = np.linspace(-width / 2, width / 2, 2001)
    inside = (centres[:, None] + fine).ravel()
    weight = np.full(fine.size, 1.0)
    weight[[0, -1]] = 0.5
    mean = table(of, None, Points.table(HKL, inside)).reshape(len(HKL), len(centres), -1) @ weight / weight.sum()
    np.testing.assert_allclose(
        table(of, None, Points.table(HKL, centres, bins=Bins(omega=width))), mean, atol=1e-6 * mean.max()
    )


@pytest.mark.parametrize("q_fwhm", [0.0, 0.06])
@pytest.mark.parametrize(
    "edges", [((0.04, 0.0, 0.0), (0.0, 0.03, 0.0)), ((0.02, 0.02, 0.0),), ((-0.02, 0.06, 0.0), (0.03, 0.01, 0.0))]
)
def test_a_bin_in_q_is_the_mean_over_it(q_fwhm: float, edges: tuple[tuple[float, float, float], ...]):
    of = load_model("la2nio4")
    hkl, omega = np.array([[0.2, 0.1, 0.0], [0.33, 0.27, 0.0]]), np.linspace(20.0, 130.0, 40)
    node, weight = np.polynomial.legendre.leggauss(7)
    spots = [np.array(at) / 2 @ np.array(edges) for at in itertools.product(node, repeat=len(edges))]
    shares = [np.prod(w) / 2 ** len(edges) for w in itertools.product(weight, repeat=len(edges))]
    many = Points.table((hkl[:, None] + np.array(spots)).reshape(-1, 3), omega)
    S = np.asarray(exact(of)({"q_fwhm": q_fwhm}, many)).reshape(len(hkl), len(spots), -1)
    mean = np.einsum("qsw,s->qw", S, np.array(shares))
    points = Points.table(hkl, omega, bins=Bins(hkl=edges))
    assert isinstance(exact(of).at(points, {"q_fwhm": 0.06}), _OnGrid)
    binned = np.asarray(exact(of)({"q_fwhm": q_fwhm}, points)).reshape(2, -1)
    np.testing.assert_allclose(binned, mean, atol=2e-3 * mean.max())


def test_a_bin_across_the_shared_grid_is_still_averaged_over():
    of = load_model("la2nio4-gap")
    points = Points.table(
        np.array([[0.3, 0.2, 0.0]]), np.linspace(20.0, 130.0, 12), bins=Bins(hkl=((0.05, 0.05, 0.0), (0.05, 0.0, 0.0)))
    )
    plain = Points.table(points.hkl, points.rows)
    at = {"q_fwhm": 0.05}
    assert not isinstance(exact(of).at(points, at), _OnGrid)
    change = np.abs(np.asarray(exact(of)(at, points)) - np.asarray(exact(of)(at, plain)))
    assert 1e-3 < np.max(change) / np.max(np.asarray(exact(of)(at, plain))) < 0.5


# Ranges of Q


def test_the_range_of_l_reaches_only_what_the_detectors_see():
    of = load_model("la2nio4-gap")
    over = integral.integral(of)
    assert over is not None and over.components is not None
    mix = np.asarray(over.mix(of, jnp.array([[0.5, 0.0, 0.0]]), jnp.array([[20.0, 60.0, 112.0]])))[0]
    P = np.einsum("wv,vab->wab", mix, over.components)
    in_plane = (P[:, 0, 0] + P[:, 1, 1]) / 2  # fluctuations in the plane, both twins
    np.testing.assert_allclose(in_plane, [0.43, 0.35, 0.20], atol=0.005)
    beyond = np.asarray(over.mix(of, jnp.array([[0.5, 0.0, 0.0]]), jnp.array([[189.9, 200.0]])))
    np.testing.assert_array_equal(beyond, 0.0)


def test_few_components_and_many_wavevectors_give_the_same_average(monkeypatch: pytest.MonkeyPatch):
    of = load_model("la2nio4-gap")
    points = Points.table(np.array([[0.5, 0.05, 0.0], [0.21, 0.34, 0.0]]), np.linspace(5.0, 135.0, 27))
    few = np.asarray(exact(of).spectrum(values(of, q_fwhm=0.0), points))
    integral.integral.cache_clear()
    monkeypatch.setattr(integral, "_is_flat", lambda _: False)
    monkeypatch.setattr(integral, "_COARSE", 64)
    try:
        many = np.asarray(exact(of).spectrum(values(of, q_fwhm=0.0), points))
    finally:
        integral.integral.cache_clear()
    np.testing.assert_allclose(few, many, atol=1e-9 * many.max())


def test_a_range_that_changes_the_magnons_is_averaged_wavevector_by_wavevector():
    content = systems.square() | {"scattering": {"correlation": "trace"}}
    content["bond"] = [*content["bond"], {"i": 0, "j": 0, "offset": [0, 0, 1], "exchange": -2.0}]
    content["instrument"] = {"resolution": {"constant": 6.0}, "integrate": [{"axis": [0, 0, 1], "range": [-0.5, 0.5]}]}
    of = model(content)
    over = integral.integral(of)
    assert over is not None and over.components is None
    hkl, omega = np.array([[0.31, 0.12, 0.0]]), np.linspace(20.0, 140.0, 31)
    seen = table(of, None, Points.table(hkl, omega))
    content["instrument"].pop("integrate")
    l = (np.arange(200) + 0.5) / 200 - 0.5
    every = table(model(content), None, Points.table(hkl + l[:, None] * [0, 0, 1], omega))
    np.testing.assert_allclose(seen[0], every.mean(0), atol=1e-3 * every.mean(0).max())


# Powders


def test_a_powder_is_the_mean_over_directions_to_the_stated_tolerance():
    of = Model.from_dict(
        load_model("mnf2").model_dump(exclude_none=True) | {"instrument": {"resolution": {"constant": 0.5}}}
    )
    Q, omega = np.array([0.7, 1.3, 2.1]), np.linspace(0.3, 8.0, 60)
    seen = np.asarray(exact(of)({"q_fwhm": 0.0}, Points.table(Q_abs=Q, omega=omega))).reshape(3, -1)
    n = np.arange(40_000) + 0.5  # a Fibonacci lattice: even, and unlike the one of the package
    z, phi = 1 - 2 * n / len(n), n * np.pi * (1 + 5**0.5)
    u = np.stack([np.sqrt(1 - z**2) * np.cos(phi), np.sqrt(1 - z**2) * np.sin(phi), z], 1)
    back = np.linalg.inv(np.asarray(to_inverse_angstrom(of, jnp.eye(3))))
    for row, length in zip(seen, Q, strict=True):
        mean = table(of, None, Points.table(length * u @ back, omega)).mean(0)
        np.testing.assert_allclose(row, mean, atol=0.01 * mean.max())


def test_more_directions_change_a_powder_by_less_than_the_tolerance():
    of = load_model("mnf2")
    points = Points.table(Q_abs=np.array([0.7, 1.3, 2.1]), omega=np.linspace(0.3, 8.0, 60))
    plan = exact(of).at(points, values(of))
    finer = dataclasses.replace(plan, orientations=2 * plan.orientations)  # type: ignore[type-var]
    coarse, fine = (np.asarray(f.spectrum(values(of), points)) for f in (plan, finer))
    assert powder.FIRST < plan.orientations < powder.MOST  # type: ignore[attr-defined]
    assert np.linalg.norm(coarse - fine) < powder.TOLERANCE * np.linalg.norm(fine)


def test_a_powder_has_no_ranges_of_q():
    content = gap_model()
    points = Points.table(Q_abs=np.array([1.1]), omega=np.linspace(10.0, 100.0, 5))
    ranged = table(model(content), None, points)
    content["instrument"]["integrate"] = []
    np.testing.assert_allclose(ranged, table(model(content), None, points), rtol=1e-12)


def test_wavevectors_are_refused_where_the_model_is_a_powder():
    with pytest.raises(ModelError, match=r"powder .* wavevectors of a crystal"):
        table(model(systems.fm_chain(), powder=True))


# Derivatives in all of these


def full() -> Model:
    """A twinned antiferromagnet with form factor, temperature, lifetime and fractions as parameters."""
    content = systems.square_biaxial()
    content["site"] = [site | {"ion": "Ni2", "g": [[2.1, 0, 0], [0, "gy", 0], [0, 0, 2.3]]} for site in content["site"]]
    content["parameters"] = content["parameters"] | {
        "T": systems.parameter(60.0, 0.0, 900.0),
        "life": systems.parameter(3.0, 0.0, 20.0),
        "f": systems.parameter(0.3, 0.0, 1.0),
        "gy": systems.parameter(2.0, 1.0, 3.0),
    }
    content["scattering"] = {
        "correlation": "perp",
        "form_factor": True,
        "temperature": "T",
        "damping": "life",
        "domains": [
            {"axis": [0, 0, 1], "angle": 0, "fraction": "f"},
            {"axis": [0, 0, 1], "angle": 90, "fraction": "1 - f"},
        ],
    }
    return Model.from_dict(content)


@pytest.mark.parametrize("line", ["lorentzian", "oscillator"])
def test_derivatives_in_what_the_measurement_adds_agree_with_finite_differences(line: str):
    content = full().model_dump(exclude_none=True)
    content["scattering"]["line"] = line
    of = Model.from_dict(content)
    points = Points.table(np.array([[0.13, 0.21, 0.0], [0.37, 0.41, 0.1]]), np.linspace(-90.0, 125.0, 24))
    params = values(of, q_fwhm=0.0, Dy=0.3, Dz=0.2)
    value = jax.jit(lambda p: exact(of).spectrum(p, points))
    slope = jax.jit(jax.jacfwd(lambda p: exact(of).spectrum(p, points)))(params)
    for name, step in {"J": 0.01, "T": 0.1, "life": 0.01, "f": 0.01, "gy": 0.01, "Dy": 0.003, "width": 0.003}.items():
        coarse, fine = (
            np.asarray(value(params | {name: params[name] + h}) - value(params | {name: params[name] - h})) / (2 * h)
            for h in (step, step / 2)
        )
        wanted = (4 * fine - coarse) / 3
        np.testing.assert_allclose(slope[name], wanted, atol=1e-6 * np.max(np.abs(wanted)), err_msg=name)


@pytest.mark.parametrize("kind", ["powder", "range"])
def test_derivatives_of_powders_and_ranges_agree_with_finite_differences(kind: str):
    of = load_model("mnf2" if kind == "powder" else "la2nio4-gap")
    omega = np.linspace(0.5, 8.0, 12) if kind == "powder" else np.linspace(5.0, 120.0, 12)
    if kind == "powder":
        points = Points.table(Q_abs=np.array([0.9, 1.7]), omega=omega, bins=Bins(Q_abs=0.05, omega=0.4))
        steps = {"J1": 0.0003, "J2": 0.0003}
    else:
        points = Points.table(np.array([[0.45, 0.4, 0.0], [0.2, 0.1, 0.0]]), omega, bins=Bins(omega=4.0))
        steps = {"J": 0.01, "Jp": 0.01, "Dz": 0.003, "Dx": 0.0003}
    params = values(of, q_fwhm=0.0)
    value = jax.jit(lambda p: exact(of).spectrum(p, points))
    slope = jax.jit(jax.jacfwd(lambda p: exact(of).spectrum(p, points)))(params)
    for name, step in steps.items():
        coarse, fine = (
            np.asarray(value(params | {name: params[name] + h}) - value(params | {name: params[name] - h})) / (2 * h)
            for h in (step, step / 2)
        )
        wanted = (4 * fine - coarse) / 3
        np.testing.assert_allclose(slope[name], wanted, atol=1e-6 * np.max(np.abs(wanted)), err_msg=name)
