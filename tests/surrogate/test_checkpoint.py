"""Checkpoints: whole at any moment, and the rest of the training is what it would have been."""

import dataclasses

import jax
import numpy as np
import pytest
from killing import killed_and_resumed

from insiren.errors import InsirenError, SurrogateError
from insiren.surrogate import training
from insiren.surrogate.checkpoint import load_checkpoint, save_checkpoint
from insiren.surrogate.training import Learner, learn


def test_an_interrupted_training_goes_on_as_if_never_stopped(learner, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "surrogate", lambda *_: None)
    _, _, states = trained
    path = tmp_path / "small.checkpoint"
    assert int(states[0].step) == training.STRIDE < learner.recipe.steps
    save_checkpoint(states[0], learner, path, 12.5)
    found = load_checkpoint(path, learner)
    assert found.seconds == 12.5
    resumed = []
    learn(learner, state=found.state, checkpoint=resumed.append)
    assert len(resumed) == 1 and int(resumed[0].step) == int(states[1].step) == learner.recipe.steps
    for one, other in zip(jax.tree.leaves(resumed[0]), jax.tree.leaves(states[1]), strict=True):
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(learner, trained, tmp_path):
    path = tmp_path / "small.checkpoint"
    save_checkpoint(trained[2][0], learner, path)
    other = dataclasses.replace(learner, recipe=dataclasses.replace(learner.recipe, seed=1))
    with pytest.raises(SurrogateError, match="another training: recipe differ"):
        load_checkpoint(path, other)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(SurrogateError, match="truncated"):
        load_checkpoint(path, learner)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SurrogateError, match="was altered"):
        load_checkpoint(path, learner)
    with pytest.raises(InsirenError, match=r"There is no .*none\.checkpoint"):
        load_checkpoint(tmp_path / "none.checkpoint", learner)


def test_a_training_killed_twice_ends_with_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    killed_and_resumed(2, tmp_path, monkeypatch)
