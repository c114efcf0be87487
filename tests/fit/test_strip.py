"""A path that was cut with a strip: fitted over it the truth comes back, fitted as a line it does not."""

import numpy as np
import pytest
from theory import fit

from insiren.data.legs import legs
from insiren.data.spectrum import image, measured
from insiren.instrument.exact import exact
from insiren.model.crystal import lattice
from insiren.model.spec import load_model

TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.08}
STRIP = 0.3  # 1/Å


def test_a_fit_over_the_strip_finds_the_truth_and_one_of_the_bare_path_does_not():
    model = load_model("la2nio4")
    simulator, reciprocal = exact(model), lattice(model).reciprocal
    hkl = np.concatenate(
        [np.linspace([0.75, 0.25, 0], [0.5, 0.5, 0], 12), np.linspace([0.5, 0.47, 0], [0.5, 0.2, 0], 10)]
    )
    omega = np.arange(20.0, 140.0, 4.0)
    blank = np.zeros((len(hkl), len(omega)))
    parts = legs(image("path", hkl, omega, blank, blank + 1), STRIP, reciprocal)
    seen = np.concatenate([simulator(TRUTH, measured(part).points) for part in parts]).reshape(blank.shape)
    path = image("path", hkl, omega, seen, np.full_like(seen, 0.01 * seen.max()))
    over = fit(simulator, legs(path, STRIP, reciprocal), starts=1)
    bare = fit(simulator, path, starts=1)
    for name, value in TRUTH.items():
        assert over.values[name] == pytest.approx(value, abs=0.1 * over.errors[name])
    assert bare.values["q_fwhm"] > TRUTH["q_fwhm"] + 2 * bare.errors["q_fwhm"]
    assert bare.objective_value > 100 * over.objective_value
