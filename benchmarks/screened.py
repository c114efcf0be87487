"""Fits of many measurements of one shape: a screen of the box in one compiled call, then the descent of the best."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipp as sc
from scipy.stats import qmc

import insiren as ins
from insiren.data.spectrum import Measured, measured
from insiren.fit.answer import answer_at
from insiren.fit.many import objectives
from insiren.fit.objective import Kind, Target, target
from insiren.fit.problem import Choice, Problem, choose
from insiren.fit.settle import settle

BOX = {"J": (20.0, 45.0), "Jp": (-8.0, 9.0)}
SHARP = {"q_fwhm": 0.0}


def screened_fit(
    simulator: ins.Forward, data: list[sc.DataArray], kind: Kind = "poisson", tried: int = 128, descents: int = 3
) -> ins.Fit:
    """J and Jp of measurements, scale and background of every energy free, from a quasi-random screen of the box.

    Does what `fit` does, with every point of the screen on all pixels and no count of raw starts.
    """
    choice = choose(simulator.parameters, fixed=SHARP, bounds=BOX)
    ready = simulator.given(SHARP)
    maps = [_finite(ready, choice, measured(one)) for one in data]
    targets = tuple(_counted(target(m, "per-energy"), m, kind) for m in maps)
    problem = Problem(ready, (ready,) * len(maps), tuple(m.points for m in maps), targets, choice, kind)
    thetas = choice.lower + qmc.Sobol(2, rng=0).random(tried) * (choice.upper - choice.lower)
    values = objectives(problem, thetas)
    ends = [settle(problem, thetas[n], maps) for n in np.argsort(values)[:descents]]
    answers = [answer_at(end.problem, end.theta, maps, "per-energy", (descents, descents)) for end in ends]
    return min(answers, key=lambda answer: answer.objective_value)


def _counted(made: Target, one: Measured, kind: Kind) -> Target:
    """The data set with its counts, where they are fitted."""
    if kind != "poisson" or one.norm is None:
        return made
    return made._replace(exposure=jnp.asarray(np.where(one.used, one.norm, 0.0)))


def _finite(forward: ins.Forward, choice: Choice, one: Measured) -> Measured:
    """The data set without wavevectors at which the intensity diverges."""
    values = choice.values(np.array([p.value for p in choice.free]))
    used = one.used & ~np.asarray(forward.divergent(values, one.points))[np.asarray(one.points.index)]
    return dataclasses.replace(one, used=used, sigma=np.where(used, one.sigma, 1.0))
