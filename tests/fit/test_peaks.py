"""Lists of peaks: which mode a peak belongs to, the closed form recovered, and LuVO3 as published."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize
from theory import fit

from insiren.data.counts import count
from insiren.data.files import read
from insiren.data.peaks import peak_list
from insiren.data.simulated import simulate
from insiren.errors import FitError
from insiren.fit.assignment import assigned
from insiren.fit.peak_fit import PeakFit, fit_peaks
from insiren.fit.peaks import peak_problem, peak_set
from insiren.fit.problem import choose
from insiren.forward import Parameter, Points, forward
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report import load_fit, report, save_fit

TABLE = "data/luvo3/LuVO3_fitted_modes.txt"
TRUTH = {"Jab": 6.3, "Jc": 3.9, "Dx": 0.5, "Dy": 0.12}
WHERE = np.array([[0, 1, 2.2], [0, 1, 2.5], [0, 1, 2.8], [0, 1, 3.0], [0, 1.1, 3.1], [0, 1.3, 3.3], [0, 1.45, 3.45]])


def luvo3_modes(values, hkl):
    """The two modes of LuVO3 that are seen near (0 1 l) in closed form, (q, 2).

    A four-sublattice antiferromagnet of spin 1 whose moments see Z = 4 Jab + 2 Jc and two transverse anisotropies:
    E² = (Z + Dx + Dy)² − (γ ± (Dx − Dy))².
    """
    Jab, Jc, Dx, Dy = (values[name] for name in ("Jab", "Jc", "Dx", "Dy"))
    h, k, l = np.pi * np.asarray(hkl).T
    gamma = 4 * Jab * np.cos(h) * np.cos(k) + 2 * Jc * np.cos(l)
    top = (4 * Jab + 2 * Jc + Dx + Dy) ** 2
    return np.sort(np.sqrt([top - (gamma + Dx - Dy) ** 2, top - (gamma - Dx + Dy) ** 2]), axis=0).T


@pytest.fixture(scope="module")
def simulator():
    return exact(load_model("luvo3"))


@pytest.fixture(scope="module")
def synthetic():
    modes = luvo3_modes(TRUTH, WHERE)
    sigma = 0.1
    noise = np.random.default_rng(3).normal(0, sigma, modes.shape)
    return peak_list("synthetic", np.repeat(WHERE, 2, axis=0), (modes + noise).ravel(), np.full(modes.size, sigma))


@pytest.fixture(scope="module")
def found(simulator, synthetic):
    return fit(simulator, synthetic, starts=3)


def test_a_peak_takes_the_nearest_visible_mode():
    E, I = np.array([[5.0, 9.0, 10.0]]), np.array([[1.0, 0.001, 1.0]])
    given = np.array([0]), np.array([8.8]), np.array([0.1]), np.array([[0.0, 20.0]])
    assert assigned(E, I, *given).tolist() == [2]


def test_two_peaks_never_share_a_mode_where_two_modes_are_seen():
    E, I = np.array([[5.0, 9.0]]), np.array([[1.0, 1.0]])
    at, window = np.zeros(2, int), np.tile([0.0, 20.0], (2, 1))
    assert assigned(E, I, at, np.array([8.0, 9.5]), np.ones(2), window).tolist() == [0, 1]


def test_a_peak_without_a_mode_of_its_own_takes_the_nearest():
    E, I = np.array([[5.0, 9.0]]), np.array([[1.0, 0.0]])
    at, window = np.zeros(2, int), np.tile([0.0, 20.0], (2, 1))
    assert assigned(E, I, at, np.array([4.0, 8.0]), np.ones(2), window).tolist() == [0, 0]


def test_the_strongest_level_counts_the_weight_of_all_its_modes_and_must_lie_within_the_window():
    E, I = np.array([[5.0, 5.0, 9.0, 30.0]]), np.array([[1.0, 1.2, 2.0, 9.0]])
    given = np.array([0]), np.array([8.0]), np.array([1.0]), np.array([[0.0, 20.0]])
    assert assigned(E, I, *given, rule="strongest").tolist() == [0]
    assert assigned(E, I, *given, rule="nearest").tolist() == [2]


def test_an_unknown_rule_is_refused_with_the_known_ones():
    one = np.zeros(1)
    with pytest.raises(FitError, match="nearest, strongest"):
        assigned(np.ones((1, 1)), np.ones((1, 1)), np.zeros(1, int), one, one, np.zeros((1, 2)), rule="best")  # type: ignore[arg-type]


def test_modes_agree_with_the_closed_form(simulator, synthetic):
    choice = choose(simulator.parameters)
    problem = peak_problem(simulator, (peak_set(synthetic),), choice)
    theta = np.array([TRUTH[name] for name in choice.names])
    order = np.lexsort(WHERE.T[::-1])
    np.testing.assert_allclose(problem.energies(theta), luvo3_modes(TRUTH, WHERE).ravel(), atol=1e-5)
    assert len(order) == len(problem.sets[0].hkl)


def test_derivatives_agree_with_finite_differences_at_degenerate_levels_too(simulator):
    """At (0, 1, 2.5) and (0, 1.5, 3.5) modes are degenerate."""
    hkl = np.array([[0, 1, 2.5], [0, 1, 2.5], [0, 1.5, 3.5], [0, 1.2, 3.2]])
    peaks = peak_list("few", hkl, [21.0, 24.0, 33.0, 20.0], [0.1, 0.2, 0.5, 0.1])
    choice = choose(simulator.parameters)
    problem = peak_problem(simulator, (peak_set(peaks),), choice)
    theta = np.array([TRUTH[name] for name in choice.names])
    _, J = problem.jacobian(theta)
    step = 1e-5
    numeric = [(problem.residual(theta + d) - problem.residual(theta - d)) / (2 * step) for d in step * np.eye(4)]
    np.testing.assert_allclose(J, np.stack(numeric, 1), rtol=1e-5, atol=1e-4)


def test_the_truth_is_recovered_within_the_errors(found):
    assert isinstance(found, PeakFit) and set(found.names) == set(TRUTH)
    assert found.chi2_reduced < 2.5 and found.n_data == 14
    for name, value in TRUTH.items():
        assert 0 < found.errors[name] < 0.1 * max(1.0, value)
        assert abs(found.values[name] - value) < 4 * found.errors[name]


def test_of_answers_that_a_symmetry_makes_equal_the_nearest_to_the_model_is_given_and_the_other_named(found):
    """The closed form does not change where Dx and Dy are exchanged."""
    (other,) = found.equals
    for one, two in (("Dx", "Dy"), ("Dy", "Dx"), ("Jab", "Jab"), ("Jc", "Jc")):
        assert other[one] == pytest.approx(found.values[two], abs=1e-4)
    assert any("Dx = 0.1" in line and "as well" in line for line in found.remarks())


def test_the_minimum_is_that_of_the_closed_form_with_the_same_errors(found, synthetic):
    observed = synthetic.values.reshape(-1, 2)
    sigma = np.sqrt(synthetic.variances).reshape(-1, 2)

    def off(x):
        return ((observed - luvo3_modes(dict(zip(TRUTH, x, strict=True)), WHERE)) / sigma).ravel()

    peer = scipy.optimize.least_squares(off, list(TRUTH.values()))
    covariance = np.linalg.inv(peer.jac.T @ peer.jac) * max(1.0, 2 * peer.cost / (len(peer.fun) - 4))
    values = np.array([found.values[name] for name in TRUTH])
    errors = np.array([found.errors[name] for name in TRUTH])
    np.testing.assert_allclose(values, peer.x, atol=1e-3)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(covariance)), rtol=1e-3)


def test_a_peak_far_from_its_mode_is_named(simulator, synthetic):
    wrong = synthetic.copy()
    wrong.values[0] += 5.0
    said = " ".join(fit(simulator, wrong, starts=1).remarks())
    assert f"The peak at {wrong.values[0]:g}" in said and "σ from its mode" in said


def test_the_answer_is_saved_and_drawn_like_any_other(found, tmp_path):
    saved = load_fit(save_fit(found, tmp_path / "fit.json"))
    assert saved.values == pytest.approx(found.values)
    content = saved.to_dict()
    assert content["n_data"] == len(content["peaks"]) == 14 and content["data"][0]["name"] == "synthetic"
    assert content["R"] == pytest.approx(np.sqrt(content["objective_value"] / 14))
    page = report(found, tmp_path / "report.html").read_text()
    assert "14 peaks of the data set synthetic" in page and "Mode number" in page


def test_peaks_have_no_use_for_intensities_or_spectra_alone(simulator, synthetic):
    with pytest.raises(FitError, match="no σ to weigh peaks"):
        fit(simulator, synthetic, objective="pearson")
    with pytest.raises(FitError, match="preset"):
        fit(simulator, synthetic, preset="paper")
    theory = forward(lambda params, points: params["J"] * points.omega, (Parameter("J", 1.0, 0.5, 2.0, free=True),))
    with pytest.raises(FitError, match="energies of modes"):
        fit(theory, synthetic)


@pytest.mark.slow
def test_luvo3_has_the_published_exchange_within_five_per_cent(shared, simulator):
    """Skoulatos et al., Phys. Rev. B 91, 161104(R) (2015), with Jab and Jc in the order that fits their figure."""
    answer = fit_peaks(simulator, read(shared / TABLE), starts=4)
    assert answer.values["Jab"] == pytest.approx(5.95, rel=0.05)
    assert answer.values["Jc"] == pytest.approx(4.24, rel=0.05)
    assert answer.values["Dx"] == pytest.approx(0.48, abs=4 * answer.errors["Dx"])
    assert answer.values["Dy"] == pytest.approx(0.06, abs=4 * answer.errors["Dy"])
    assert max(answer.peaks, key=lambda peak: abs(peak.off)).hkl == (0, 1.5, 3.5)


@pytest.mark.slow
def test_a_map_and_a_list_of_peaks_share_their_parameters(simulator, synthetic):
    """The map alone cannot tell the anisotropies, the peaks can; together they do better than either."""
    hkl = np.stack([np.zeros(9), np.ones(9), np.linspace(2.1, 2.9, 9)], 1)
    clean = simulate(simulator, TRUTH | {"q_fwhm": 0.0}, Points.table(hkl, np.arange(4.0, 34.0, 0.5)))
    counted = count(clean, 3_000, seed=2, background=0.05 * float(np.mean(clean.values)))
    options = {"fixed": {"q_fwhm": 0.0}, "starts": 2}
    alone, both = fit(simulator, counted, **options), fit(simulator, [counted, synthetic], **options)
    assert isinstance(both, PeakFit) and both.n_data == alone.n_data + 14
    listed = fit(simulator, synthetic, starts=2)
    for name, value in TRUTH.items():
        assert abs(both.values[name] - value) < 4 * both.errors[name]
        assert both.errors[name] < 1.05 * min(alone.errors[name] or np.inf, listed.errors[name])
    parts = [dataclasses.replace(one, noise=1.0).covariance / one.noise for one in (both, alone, listed)]
    np.testing.assert_allclose(
        np.linalg.inv(parts[0]), np.linalg.inv(parts[1]) + np.linalg.inv(parts[2]), rtol=0.2, atol=0.05 * 1e4
    )
