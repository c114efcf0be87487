"""What a fit compiles: the simulator once a shape for its spectrum, once for its derivatives."""

from collections import Counter

import jax
import numpy as np
import pytest

import insiren
from insiren.data.counts import count
from insiren.data.simulated import simulate
from insiren.forward import Points

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compiled():
    """How often a function of each name is compiled, or taken from the cache."""
    found, on = Counter(), [True]

    def note(event, seconds, fun_name="", **_):
        if on[0] and event == COMPILED:
            found[fun_name] += 1

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    on[0] = False


def test_a_fit_compiles_the_simulator_for_the_search_and_for_all_pixels_and_no_more(compiled):
    model = insiren.load_model("la2nio4")
    hkl = np.linspace([0.75, 0.25, 0], [0.52, 0.48, 0], 11)  # a shape that no other test has
    clean = simulate(insiren.exact(model), {"q_fwhm": 0.0}, Points.table(hkl, np.linspace(30.0, 140.0, 69)))
    compiled.clear()
    found = insiren.fit(
        insiren.exact(model), count(clean, 50_000, seed=1), fixed={"q_fwhm": 0.0}, starts=2, background="per-energy"
    )
    assert abs(found.values["J"] - 29) < 5 * found.errors["J"]
    simulators = {name: n for name, n in compiled.items() if "_spectrum" in name or "_slopes" in name}
    assert sum(simulators.values()) <= 4 and len(simulators) == 2, compiled
    compiled.clear()
    insiren.fit(
        insiren.exact(model), count(clean, 50_000, seed=2), fixed={"q_fwhm": 0.0}, starts=2, background="per-energy"
    )
    assert not compiled  # another measurement of the same shape compiles nothing
