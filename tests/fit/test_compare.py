"""Two models of the same data, compared by evidence."""

import jax.numpy as jnp
import numpy as np
import pytest
from theory import fit

from insiren.data.spectrum import image
from insiren.errors import FitError
from insiren.fit.compare import compare
from insiren.fit.evidence import freedom_cost, surprise
from insiren.fit.many import objectives
from insiren.forward import Parameter, Points, forward
from insiren.report import load_fit, save_fit

HKL = np.stack([np.linspace(0, 1, 24), np.zeros(24), np.zeros(24)], axis=1)
OMEGA = np.linspace(1, 20, 30)
PARAMETERS = (
    Parameter("A", 12.0, 9.0, 13.0, "meV", True),
    Parameter("C", 1.0, 0.5, 2.0, "meV", False),
    Parameter("idle", 0.5, 0.0, 1.0, "", False),
)


def ridge(params, points: Points):
    centre = params["A"] * jnp.abs(jnp.sin(jnp.pi * points.hkl[points.index, 0])) + 5.0
    return jnp.exp(-0.5 * ((points.omega - centre) / params["C"]) ** 2)


THEORY = forward(ridge, PARAMETERS)


def data(width: float):
    clean = np.asarray(THEORY({"A": 11.0, "C": width}, Points.table(HKL, OMEGA))).reshape(24, 30)
    noise = 0.2 * np.random.default_rng(0).normal(size=(24, 30))
    return image("ridge", HKL, OMEGA, clean + 0.3 + noise, np.full((24, 30), 0.2))


def log_integral(found, noise: float) -> float:
    """log of the mean of the likelihood over the box, on a grid, beside that of the best point."""
    spans = [np.linspace(p.min, p.max, 161) for p in found.parameters]
    grid = np.stack(np.meshgrid(*spans, indexing="ij"), -1).reshape(-1, len(spans))
    return float(np.log(np.mean(np.exp(-0.5 * (objectives(found.problem, grid) - found.objective_value) / noise))))


@pytest.fixture(scope="module")
def two():
    one = data(1.0)
    return fit(THEORY, one, starts=1), fit(THEORY, one, free=["C"], starts=1)


@pytest.mark.slow
def test_the_evidence_is_the_integral_of_the_likelihood_over_the_box(two):
    noise = min(f.noise for f in two)
    found = [row["delta_log_evidence"] for row in compare(two)]
    whole = [log_integral(f, noise) - 0.5 * f.objective_value / noise for f in two]
    assert found[1] - found[0] == pytest.approx(whole[1] - whole[0], abs=0.1)


def test_the_evidence_ends_where_the_box_does(two):
    """A box that cuts the valley one σ below the answer holds 84 % of it."""
    wide, A, error = two[0], two[0].values["A"], two[0].errors["A"]
    cut = fit(THEORY, data(1.0), bounds={"A": (A - error, 13.0)}, starts=1)
    assert cut.values["A"] == pytest.approx(A, abs=0.01 * error)
    first, second = (row["delta_log_evidence"] for row in compare([cut, wide]))
    assert first - second == pytest.approx(np.log(0.8413 * 4.0 / (13.0 - A + error)), abs=0.02)


def test_a_parameter_that_is_not_needed_costs_and_one_that_is_pays(two):
    simple, rich = compare(two)
    assert simple["delta_log_evidence"] == 0 and rich["delta_log_evidence"] < -1
    assert simple["delta_bic"] == 0 and 0 < rich["delta_bic"] < 8
    wide = data(1.5)
    simple, rich = compare([fit(THEORY, wide, starts=1), fit(THEORY, wide, free=["C"], starts=1)])
    assert rich["delta_log_evidence"] == 0 and simple["delta_log_evidence"] < -10 and simple["delta_bic"] > 10


def test_a_parameter_without_effect_changes_no_evidence(two):
    more = fit(THEORY, data(1.0), free=["idle"], starts=1)
    rows = compare([two[0], more])
    assert rows[1]["delta_log_evidence"] == pytest.approx(rows[0]["delta_log_evidence"], abs=1e-3)


def test_fits_that_cannot_be_compared_are_refused(two):
    with pytest.raises(FitError, match="two fits"):
        compare(two[:1])
    other = fit(THEORY, data(1.0), background="constant", starts=1)
    with pytest.raises(FitError, match="differ in objective, background or pixels"):
        compare([two[0], other])
    loose = fit(THEORY, data(1.0), starts=1, robust=True)
    with pytest.raises(FitError, match="robust"):
        compare([loose, loose])


def test_a_fit_read_from_a_file_cannot_be_compared(two, tmp_path):
    with pytest.raises(FitError, match="does not hold its data"):
        compare([two[0], load_fit(save_fit(two[1], tmp_path / "fit.json"))])


def test_what_a_background_could_have_been_and_other_weights_count_in_a_comparison(two):
    """Adding one to the logarithm of every variance adds the number of pixels, less what χ² loses by it."""
    one = data(1.0)
    wide = one.copy()
    wide.variances *= np.e
    smooth, wider = (fit(THEORY, x, starts=1, background="smooth") for x in (one, wide))
    (problem, theta), maps = (smooth.problem, smooth.theta), [m.measured for m in smooth.maps]
    penalised = problem.objective(theta)
    assert penalised > smooth.objective_value  # what the penalty adds
    rows = compare([smooth, wider])
    noise = min(smooth.noise, wider.noise)
    costs = [sum(freedom_cost(t) for t in f.problem.data) for f in (smooth, wider)]
    gain = (wider.problem.objective(wider.theta) - penalised) / noise + costs[1] - costs[0] + smooth.n_data
    assert rows[1]["delta_bic"] - rows[0]["delta_bic"] == pytest.approx(gain, rel=1e-6)
    assert surprise(problem, theta, maps, 1.0) == pytest.approx(
        penalised + costs[0] + 2 * smooth.n_data * np.log(0.2), rel=1e-9
    )
