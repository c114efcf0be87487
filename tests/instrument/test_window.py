"""A window of nodes gives the spectrum that the shared grid of given wavevectors gives."""

import jax.numpy as jnp
import numpy as np
import pytest

from insiren.forward import Points, complete
from insiren.instrument.exact import exact
from insiren.instrument.window import block, in_window, spectrum_in_window
from insiren.model.spec import load_model


@pytest.mark.parametrize("name", ["la2nio4", "la2nio4-gap"])
@pytest.mark.parametrize("q_fwhm", [0.02, 0.085])
def test_a_window_agrees_with_the_shared_grid(name, q_fwhm):
    simulator = exact(load_model(name))
    params = complete(simulator.parameters, {"q_fwhm": q_fwhm})
    rng = np.random.default_rng(3)
    place = jnp.asarray(rng.uniform(*block(2).inner, (12, 2)))
    corner, omega = jnp.array([0.11, 0.32, 0.0]), jnp.linspace(20.0, 140.0, 25)
    S = spectrum_in_window(simulator, params, corner, place, omega)
    points = Points.table(in_window(simulator, params, corner, place), omega)
    expected = np.asarray(simulator(params, points)).reshape(S.shape)
    # both leave out the Gaussian beyond 3.5 standard deviations, and their nodes lie elsewhere
    np.testing.assert_allclose(S, expected, atol=3e-3 * np.max(expected))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_wavevectors_of_a_window_keep_their_average_inside_it(axes):
    nodes = block(axes)
    low, high = nodes.inner
    assert low >= 12 and high <= nodes.place.max() - 12 and low < high
    # a node's neighbours are one step away, or itself at an edge
    apart = np.abs(nodes.place[nodes.beside] - nodes.place[:, None, None]).sum(-1)
    assert set(np.unique(apart)) == {0, 1}
