"""Free, fixed, bounded and tied parameters, and the gradient of the objective through the simulator."""

import threading

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.data.spectrum import image, measured
from insiren.errors import FitError, InsirenError
from insiren.fit import problem as fit_problem
from insiren.fit.objective import target
from insiren.fit.problem import Problem, _at_once, choose
from insiren.forward import Parameter, Points, forward
from insiren.instrument.exact import _OnGrid, exact
from insiren.model.spec import load_model
from insiren.surrogate.store import load_surrogate

PARAMETERS = (
    Parameter("J", 29.0, 20.0, 75.0, "meV", True),
    Parameter("Jp", 1.67, -30.0, 10.0, "meV", True),
    Parameter("width", 1.0, 0.5, 2.0),
)


def test_parameters_that_the_model_frees_are_free_unless_told_otherwise():
    choice = choose(PARAMETERS)
    assert choice.names == ("J", "Jp") and choice.fixed == (("width", 1.0),) and choice.ties == ()
    assert choice.lower.tolist() == [20.0, -30.0] and choice.upper.tolist() == [75.0, 10.0]
    values = choice.values(np.array([30.0, 2.0]))
    assert {name: float(x) for name, x in values.items()} == {"J": 30.0, "Jp": 2.0, "width": 1.0}


def test_parameters_can_be_freed_fixed_bounded_and_tied():
    choice = choose(PARAMETERS, free=["width"], bounds={"width": (0.8, 1.5)}, ties={"Jp": "J/20 - width"})
    assert choice.names == ("J", "width") and choice.fixed == ()
    assert choice.lower.tolist() == [20.0, 0.8]
    assert float(choice.values(np.array([40.0, 1.5]))["Jp"]) == pytest.approx(0.5)
    choice = choose(PARAMETERS, fixed={"J": 31.0})
    assert choice.names == ("Jp",) and dict(choice.fixed) == {"J": 31.0, "width": 1.0}


def test_the_default_is_moved_into_the_bounds():
    assert choose(PARAMETERS, bounds={"J": (40.0, 50.0)}).free[0].value == 40.0


def test_wishes_that_contradict_each_other_are_refused():
    with pytest.raises(FitError, match="J cannot be two of free, fixed and tied"):
        choose(PARAMETERS, free=["J"], fixed={"J": 1.0})
    with pytest.raises(FitError, match="Jp cannot be two"):
        choose(PARAMETERS, fixed={"Jp": 1.0}, ties={"Jp": "J"})
    with pytest.raises(FitError, match="width cannot be two"):
        choose(PARAMETERS, free=["width"], ties={"width": "J/30"})
    with pytest.raises(FitError, match="may not use a tied parameter"):
        choose(PARAMETERS, ties={"Jp": "width", "width": "J/30"})
    with pytest.raises(FitError, match="may not use a tied parameter"):
        choose(PARAMETERS, ties={"Jp": "Jp + 1"})


@pytest.mark.parametrize(
    "wish",
    [{"free": ["widht"]}, {"fixed": {"widht": 1.0}}, {"bounds": {"widht": (0, 1)}}, {"ties": {"Jp": "J/widht"}}],
)
def test_an_unknown_name_is_refused_with_a_suggestion(wish):
    with pytest.raises(FitError, match=r"No parameter is called 'widht'\. Did you mean 'width'\? There are J, Jp"):
        choose(PARAMETERS, **wish)


def test_a_name_in_the_wrong_case_is_recognised():
    with pytest.raises(FitError, match="Did you mean 'Jp'"):
        choose(PARAMETERS, free=["jP"])


def test_a_parameter_is_fixed_to_a_finite_number():
    with pytest.raises(FitError, match="J cannot be fixed"):
        choose(PARAMETERS, fixed={"J": float("nan")})


def test_an_unknown_name_like_no_other_gets_no_suggestion():
    with pytest.raises(FitError, match=r"called 'temperature'\. There are J, Jp, width"):
        choose(PARAMETERS, free=["temperature"])


@pytest.mark.parametrize("bounds", [(30.0, 30.0), (31.0, 30.0), (float("nan"), 30.0), (20.0, float("inf"))])
def test_bounds_that_hold_nothing_or_everything_are_refused(bounds):
    with pytest.raises(FitError, match="bounds of J"):
        choose(PARAMETERS, bounds={"J": bounds})


def test_bounds_of_a_parameter_that_is_not_free_are_refused():
    with pytest.raises(FitError, match="width has bounds but is not free"):
        choose(PARAMETERS, bounds={"width": (0.5, 2.0)})


def test_with_nothing_free_there_is_nothing_to_fit():
    with pytest.raises(FitError, match="nothing to fit; free one"):
        choose(PARAMETERS, fixed={"J": 29.0, "Jp": 1.0})


def test_a_tie_that_is_no_expression_is_refused():
    with pytest.raises(InsirenError, match="not an expression"):
        choose(PARAMETERS, ties={"Jp": "J +"})


NAMES = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08, "width": 1.0}


@pytest.fixture(scope="module")
def problem():
    """A few columns of La2NiO4, whose two magnons are degenerate everywhere, on the shared grid of nodes."""
    simulator = exact(load_model("la2nio4"))
    hkl = np.array([[0.75, 0.25, 0], [0.6, 0.4, 0], [0.52, 0.48, 0], [0.5, 0.5, 0], [0.5, 0.3, 0], [0.5, 0.02, 0]])
    clean = simulate(simulator, NAMES, Points.table(hkl, np.linspace(25.0, 130.0, 36)))
    data = measured(count(clean, 50_000, seed=2, background=0.02))
    choice = choose(simulator.parameters, free=["width"])
    assert choice.names == ("J", "Jp", "q_fwhm", "width")
    bare = Problem(simulator, (simulator,), (data.points,), (target(data, "per-energy"),), choice, "gaussian")
    return bare.near(np.array(list(NAMES.values())))


def test_the_gradient_of_the_objective_agrees_with_central_differences(problem):
    assert all(isinstance(one, _OnGrid) for one in problem.prepared)
    theta = np.array([29.6, 1.9, 0.085, 1.1])  # off the minimum, so that the gradient is not small
    r, J = problem.jacobian(theta)
    assert J.shape == (len(r), 4)
    np.testing.assert_allclose(r, problem.residual(theta), rtol=1e-9, atol=1e-12)
    assert problem.objective(theta) == pytest.approx(r @ r, rel=1e-12)
    gradient = 2 * J.T @ r
    for n, step in enumerate([1e-3, 1e-3, 1e-5, 1e-4]):

        def difference(h, n=n):
            return (problem.objective(theta + h * np.eye(4)[n]) - problem.objective(theta - h * np.eye(4)[n])) / (2 * h)

        wanted = (4 * difference(step / 2) - difference(step)) / 3  # Richardson: the error is of fourth order
        assert gradient[n] == pytest.approx(wanted, rel=1e-6), problem.choice.names[n]


def test_a_plan_covers_its_neighbourhood_and_parameters_without_spectrum_are_infinitely_bad(problem):
    theta = np.array(list(NAMES.values()))
    assert problem.covers(theta)
    assert not problem.covers(theta * [1, 1, 2, 1])
    assert problem.objective(np.array([20.0, 15.0, 0.08, 1.0])) == np.inf
    assert np.all(np.isnan(np.asarray(problem.spectra(jnp.array([20.0, 15.0, 0.08, 1.0]))[0])))


def test_several_parameter_sets_at_once_give_what_each_gives_alone():
    surrogate = load_surrogate("la2nio4.insiren")
    points = Points.table(np.linspace([0.75, 0.25, 0], [0.5, 0.5, 0], 12), np.linspace(25.0, 130.0, 36))
    data = measured(count(simulate(surrogate, {"q_fwhm": 0.08}, points), 50_000, seed=2, background=0.02))
    choice = choose(surrogate.parameters)
    problem = Problem(surrogate, (surrogate,), (data.points,), (target(data, "per-energy"),), choice, "gaussian")
    rng = np.random.default_rng(0)
    thetas = choice.lower + rng.uniform(size=(45, 3)) * (choice.upper - choice.lower)
    thetas[::7, 0] = choice.upper[0] + 1  # beyond what it learnt
    active = rng.uniform(size=45) < 0.6
    assert surrogate.batches and 2 * _at_once(data.points, 4) < 45  # several batches, the last of them shared
    together, costs = problem.normal(thetas, active), problem.costs(thetas)
    assert np.array_equal(np.isinf(costs), np.arange(45) % 7 == 0)
    for n, theta in enumerate(thetas):
        assert costs[n] == pytest.approx(problem.objective(theta), rel=1e-5)
        alone = problem.normal(theta[None], active[n : n + 1])
        for ours, wanted in zip(together, alone, strict=True):
            if np.isfinite(alone.cost[0]):
                np.testing.assert_allclose(ours[n], wanted[0], rtol=1e-4, atol=1e-5 * np.max(np.abs(wanted)))
            elif ours is together.cost:
                assert ours[n] == np.inf


def test_cuts_of_a_path_give_together_what_each_gives_alone():
    simulator = exact(load_model("la2nio4"))
    cuts = [
        np.linspace([0.75, 0.25, 0], [0.55, 0.45, 0], 4),
        np.linspace([0.52, 0.3, 0], [0.5, 0.1, 0], 6),
        np.linspace([0.5, 0.1, 0], [0.7, 0.2, 0], 5),
    ]
    omega, theta = np.linspace(40.0, 120.0, 9), np.array([29.0, 1.7, 0.08])
    sets = [simulate(simulator, {"J": 30.0, "Jp": 1.5}, Points.table(hkl, omega)) for hkl in cuts]
    maps = [measured(count(one, 20_000, seed=n)) for n, one in enumerate(sets)]
    data = tuple(target(m, "per-energy") for m in maps)
    points = tuple(m.points for m in maps)
    choice = choose(simulator.parameters)
    together = Problem(simulator, (simulator,) * 3, points, data, choice, "gaussian").near(theta)
    assert [one.sets for one in together.together] == [(0, 1, 2)] and isinstance(together.prepared[2], _OnGrid)
    alone = [
        Problem(simulator, (simulator,), (p,), (t,), choice, "gaussian") for p, t in zip(points, data, strict=True)
    ]
    parts = [one.near(theta) for one in alone]
    for S, part in zip(together.spectra(theta), parts, strict=True):
        whole = np.asarray(part.spectra(theta)[0])
        np.testing.assert_allclose(S, whole, rtol=1e-6, atol=1e-9 * whole.max())  # patches at the edge of a grid differ
    r, J = (np.concatenate(x) for x in zip(*(part.jacobian(theta) for part in parts), strict=True))
    np.testing.assert_allclose(together.jacobian(theta)[1], J, rtol=1e-5, atol=1e-6 * np.abs(J).max())
    normal = together.normal(np.stack([theta, 1.01 * theta]))
    assert normal.cost[0] == pytest.approx(r @ r, rel=1e-9) == together.costs(theta[None])[0]
    np.testing.assert_allclose(normal.gram[0], J.T @ J, rtol=1e-5)


def test_data_sets_that_need_a_diagonalisation_are_evaluated_in_one_thread(monkeypatch):
    """Two batched diagonalisations at once wait for each other for ever; see `simulate.lswt.after`."""
    simulator = forward(lambda params, points: params["J"] + 0 * points.omega, (PARAMETERS[0],))
    assert not simulator.parallel
    points = tuple(Points.table(np.eye(3)[:2] * n, np.arange(4.0)) for n in (1, 2))
    maps = [measured(count(image("even", p.hkl, p.rows[0], np.ones((2, 4)), None), 4000, seed=1)) for p in points]
    data = tuple(target(m, "none") for m in maps)
    problem = Problem(simulator, (simulator,) * 2, points, data, choose(simulator.parameters), "gaussian")
    threads = []
    evaluated = fit_problem._cost_at
    monkeypatch.setattr(
        fit_problem, "_cost_at", lambda *given: threads.append(threading.get_ident()) or evaluated(*given)
    )
    assert np.all(np.isfinite(problem.costs(np.array([[25.0], [30.0], [35.0]]))))
    assert len(threads) == 6 and set(threads) == {threading.get_ident()}
