"""What a run keeps of the box of its parameters: the screen, and the plane of two parameters for a landscape."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.marquardt import Settings, descend
from insiren.fit.pose import Posed
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.fit.search import AGREE
from insiren.live.screen import (
    PLANE,
    Coarse,
    Modes,
    Screen,
    coarse,
    deviances,
    minima,
    modes,
    screened,
    spectra_at,
    summed,
    targets,
)

_DESCENTS = 6  # of the best valleys of the screen
_FINALISTS = 2  # of them that are refined on all pixels
_ROUGHLY = Settings(steps=30, move=1e-4, gain=1e-5)
_MOVED = 0.1  # of the width of the bounds: the plane is worked out again where a held parameter moved further

Progress = Callable[[str, float], None]


class Box(NamedTuple):
    """Spectra that do not depend on the data.

    Attributes:
        coarse: what simulates the coarse pixels.
        screen: points of the whole box.
        plane: points of a grid over the first two parameters, or None where there is only one.
        held: where the others are held in the plane, shape (p,).
    """

    coarse: Coarse
    screen: Screen
    plane: Screen | None
    held: np.ndarray | None


def box_of(problem: Problem, before: Box | None, seed: int, progress: Progress) -> Box:
    """The screen for the data sets of a problem, that of before where it still holds."""
    sizes = [len(p) for p in problem.points]
    alike = before is not None and before.coarse.problem.choice == problem.choice
    if before is not None and alike and [len(c.cell) for c in before.coarse.cells] == sizes:
        return before
    few = coarse(problem, seed)
    return Box(few, screened(few, seed, lambda part: progress("screen", part)), None, None)


def with_plane(box: Box, fit: Fit, progress: Progress) -> Box:
    """The same with a plane through the answer; it holds until a parameter that is held in it has moved away."""
    choice = fit.problem.choice
    if len(choice.free) < 2:
        return box
    if box.held is not None:
        moved = np.abs(fit.theta - box.held)[2:] > _MOVED * (choice.upper - choice.lower)[2:]
        if not moved.any():
            return box
    plane = _plane(fit)
    told = lambda part: progress("plane", part)  # noqa: E731
    return box._replace(plane=Screen(plane, spectra_at(box.coarse, plane, told)), held=fit.theta)


def _plane(fit: Fit) -> np.ndarray:
    choice = fit.problem.choice
    x, y = (np.linspace(choice.lower[k], choice.upper[k], PLANE) for k in (0, 1))
    thetas = np.tile(fit.theta, (PLANE * PLANE, 1))
    thetas[:, 0], thetas[:, 1] = np.tile(x, PLANE), np.repeat(y, PLANE)
    return thetas


def candidates(made: Posed, box: Box) -> list[np.ndarray]:
    """Minima of the whole box for these data, best first: the best screened points descend on the coarse pixels.

    All neutrons take part.
    """
    if made.problem.kind == "pearson":
        return []
    data = summed(made.problem, made.maps, box.coarse.cells)
    values = deviances(made.problem, data, box.screen.spectra)
    alive = np.flatnonzero(np.isfinite(values))
    if not len(alive):
        return []
    width = made.problem.choice.upper - made.problem.choice.lower
    low = minima(box.screen.thetas[alive] / width, values[alive])[:_DESCENTS]
    starts = box.screen.thetas[alive][np.resize(low, _DESCENTS)]  # one shape, one compile
    easy = dataclasses.replace(
        box.coarse.problem, choice=made.problem.choice, kind=made.problem.kind, data=targets(made.problem, data)
    )
    ends = descend(easy, starts, _ROUGHLY)
    found: list[np.ndarray] = []
    for n in np.argsort(ends.costs, kind="stable"):
        apart = all(np.any(np.abs(ends.thetas[n] - one) > AGREE * width) for one in found)
        if np.isfinite(ends.costs[n]) and apart and len(found) < _FINALISTS:
            found.append(ends.thetas[n])
    return found


def judged(fit: Fit, box: Box) -> tuple[Modes | None, dict[str, Any] | None]:
    """How the posterior divides, and the content of landscape.json; None where the objective is no likelihood."""
    problem: Problem = fit.problem
    if problem.kind == "pearson":
        return None, None
    maps: list[Measured] = [m.measured for m in fit.maps]
    data = summed(problem, maps, box.coarse.cells)
    here = deviances(problem, data, spectra_at(box.coarse, fit.theta[None]))[0]
    values = deviances(problem, data, box.screen.spectra)
    width = problem.choice.upper - problem.choice.lower
    found = None
    if np.isfinite(here):
        found = modes(box.screen, values, fit.theta, float(here), fit.covariance, width, fit.noise)
    if box.plane is None or box.held is None:
        return found, None
    plane = deviances(problem, data, box.plane.spectra)
    x, y = fit.parameters[:2]
    # the coarse pixels may have their minimum beside the answer
    lowest = min(float(here), float(np.min(plane)))
    delta = (plane - lowest).reshape(PLANE, PLANE) / fit.noise
    return found, {
        "x": {"name": x.name, "unit": x.unit, "values": np.linspace(x.min, x.max, PLANE)},
        "y": {"name": y.name, "unit": y.unit, "values": np.linspace(y.min, y.max, PLANE)},
        "delta": [[float(f"{v:.5g}") if np.isfinite(v) else None for v in row] for row in delta.tolist()],
        "held": {p.name: float(at) for p, at in list(zip(fit.parameters, box.held, strict=True))[2:]},
    }
