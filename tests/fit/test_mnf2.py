"""The measured powder of MnF2, whose exchange is known: J1 = -0.0575, J2 = 0.3161 meV.

MARI, incident energy 12 meV; its resolution is not given, so that the energy width is fitted, and the elastic line is
left out. As elsewhere one scale and one background value an energy are eliminated.
"""

import dataclasses

import numpy as np
import pytest
from theory import fit

from insiren.data.files import read
from insiren.data.within import within
from insiren.fit.marquardt import descend
from insiren.fit.reweight import FINELY
from insiren.instrument.exact import exact
from insiren.model.spec import load_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answer(shared):
    (data,) = read(shared / "data" / "mnf2" / "MAR18301_Ei12.00meV.nxspe")
    return fit(exact(load_model("mnf2")), within(data, {"E": (1.8, 8.0)}), free=["width"])


def test_a_measured_powder_gives_the_known_exchange_with_errors(answer):
    assert answer.values["J2"] == pytest.approx(0.316, rel=0.03)
    assert answer.values["J1"] == pytest.approx(-0.058, abs=0.02)
    assert 0 < answer.errors["J1"] < 0.002 and 0 < answer.errors["J2"] < 0.001
    assert answer.chi2_reduced < 2.0


def test_twice_the_orientations_move_the_exchange_by_less_than_its_error(answer):
    (plan,) = answer.problem.prepared
    finer = dataclasses.replace(
        answer.problem, prepared=(dataclasses.replace(plan, orientations=2 * plan.orientations),)
    )
    moved = descend(finer, answer.theta[None], FINELY).thetas[0] - answer.theta
    for name in ("J1", "J2"):
        assert abs(moved[answer.names.index(name)]) < answer.errors[name], name
    assert np.all(np.isfinite(moved))
