"""The first guess of a surrogate: a coarse average by its simulator, to which the network adds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from insiren.cli.train import Wishes, _training
from insiren.errors import SurrogateError
from insiren.forward import Points
from insiren.surrogate.inputs import chosen_inputs
from insiren.surrogate.labels import draw
from insiren.surrogate.siren import TOP, siren
from insiren.surrogate.store import load_surrogate, read_tensors, save_surrogate, write_tensors
from insiren.surrogate.training import Learner, Recipe

POINTS = Points.table([[0.3, 0.1, 0], [0.45, 0.2, 0.4], [-0.2, 1.3, 0]], np.linspace(5, 180, 40))
INSIDE = {"J": 31.0, "Jp": 2.0, "q_fwhm": 0.06}


def test_a_network_of_zeros_says_what_its_guide_says(guided):
    silent = jax.tree.map(jnp.zeros_like, guided.net)
    bare = dataclasses.replace(guided, net=silent)
    guess = np.asarray(bare.guide.spectrum(dict(bare.domain.fixed) | INSIDE, POINTS))
    assert np.asarray(bare(INSIDE, POINTS)) == pytest.approx(guess, rel=1e-4, abs=1e-5 * guess.max())
    assert bare.guide.own_nodes == 3


def test_the_guess_comes_last_and_hardly_oscillates():
    net, plain = (siren(5, 16, 2, jax.random.key(0), guided=guided) for guided in (True, False))
    x = jax.random.uniform(jax.random.key(1), (7, 6), jnp.float32, -1, 1)
    assert net.weights[0].shape == (6, 16)
    assert np.array_equal(net.weights[0][:5], plain.weights[0])
    assert float(jnp.max(jnp.abs(net.weights[0][5]))) < 0.2 * 15 / 5
    alone = dataclasses.replace(net, guided=False)
    assert np.asarray(net(x)) == pytest.approx(np.asarray(alone(x) + TOP * (x[:, -1] + 1)), abs=1e-5)


def test_labels_hold_the_guess_that_a_query_finds(learner, guided):
    fine = dataclasses.replace(learner.exact, own_nodes=64)  # a label's nodes are moved: with many it matters little
    x, y = draw(fine, learner.domain, learner.scale, 8, jax.random.key(3), guided.guide)
    assert x.shape[-1] == len(learner.domain.lower) + 1
    values = learner.domain.lower + (np.asarray(x[0, :, :-1], float) + 1) / 2 * (
        learner.domain.upper - learner.domain.lower
    )
    hkl, omega = np.column_stack([values[:1, :2], [0.0]]), values[:, 2]
    named = zip([p.name for p in learner.domain.inputs], values[0, 3:], strict=True)
    params = dict(learner.domain.fixed) | dict(named)
    points = Points.table(hkl, omega)
    guess = jnp.log1p(learner.scale * guided.guide.spectrum(params, points))
    assert TOP * (np.asarray(x[0, :, -1]) + 1) == pytest.approx(np.asarray(guess), rel=1e-3, abs=1e-4)
    label = jnp.log1p(learner.scale * fine.spectrum(params, points))
    assert np.asarray(y[0]) == pytest.approx(np.asarray(label), rel=1e-3, abs=1e-4)


def test_derivatives_pass_through_the_guess(guided):
    def whole(J):
        return jnp.sum(guided(INSIDE | {"J": J}, POINTS))

    slope, step = float(jax.jvp(whole, (31.0,), (1.0,))[1]), 0.02
    difference = (float(whole(31.0 + step)) - float(whole(31.0 - step))) / (2 * step)
    assert slope == pytest.approx(difference, rel=2e-2)


def test_a_file_keeps_the_guide(surrogate, guided, tmp_path):
    for name, one in (("guided", guided), ("unguided", surrogate)):
        save_surrogate(one, tmp_path / name)
        again = load_surrogate(tmp_path / name)
        assert again.guide_nodes == one.guide_nodes
        assert np.array_equal(np.asarray(again(INSIDE, POINTS)), np.asarray(one(INSIDE, POINTS)))
        assert np.array_equal(np.asarray(again.error(INSIDE, POINTS)), np.asarray(one.error(INSIDE, POINTS)))
    tensors, facts = read_tensors(tmp_path / "guided")
    for wrong in (0, -1, 10**6):
        write_tensors(tmp_path / "wrong", tensors, facts | {"guide_nodes": wrong})
        with pytest.raises(SurrogateError, match="wrong"):
            load_surrogate(tmp_path / "wrong")


def test_nothing_guides_where_the_guess_would_be_the_answer(simulator):
    sharp = chosen_inputs(simulator.parameters, fixed={"q_fwhm": 0.0})
    assert Learner.of(simulator, Recipe(steps=1, guide=3), None, None, sharp).guide_nodes == 0
    assert Learner.of(simulator, Recipe(steps=1), None, None).guide_nodes == 0
    assert Learner.of(simulator, Recipe(steps=1, guide=3), None, None).guide_nodes == 3


def test_a_guided_network_is_closer_after_the_same_steps(surrogate, guided):
    S, off = np.asarray(surrogate.simulator(INSIDE, POINTS)), []
    for one in (guided, surrogate):
        off.append(
            np.sqrt(np.mean((np.log1p(one.scale * np.asarray(one(INSIDE, POINTS))) - np.log1p(one.scale * S)) ** 2))
        )
    assert off[0] < 0.5 * off[1]


def test_the_command_asks_for_it_and_leaves_the_other_options_alone():
    asked = dict.fromkeys(Wishes._fields) | {"model": "la2nio4", "preset": "default", "ignore": "", "seed": 4}
    asked |= {key: [] for key in ("region", "free", "fix", "bound")}
    made = [_training(Wishes(**asked | {"guide": nodes, "steps": 7})) for nodes in (0, 3)]
    assert [one.guide_nodes for one in made] == [0, 3]
    assert made[1].recipe == Recipe(steps=7, seed=4, guide=3)
