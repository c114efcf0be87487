"""How many σ of signal an answer explains: its χ² or deviance beside that of no magnon, scale 0 of every data set.

In a wide box chance alone offers many places for a ridge. Their number is the volume of the box in units of the errors;
what is left of the significance when all of them are tried is what counts.

Source: the number of places by the width of the errors: MacKay, Information Theory, Inference, and Learning Algorithms
(2003), section 28.1; the same as a trials factor: Gross and Vitells, Eur. Phys. J. C 70, 525 (2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.misfit import deviance
from insiren.fit.objective import Kind, Profile, Target, profile
from insiren.fit.problem import Problem


class Signal(NamedTuple):
    """What an answer explains beyond background.

    Attributes:
        drop: of χ² or deviance, against no magnon.
        sigma: its root in units of the noise.
        beyond_chance: σ that are left when the answer could have been at any place of the box.
        places: so many can be told apart.
    """

    drop: float
    sigma: float
    beyond_chance: float
    places: float

    def to_dict(self) -> dict[str, Any]:
        """The signal as JSON holds it."""
        return self._asdict()


def without_magnons(problem: Problem) -> float:
    """The objective of maps in which nothing but background is seen."""
    if problem.kind == "pearson":
        return 1.0  # no correlation
    return problem.objective_of(tuple(jnp.zeros(len(points)) for points in problem.points))


def signal_of(
    problem: Problem, maps: Sequence[Measured], models: Sequence[Profile], noise: float, covariance: np.ndarray
) -> Signal | None:
    """The signal of the maps at an answer; None of Pearson's objective, which knows no σ.

    Args:
        problem: with weights and backgrounds as the answer has them.
        maps: the data sets, in the order of the problem's.
        models: of them at the answer.
        noise: factor on the covariance.
        covariance: of the parameters, shape (p, p); NaN of those that are not determined.
    """
    if problem.kind == "pearson":
        return None
    drop = 0.0
    for one, target, best in zip(maps, problem.data, models, strict=True):
        none = profile(jnp.zeros(target.pixels), target)
        drop += _misfit(problem.kind, one, target, none) - _misfit(problem.kind, one, target, best)
    return significance(drop, noise, covariance, problem.choice.upper - problem.choice.lower)


def _misfit(kind: Kind, one: Measured, data: Target, found: Profile) -> float:
    """χ² or deviance of a map beside a model with its best background."""
    if kind == "poisson":
        return deviance(one, found)
    return float(jnp.sum(data.weight * (data.intensity - found.model) ** 2))


def significance(drop: float, noise: float, covariance: np.ndarray, width: np.ndarray) -> Signal:
    """The significance of a drop of χ² or deviance.

    Args:
        drop: against no magnon.
        noise: factor on the covariance.
        covariance: of the parameters, shape (p, p); NaN of those that are not determined.
        width: of their bounds, shape (p,).
    """
    sound = np.isfinite(np.diag(covariance))
    places = 1.0
    if sound.any():
        inside = 2 * math.pi * covariance[np.ix_(sound, sound)] / np.outer(width[sound], width[sound])
        # a parameter that the box determines better than the data has one place
        places = float(np.prod(np.maximum(1.0, np.maximum(np.linalg.eigvalsh(inside), 1e-30) ** -0.5)))
    square = max(drop, 0.0) / noise
    return Signal(drop, math.sqrt(square), math.sqrt(max(square - 2 * math.log(places), 0.0)), places)
