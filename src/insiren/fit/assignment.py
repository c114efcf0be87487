"""Which calculated mode an observed peak belongs to.

A peak can only belong to a mode that is seen, so modes far weaker than the strongest of their wavevector are
left out. What remains is matched one to one, so that the squared distances in σ are least in sum.

Source: Kuhn, Nav. Res. Logist. Q. 2, 83 (1955), for the matching; Toth and Lake, J. Phys.: Condens. Matter 27,
166002 (2015), for the strongest modes within the window.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from insiren.errors import FitError

LEVEL = 1e-6  # of the largest energy: modes closer than this are one level
Rule = Literal["nearest", "strongest"]
RULES: tuple[Rule, ...] = get_args(Rule)
VISIBLE = 0.02  # of the strongest mode of a wavevector: a weaker one would not have been picked as a peak


def assigned(
    E: Float[np.ndarray, "q n"],
    I: Float[np.ndarray, "q n"],
    at: Int[np.ndarray, " p"],
    energy: Float[np.ndarray, " p"],
    sigma: Float[np.ndarray, " p"],
    window: Float[np.ndarray, "p 2"],
    rule: Rule = "nearest",
) -> Int[np.ndarray, " p"]:
    """The mode of each peak.

    Args:
        E: energies of the modes of each wavevector in meV.
        I: their weights.
        at: the wavevector of each peak.
        energy: of each peak in meV.
        sigma: standard deviation of it in meV.
        window: least and largest energy in meV that was looked at, the same for all peaks of a wavevector.
        rule: "nearest" lets every visible mode compete for the peaks; "strongest" only as many as there are
            peaks, the strongest ones within the window.

    Returns:
        Numbers of modes, (p,). Where fewer modes are seen than peaks, the peaks that are left over get the
        visible mode nearest to them.

    Raises:
        FitError: there is no such rule.
    """
    if rule not in RULES:
        raise FitError(f"There is no assignment {rule!r} of peaks to modes; choose one of {', '.join(RULES)}.")
    seen = VISIBLE * np.max(I, axis=1, keepdims=True) <= I
    distance = np.abs(np.where(seen, E, np.inf)[at] - energy[:, None]) / sigma[:, None]
    modes = np.argmin(distance, axis=1)
    peaks = np.bincount(at, minlength=len(E))
    for q in np.flatnonzero(peaks > (1 if rule == "nearest" else 0)):
        which = np.flatnonzero(at == q)
        rivals = np.flatnonzero(seen[q])
        if rule == "strongest":
            rivals = _strongest(E[q], I[q], rivals, window[which[0]], len(which))
        row, column = scipy.optimize.linear_sum_assignment(distance[np.ix_(which, rivals)] ** 2)
        modes[which[row]] = rivals[column]
    return modes


def levels(E: Float[np.ndarray, " n"], I: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """Energies, ascending, and weights of the levels of modes: those of equal energy share their weight at will."""
    order = np.argsort(E)
    E = E[order]
    level = np.cumsum(np.diff(E, prepend=E[0]) > LEVEL * E[-1])
    return E[np.searchsorted(level, np.arange(level[-1] + 1))], np.bincount(level, I[order])


def _strongest(E: np.ndarray, I: np.ndarray, seen: np.ndarray, window: np.ndarray, count: int) -> np.ndarray:
    """The strongest of the visible levels, those within the window before the others, a mode each."""
    seen = seen[np.argsort(E[seen])]
    place, weight = levels(E[seen], I[seen])
    first = seen[np.searchsorted(E[seen], place)]
    outside = (place < window[0]) | (place > window[1])
    return first[np.lexsort([-weight, outside])[:count]]
