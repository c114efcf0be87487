"""Weights from the model: unbiased where those of the data are not, and deaf to outliers where that is wished."""

import numpy as np
import pytest
from theory import HKL, OMEGA, THEORY, TRUTH, expected, fit, seen

from insiren.data.counts import count
from insiren.data.spectrum import image, measured
from insiren.errors import FitError
from insiren.fit.answer import answer_at
from insiren.fit.choice import choose
from insiren.fit.marquardt import Settings, descend
from insiren.fit.objective import target
from insiren.fit.problem import Problem
from insiren.fit.reweight import settle
from insiren.fit.weights import Noise, model_variance

QUIET = lambda stage, part: None  # noqa: E731


def answer(data, model: bool = False, robust: bool = False, kind="gaussian"):
    """The minimum of a data set from the truth, on a constant background."""
    one, choice = measured(data), choose(THEORY.parameters)
    problem = Problem(THEORY, (THEORY,), (one.points,), (target(one, "constant"),), choice, kind)
    theta = descend(problem, np.array([[TRUTH[n] for n in choice.names]]), Settings(40, 1e-8, 1e-12)).thetas[0]
    theta, problem = settle(problem, theta, (Noise(one, model, robust, None),), QUIET)
    return answer_at(problem, theta, [one], "constant", (1, 1))


def counted(seed: int, neutrons: int = 4000):
    return count(image("counted", HKL, OMEGA, 2 * expected(), None), neutrons, seed, background=0.3)


def test_model_weights_of_counted_intensities_give_the_answer_of_the_counts():
    data = counted(1)
    plain = data.drop_coords(["counts", "norm"])
    by_counts, by_model, by_data = answer(data, kind="poisson"), answer(plain, model=True), answer(plain)
    for name in ("A", "B"):
        assert by_model.values[name] == pytest.approx(by_counts.values[name], abs=0.05 * by_counts.errors[name])
    scale = [float(a.maps[0].profile.background[0]) for a in (by_counts, by_model, by_data)]
    assert scale[1] == pytest.approx(scale[0], rel=1e-3)
    assert scale[2] < 0.95 * scale[0]  # weights from the data pull down


def test_residuals_average_zero_with_model_weights_and_not_with_those_of_the_data():
    def mean_residual(found):
        one, weight = found.maps[0], np.asarray(found.problem.data[0].weight)
        return float(np.mean(np.sqrt(weight) * (one.intensity - np.asarray(one.profile.model))))

    plain = counted(2).drop_coords(["counts", "norm"])
    assert abs(mean_residual(answer(plain, model=True))) < 0.02
    assert abs(mean_residual(answer(plain))) > 0.1


def test_a_background_subtracted_before_is_found_from_how_the_variance_follows_the_intensity():
    data = counted(3, 40_000).drop_coords(["counts", "norm"])
    shifted = data.copy()
    shifted.values = data.values - 0.3
    one, whole = measured(shifted), measured(data)
    model = 2 * expected().ravel()
    wanted = model_variance(whole, model + 0.3)
    np.testing.assert_allclose(np.median(model_variance(one, model) / wanted), 1.0, atol=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": "counts"}, "no weights 'counts'"),
        ({"weights": "model", "objective": "pearson", "background": "none"}, "has no σ"),
        ({"robust": True, "objective": "pearson", "background": "none"}, "has no σ"),
    ],
)
def test_wishes_for_weights_that_make_no_sense_are_refused(options, said):
    with pytest.raises(FitError, match=said):
        fit(THEORY, seen(0, 0.5), **options)


def test_counts_have_no_outliers():
    with pytest.raises(FitError, match="--robust use --objective gaussian"):
        fit(THEORY, counted(0), robust=True)
