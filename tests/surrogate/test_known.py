"""What is known of a spectrum is applied exactly; a network learns the components that are left."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.errors import SurrogateError
from insiren.forward import Points, complete
from insiren.instrument.exact import exact
from insiren.model.spec import Model, load_model
from insiren.surrogate.domain import find_domain, trials
from insiren.surrogate.inputs import chosen_inputs
from insiren.surrogate.known import Known, factor, known_of, learnt, weights
from insiren.surrogate.store import load_surrogate, read_tensors, save_surrogate, write_tensors
from insiren.surrogate.training import Learner, Recipe, learn

SHARP = {"q_fwhm": 0.0}
LAYERS = Points.table([[0.3, 0.1, 0], [0.45, 0.2, 0.4], [-0.2, 1.3, 0]], np.linspace(5, 180, 30))


def changed(name, **tables):
    """A bundled model with other settings in some of its tables."""
    written = json.loads(load_model(name).text)
    for table, settings in tables.items():
        written[table] = written.get(table, {}) | settings
    return Model.from_dict(written, origin=name)


# Model, fixed parameters, energies, and how many components are left.
CASES = {
    "a range of Q, twins and a Q broadening": (load_model("la2nio4-gap"), {}, (1.0, 180.0), 2),
    "a range of Q and twins": (load_model("la2nio4-gap"), SHARP, (1.0, 180.0), 2),
    "kf/ki": (changed("la2nio4", scattering={"kf_over_ki": True}, instrument={"Ei": 190.0}), {}, (1.0, 180.0), 1),
    "the Bose factor of an oscillator": (
        changed("la2nio4", scattering={"temperature": 80.0, "damping": 5.0, "line": "oscillator"}),
        {}, (-40.0, 180.0), 1,
    ),
    "polarisation, collinear": (changed("la2nio4", scattering={"correlation": "perp"}), SHARP, (1.0, 180.0), 1),
    "a form factor alone": (changed("mnf2", scattering={"powder": False}), SHARP, (0.5, 8.0), 1),
    "polarisation, with absorbed magnons": (
        changed("luvo3", scattering={"correlation": "perp", "temperature": 20.0}), SHARP, (-10.0, 40.0), 2,
    ),
    "polarisation, noncollinear": (changed("kagome", scattering={"correlation": "perp"}), SHARP, (0.2, 5.0), 4),
}  # fmt: skip


def known_and(case):
    model, fixed, omega, _ = CASES[case]
    simulator = exact(model)
    fixed = {name: value for name, value in fixed.items() if name in {p.name for p in simulator.parameters}}
    parameters = chosen_inputs(simulator.parameters, fixed=fixed)
    simulator = simulator.given(fixed)
    return simulator, parameters, known_of(simulator, [params for params, *_ in trials(parameters, omega)])


@pytest.mark.parametrize("case", CASES)
def test_components_and_what_is_known_make_the_spectrum(case):
    simulator, parameters, known = known_and(case)
    omega = CASES[case][2]
    assert known.outputs == CASES[case][3]
    params = complete(simulator.parameters, trials(parameters, omega)[1][0])
    rng = np.random.default_rng(5)
    Q = rng.uniform(-2, 2, (30, 3))
    for points in (
        Points.table(Q, np.linspace(*omega, 30)),
        Points(Q[rng.integers(0, 30, 100)], rng.uniform(*omega, 100)),
    ):
        S = np.asarray(jax.jit(simulator.spectrum)(params, points))
        L = jax.jit(lambda params, points: learnt(simulator, known, params, points))(params, points)
        assert L.shape == ((len(points), known.outputs) if known.outputs > 1 else (len(points),))
        share = factor(simulator, params, points.omega)[:, None] * weights(simulator, known, points)
        made = np.asarray(jnp.sum(share * L.reshape(len(points), -1), 1))
        # lines of an averaged patch have the mean energy of all components, so their sums hold only nearly
        np.testing.assert_allclose(made, S, rtol=0, atol=(1e-5 if simulator.own_nodes > 1 else 1e-12) * S.max())


def test_what_is_left_repeats_where_the_spectrum_does_not():
    simulator, parameters, known = known_and("a range of Q, twins and a Q broadening")
    whole, left = (find_domain(simulator, (0.0, 180.0), parameters=parameters, known=one) for one in (None, known))
    assert whole.period == (0, 0) and left.period == (1, 1)
    assert len(whole.operations) < len(left.operations) == 8


def test_nothing_is_known_of_isotropic_correlations_or_of_a_form_factor_within_a_broadening(simulator):
    random = [params for params, *_ in trials(simulator.parameters, (0.0, 180.0))]
    assert known_of(simulator, random) is None
    broadened = exact(changed("la2nio4", scattering={"correlation": "perp"}))
    assert known_of(broadened, random) is None
    assert known_of(broadened.given(SHARP), random) is not None


@pytest.fixture(scope="module", params=[0, 3], ids=["alone", "guided"])
def gapped(request, _small_draws):
    recipe = Recipe(steps=50, width=16, layers=3, spectra=32, pool=512, guide=request.param)
    return learn(Learner.of(exact(load_model("la2nio4-gap")), recipe, None, None))


@pytest.mark.slow
def test_a_surrogate_of_components_is_like_any_other(gapped, tmp_path):
    assert gapped.known.outputs == gapped.net.outputs == 2
    made = json.loads(gapped.provenance)
    assert made["applied"] == ["form factor", "polarisation", "reach of the detectors"]
    params = {"J": 30.0, "Jp": 2.0, "q_fwhm": 0.06}
    S = np.asarray(gapped(params, LAYERS))
    assert S.shape == (len(LAYERS),) and np.all(np.isfinite(S))
    unprepared = np.asarray(eqx.filter_jit(gapped.spectrum)(complete(gapped.parameters, params), LAYERS))
    np.testing.assert_allclose(S, unprepared, rtol=1e-6, atol=1e-9 * S.max())
    listed = Points(np.asarray(LAYERS.hkl)[LAYERS.index], LAYERS.omega)
    np.testing.assert_allclose(np.asarray(gapped(params, listed)), S, rtol=1e-4, atol=1e-5 * S.max())
    bound = np.asarray(gapped.error(params, LAYERS))
    mistakes = np.asarray(gapped.mistakes(params, LAYERS, 40, 0))
    assert bound.shape == S.shape and mistakes.shape == (40, len(S)) and np.all(bound >= 0)
    assert np.mean(np.abs(mistakes) < np.maximum(bound, 1e-12)) > 0.9
    save_surrogate(gapped, tmp_path / "gap.insiren")
    again = load_surrogate(tmp_path / "gap.insiren")
    assert again.known == gapped.known
    np.testing.assert_array_equal(np.asarray(again(params, LAYERS)), S)
    np.testing.assert_array_equal(np.asarray(again.error(params, LAYERS)), bound)


@pytest.mark.slow
def test_out_of_reach_is_dark_however_little_was_learnt(gapped):
    far = Points.table([[0.05, 0.02, 0.0]], np.array([30.0, 189.0]))  # no scattering angle has so small a |Q| there
    S, there = np.asarray(gapped({}, far)), np.asarray(gapped.simulator({}, far))
    assert there[1] == 0.0 == S[1] and there[0] > 0 and S[0] != 0


@pytest.mark.slow
def test_a_silent_guided_network_says_what_its_guide_says(gapped):
    if not gapped.guide_nodes:
        assert gapped.guide is None
        return
    silent = dataclasses.replace(gapped, net=jax.tree.map(jnp.zeros_like, gapped.net))
    params = {"J": 30.0, "Jp": 2.0, "q_fwhm": 0.06}
    guess = np.asarray(eqx.filter_jit(gapped.guide.spectrum)(dict(gapped.domain.fixed) | params, LAYERS))
    assert np.asarray(silent(params, LAYERS)) == pytest.approx(guess, rel=1e-3, abs=1e-4 * guess.max())


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [{"kept": [0]}, {"kept": [0, 9]}, {"kept": [2, 0]}, {"shares": [[1.0, 0.0]]}, {"shares": [[np.nan] * 2] * 4}, 7],
)  # fmt: skip
def test_a_file_whose_components_make_no_sense_is_refused(gapped, wrong, tmp_path):
    save_surrogate(gapped, tmp_path / "gap.insiren")
    tensors, facts = read_tensors(tmp_path / "gap.insiren")
    facts["known"] = facts["known"] | wrong if isinstance(wrong, dict) else wrong
    write_tensors(tmp_path / "wrong.insiren", tensors, facts)
    with pytest.raises(SurrogateError, match=r"wrong\.insiren"):
        load_surrogate(tmp_path / "wrong.insiren")


def test_a_surrogate_without_a_simulator_cannot_know_anything(surrogate, tmp_path):
    save_surrogate(surrogate, tmp_path / "plain.insiren")
    tensors, facts = read_tensors(tmp_path / "plain.insiren")
    assert facts["known"] is None
    write_tensors(tmp_path / "wrong.insiren", tensors, facts | {"known": dataclasses.asdict(Known((0,), ((1.0,),)))})
    with pytest.raises(SurrogateError, match="components"):
        load_surrogate(tmp_path / "wrong.insiren")
