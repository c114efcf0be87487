"""The whole box at every update at almost no cost: model spectra do not depend on the data, so they are kept.

Spectra of quasi-random points of the box are worked out once, on coarse pixels; at every update all neutrons are summed
on these pixels and every point gets its deviance, scale and background at their best. This tells whether another part
of the box has become as good as the answer, how the posterior divides between minima, and how the objective looks
over two parameters.

A background that is a smooth function stands here as a free value an energy, which it is a case of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.special import logsumexp
from scipy.stats import qmc

from insiren.data.spectrum import Measured
from insiren.fit.objective import Target, cost
from insiren.fit.problem import Problem
from insiren.fit.rough import rough
from insiren.forward import Points

SCREENED = 256  # points of the box
PLANE = 15  # points along each axis of the landscape
_COLUMNS = 128  # of the coarse pixels, all data sets together
_ROWS = 61  # of each
_BATCH = 16  # spectra at once
_NEIGHBOURS = 4  # of a point, times the number of parameters


class Cells(NamedTuple):
    """The coarse pixels of one data set.

    Attributes:
        points: their centres.
        cell: which of them each pixel belongs to, shape (d,); −1 for none.
        shape: (q, w), or (d, 1) for a list of points.
    """

    points: Points
    cell: np.ndarray
    shape: tuple[int, int]


class Screen(NamedTuple):
    """Spectra at points of the box.

    Attributes:
        thetas: the points, shape (n, p).
        spectra: of each data set, (n, q, w).
    """

    thetas: np.ndarray
    spectra: tuple[np.ndarray, ...]


class Coarse(NamedTuple):
    """What simulates the coarse pixels, and which these are."""

    problem: Problem
    cells: tuple[Cells, ...]


def coarse(problem: Problem, seed: int) -> Coarse:
    """The coarse pixels of a problem, with the draft of each Forward."""
    share = max(1, _COLUMNS // len(problem.points))
    easy = rough(problem, seed)
    cells = []
    for forward, where, few in zip(problem.sources, problem.points, easy.points, strict=True):
        if not forward.pointwise:
            q, w = where.rows.shape if where.is_table else (len(where), 1)
            cells.append(Cells(where, np.arange(len(where)), (q, w)))
        elif where.is_table:
            cells.append(_gathered(where, share))
        else:
            cells.append(_drawn(where, few))
    return Coarse(dataclasses.replace(easy, points=tuple(c.points for c in cells)), tuple(cells))


def _gathered(where: Points, share: int) -> Cells:
    """Neighbouring columns and energies of a table summed."""
    rows = np.asarray(where.rows)
    q, w = rows.shape
    columns = np.unique(np.linspace(0, q - 1, min(q, share)).round().astype(int))
    nearest = np.abs(np.arange(q)[:, None] - columns).argmin(axis=1)
    step = -(-w // _ROWS)
    group = np.arange(w) // step
    size = int(group[-1]) + 1
    few = where.columns(columns)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    energies = np.stack([np.bincount(group, row, size) / np.bincount(group, minlength=size) for row in rows[columns]])
    points = Points.table(hkl, energies, Q_abs=Q_abs, bins=few.bins)
    return Cells(points, (nearest[:, None] * size + group).reshape(-1), (len(columns), size))


def _drawn(where: Points, few: Points) -> Cells:
    """The points that a search uses, each for itself."""
    names = lambda p: np.column_stack([np.asarray(x) for x in (p.hkl if p.Q_abs is None else p.Q_abs[:, None],)])  # noqa: E731
    place = lambda p: np.column_stack([names(p)[np.asarray(p.index)], np.asarray(p.omega)])  # noqa: E731
    known = {tuple(row): n for n, row in enumerate(place(few))}
    cell = np.array([known.get(tuple(row), -1) for row in place(where)])
    return Cells(few, cell, (len(few), 1))


def screened(rough_: Coarse, seed: int, told: Callable[[float], None]) -> Screen:
    """The spectra of quasi-random points of the box, the model's own first."""
    choice = rough_.problem.choice
    unit = qmc.Sobol(len(choice.free), rng=seed).random(SCREENED)
    thetas = choice.lower + unit * (choice.upper - choice.lower)
    thetas[0] = [p.value for p in choice.free]
    return Screen(thetas, spectra_at(rough_, thetas, told))


def spectra_at(
    rough_: Coarse, thetas: Float[np.ndarray, "n p"], told: Callable[[float], None] = lambda part: None
) -> tuple[np.ndarray, ...]:
    """Spectra (n, q, w) of each data set; NaN where there is none."""
    made: list[list[np.ndarray]] = [[] for _ in rough_.cells]
    for n, theta in enumerate(thetas):
        for one, S in zip(made, rough_.problem.spectra(theta), strict=True):
            one.append(np.asarray(S, np.float32))
        told((n + 1) / len(thetas))
    return tuple(np.stack(one).reshape(-1, *c.shape) for one, c in zip(made, rough_.cells, strict=True))


def summed(problem: Problem, maps: list[Measured], cells: tuple[Cells, ...]) -> list[dict[str, np.ndarray]]:
    """The data on the coarse pixels: intensity, and its exposure (norm of counts, else 1/σ²), each (q, w)."""
    found = []
    for one, target, c in zip(maps, problem.data, cells, strict=True):
        counted = problem.kind == "poisson" and one.norm is not None
        exposure = one.norm if counted and one.norm is not None else np.asarray(target.weight)
        weight = np.where(one.used, exposure, 0.0)
        keep, size = c.cell >= 0, c.shape[0] * c.shape[1]
        total = np.bincount(c.cell[keep], weight[keep], size)
        sums = np.bincount(c.cell[keep], (weight * np.asarray(target.intensity))[keep], size)
        intensity = sums / np.where(total > 0, total, 1.0)
        found.append({"intensity": intensity.reshape(c.shape), "exposure": total.reshape(c.shape)})
    return found


def deviances(problem: Problem, data: list[dict[str, np.ndarray]], spectra: tuple[np.ndarray, ...]) -> np.ndarray:
    """The deviance (χ² where there are no counts) at each point, infinite where there is no spectrum, shape (n,)."""
    total = 0.0
    for target, S in zip(targets(problem, data), spectra, strict=True):
        many = -(-len(S) // _BATCH) * _BATCH  # one shape, one compile
        filled = np.concatenate([S, np.repeat(S[-1:], many - len(S), axis=0)]).reshape(many, -1)
        total = total + np.asarray(_costs(jnp.asarray(filled), target))[: len(S)]
    return np.where(np.isfinite(total), total, np.inf)


def targets(problem: Problem, data: list[dict[str, np.ndarray]]) -> tuple[Target, ...]:
    """The coarse pixels as a descent wants them."""
    made = []
    for target, one in zip(problem.data, data, strict=True):
        I, weight = one["intensity"], one["exposure"]
        axes = _axes(target, I.shape)
        rows = np.broadcast_to(np.arange(I.shape[1]), I.shape) if axes == (0,) else np.zeros(I.shape, int)
        groups = 0 if not axes else I.shape[1] if axes == (0,) else 1
        values, seen, at = (jnp.asarray(x.reshape(-1)) for x in (I, weight, rows))
        made.append(Target(values, seen, at, jnp.zeros(groups), exposure=seen if problem.kind == "poisson" else None))
    return tuple(made)


def minima(points: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Numbers of the points that no neighbour is better than, best first."""
    ends = np.unique(_ends(points, D))
    return ends[np.argsort(D[ends], kind="stable")]


def _axes(target: Target, shape: tuple[int, int]) -> tuple[int, ...]:
    """Over which axes pixels share a value of the background; none without background."""
    groups = target.groups.shape[0]
    return () if groups == 0 else (0, 1) if groups == 1 or shape[1] == 1 else (0,)


_costs: Any = jax.jit(
    lambda S, target: jax.lax.map(lambda one: cost("poisson", (one.astype(float),), (target,)), S, batch_size=_BATCH)
)


class Modes(NamedTuple):
    """How the posterior divides between minima.

    Attributes:
        share: of the leading one.
        rival: the best point of the box outside the leading one's valley, or None.
        better: whether that describes the data better than the answer.
    """

    share: float
    rival: np.ndarray | None
    better: bool


def modes(
    screen: Screen, values: np.ndarray, theta: np.ndarray, value: float, covariance: np.ndarray, width: np.ndarray,
    noise: float,
) -> Modes:  # fmt: skip
    """The share of the leading minimum: its Laplace evidence against the sum over the screened points outside it.

    A point belongs to the minimum that a walk to ever better neighbours ends in; the answer is one of the points. The
    evidence of the leading one is the larger of Laplace's, exp(−D/2)·√|2πC|, and the sum over its points; that of the
    others is the sum over theirs, each standing for an even part of the box. A rival narrower than the distance between
    points is underrated until a search descends into it.

    Args:
        screen: the points.
        values: their deviances, shape (n,).
        theta: the answer, shape (p,).
        value: its deviance on the same pixels.
        covariance: of the answer, NaN where it has none.
        width: of the bounds, shape (p,).
        noise: the factor on the covariance.
    """
    alive = np.isfinite(values)
    points = np.vstack([theta, screen.thetas[alive]]) / width
    D = np.concatenate([[value], values[alive]])
    ends = _ends(points, D)
    outside = ends != ends[0]
    logs, cell = -D / (2 * noise), -np.log(len(screen.thetas))  # the box has the volume 1
    inside = ~outside
    inside[0] = False
    leading = [float(logsumexp(logs[inside]) + cell)] if inside.any() else []
    known = np.isfinite(np.diag(covariance))
    if known.any():
        C = covariance[np.ix_(known, known)] / np.outer(width[known], width[known])
        # a valley wider than the box ends where the box does
        leading.append(float(logs[0] + min(0.0, 0.5 * np.linalg.slogdet(2 * np.pi * C)[1])))
    if not outside.any():
        return Modes(1.0, None, False)
    others = float(logsumexp(logs[outside]) + cell)
    best = int(np.flatnonzero(outside)[np.argmin(D[outside])])
    share = 1 / (1 + np.exp(min(700.0, others - max(leading, default=logs[0] + cell))))
    return Modes(float(share), points[best] * width, bool(D[best] < D[0]))


def _ends(points: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Where the walk from each point to ever better neighbours ends."""
    count = min(len(points), _NEIGHBOURS * points.shape[1] + 1)
    near = np.atleast_2d(KDTree(points).query(points, count)[1]).reshape(len(points), count)
    to = near[np.arange(len(points)), np.argmin(D[near], axis=1)]
    while not np.array_equal(further := to[to], to):
        to = further
    return to
