"""A problem on a part of the pixels and with cheaper Forwards, for a search."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np

from insiren.fit.objective import Target, picked
from insiren.fit.problem import Problem
from insiren.forward import Points

_COLUMNS = 64  # wavevectors of the rough problem, all data sets together
_ROWS = 61  # energies of each
_FEW = 40, 41  # the same for a Forward whose draft is no cheaper than itself
_POINTS = 4000  # pixels of lists of points, all data sets together
_REACH = 0.1  # r.l.u. or 1/Å: counts of a column farther than this from the middle one are not added to it


def rough(problem: Problem, seed: int) -> Problem:
    """The same problem on a part of the pixels and the draft of each Forward that can give a part."""
    rng = np.random.default_rng(seed)
    points, data, drafts = [], [], []
    for forward, where, what in zip(problem.sources, problem.points, problem.data, strict=True):
        draft = forward.draft if forward.pointwise else forward
        drafts.append(draft)
        columns, most = _FEW if draft is forward else (_COLUMNS, _ROWS)
        share = max(1, columns // len(problem.points))
        if forward.pointwise:
            if where.is_table and what.exposure is not None:
                where, what = _gathered(where, what, share, most)
            elif where.is_table:
                where, pick = _part(where, share, most)
                what = picked(what, pick)
            else:
                pick = np.sort(rng.permutation(len(where))[: _POINTS // len(problem.points)])
                where, what = where.subset(pick), picked(what, pick)
        points.append(where)
        data.append(what)
    return dataclasses.replace(
        problem,
        forward=drafts[0],
        prepared=tuple(drafts),
        points=tuple(points),
        data=tuple(data),
        forwards=tuple(drafts) if problem.forwards else (),
    )


def _part(where: Points, share: int, most: int) -> tuple[Points, np.ndarray]:
    """Some columns and energies of a table, and the numbers of their pixels."""
    q, w = where.rows.shape
    columns = np.unique(np.linspace(0, q - 1, min(q, share)).round().astype(int))
    rows = np.arange(0, w, -(-w // most))  # evenly: energies as close as the resolution add nothing
    few = where.columns(columns)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    return Points.table(hkl, few.rows[:, rows], Q_abs=Q_abs, bins=few.bins), (columns[:, None] * w + rows).reshape(-1)


def _gathered(where: Points, what: Target, share: int, most: int) -> tuple[Points, Target]:
    """A table of counts with neighbouring columns and energies added up, so that every neutron speaks.

    What is gathered lies at the middle column and the mean energy; the ridge is smeared by a little more than the
    distance of the neighbours, which a descent on all pixels then removes.
    """
    q, w = where.rows.shape
    wide, high = -(-q // share), -(-w // most)
    middle = np.minimum(np.arange(0, q, wide) + wide // 2, q - 1)
    place = np.asarray(where.hkl if where.Q_abs is None else np.asarray(where.Q_abs)[:, None])
    block = np.arange(q) // wide
    near = np.linalg.norm(place - place[middle[block]], axis=1) <= _REACH
    row = np.arange(w) // high
    rows = np.add.reduceat(np.asarray(where.rows), np.arange(0, w, high), axis=1)[middle] / np.bincount(row)
    few = where.columns(middle)
    hkl, Q_abs = (few.hkl, None) if few.Q_abs is None else (None, few.Q_abs)
    cell, cells = (block[:, None] * (row[-1] + 1) + row)[near].ravel(), len(middle) * (row[-1] + 1)
    exposure, n = (
        np.bincount(cell, np.asarray(x).reshape(q, w)[near].ravel(), cells) for x in (what.exposure, what.counts.n)
    )
    group = np.asarray(what.group).reshape(q, w)[np.ix_(middle, np.arange(0, w, high))].ravel()
    intensity = np.where(exposure > 0, n / np.where(exposure > 0, exposure, 1.0), 0.0)
    values, seen, at, norm = (jnp.asarray(x) for x in (intensity, (exposure > 0).astype(float), group, exposure))
    added = Target(values, seen, at, what.groups, exposure=norm)
    return Points.table(hkl, rows, Q_abs=Q_abs, bins=few.bins), added
