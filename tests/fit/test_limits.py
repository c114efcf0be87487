"""A Forward that knows a part of the parameters only: fits stay within, and say so at its edge."""

import jax.numpy as jnp
import numpy as np
import pytest
from theory import fit

from insiren.data.simulated import simulate
from insiren.errors import FitError
from insiren.forward import Forward, Parameter, Points

POINTS = Points.table(np.array([[0.1, 0, 0], [0.3, 0, 0]]), np.linspace(1, 20, 40))


class Line(Forward):
    """A line at the energy A, known between 9 and 18 meV."""

    @property
    def parameters(self):
        return (Parameter("A", 12.0, 6.0, 18.0, "meV", True),)

    @property
    def limits(self):
        return {"A": (9.0, 18.0)}

    def spectrum(self, params, points):
        return jnp.exp(-0.5 * (points.omega - params["A"]) ** 2)


def measured(A):
    data = simulate(Line(), {"A": A}, POINTS)
    data.variances = np.full(data.shape, 1e-4)
    return data


def test_a_fit_that_ends_at_the_edge_of_what_is_known_says_so():
    answer = fit(Line(), measured(8.0), bounds={"A": (5.0, 30.0)}, starts=1, background="none")
    assert answer.values["A"] == pytest.approx(9.0, abs=1e-3) and answer.at_bound == (True,)
    said = " ".join(answer.remarks())
    assert "A ended at a bound of 9 … 18 meV" in said and "the surrogate has learnt nothing beyond" in said


def test_a_fit_that_ends_at_a_bound_of_the_user_is_told_to_widen_it():
    answer = fit(Line(), measured(14.0), bounds={"A": (10.0, 12.5)}, starts=1, background="none")
    assert answer.at_bound == (True,)
    assert "widen it with --bound A=LO:HI" in " ".join(answer.remarks())


def test_bounds_wholly_beyond_what_is_known_are_refused():
    with pytest.raises(FitError, match=r"A is to lie in 20 … 30 meV, but this surrogate learnt 9 … 18"):
        fit(Line(), measured(12.0), bounds={"A": (20.0, 30.0)}, starts=1, background="none")
