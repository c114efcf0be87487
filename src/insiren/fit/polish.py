"""What the exact simulator makes of the answer of a surrogate."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.problem import Problem
from insiren.fit.settle import settle

_STEPS = 4  # of the exact simulator: the surrogate's answer is close, and each step leaves a fifth of the distance
_CLOSE = 0.1  # of a standard error, which no error bar shows
_LAST = 0.3  # of a standard error: of a step that promises less, what is left is below what an error bar shows


class Polished(NamedTuple):
    """The exact simulator's answer beside that of a surrogate.

    Attributes:
        facts: "exact" and "shift" by name, in the parameters' units, the objective of both simulators at the answer of
            the surrogate, and of the exact one after the steps.
        jacobian: of the exact residuals after the steps, shape (d, p).
    """

    facts: dict[str, Any]
    jacobian: np.ndarray


def polished(
    problem: Problem, theta: np.ndarray, spectra: tuple[jax.Array, ...], maps: list[Measured], noise: float
) -> Polished | None:
    """The answer after a few steps of the exact simulator; None where the Forward stands for none,
    or it has no spectrum there.

    The distance is what the surrogate's own error does to the answer, so that it belongs to its error bar.

    Args:
        problem: with a surrogate, prepared near θ.
        theta: its answer, shape (p,).
        spectra: of the data sets there.
        maps: the data sets, in the order of the problem's.
        noise: the factor on the covariance.
    """
    if all(one.exact is None for one in problem.sources):
        return None
    names = problem.choice.names
    known = {name.partition("[")[0] for name in (*names, *dict(problem.choice.fixed), *dict(problem.choice.ties))}
    exacts = [one.exact or one for one in problem.sources]
    rest = {p.name: p.value for one in exacts for p in one.parameters if p.name not in known}
    choice = dataclasses.replace(problem.choice, fixed=(*problem.choice.fixed, *rest.items()))
    given = [one.given(choice.part(n, one).constant) for n, one in enumerate(exacts)]
    peer = dataclasses.replace(
        problem, forward=given[0], choice=choice, forwards=tuple(given) if problem.forwards else ()
    ).near(theta)
    found = settle(peer, theta, maps, noise=noise, steps=_STEPS, close=_CLOSE, last=_LAST)
    if not np.isfinite(found.first):
        return None
    facts = {
        "exact": dict(zip(names, found.theta.tolist(), strict=True)),
        "shift": dict(zip(names, (found.theta - theta).tolist(), strict=True)),
        "objective_surrogate": problem.objective_of(spectra) + problem.besides(theta),
        "objective_exact": found.first,
        "objective_polished": found.objective,
    }
    return Polished(facts, found.jacobian)
