"""The objective over two parameters: the shape of the minimum, and what else is in the box.

Contours of a likelihood at Δχ² = 2.30, 6.18 and 11.83 hold two parameters jointly with 68.3, 95.4
and 99.7 % (1, 2, 3 σ). Near the minimum they should lie on the ellipses of the covariance; where
they do not, the errors quoted from it mislead.

Source: Press et al., Numerical Recipes, 3rd ed. (2007), section 15.6, table of Δχ².
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipp as sc

from insiren.errors import FitError
from insiren.fit.many import objectives
from insiren.fit.optimise import Progress, fit
from insiren.fit.problem import Problem
from insiren.fit.result import Fit
from insiren.fit.settle import settle
from insiren.forward import Forward

JOINT = (2.30, 6.18, 11.83)  # Δχ² of 1, 2, 3 σ of two parameters
_BLIND = 0.05  # of the width of the bounds: how far to look where a parameter has no error


@dataclasses.dataclass(frozen=True, eq=False)
class Landscape:
    """The objective on a grid over two parameters, the others held or at their best.

    Attributes:
        x: name of the parameter along the columns.
        y: name of the parameter along the rows.
        x_values: in the unit of x, ascending, shape (nx,).
        y_values: in the unit of y, ascending, shape (ny,).
        objective: Σ r² as the fit minimises it, shape (ny, nx); inf where the structure is unstable.
        minimum: of the objective, at the fit.
        noise: the factor on the covariance by which Δ objective is divided to be a Δχ².
        held: values of the other parameters by name, without those minimised and those tied to some.
        kind: of the objective: "gaussian", "poisson" or "pearson".
        best: where the fit lies, (x, y).
        minimised: names of the parameters that are at their best at every point.
    """

    x: str
    y: str
    x_values: np.ndarray
    y_values: np.ndarray
    objective: np.ndarray
    minimum: float
    noise: float
    held: dict[str, float]
    kind: str
    best: tuple[float, float]
    minimised: tuple[str, ...] = ()

    @property
    def delta(self) -> np.ndarray:
        """Δχ² in units of the noise, (ny, nx); for Pearson, whose residual has no σ, the objective itself."""
        if self.kind == "pearson":
            return self.objective
        return (self.objective - self.minimum) / self.noise

    @property
    def levels(self) -> tuple[float, ...]:
        """Values of `delta` at 1, 2 and 3 σ of both parameters jointly; none for Pearson."""
        return () if self.kind == "pearson" else JOINT

    def to_dict(self) -> dict[str, Any]:
        """The landscape as JSON would hold it; None where the structure is unstable."""
        return {
            "x": self.x,
            "y": self.y,
            "x_values": self.x_values.tolist(),
            "y_values": self.y_values.tolist(),
            "objective": [[v if np.isfinite(v) else None for v in row] for row in self.objective.tolist()],
            "minimum": self.minimum,
            "noise": self.noise,
            "held": self.held,
            "minimised": list(self.minimised),
            "objective_kind": self.kind,
            "best": list(self.best),
        }


def around(
    fit: Fit,
    x: str | None = None,
    y: str | None = None,
    points: int = 7,
    reach: float = 4.0,
    progress: Progress = lambda stage, fraction: None,
    minimise: bool = False,
) -> Landscape:
    """The objective around the minimum of a fit, over two of its free parameters.

    A narrow valley is sampled coarsely, but so close to the minimum the objective is nearly a
    quadratic form, which a cubic interpolation of the grid follows.

    Args:
        fit: the answer of a fit.
        x: a free parameter; by default one of the two with the strongest correlation.
        y: another; by default the one most correlated with x.
        points: along each axis.
        reach: half the width of the window in standard errors; it ends at the bounds.
        progress: told the stage and the fraction of it that is done.
        minimise: whether the other free parameters are minimised at every point, or held.

    Raises:
        FitError: there are not two free parameters of these names.
    """
    x, y = _pair(fit, x, y)
    x_values, y_values = (_window(fit, fit.names.index(name), points, reach) for name in (x, y))
    return _grid(fit, x, y, x_values, y_values, progress, minimise)


def landscape(
    forward: Forward,
    data: Sequence[sc.DataArray] | sc.DataArray,
    x: str,
    y: str,
    points: int = 41,
    progress: Progress = lambda stage, fraction: None,
    minimise: bool = False,
    **options: Any,
) -> Landscape:
    """The objective of data sets over the whole bounds of two parameters, the others held at the fit or minimised.

    Args:
        forward: what simulates.
        data: one data set or several.
        x: a parameter; it is freed if the model does not free it.
        y: another.
        points: along each axis.
        progress: told the stage and the fraction of it that is done.
        minimise: whether the other free parameters are minimised at every point, or held.
        **options: of `fit`, which runs first.

    Raises:
        FitError: as `fit` does, or x and y are the same.
    """
    options["free"] = [*(options.get("free") or ()), x, y]
    return over_bounds(fit(forward, data, progress=progress, **options), x, y, points, progress, minimise)


def over_bounds(
    fit: Fit,
    x: str,
    y: str,
    points: int = 41,
    progress: Progress = lambda stage, fraction: None,
    minimise: bool = False,
) -> Landscape:
    """The objective of a fit over the whole bounds of two of its free parameters; see `landscape`.

    Raises:
        FitError: there are not two free parameters of these names.
    """
    x, y = _pair(fit, x, y)
    bounds = {p.name: (p.min, p.max) for p in fit.parameters}
    return _grid(fit, x, y, np.linspace(*bounds[x], points), np.linspace(*bounds[y], points), progress, minimise)


def _pair(fit: Fit, x: str | None, y: str | None) -> tuple[str, str]:
    """The names asked for, completed by the strongest correlation."""
    for name in (x, y):
        if name is not None and name not in fit.names:
            raise FitError(
                f"{name!r} is not a free parameter of this fit; a landscape needs two of {', '.join(fit.names)}."
            )
    if len(fit.names) < 2:
        raise FitError(f"Only {', '.join(fit.names)} is free, and a landscape needs two parameters; free another one.")
    if x is not None and x == y:
        raise FitError(f"Both axes of the landscape are {x!r}; name two parameters.")
    if x is not None and y is not None:
        return x, y
    strength = np.abs(np.nan_to_num(fit.correlation))
    strength = np.maximum(strength, strength.T)  # rounding must not choose the order
    pairs = [(i, j) for i in range(len(fit.names)) for j in range(len(fit.names)) if i != j]
    wanted = [
        (i, j) for i, j in pairs if (x is None or fit.names[i] == x) and (y is None or fit.names[j] == y)
    ]  # the first of equals keeps the order of the model file
    i, j = max(wanted, key=lambda pair: strength[pair])
    return fit.names[i], fit.names[j]


def _window(fit: Fit, which: int, points: int, reach: float) -> np.ndarray:
    """Values of one parameter around its best value, within its bounds."""
    p = fit.parameters[which]
    error = np.sqrt(fit.covariance[which, which])
    half = reach * error if np.isfinite(error) else _BLIND * (p.max - p.min)
    best = fit.values[p.name]
    return np.linspace(max(p.min, best - half), min(p.max, best + half), points)


def _grid(
    fit: Fit, x: str, y: str, x_values: np.ndarray, y_values: np.ndarray, progress: Progress, minimise: bool
) -> Landscape:
    i, j = fit.names.index(x), fit.names.index(y)
    thetas = np.tile(fit.theta, (len(y_values), len(x_values), 1))
    thetas[:, :, i], thetas[:, :, j] = x_values, y_values[:, None]
    others = tuple(name for name in fit.names if name not in (x, y)) if minimise else ()
    told = lambda fraction: progress("landscape", fraction)  # noqa: E731
    if others:
        objective = _minimised(fit, thetas, (i, j), told)
    else:
        objective = objectives(fit.problem, thetas.reshape(-1, len(fit.names)), told).reshape(thetas.shape[:2])
    return Landscape(
        x=x,
        y=y,
        x_values=x_values,
        y_values=y_values,
        objective=objective,
        minimum=fit.problem.objective(fit.theta),
        noise=fit.noise,
        held={name: v for name, v in fit.values.items() if name not in (x, y, *others, *dict(fit.ties))},
        kind=fit.objective,
        best=(fit.values[x], fit.values[y]),
        minimised=others,
    )


def _minimised(fit: Fit, thetas: np.ndarray, axes: tuple[int, int], told: Any) -> np.ndarray:
    """The objective with all but two parameters at their best, each point warm-started from its neighbour.

    The walk begins in the middle, at the answer, and goes outwards, so that it stays in its valley.
    """
    maps = [m.measured for m in fit.maps]
    free = ~np.isin(np.arange(len(fit.names)), axes)
    # the weights of the answer, so that the objective is one and the same everywhere
    problem = dataclasses.replace(fit.problem, kind="gaussian") if fit.objective == "poisson" else fit.problem
    objective, best = np.full(thetas.shape[:2], np.inf), {}
    box = problem.choice.upper - problem.choice.lower
    order = np.argsort(np.linalg.norm((thetas - fit.theta) / box, axis=2), axis=None)
    for n, place in enumerate(zip(*np.unravel_index(order, objective.shape), strict=True)):
        row, column = place
        beside = [best[near] for near in _neighbours(row, column) if near in best]
        start = np.where(free, min(beside, key=lambda found: found[0])[1] if beside else fit.theta, thetas[place])
        problem = _covering(problem, start)
        if np.isfinite(problem.objective(start)):
            found = settle(problem, start, maps, free=free, noise=fit.noise)
            objective[place], problem = found.objective, found.problem
            best[place] = (found.objective, found.theta)
        told((n + 1) / len(order))
    return objective


def _neighbours(row: int, column: int) -> list[tuple[int, int]]:
    return [(row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]


def _covering(problem: Problem, theta: np.ndarray) -> Problem:
    """The same problem, prepared anew if θ is too far from where it was prepared."""
    return problem if problem.covers(theta) else problem.near(theta)
