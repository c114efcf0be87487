"""The straight legs of a path in Q, each a data set of its own, averaged over the tube that the path was cut with.

A map along a path is often put together from a cut for each leg, whose scale and background need not be those of the
next. Each cut is made by adding up what lies within some distance of the leg. Along the path the bins are as small as
its steps; across it they are as wide as the tube, whose direction turns at every corner, so that each leg has a bin of
its own. Where a cone of magnons is narrow the tube matters: it adds wavevectors farther from the middle of the cone, at
higher energies, and never nearer ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipp as sc
from jaxtyping import Float

from insiren.data.adopt import adopt
from insiren.data.bins import bin_coords, bins_of
from insiren.data.spectrum import is_image, left_out, place_of
from insiren.errors import DataError

LEG_OF = "leg_of"  # coordinate of a leg: the name of its path
_STRAIGHT = 0.99  # cosine between steps of one leg
_FLAT = 1e-6  # of the longest extent: what lies less beside a plane lies in it
_SAME = 0.01  # of a usual step: wavevectors as near to each other are one
_COPIED = 0.1  # of its error: an intensity that was written twice, rounded or not, differs less from itself
_ROUNDED = 1e-3  # of the largest intensity: the same where no error is known
_HKL = ("h", "k", "l")


def legs(data: sc.DataArray, tube: float | None, reciprocal: Float[np.ndarray, "3 3"]) -> list[sc.DataArray]:
    """The straight legs of a path as data sets of their own, averaged across it in the plane of the path if asked.

    Args:
        data: an image whose wavevectors follow each other along a path; with a tube one that has a corner, so that
            its plane is known.
        tube: full width of what was added up across the path, in 1/Å; None for no average.
        reciprocal: vectors of the reciprocal lattice in 1/Å, one a row.

    Returns:
        Each leg, its bins given, called by the data set's name with the number of the leg; a corner belongs to the leg
        that it ends. Wavevectors that are a leg of their own are left out, for they have no direction.

    Raises:
        DataError: it is no image of a crystal; or, with a tube, it has bins in Q already, or lies along one line.
    """
    data = adopt(data)
    if not is_image(data) or place_of(data) != _HKL:
        raise DataError(f"{data.name} is no image along a path of wavevectors, so it has no legs.")
    data = data.transpose(["Q", "energy_transfer"])
    Q = np.stack([data.coords[name].values for name in _HKL], axis=1).astype(float) @ reciprocal
    across = None if tube is None else _across(data, Q, tube)
    found = []
    for which in _legs(Q):
        leg = data["Q", which[0] : which[-1] + 1].copy()
        leg.name = f"{data.name}-{len(found) + 1}"
        leg.coords[LEG_OF] = sc.scalar(data.name)
        if across is not None:
            edge = across(Q[which[-1]] - Q[which[0]]) @ np.linalg.inv(reciprocal)
            for name, coord in bin_coords(bins_of(data)._replace(hkl=(tuple(edge.tolist()),))).items():
                leg.coords[name] = coord
        found.append(leg)
    return found


def separate_legs(data: sc.DataArray) -> tuple[bool, str]:
    """Whether a path was put together from a cut for each leg, and in a sentence why, with the numbers.

    A path in one piece has one intensity at a corner, even where it is written twice. A corner that comes twice with
    two intensities was measured twice, as the end of one cut and the start of the next, whose tubes turn there. It
    does not matter whether the two agree within their errors, as those of two cuts of one scale do: a copy agrees to
    the last digit.

    Args:
        data: a data set of any kind; what is no image along a path has no legs.

    Returns:
        Whether `legs` should take it apart, and why or why not, without name and full stop; "" where it has no corner.
    """
    data = adopt(data)
    if not is_image(data) or place_of(data) != _HKL:
        return False, ""
    data = data.transpose(["Q", "energy_transfer"])
    hkl = np.stack([data.coords[name].values for name in _HKL], axis=1).astype(float)
    corners = [int(which[-1]) for which in _legs(hkl)[:-1]]
    if not corners:
        return False, ""
    twice = np.array([n for n in corners if n > 0 and np.linalg.norm(hkl[n] - hkl[n - 1]) <= _tiny(hkl)], int)
    if not len(twice):
        return False, f"none of its {len(corners)} corner(s) comes twice: it is in one piece"
    by, unit = _apart(data, twice)
    different = by > (_COPIED if data.variances is not None else _ROUNDED)
    if not different.any():
        return False, f"{len(twice)} of its {len(corners)} corner(s) come twice with the same intensities: one piece"
    return True, (
        f"{different.sum()} of its {len(corners)} corner(s) come twice with two intensities, "
        f"{by[different].min():.2g} to {by[different].max():.2g} {unit} apart: each leg is a cut of its own"
    )


def _apart(data: sc.DataArray, twice: np.ndarray) -> tuple[Float[np.ndarray, " c"], str]:
    """By how much the intensities of wavevectors differ from those of the ones before, as a root mean square."""
    values = np.where(left_out(data), np.nan, data.values)
    apart = (values[twice] - values[twice - 1]) ** 2
    if data.variances is None:
        largest = np.max(np.abs(values), where=np.isfinite(values), initial=np.finfo(float).tiny)
        return np.sqrt(_mean(apart)) / largest, "of the largest intensity"
    known = np.where(data.variances > 0, data.variances, np.nan)
    return np.sqrt(_mean(apart / (known[twice] + known[twice - 1]))), "errors (root mean square)"


def _mean(of: Float[np.ndarray, "c w"]) -> Float[np.ndarray, " c"]:
    """The mean over each row's finite values; 0 where there are none."""
    known = np.isfinite(of)
    return np.sum(of, axis=1, where=known) / np.maximum(known.sum(axis=1), 1)


def _across(data: sc.DataArray, Q: Float[np.ndarray, "q 3"], tube: float) -> Callable[[np.ndarray], np.ndarray]:
    """The edge of a tube, in 1/Å, across a leg that runs along a vector."""
    bins = bins_of(data)
    if bins.hkl:
        raise DataError(
            f"{data.name} says over which bins in Q it was averaged ({bins.hkl}); a tube would count twice."
        )
    if not tube > 0:
        raise DataError(f"{data.name}: a tube of {tube:g} 1/Å has no width.")
    _, extent, axes = np.linalg.svd(Q - Q.mean(axis=0), full_matrices=False)
    if len(Q) < 3 or extent[1] < _FLAT * extent[0]:
        raise DataError(f"{data.name} lies along one line, which does not say in which plane its tube lies.")
    if extent[2] > _FLAT * extent[0]:
        raise DataError(f"{data.name} does not lie in one plane, so that its tube is not known.")
    return lambda along: tube * np.cross(axes[2], along / np.linalg.norm(along))


def _legs(Q: Float[np.ndarray, "q 3"]) -> list[np.ndarray]:
    """The numbers of the wavevectors of each leg that has a direction, in order."""
    number, last, tiny = np.zeros(len(Q), int), None, _tiny(Q)
    for n in range(1, len(Q)):
        step = Q[n] - Q[n - 1]
        length = np.linalg.norm(step)
        turned = length > tiny and last is not None and step @ last < _STRAIGHT * length
        number[n] = number[n - 1] + turned
        last = step / length if length > tiny else last
    every = [np.flatnonzero(number == n) for n in range(number[-1] + 1)]
    return [which for which in every if np.linalg.norm(Q[which[-1]] - Q[which[0]]) > tiny]


def _tiny(Q: Float[np.ndarray, "q 3"]) -> float:
    """Below what a step leads nowhere: a wavevector that comes twice may be written with other digits."""
    lengths = np.linalg.norm(np.diff(Q, axis=0), axis=1)
    return _SAME * float(np.median(lengths[lengths > 0])) if np.any(lengths > 0) else 0.0
