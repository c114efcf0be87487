"""One orientation among the equivalent ones of a magnetic structure, so that reruns agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from insiren.model.cell import rotation

_FLAT = 1e-4  # a component below this is taken for zero when a spin is chosen to orient by
_TRIED = 8  # random structures; three would do, unless one is unlucky


def invariant_axes(
    torques: Sequence[tuple[Callable[[np.ndarray], np.ndarray], int]], rounding: float
) -> Float[np.ndarray, "a 3"]:
    """Axes about which all spins may turn together at no cost, whichever way they point.

    They are those along which the total torque vanishes for every structure, so they span the
    null space of the torques of some random ones: no axis, one, or all three.

    Args:
        torques: functions that give the total torque Σ nᵢ × ∂E/∂nᵢ of directions, shape (3,), in
            any unit, and the number of directions that each takes.
        rounding: torque that counts as zero, same unit.
    """
    rng, found = np.random.default_rng(0), []
    for torque, count in torques:
        for n in rng.standard_normal((_TRIED, count, 3)):
            found.append(torque(n / np.linalg.norm(n, axis=1, keepdims=True)))
    _, size, axes = np.linalg.svd(np.array(found))
    return axes[size <= rounding]


def oriented(n: Float[np.ndarray, "l 3"], axes: Float[np.ndarray, "a 3"], even: bool) -> Float[np.ndarray, "l 3"]:
    """The directions turned to the one agreed orientation among those of equal energy.

    Free to turn about all axes, collinear spins lie along z; others have the first spin along x
    and the next that differs in the xy plane with y > 0. Free to turn about one axis, the first
    spin that does not lie along it points to the side of the Cartesian axis most across it.

    Args:
        n: unit vectors.
        axes: about which all may turn together, see `invariant_axes`.
        even: whether all may be reversed too, that is, without a field.
    """
    if len(axes) > 1:  # rotations about two axes make all the others
        return _oriented_freely(n, even)
    if len(axes) == 0:
        lead = n[0][np.abs(n[0]) > _FLAT][0]
        return n * np.sign(lead) if even else n
    a = axes[0] * np.sign(axes[0][np.argmax(np.abs(axes[0]))])
    along = (n @ a)[np.abs(n @ a) > _FLAT]
    if even and len(along) and along[0] < 0:
        n = -n
    lead = _first_across(n, a)
    if lead is None:
        return n
    side = np.eye(3)[np.argmin(np.round(np.abs(a), 6))]  # six digits: equal components choose the first
    angle = np.arctan2(a @ np.cross(lead, side), lead @ side)
    return n @ rotation(a, float(angle)).T


def _oriented_freely(n: np.ndarray, even: bool) -> np.ndarray:
    x = n[0]
    y = _first_across(n, x)
    if y is None:
        return np.outer(np.sign(n @ x), [0.0, 0.0, 1.0])
    found = n @ np.stack([x, y, np.cross(x, y)]).T
    above = found[:, 2][np.abs(found[:, 2]) > _FLAT]
    if even and len(above) and above[0] < 0:  # reversed, then turned by half about z
        found[:, 2] *= -1
    return found


def _first_across(n: np.ndarray, axis: np.ndarray) -> np.ndarray | None:
    """The unit vector across the axis of the first spin that has one."""
    across = n - np.outer(n @ axis, axis)
    length = np.linalg.norm(across, axis=1)
    found = np.flatnonzero(length > _FLAT)
    return across[found[0]] / length[found[0]] if found.size else None
