"""The search and its answer: truth recovered, errors that mean something, refusals that explain."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from theory import fit

import insiren
from insiren.data.bins import bin_coords
from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import image, left_out, point_list
from insiren.errors import FitError, UnstableStructure
from insiren.forward import Bins, Parameter, Points
from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.report.words import headline

TURN = np.array([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.75, 0.25, 0.0]])
HKL = np.concatenate([TURN[:-1][i] + np.linspace(0, 1, 6)[:-1, None] * (TURN[i + 1] - TURN[i]) for i in range(3)])
OMEGA = np.linspace(30.0, 140.0, 23)
TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.0}
SHARP = {"q_fwhm": 0.0}


@pytest.fixture(scope="module")
def simulator():
    return exact(load_model("la2nio4"))


@pytest.fixture(scope="module")
def counted(simulator):
    clean = simulate(simulator, TRUTH, Points.table(HKL + np.array([1e-3, 0, 0]), OMEGA))
    return count(clean, 200_000, seed=1, background=0.02)


@pytest.fixture(scope="module")
def gaussian(counted):
    return counted.drop_coords(["counts", "norm"])


@pytest.fixture(scope="module")
def by_counts(simulator, counted):
    return fit(simulator, counted, fixed=SHARP, starts=3)


@pytest.fixture(scope="module")
def by_errors(simulator, gaussian):
    stages = []
    answer = fit(simulator, gaussian, fixed=SHARP, starts=3, progress=lambda stage, part: stages.append((stage, part)))
    return answer, stages


@pytest.mark.parametrize("which", ["poisson", "gaussian"])
def test_the_truth_is_recovered_within_the_errors(which, by_counts, by_errors):
    found = by_counts if which == "poisson" else by_errors[0]
    assert found.objective == which and found.background == "per-energy"
    for name in ("J", "Jp"):
        assert 0 < found.errors[name] < 0.3
        assert abs(found.values[name] - TRUTH[name]) < 4 * found.errors[name]
    assert found.errors["q_fwhm"] is None and found.errors["width"] is None
    assert found.at_bound == (False, False)
    assert found.covariance.shape == (2, 2)
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), [found.errors["J"], found.errors["Jp"]])
    assert 0.7 < found.chi2_reduced < 1.3
    assert found.starts[0] == 3 and 0 <= found.starts[1] <= 3
    assert found.n_data + found.n_masked == len(HKL) * len(OMEGA)


def test_progress_is_told_in_the_order_of_the_stages(by_errors):
    stages = by_errors[1]
    order = list(dict.fromkeys(stage for stage, _ in stages))
    assert order == ["read", "search", "compile", "fit", "errors"]
    assert all(0 <= part <= 1 for _, part in stages) and stages[-1] == ("errors", 1.0)


def test_the_same_seed_gives_the_same_answer(simulator, counted, by_counts):
    again = fit(simulator, counted, fixed=SHARP, starts=3)
    assert again.values == by_counts.values and again.errors == by_counts.errors
    assert again.objective_value == by_counts.objective_value and again.starts == by_counts.starts


def test_a_list_of_points_gives_the_same_answer_as_the_image(simulator, gaussian, by_errors):
    used = ~left_out(gaussian)
    q, w = np.nonzero(used)
    hkl = np.stack([gaussian.coords[c].values for c in "hkl"], axis=1)
    listed = point_list("list", hkl[q], OMEGA[w], gaussian.values[used], np.sqrt(gaussian.variances[used]))
    answer = fit(simulator, listed, fixed=SHARP, starts=2)
    for name in ("J", "Jp"):
        assert answer.values[name] == pytest.approx(by_errors[0].values[name], abs=1e-3)
        assert answer.errors[name] == pytest.approx(by_errors[0].errors[name], rel=1e-3)


def test_several_data_sets_are_fitted_jointly(simulator, gaussian, by_errors):
    twice = fit(simulator, [gaussian, gaussian.copy()], fixed=SHARP, starts=2)
    assert twice.values["J"] == pytest.approx(by_errors[0].values["J"], abs=1e-3)
    assert twice.errors["J"] == pytest.approx(by_errors[0].errors["J"] / np.sqrt(2), rel=0.05)
    assert len(twice.maps) == 2 and twice.n_data == 2 * by_errors[0].n_data


def test_a_parameter_that_ends_at_a_bound_is_flagged_and_has_no_error(simulator, gaussian):
    answer = fit(simulator, gaussian, fixed=SHARP, bounds={"J": (31.0, 40.0)}, starts=2)
    assert answer.values["J"] == pytest.approx(31.0, abs=1e-2)
    assert answer.at_bound == (True, False)
    assert answer.errors["J"] is None and answer.errors["Jp"] > 0
    assert answer.to_dict()["parameters"]["J"]["at_bound"] is True
    assert any("J ended at a bound" in line for line in answer.remarks())


def test_an_error_tied_to_a_parameter_is_its_slope_times_the_error(simulator, gaussian):
    answer = fit(simulator, gaussian, fixed=SHARP, ties={"Jp": "2 - J/20"}, starts=2)
    assert answer.names == ("J",)
    assert answer.values["Jp"] == pytest.approx(2 - answer.values["J"] / 20)
    assert answer.errors["Jp"] == pytest.approx(answer.errors["J"] / 20, rel=1e-9)
    assert answer.to_dict()["parameters"]["Jp"]["tie"] == "2 - J/20"


def test_bounds_that_contain_the_unstable_phase_do_no_harm(simulator, gaussian, by_errors):
    answer = fit(simulator, gaussian, fixed=SHARP, bounds={"J": (5.0, 60.0), "Jp": (-10.0, 30.0)}, starts=4)
    assert answer.values["J"] == pytest.approx(by_errors[0].values["J"], abs=1e-3)
    assert answer.values["Jp"] == pytest.approx(by_errors[0].values["Jp"], abs=1e-3)


@pytest.mark.parametrize("preset", [None, "paper"])
def test_a_box_that_is_unstable_throughout_is_refused_by_name(simulator, gaussian, preset):
    background = "none" if preset else "per-energy"
    with pytest.raises((UnstableStructure, FitError), match=r"(?i)unstable|stable phase|not at an energy minimum"):
        fit(
            simulator, gaussian, fixed=SHARP, bounds={"J": (5.0, 10.0), "Jp": (20.0, 30.0)}, starts=2, preset=preset,
            background=background,
        )  # fmt: skip


# A theory of the user's: a ridge, as fast as can be.
RIDGE = (
    Parameter("A", 12.0, 6.0, 18.0, "meV", True),
    Parameter("B", 4.0, 0.0, 8.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
)
LINE = np.stack([np.linspace(0, 1, 16), np.zeros(16), np.zeros(16)], axis=1)
STEPS = np.linspace(1, 20, 20)


def ridge(params, points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + params["B"]
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


@pytest.fixture(scope="module")
def theory():
    return insiren.forward(ridge, RIDGE)


@pytest.fixture(scope="module")
def seen(theory):
    clean = simulate(theory, {"A": 11.0, "B": 5.0}, Points.table(LINE, STEPS))
    return count(clean, 6000, seed=3, background=0.3)


def test_a_theory_of_the_users_is_fitted_like_any_other(theory, seen):
    answer = fit(theory, seen, starts=2)
    for name, truth in {"A": 11.0, "B": 5.0}.items():
        assert abs(answer.values[name] - truth) < 4 * answer.errors[name]
    assert answer.description["forward"] == "callable" and answer.surrogate_check is None


def test_bins_that_a_theory_does_not_average_over_are_named(theory, seen):
    assert not any("bins" in text for text in fit(theory, seen, starts=1).warnings)
    binned = seen.assign_coords(bin_coords(Bins(omega=2.0)))
    assert any("bins of" in text and "not averaged" in text for text in fit(theory, binned, starts=1).warnings)


def test_a_poisson_fit_ends_at_the_maximum_of_the_likelihood(theory, seen):
    answer = fit(theory, seen, background="constant", starts=2)
    points = Points.table(LINE, STEPS)
    n, norm = seen.coords["counts"].values.ravel(), seen.coords["norm"].values.ravel()

    def likelihood(x):
        S = np.asarray(theory({"A": x[0], "B": x[1]}, points))
        mu = np.maximum(norm * (x[2] * S + x[3]), 1e-9)
        return np.sum(mu - n * np.log(mu))

    start = [*answer.theta, float(answer.maps[0].profile.scale), float(answer.maps[0].profile.background[0])]
    best = scipy.optimize.minimize(likelihood, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    np.testing.assert_allclose(answer.theta, best.x[:2], atol=0.01 * min(answer.errors["A"], answer.errors["B"]))
    np.testing.assert_allclose(start[2:], best.x[2:], rtol=1e-3)


def test_errors_are_widened_by_a_misfit_and_not_narrowed_by_generous_sigmas(theory, seen):
    data = seen.drop_coords(["counts", "norm"])
    honest = fit(theory, data, starts=1)
    small, large = data.copy(), data.copy()
    small.variances = data.variances / 16
    large.variances = data.variances * 16
    misfit, generous = fit(theory, small, starts=1), fit(theory, large, starts=1)
    assert misfit.chi2_reduced > 10 and misfit.errors["A"] == pytest.approx(honest.errors["A"], rel=0.15)
    assert generous.chi2_reduced < 0.1 and generous.errors["A"] == pytest.approx(4 * honest.errors["A"], rel=0.15)
    assert any("leaves structure" in line for line in misfit.remarks())


def test_a_parameter_without_effect_has_no_error_and_spoils_no_other(theory, seen):
    idle = insiren.forward(ridge, (*RIDGE, Parameter("idle", 0.5, 0.0, 1.0, "", True)))
    answer, plain = fit(idle, seen, starts=1), fit(theory, seen, starts=1)
    assert answer.errors["idle"] is None
    assert answer.errors["A"] == pytest.approx(plain.errors["A"], rel=1e-3)
    assert any("idle" in line and "no effect" in line for line in answer.remarks())
    assert answer.to_dict()["covariance"][2] == [None, None, None]


def test_of_two_parameters_that_enter_as_a_sum_the_sum_alone_is_determined(seen):
    parts = (
        RIDGE[0],
        Parameter("B1", 2.0, 0.0, 8.0, "meV", True),
        Parameter("B2", 2.0, 0.0, 8.0, "meV", True),
        RIDGE[2],
    )
    summed = insiren.forward(lambda p, points: ridge({**p, "B": p["B1"] + p["B2"]}, points), parts)
    answer = fit(summed, seen, starts=1, bounds={"B1": (1.0, 5.0), "B2": (1.0, 5.0)})
    assert answer.values["B1"] + answer.values["B2"] == pytest.approx(5.0, abs=0.3)
    assert answer.errors["B1"] is None and answer.errors["B2"] is None
    first, combined = answer.identifiability()
    assert "B1 and B2 are not determined" in first and combined.startswith("B1 + B2 (± ") and "far better" in combined
    entry = answer.to_dict()["parameters"]["B1"]
    assert entry["error"] is None and entry["determined"] is False
    assert answer.to_dict()["parameters"]["A"]["determined"] is True
    assert [line.split(":")[0] for line in answer.remarks()][:2] == [f"{n} is not determined" for n in ("B1", "B2")]
    assert "B1 not determined and B2 not determined" in headline(answer)


def test_a_tie_to_a_parameter_at_a_bound_has_no_error(theory, seen):
    answer = fit(theory, seen, starts=1, bounds={"B": (6.0, 8.0)}, ties={"A": "2 * B"})
    assert answer.at_bound == (True,)
    assert answer.errors == {"B": None, "A": None, "C": None}


def test_minima_without_a_spectrum_on_all_pixels_are_passed_over():
    long = np.stack([np.linspace(0, 1, 80), np.zeros(80), np.zeros(80)], axis=1)

    def twofold(params, points):  # A and 28 - A are equally good, but the latter not on all 80 wavevectors
        S = ridge({**params, "A": 14 - jnp.abs(params["A"] - 14)}, points)
        return jnp.where((params["A"] > 14) & (points.hkl.shape[0] > 70), jnp.nan, S)

    theory = insiren.forward(twofold, RIDGE)
    data = count(simulate(theory, {"A": 11.0, "B": 5.0}, Points.table(long, STEPS)), 20_000, seed=1, background=0.3)
    assert fit(theory, data, starts=6).values["A"] == pytest.approx(11.0, abs=0.2)
    with pytest.raises(FitError, match="no spectrum on all pixels"):
        fit(theory, data, starts=2, bounds={"A": (14.5, 18.0)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "chi2"}, "no objective 'chi2'"),
        ({"background": "linear"}, "no background 'linear'"),
        ({"objective": "pearson"}, "cannot eliminate a background"),
        ({"background": "savgol"}, "cannot be subtracted from counts"),
        ({"background": "savgol:1:5"}, "cannot be subtracted from counts"),
        ({"preset": "best"}, "no preset 'best'"),
        ({"preset": "paper", "objective": "gaussian"}, "descends the Pearson objective"),
        ({"starts": 0}, "at least one"),
        ({"free": ["D"]}, "No parameter is called 'D'"),
    ],
)
def test_options_that_make_no_sense_are_refused(theory, seen, options, said):
    with pytest.raises(FitError, match=said):
        fit(theory, seen, **options)


def test_a_fit_needs_data_and_a_poisson_fit_counts(theory, seen):
    with pytest.raises(FitError, match="no data set"):
        fit(theory, [])
    with pytest.raises(FitError, match="hold no neutron counts"):
        fit(theory, seen.drop_coords(["counts", "norm"]), objective="poisson")


def test_a_mixture_of_counts_and_errors_is_fitted_by_the_errors(theory, seen):
    answer = fit(theory, [seen, seen.drop_coords(["counts", "norm"])], starts=1)
    assert answer.objective == "gaussian"


def test_data_in_which_no_model_has_a_signal_are_refused_or_answered_without_a_crash(theory):
    dark = image("dark", LINE, STEPS + 60.0, np.ones((16, 20)), np.full((16, 20), 0.1))
    try:
        answer = fit(theory, dark, starts=1)
    except FitError:
        return
    assert all(error is None or np.isfinite(error) for error in answer.errors.values())


@pytest.mark.parametrize("name", sorted(insiren.__all__))
def test_public_names_load(name):
    assert getattr(insiren, name).__name__ == name and name in dir(insiren)


def test_a_name_that_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="magic"):
        _ = insiren.magic
