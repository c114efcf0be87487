"""Derivatives of the spectrum against finite differences, where bands are degenerate too."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import systems
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.spec import Model, load_model
from insiren.simulate import lswt

NEAR_M = [0.501, 0.5, 0.0]  # 1e-3 r.l.u. from the Goldstone point, where S ∝ 1/ω
POINTS = Points.table(
    np.array([[0.13, 0.21, 0.0], [0.5, 0.02, 0.3], [0.37, 0.41, 0.1], NEAR_M]), np.linspace(0.5, 125.0, 30)
)


def richardson(function: Callable[[float], np.ndarray], at: float, step: float) -> np.ndarray:
    """The derivative by central differences of two steps, with an error of fourth order."""
    coarse, fine = ((function(at + h) - function(at - h)) / (2 * h) for h in (step, step / 2))
    return (4 * fine - coarse) / 3


def spectrum(model: Model, points: Points = POINTS) -> Callable[[dict[str, float]], jax.Array]:
    forward = exact(model)
    return lambda params: forward.spectrum(params, points)


def general_route(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    """Sends every H as a whole through the general diagonalisation."""
    whole = (tuple(range(2 * len(lswt.spin_waves(model).cell.site))),)
    monkeypatch.setattr(lswt, "blocks", lambda _: whole)


STEPS = {"J": 0.01, "Jp": 0.005, "D": 0.001, "B": 0.01, "width": 0.001, "q_fwhm": 0.0001}


def close(derivative: np.ndarray, difference: np.ndarray) -> None:
    """To 1e-6 of the largest at each wavevector: elsewhere the spectrum is a tail that rounding eats."""
    rows = np.asarray(derivative).reshape(len(POINTS.hkl), -1)
    wanted = np.asarray(difference).reshape(rows.shape)
    size = np.max(np.abs(wanted), axis=1, keepdims=True)
    np.testing.assert_allclose(rows / size, wanted / size, rtol=0, atol=1e-6)


@pytest.mark.parametrize("route", ["pairs", "general"])
@pytest.mark.parametrize("B", [0.0, 3.0])  # degenerate pairs, and pairs that the field splits
def test_derivatives_agree_with_finite_differences_in_both_modes(route: str, B: float, monkeypatch: pytest.MonkeyPatch):
    model = Model.from_dict(systems.square_in_field())
    if route == "general":
        general_route(monkeypatch, model)
    params = {p.name: float(p.value) for p in model.all_parameters} | {"q_fwhm": 0.01, "B": B}
    value = jax.jit(spectrum(model))
    slope = jax.jit(jax.jacfwd(spectrum(model)))(params)
    for name, step in STEPS.items():
        if name == "B" and B == 0:  # one magnon rises as its twin falls, and their sum stays
            np.testing.assert_allclose(slope[name], 0.0, atol=1e-10)
            continue
        close(slope[name], richardson(lambda x, name=name: np.asarray(value(params | {name: x})), params[name], step))
    weight = np.random.default_rng(3).normal(size=len(POINTS))
    reverse = jax.jit(jax.grad(lambda p: jnp.sum(weight * spectrum(model)(p))))(params)
    for name in params:
        np.testing.assert_allclose(reverse[name], weight @ np.asarray(slope[name]), rtol=1e-8, atol=1e-10)


def test_the_slopes_in_all_parameters_share_one_diagonalisation():
    model = Model.from_dict(systems.square_biaxial())
    params = {p.name: float(p.value) for p in model.all_parameters}
    value, slopes = (str(jax.make_jaxpr(f)(params)) for f in (spectrum(model), jax.jacfwd(spectrum(model))))
    assert value.count(" eigh[") == slopes.count(" eigh[") == 1


def test_terms_that_split_a_degenerate_pair_and_mix_it_have_the_right_derivative_at_zero():
    model = Model.from_dict(systems.square_biaxial())
    assert len(lswt.blocks(model)) == 1
    params = {p.name: float(p.value) for p in model.all_parameters} | {"q_fwhm": 0.0}
    value = jax.jit(spectrum(model))
    slope = jax.jit(jax.jacfwd(spectrum(model)))(params)
    # Without a gap, a smaller step: at 1e-3 r.l.u. from the Goldstone point a hundredth of a meV is large.
    for name, step in {"J": 0.02, "Jp": 0.005, "Dy": 1e-5, "Dz": 1e-5}.items():
        close(slope[name], richardson(lambda x, name=name: np.asarray(value(params | {name: x})), params[name], step))


def test_derivatives_hold_through_nearly_degenerate_levels():
    # Levels on either side of the threshold below which they count as one.
    model = Model.from_dict(systems.square_biaxial())
    params = {p.name: float(p.value) for p in model.all_parameters}
    away = Points.table(np.array([[0.13, 0.21, 0.0], [0.37, 0.41, 0.1]]), np.linspace(40.0, 125.0, 30))
    slope = jax.jit(jax.jacfwd(spectrum(model, away)))
    at_zero = np.asarray(slope(params)["Dy"])
    for split in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        near = np.asarray(slope(params | {"Dy": split})["Dy"])
        np.testing.assert_allclose(near, at_zero, atol=max(1e-5, 2 * split) * np.max(np.abs(at_zero)))


def test_the_derivative_in_the_width_of_the_shared_grid_agrees_with_finite_differences():
    model = Model.from_dict(systems.square())
    forward = exact(model)
    points = Points.table(np.array([[0.13, 0.21, 0.0], [0.45, 0.48, 0.0], [0.5, 0.5, 0.0]]), np.linspace(5, 125, 20))
    params = {p.name: jnp.asarray(p.value) for p in model.all_parameters} | {"q_fwhm": jnp.asarray(0.07)}
    grid = forward.at(points, params)
    value = jax.jit(lambda x: grid.spectrum(params | {"q_fwhm": x}, points))
    derivative = jax.jit(jax.jacfwd(lambda x: grid.spectrum(params | {"q_fwhm": x}, points)))(0.07)
    difference = richardson(lambda x: np.asarray(value(x)), 0.07, 1e-3)
    np.testing.assert_allclose(derivative, difference, atol=1e-6 * np.max(np.abs(difference)))
    weight = np.linspace(-1, 1, len(points))
    reverse = jax.jit(jax.grad(lambda x: weight @ grid.spectrum(params | {"q_fwhm": x}, points)))(0.07)
    np.testing.assert_allclose(reverse, weight @ np.asarray(derivative), rtol=1e-8)


def everything() -> Model:
    """A canted pair of spins with each kind of coupling, found by minimising its energy."""
    names = {"J": 1.0, "D": 0.2, "K": 0.15, "G": 0.1, "A": -0.3, "B": 3.0, "g": 2.1}
    return Model.from_dict({
        "name": "everything",
        "crystal": {"a": 3.0, "b": 4.0, "c": 5.0},
        "site": [
            {"position": [0, 0, 0], "spin": 1.5, "g": [["g", 0, 0], [0, 2.0, 0], [0, 0, 2.2]], "ion": "Cr3"},
            {"position": [0.5, 0.4, 0.1], "spin": 1.0, "ion": "Ni2"},
        ],
        "bond": [
            {"i": 0, "j": 1, "offset": [0, 0, 0], "exchange": "J", "dm": [0, 0, "D"]},
            {"i": 1, "j": 0, "offset": [1, 0, 0], "exchange": "J/2", "kitaev": {"K": "K", "Gamma": "G", "axis": "x"}},
            {"i": 0, "j": 0, "offset": [0, 1, 0], "exchange": -0.4},
            {"i": 1, "j": 1, "offset": [0, 0, 1], "exchange": -0.3},
        ],
        "anisotropy": [{"site": 0, "matrix": [["A", 0, 0], [0, 0, 0], [0, 0, 0.1]]}],
        "field": {"B": [0, 0.2, "B"]},
        "structure": {"directions": "minimise"},
        "parameters": {name: systems.parameter(value) for name, value in names.items()},
        "scattering": {"form_factor": True},
        "instrument": {"resolution": {"constant": 0.6}},
    })  # fmt: skip


def spiral() -> Model:
    """The 120° structure of the triangular lattice in its rotating frame, with an easy plane."""
    content = load_model("triangular").model_dump(exclude_none=True)
    content["anisotropy"] = [{"site": 0, "matrix": [[0, 0, 0], [0, 0, 0], [0, 0, "D"]]}]
    content["parameters"]["D"] = systems.parameter(0.2)
    return Model.from_dict(content)


@pytest.mark.parametrize("kind", ["every coupling", "single k"])
def test_derivatives_in_every_kind_of_parameter_agree_with_finite_differences(kind: str):
    model = everything() if kind == "every coupling" else spiral()
    steps = {p.name: 1e-3 * max(1.0, abs(p.value)) for p in model.all_parameters if p.name != "q_fwhm"}
    hkl = np.array(
        [[0.11, 0.27, 0.0], [0.301, 0.2, 0.4], [1 / 3 + 1e-3, 1 / 3, 0.0]]
    )  # the last near a Goldstone point
    points = Points.table(hkl, np.linspace(0.5, 14.0 if kind == "every coupling" else 30.0, 25))
    params = {p.name: jnp.asarray(p.value) for p in model.all_parameters} | {"q_fwhm": jnp.asarray(0.0)}
    value, slope = jax.jit(spectrum(model, points)), jax.jit(jax.jacfwd(spectrum(model, points)))(params)
    assert len(steps) >= 3
    for name, step in steps.items():
        wanted = richardson(lambda x, name=name: np.asarray(value(params | {name: x})), float(params[name]), step)
        size = np.max(np.abs(wanted))
        assert size > 0
        np.testing.assert_allclose(slope[name] / size, wanted / size, rtol=0, atol=1e-6, err_msg=name)
