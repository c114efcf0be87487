"""The profile likelihood: Δχ² of one parameter, all others at their best for each of its values.

Where the valley bends, or ends at an unstable phase, its intervals are not the symmetric ones of the covariance.

Source: Venzon and Moolgavkar, Appl. Statist. 37, 87 (1988); intervals at Δχ² = 1 and 4: Press et al., Numerical
Recipes, 3rd ed. (2007), section 15.6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from insiren.errors import FitError
from insiren.fit.result import Fit
from insiren.fit.settle import settle

_FAR = 1.15  # of the reach in Δχ²: the grid is stretched until it passes 4 by so much
_GROW = 1.5  # of the window where it does not reach
_TRIES = 4  # to stretch it
_BLIND = 0.05  # of the width of the bounds: how far to look where a parameter has no error


@dataclasses.dataclass(frozen=True, eq=False)
class Profiled:
    """The profile likelihood of one parameter.

    Attributes:
        name: of the parameter.
        values: in its unit, ascending, shape (n,).
        delta: Δχ² in units of the noise, all other parameters at their best, shape (n,); inf without a spectrum.
        others: best values of the others by name, each of shape (n,).
        best: the value of the fit.
    """

    name: str
    values: np.ndarray
    delta: np.ndarray
    others: dict[str, np.ndarray]
    best: float

    def interval(self, level: float = 1.0) -> tuple[float | None, float | None]:
        """Where Δχ² crosses a level on either side: 1 for 68.3 %, 4 for 95.4 %; None where it does not.

        Args:
            level: of Δχ² in units of the noise.
        """
        return self._crossing(level, self.values <= self.best), self._crossing(level, self.values >= self.best)

    def _crossing(self, level: float, side: np.ndarray) -> float | None:
        pick = np.flatnonzero(side & np.isfinite(self.delta))
        away = pick[np.argsort(np.abs(self.values[pick] - self.best))]
        # √Δχ² is nearly a straight line, so that it is what to interpolate
        x, y = self.values[away], np.sqrt(np.maximum(self.delta[away], 0))
        beyond = np.flatnonzero(y >= np.sqrt(level))
        if not len(beyond):
            return None
        last = beyond[0]
        x, y = x[: last + 2], y[: last + 2]
        fine = np.linspace(0, 1, 2001)
        along = PchipInterpolator(np.abs(x - self.best), y)
        distance = fine * abs(x[last] - self.best)
        return float(self.best + np.sign(x[last] - self.best) * np.interp(np.sqrt(level), along(distance), distance))

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON would hold it; None where there is no spectrum."""
        return {
            "name": self.name,
            "values": self.values.tolist(),
            "delta": [d if np.isfinite(d) else None for d in self.delta.tolist()],
            "others": {name: v.tolist() for name, v in self.others.items()},
            "best": self.best,
            "interval_1": list(self.interval(1.0)),
            "interval_4": list(self.interval(4.0)),
        }


def profile_likelihood(
    fit: Fit,
    name: str,
    points: int = 13,
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
) -> Profiled:
    """Δχ² of one free parameter of a fit, the others minimised from where they were at the value before.

    Args:
        fit: an answer by likelihood.
        name: of a free parameter.
        points: at which it is held, odd, half on either side; the window ends at its bounds.
        progress: told the stage and the fraction of it that is done.

    Raises:
        FitError: the objective is Pearson's, or the parameter is not free.
    """
    if fit.objective == "pearson":
        raise FitError("The Pearson objective is no likelihood; fit with --objective gaussian.")
    if name not in fit.names:
        raise FitError(f"{name!r} is not a free parameter of this fit; there are {', '.join(fit.names)}.")
    p = fit.parameters[fit.names.index(name)]
    best, error = fit.values[name], float(np.sqrt(np.diag(fit.covariance)[fit.names.index(name)]))
    rows: dict[float, tuple[float, np.ndarray]] = {best: (0.0, fit.theta)}
    for n, (sign, bound) in enumerate(((-1, p.min), (1, p.max))):
        reach = 2.2 * error if np.isfinite(error) else _BLIND * (p.max - p.min)
        for _ in range(_TRIES):
            reach = min(reach, abs(bound - best))
            side = _side(fit, name, best + sign * reach * np.arange(1, points // 2 + 1) / (points // 2))
            rows |= side
            top = max((d for d, _ in side.values()), default=0.0)
            if not side or top > 4 * _FAR or reach >= abs(bound - best):
                break
            reach *= _GROW
        progress("profile", (n + 1) / 2)
    values = np.array(sorted(rows))
    delta = np.array([rows[v][0] for v in values])
    others = {o: np.array([rows[v][1][k] for v in values]) for k, o in enumerate(fit.names) if o != name}
    return Profiled(name, values, delta - min(0.0, float(np.min(delta))), others, best)


def _side(fit: Fit, name: str, values: np.ndarray) -> dict[float, tuple[float, np.ndarray]]:
    """Δχ² and θ at values going away from the answer; none beyond the first without a spectrum."""
    k = fit.names.index(name)
    free = np.arange(len(fit.names)) != k
    maps = [m.measured for m in fit.maps]
    known = {} if not np.isfinite(fit.covariance[k, k]) else {"slope": fit.covariance[:, k] / fit.covariance[k, k]}
    theta, rows, problem = fit.theta, {}, fit.problem
    lowest = problem.objective(theta)
    for value in values:
        start = theta.copy()
        if "slope" in known:  # the valley goes this way
            start += np.where(np.isfinite(known["slope"]), known["slope"], 0.0) * (value - theta[k])
        start[k] = value
        start = np.clip(start, problem.choice.lower, problem.choice.upper)
        problem = problem if problem.covers(start) else problem.near(start)
        if not np.isfinite(problem.objective(start)):
            break
        found = settle(_held(problem), start, maps, free=free, noise=fit.noise)
        theta = found.theta
        rows[float(value)] = ((found.objective - lowest) / fit.noise, theta)
    return rows


def _held(problem: Any) -> Any:
    """The same problem with the variances of the answer, so that its objective may be compared along the profile."""
    return dataclasses.replace(problem, kind="gaussian") if problem.kind == "poisson" else problem
