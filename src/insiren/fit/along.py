"""One number for each wavevector by which a measurement is cut in two: along its path, or |Q|.

The order in which a file lists wavevectors says nothing by itself; where they follow each other along a path, the
length of the path does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from insiren.forward import Forward, Points
from insiren.instrument.exact import Exact
from insiren.model.crystal import lattice

_STRAIGHT = 0.99  # cosine between two steps of one line
_JUMP = 3.0  # median steps: a longer one begins another piece of the path, and is no part of its length
_CORNERS = 14  # at most, jumps among them: more is no path but a scattered set of wavevectors
_LEG = 3.0  # wavevectors at least that a path has, on average, from corner to corner


class Along(NamedTuple):
    """The numbers, shape (q,), and whether they are lengths along a path, else |Q|."""

    values: Float[np.ndarray, " q"]
    path: bool


def along(points: Points, forward: Forward) -> Along:
    """The length along a path at each unique wavevector, or its |Q|.

    Args:
        points: where a data set was measured.
        forward: what simulates it, which may know the lattice; without one r.l.u. are taken for 1/Å.
    """
    if points.Q_abs is not None:
        return Along(np.asarray(points.Q_abs), False)
    Q = np.asarray(points.hkl) @ _reciprocal(forward)
    step = np.diff(Q, axis=0)
    length = np.linalg.norm(step, axis=1)
    moves = length > 0
    if not points.is_table or not moves.any():
        return Along(np.linalg.norm(Q, axis=1), False)
    jumps = length > _JUMP * np.median(length[moves])
    ahead = step[moves] / length[moves, None]
    turns = np.sum(np.sum(ahead[1:] * ahead[:-1], axis=1) < _STRAIGHT)
    if turns + jumps.sum() > min(_CORNERS, len(Q) / _LEG):
        return Along(np.linalg.norm(Q, axis=1), False)
    return Along(np.concatenate([[0.0], np.cumsum(np.where(jumps, 0.0, length))]), True)


def _reciprocal(forward: Forward) -> Float[np.ndarray, "3 3"]:
    """Vectors of the reciprocal lattice in 1/Å, one a row."""
    known = forward if isinstance(forward, Exact) else forward.exact
    return lattice(known.model).reciprocal if isinstance(known, Exact) else np.eye(3)
