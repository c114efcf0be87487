"""How many σ of signal an answer explains: its objective beside that of no magnon at all, scale 0 of every data set.

In a wide box chance alone offers many places for a ridge. Their number is the volume of the box in units of the errors;
what remains of the significance is what counts.

Source: the number of places by the width of the errors: MacKay, Information Theory, Inference, and Learning Algorithms
(2003), section 28.1; the same as a trials factor: Gross and Vitells, Eur. Phys. J. C 70, 525 (2010).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from insiren.fit.problem import Problem


class Signal(NamedTuple):
    """What an answer explains beyond background.

    Attributes:
        drop: of χ² or deviance, against no magnon.
        sigma: its root in units of the noise.
        beyond_chance: σ that are left when the answer could have been anywhere in the box.
        places: where it could have been, as many as can be told apart.
    """

    drop: float
    sigma: float
    beyond_chance: float
    places: float

    def to_dict(self) -> dict[str, Any]:
        return self._asdict()


def without(problem: Problem, theta: np.ndarray) -> float:
    """The objective of no magnon: backgrounds alone, and at θ what is no map."""
    if problem.kind == "pearson":
        return 1.0  # no correlation
    nothing = tuple(jnp.zeros(len(points)) for points in problem.points)
    return problem.objective_of(nothing) + problem.besides(theta)


def signal_of(drop: float, noise: float, covariance: np.ndarray, width: np.ndarray) -> Signal:
    """The significance of a drop of χ² or deviance.

    Args:
        drop: against no magnon.
        noise: factor on the covariance.
        covariance: of the parameters; NaN of those that are not determined.
        width: of their bounds.
    """
    sound = np.isfinite(np.diag(covariance))
    places = 1.0
    if sound.any():
        inside = covariance[np.ix_(sound, sound)] / np.outer(width[sound], width[sound])
        sign, log = np.linalg.slogdet(2 * math.pi * inside)
        places = max(1.0, math.exp(min(-log / 2, 600.0))) if sign > 0 else 1.0
    square = max(drop, 0.0) / noise
    return Signal(drop, math.sqrt(square), math.sqrt(max(square - 2 * math.log(places), 0.0)), places)
