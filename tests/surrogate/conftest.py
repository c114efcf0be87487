"""A surrogate that is trained in seconds, hardly knows anything, and behaves like any other."""

import pytest

from insiren.instrument.exact import exact
from insiren.model.spec import load_model
from insiren.surrogate import errormap, training
from insiren.surrogate.training import Learner, Recipe, learn

STRIDE = 25
DRAW = 256


@pytest.fixture(scope="session")
def simulator():
    return exact(load_model("la2nio4"))


@pytest.fixture(scope="session")
def _small_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_DRAW", DRAW)
        patch.setattr(training, "STRIDE", STRIDE)
        patch.setattr(training, "_HELD_OUT_SETS", 3)
        patch.setattr(errormap, "_STEPS", 1000)
        yield


def of(simulator, **wishes) -> Learner:
    recipe = Recipe(steps=50, width=16, layers=3, spectra=32, pool=2 * DRAW, **wishes)
    return Learner.of(simulator, recipe, None, None)


@pytest.fixture(scope="session")
def learner(simulator, _small_draws):
    return of(simulator)


@pytest.fixture(scope="session")
def guided(simulator, _small_draws):
    """A network that adds to a guess."""
    return learn(of(simulator, guide=3))


@pytest.fixture(scope="session")
def trained(learner):
    """The surrogate, what progress was told, and the state after each stride."""
    told, states = [], []
    surrogate = learn(learner, lambda *args: told.append(args), checkpoint=states.append)
    return surrogate, told, states


@pytest.fixture(scope="session")
def surrogate(trained):
    return trained[0]
