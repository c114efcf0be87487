"""Fitted backgrounds: exact elimination, stiffness by evidence, and magnons that they leave alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from theory import HKL, OMEGA, THEORY, TRUTH, expected, fit, seen

from insiren.data.background import lowrank_basis, smooth_basis, template_basis
from insiren.data.spectrum import image, measured, point_list
from insiren.errors import DataError
from insiren.fit.choice import choose
from insiren.fit.evidence import by_evidence, freedom_cost
from insiren.fit.objective import (
    gram,
    least_squares_residual,
    nuisance,
    picked,
    profile,
    residual_jacobian,
    stiffened,
    target,
)
from insiren.fit.problem import Problem
from insiren.fit.reweight import settle
from insiren.fit.weights import Noise
from insiren.forward import Points, forward

SLOPE = 0.4 + 0.8 * np.exp(-OMEGA / 6)  # of the energy alone
WARPED = SLOPE * (1 + 0.6 * np.cos(2.0 * HKL[:, :1]))  # of Q as well
BASES = {"smooth": smooth_basis, "lowrank": lowrank_basis}


def can(seed: int, sigma: float = 0.02):
    """An empty can: the warped background, measured with little noise and half the intensity."""
    noise = np.random.default_rng(1000 + seed).normal(size=WARPED.shape)
    return image("can", HKL, OMEGA, WARPED / 2 + sigma * noise, np.full_like(WARPED, sigma))


def treated(background: str, seed: int):
    """A data set with the background that its name asks for, and how it is fitted."""
    one = measured(seen(seed, SLOPE if background in ("smooth", "per-energy") else WARPED))
    if background == "per-energy":
        return one, target(one, background), Noise(one, False, False, None)
    basis = template_basis(one, [can(seed)]) if background == "template" else BASES[background](one)
    return one, target(one, background, None, basis), Noise(one, False, False, basis.sigma)


@pytest.mark.parametrize("background", ["smooth", "lowrank", "template"])
def test_the_eliminated_background_is_the_solution_of_penalised_least_squares(background):
    one, t, _ = treated(background, 0)
    S = expected().ravel() + 0.1
    found = profile(jnp.asarray(S), t)
    functions = np.asarray(t.curve.functions)[np.asarray(t.group)]
    root = np.sqrt(np.asarray(t.weight))[:, None]
    penalty = np.diag(np.asarray(t.curve.root))
    design = np.block([
        [root * np.column_stack([S, functions])],
        [np.zeros((len(penalty), 1)), penalty],
    ])  # fmt: skip
    wanted = np.linalg.lstsq(design, np.concatenate([root[:, 0] * one.intensity, np.zeros(len(penalty))]))[0]
    assert float(found.scale) == pytest.approx(wanted[0], rel=1e-8)
    np.testing.assert_allclose(found.model, np.column_stack([S, functions]) @ wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("background", ["smooth", "lowrank", "template"])
def test_the_jacobian_with_a_curve_agrees_with_finite_differences(background):
    _, t, _ = treated(background, 0)
    base, other = jnp.asarray(expected().ravel()), jnp.asarray(expected(1.4).ravel())
    S, slope = (lambda x: base + x**2 * other), jax.jacfwd(lambda x: base + x**2 * other)(0.7)
    _, J = residual_jacobian("gaussian", (S(0.7),), (slope[None],), (t,))
    up, down = (np.asarray(least_squares_residual((S(0.7 + h),), (t,))) for h in (1e-5, -1e-5))
    difference = (up - down) / 2e-5
    np.testing.assert_allclose(J[:, 0], difference, rtol=0, atol=1e-6 * np.abs(difference).max())


def test_the_evidence_is_that_of_the_gaussian_integral_over_the_coefficients():
    # log ∫ exp(−½ (D + βᵀPβ)) dβ ds written out with dense matrices, at the noise that the evidence takes
    one, t, _ = treated("smooth", 3)
    S = expected().ravel()
    X = np.column_stack([S, np.asarray(t.curve.functions)[np.asarray(t.group)]])
    W, n_free = np.asarray(t.weight), 3

    def dense(log_stiffness):
        P = np.diag(np.concatenate([[0.0], 10**log_stiffness * np.asarray(t.curve.penalties)[0]]))
        full = X.T @ (W[:, None] * X) + P
        beta = np.linalg.solve(full, X.T @ (W * one.intensity))
        left = np.sum(W * (one.intensity - X @ beta) ** 2) + beta @ P @ beta
        noise = max(1.0, left / (len(S) - n_free))
        free = np.diag(P)[np.diag(P) > 0]
        return (len(S) - n_free) * np.log(noise) + left / noise + np.linalg.slogdet(full)[1] - np.sum(np.log(free))

    best = scipy.optimize.minimize_scalar(dense, bounds=(0, 9), method="bounded", options={"xatol": 1e-4})
    found = float(by_evidence(jnp.asarray(S), t).curve.stiffness[0])
    assert dense(np.log10(found)) == pytest.approx(best.fun, abs=1e-2)


@pytest.mark.parametrize("background", ["none", "constant", "per-energy", "smooth", "lowrank", "template"])
def test_chi_squared_and_the_cost_of_freedom_make_the_marginal_likelihood(background):
    # −2 log of the probability of the intensities, its covariance written out pixel by pixel: noise, penalised
    # functions by their prior, free ones about their best values with the information of one pixel
    if background in ("none", "constant"):
        t = target(measured(seen(5, SLOPE)), background)
    else:
        t = treated(background, 5)[1]
    if t.curve is not None and t.curve.penalties.shape[0]:
        t = by_evidence(expected().ravel(), t)
    I, w, group = np.asarray(t.intensity), np.asarray(t.weight), np.asarray(t.group)
    dark = jnp.zeros(len(I))
    if t.curve is not None:
        functions, penalty = np.asarray(t.curve.functions)[group], np.asarray(t.curve.root) ** 2
    else:
        functions = (group[:, None] == np.arange(t.groups.shape[0])).astype(float)
        penalty = np.zeros(functions.shape[1])
    free = functions[:, penalty == 0]
    inside = len(I) if t.curve is not None else np.count_nonzero(free, axis=0)  # these do not overlap
    unit = (free * w[:, None]).T @ free / inside
    best = profile(dark, t)
    values = np.asarray(best.background if t.curve is None else best.coefficients)[penalty == 0]
    held = functions[:, penalty > 0]
    covariance = np.diag(1 / w) + (held / penalty[penalty > 0]) @ held.T + free @ np.linalg.inv(unit) @ free.T
    off = I - free @ values
    surprise = off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(2 * np.pi * covariance)[1]
    of_noise = np.sum(np.log(2 * np.pi / w))
    left = float(jnp.sum(least_squares_residual((dark,), (t,)) ** 2))
    assert left + freedom_cost(t) == pytest.approx(surprise - of_noise, rel=1e-8)
    assert freedom_cost(t) > 1 or background == "none"


def test_a_straight_background_is_found_stiff_and_a_wavy_one_soft():
    S = jnp.asarray(expected().ravel())
    taken = []
    for shape in (0.5 + 0.02 * OMEGA, 0.5 + 0.4 * np.sin(OMEGA)):
        one = measured(seen(5, shape))
        taken.append(nuisance(by_evidence(S, target(one, "smooth", None, smooth_basis(one)))) - 1)
    assert taken[0] + 1e-6 >= 2 and taken[0] < 4 and taken[1] > 8


def test_what_depends_on_the_energy_alone_may_be_finer_than_what_bends_along_Q():
    S = jnp.asarray(expected().ravel())
    left = []
    wave = 0.5 + 0.4 * np.sin(1.5 * OMEGA)  # four and a half periods: the products alone are 0.12 off
    for shape in (wave, wave + 0.5 * np.cos(2.0 * HKL[:, :1])):
        one = measured(seen(5, shape))
        t = by_evidence(S, target(one, "lowrank", None, lowrank_basis(one)))
        off = np.asarray(profile(S, t).background).reshape(len(HKL), -1) - shape
        left.append(np.sqrt(np.mean(off**2)))
    assert max(left) < 0.05  # a quarter of the noise of a pixel


def test_a_part_of_the_pixels_keeps_the_freedom_of_the_background():
    _, t, _ = treated("smooth", 0)
    few = picked(t, np.arange(0, len(OMEGA) * len(HKL), 2))
    assert nuisance(few) == pytest.approx(nuisance(t), rel=0.05)
    np.testing.assert_allclose(np.asarray(few.curve.inverse) @ (gram(few) + np.diag(np.asarray(few.curve.root) ** 2)),
                               np.eye(len(few.curve.root)), atol=1e-6)  # fmt: skip


def test_a_fit_with_a_smooth_background_of_each_kind_finds_the_truth_from_the_whole_box():
    answer = fit(THEORY, seen(1, WARPED), background="lowrank", starts=2)
    for name in ("A", "B"):
        assert abs(answer.values[name] - TRUTH[name]) < 4 * answer.errors[name]
    assert answer.background == "lowrank" and 0.8 < answer.chi2_reduced < 1.2
    background = np.asarray(answer.maps[0].profile.background).reshape(WARPED.shape)
    assert np.sqrt(np.mean((background - WARPED) ** 2)) < 0.05  # a quarter of the noise of a pixel


def test_a_template_is_scaled_by_its_factor_and_its_noise_widens_the_variance():
    one, t, noise = treated("template", 2)
    found = profile(jnp.asarray(expected().ravel()), t)
    assert float(found.coefficients[0]) == pytest.approx(2.0, abs=0.1)
    choice = choose(THEORY.parameters)
    problem = Problem(THEORY, (THEORY,), (one.points,), (t,), choice, "gaussian")
    _, settled = settle(problem, np.array([11.0, 5.0]), (noise,), lambda stage, part: None)
    np.testing.assert_allclose(settled.data[0].weight, 1 / (0.2**2 + (2 * 0.02) ** 2), rtol=0.01)


def test_a_template_measured_elsewhere_is_refused_with_the_distance():
    one = measured(seen(0, 0.5))
    moved = image("moved", HKL, OMEGA + 0.25, np.ones_like(WARPED), np.ones_like(WARPED))
    with pytest.raises(DataError, match=r"moved has energies up to 0\.25 away.*interpolated"):
        template_basis(one, [moved])
    holes = image("holes", HKL, OMEGA, np.where(WARPED > 1.5, np.nan, WARPED), np.ones_like(WARPED))
    with pytest.raises(DataError, match="pixels of seen were not measured in the template holes"):
        template_basis(one, [holes])


def test_a_list_of_points_of_a_crystal_has_no_lowrank_background():
    with pytest.raises(DataError, match="--background smooth"):
        lowrank_basis(measured(point_list("list", HKL, OMEGA[:24], np.ones(24), np.ones(24))))


def test_another_stiffness_keeps_everything_else():
    _, t, _ = treated("smooth", 0)
    again = stiffened(t, np.array([1e12]))
    assert nuisance(again) == pytest.approx(3, abs=1e-3)  # a scale and a straight line


@pytest.mark.parametrize("background", ["per-energy", "smooth", "lowrank", "constant", "none"])
def test_pixels_of_pure_background_change_no_parameter_by_more_than_its_error(background):
    """Energies above the band, where nothing is but background: as many pixels again as hold the ridge."""
    under = 0.0 if background == "none" else 0.7 if background == "constant" else SLOPE
    band = seen(3, under)
    above = OMEGA[-1] + np.arange(1, 31) * 0.65
    beyond = np.broadcast_to(0.0 if background == "none" else 0.7 if background == "constant" else SLOPE[-1],
                             (len(HKL), len(above)))  # fmt: skip
    beyond = beyond + 0.2 * np.random.default_rng(50).normal(size=beyond.shape)
    values = np.concatenate([band.values, beyond], axis=1)
    more = image("more", HKL, np.concatenate([OMEGA, above]), values, np.full_like(values, 0.2))
    few, many = (fit(THEORY, one, background=background, free=["C"], starts=2) for one in (band, more))
    for name in TRUTH:
        assert abs(many.values[name] - few.values[name]) < few.errors[name]
        assert abs(many.values[name] - TRUTH[name]) < 3 * many.errors[name]


def test_a_background_is_taken_from_the_quiet_columns_that_are_named():
    """Of columns beside the signal: the answer is that with the background known, and the report says which."""
    omega = np.linspace(1.0, 20.0, 60)
    hkl = np.concatenate([HKL + np.array([2, 0, 0]), HKL])  # before the zone of the theory it is dark
    hump = 0.8 - 0.1 * omega + 0.005 * omega**2  # which a cubic smooths exactly
    rng = np.random.default_rng(4)
    theory = forward(lambda p, at: jnp.where(at.hkl[at.index, 0] < 1.5, THEORY(p, at), 0.0), THEORY.parameters)
    S = np.asarray(theory(TRUTH, Points.table(hkl, omega))).reshape(len(hkl), 60)
    one = image("dark", hkl, omega, S + hump + 0.02 * rng.normal(size=S.shape), np.full_like(S, 0.02))
    known = one.copy()
    known.values -= hump
    dark = len(HKL) - 1
    found = fit(theory, one, background=f"savgol:0:{dark}", starts=1)
    wanted = fit(theory, known, background="none", starts=1)
    blind = fit(theory, one, background="none", starts=1)
    for name in wanted.names:
        assert found.values[name] == pytest.approx(wanted.values[name], abs=wanted.errors[name])
        assert abs(blind.values[name] - wanted.values[name]) > 2 * wanted.errors[name]
    assert any(f"Q columns 0 to {dark}" in line for line in found.remarks())
    with pytest.raises(DataError, match="savgol:FIRST:LAST"):
        fit(theory, one, background="savgol:900:905", starts=1)
