"""The average over the orientations of a powder.

Directions form an even grid in cos θ and φ, each standing for the same solid angle and, as nodes of
a Q broadening do, for a patch of it: energy and weight are described to second order between the
nodes, so that a few hundred directions replace many thousands.
"""

from __future__ import annotations

import numpy as np

FIRST_RINGS = 8  # rings of directions a plan begins with
MOST_RINGS = 96  # and ends with at the latest
GROWTH = 1.5  # from one attempt to the next
TOLERANCE = 0.003  # of the largest intensity: a plan is done when an attempt changes no pixel by more


def directions(rings: int) -> np.ndarray:
    """Unit vectors in rings of equal solid angle, cos θ first and φ fastest, shape (rings, 2 rings, 3)."""
    z = (np.arange(rings) + 0.5) * 2 / rings - 1
    phi = (np.arange(2 * rings) + 0.5) * np.pi / rings
    across = np.sqrt(1 - z**2)[:, None]
    return np.stack([across * np.cos(phi), across * np.sin(phi), np.broadcast_to(z[:, None], (rings, 2 * rings))], -1)
