"""Where a search looks first: quasi-random points of the box, and of smaller and smaller boxes around zero.

Energies of spin waves are homogeneous of degree one in couplings and fields, so that the valley of an answer is as wide
as the answer is large, whatever the bounds. The scale of the couplings is therefore drawn as well, in factors of two
from that of the bounds to that of the measured energies: a box a thousand times as wide asks for ten scales more, not
for a thousand times the points.

Source: a density ∝ 1/x is the one that no change of unit alters: Jeffreys, Theory of Probability (1939), section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import constants
from scipy.stats import qmc

from insiren.fit.choice import Choice
from insiren.model.units import ENERGIES

# meV; of a tesla the Zeeman energy of g = 2
_MEV = ENERGIES | {"T": 2 * constants.value("Bohr magneton in eV/T") * 1e3}
_WEAKEST = 8.0  # the strongest coupling is no weaker than the highest measured energy over this: 2zS is 4 … 30
_MANY = 3  # scales: of fewer, all points of a block are uniform
_WEAKER = 3  # power of a uniform number: couplings that are weaker than the scale by any factor


class Boxes(NamedTuple):
    """The whole box and those within it that are halves of one another.

    Attributes:
        lower: of each, shape (k, p).
        upper: of each, shape (k, p).
        energies: which parameters are couplings or fields, shape (p,).
    """

    lower: np.ndarray
    upper: np.ndarray
    energies: np.ndarray

    @property
    def wide(self) -> bool:
        """Whether the answer may be far smaller than the bounds."""
        return len(self.lower) > _MANY

    def around(self, theta: np.ndarray) -> np.ndarray:
        """The scale of differences that matter near θ, (p,): the width of the box, of a wide one of its least part."""
        inside = np.flatnonzero(np.all((self.lower <= theta) & (theta <= self.upper), axis=1))
        which = inside[-1] if self.wide and len(inside) else 0
        return self.upper[which] - self.lower[which]


def boxes(choice: Choice, highest: float) -> Boxes:
    """The boxes in which points are drawn, the whole one first.

    Args:
        choice: what is free, and its bounds.
        highest: measured energy in meV.
    """
    unit = np.array([_MEV.get(p.unit.strip(), 0.0) for p in choice.free])
    if not unit.any():
        unit[[p.unit == "" for p in choice.free]] = 1.0  # a theory that states no units
    energies = unit > 0
    lower, upper = [choice.lower], [choice.upper]
    if energies.any():
        least = np.where(lower[0] * upper[0] > 0, np.minimum(abs(lower[0]), abs(upper[0])), 0.0) * unit
        scale = float(np.max(np.maximum(abs(lower[0]), abs(upper[0])) * unit)) / 2
        while scale >= max(highest / _WEAKEST, 1e-9) and scale > np.max(least[energies]):
            reach = np.where(energies, scale / np.where(energies, unit, 1.0), np.inf)
            lower.append(np.maximum(lower[0], -reach))
            upper.append(np.minimum(upper[0], reach))
            scale /= 2
    return Boxes(np.array(lower), np.array(upper), energies)


def drawn(within: Boxes, which: int, many: int, key: Sequence[int]) -> np.ndarray:
    """Quasi-random points of one of the boxes; of many boxes, in half of the points some couplings are far weaker.

    Args:
        within: the boxes.
        which: of them.
        many: points, a power of two.
        key: numbers that make one draw another.
    """
    lower, upper = within.lower[which], within.upper[which]
    size, varied = len(lower), within.wide
    unit = qmc.Sobol(2 * size if varied else size, rng=np.random.default_rng([*key, which])).random(many)
    points = lower + unit[:, :size] * (upper - lower)
    if varied:
        across = within.energies & (lower <= 0) & (upper >= 0)
        points[many // 2 :, across] *= unit[many // 2 :, size:][:, across] ** _WEAKER
    return points
