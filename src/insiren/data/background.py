"""Backgrounds: functions of which a fitted one is a sum, and one estimated from a quiet region.

None of them is told where the signal lies. A fitted background has functions too broad to follow a ridge that moves
with Q, or is measured elsewhere; how stiff it is, the evidence decides (`fit.evidence`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipp as sc
import scipy.linalg
from jaxtyping import Float, Int
from scipy.interpolate import BSpline

from insiren.data.spectrum import Measured, measured
from insiren.errors import DataError

SMOOTH_PIECES = 16  # of the spline over the energies of a data set; the penalty makes it stiffer
LOWRANK_PIECES = (5, 10)  # along Q and along the energy; the likeliest of those tried (docs/decisions/018)
_CUBIC = 3
QUIET = slice(160, 171)  # wavevectors without signal on the paths of the paper, counted from 0
_SAME = 1e-6  # r.l.u., 1/Å and meV: a template was measured at the same points up to rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """Functions of which the background of a data set is a sum.

    Attributes:
        functions: value of each function at each group of pixels, shape (b, k).
        penalties: one diagonal penalty a direction, 0 for functions that are free, shape (m, k).
        group: which group a pixel belongs to, shape (d,).
        sigma: standard deviation of a measured function at each pixel, shape (d,), or None.
    """

    functions: Float[np.ndarray, "b k"]
    penalties: Float[np.ndarray, "m k"]
    group: Int[np.ndarray, " d"]
    sigma: Float[np.ndarray, " d"] | None = None


def smooth_basis(spectrum: Measured) -> Basis:
    """Smooth functions of the energy alone: a cubic spline with a penalty on its curvature.

    Source: Eilers and Marx, Stat. Sci. 11, 89 (1996): splines with a penalty on the second differences.
    """
    energies = np.zeros(spectrum.n_rows)
    energies[spectrum.row] = np.asarray(spectrum.points.omega)
    pieces = min(SMOOTH_PIECES, max(1, len(np.unique(spectrum.row[spectrum.used])) // 2))
    functions, penalty = _splines(energies, pieces)
    return Basis(functions, penalty[None], spectrum.row)


def lowrank_basis(spectrum: Measured) -> Basis:
    """What `smooth_basis` has, and products of smooth functions of Q and of the energy, fewer of each.

    The curvature of the products along Q, that along the energy, and that of what depends on the energy alone have a
    penalty each. Along Q counts |Q| of a powder, and the way along the columns in r.l.u. of the image of a crystal.

    Raises:
        DataError: the data set is a list of points of a crystal, which has no such way.

    Source: Wood, Generalized Additive Models, 2nd ed. (2017), section 5.6: tensor products with a penalty a direction,
    beside the main effects.
    """
    points = spectrum.points
    if points.Q_abs is None and spectrum.shape is None:
        raise DataError(
            f"{spectrum.name} is a list of points, which has no order along Q, so a background that is smooth along Q "
            "is not defined. Use --background smooth or per-energy."
        )
    if points.Q_abs is not None:
        way = np.asarray(points.Q_abs)
    else:
        steps = np.linalg.norm(np.diff(np.asarray(points.hkl), axis=0), axis=1)
        way = np.concatenate([[0.0], np.cumsum(steps)])
    along, stiff_Q = _splines(way, min(LOWRANK_PIECES[0], max(1, len(np.unique(way)) // 2)))
    over, stiff_omega = _splines(np.asarray(points.omega), min(LOWRANK_PIECES[1], max(1, spectrum.n_rows // 2)))
    products = (along[np.asarray(points.index)][:, :, None] * over[:, None, :]).reshape(len(points), -1)
    ones = np.ones(along.shape[1]), np.ones(over.shape[1])
    of_both = np.stack([np.outer(stiff_Q, ones[1]).ravel(), np.outer(ones[0], stiff_omega).ravel()])
    alone = smooth_basis(spectrum)
    wavy = alone.penalties[0] > 0  # constant and slope are among the products
    functions = np.concatenate([products, alone.functions[alone.group][:, wavy]], axis=1)
    penalties = np.asarray(scipy.linalg.block_diag(of_both, alone.penalties[:, wavy]))
    return Basis(functions, penalties, np.arange(len(points)))


def _splines(x: np.ndarray, pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Combinations of cubic B-splines at x, (x, k), that a curvature penalty leaves apart, and that penalty, (k,).

    The first two are a constant and a slope, which have none. Equal penalties would make them equally stiff in data of
    any unit: x is taken in units of its range.
    """
    low, high = float(np.min(x)), float(np.max(x))
    unit = (x - low) / (high - low) if high > low else np.zeros(len(x))
    knots = np.arange(-_CUBIC, pieces + _CUBIC + 1) / pieces
    design = BSpline.design_matrix(np.clip(unit, 0, 1), knots, _CUBIC).toarray()
    second = np.diff(np.eye(design.shape[1]), 2, axis=0)
    values, vectors = np.linalg.eigh(second.T @ second)
    free = values < 1e-10 * values[-1]  # constant and slope, whose eigenvalue is rounding
    return design @ vectors, np.where(free, 0.0, values / values[-1])


def template_basis(spectrum: Measured, templates: Sequence[sc.DataArray]) -> Basis:
    """A measured background, such as an empty can, as the one function.

    Args:
        spectrum: the data set.
        templates: measured spectra, one of them at the same wavevectors and energies.

    Raises:
        DataError: none was measured there; nothing is interpolated, since that would smooth its noise unevenly.
    """
    wrong = []
    for one in templates:
        other = measured(one, sigma_max=np.inf) if one.variances is not None else None
        if other is None:
            raise DataError(f"{one.name}: a template needs error bars, since its noise enters the fit. Give a sigma.")
        if (apart := _apart(spectrum, other)) is None:
            known = other.used | ~spectrum.used
            if lacking := int(np.sum(~known)):
                raise DataError(
                    f"{lacking} pixels of {spectrum.name} were not measured in the template {other.name}. Mask them in "
                    "the data, or measure the template there."
                )
            sigma = np.where(other.used, other.sigma, 0.0)
            values = np.where(other.used, other.intensity, 0.0)[:, None]
            return Basis(values, np.zeros((0, 1)), np.arange(len(values)), sigma)
        wrong.append(f"{other.name} {apart}")
    raise DataError(
        f"No template was measured where {spectrum.name} was: {'; '.join(wrong)}. Nothing is interpolated; bring both "
        "to the same wavevectors and energies."
    )


def _apart(one: Measured, other: Measured) -> str | None:
    """In words how two data sets differ in their points, or None."""
    if len(one.points) != len(other.points):
        return f"has {len(other.points)} pixels, not {len(one.points)}"
    if (one.points.Q_abs is None) != (other.points.Q_abs is None):
        return "is of a powder, or the data are, but not both"
    for what, a, b in (
        ("energies", one.points.omega, other.points.omega),
        ("wavevectors", _place(one), _place(other)),
    ):
        if (most := float(np.max(np.abs(np.asarray(a) - np.asarray(b))))) > _SAME:
            return f"has {what} up to {most:.3g} away"
    return None


def _place(spectrum: Measured) -> np.ndarray:
    place = spectrum.points.hkl if spectrum.points.Q_abs is None else spectrum.points.Q_abs
    return np.asarray(place)[np.asarray(spectrum.points.index)]


def savgol_background(
    spectrum: Measured | Float[np.ndarray, "q w"],
    columns: slice = QUIET,
    window: int = 51,
    order: int = 3,
) -> Float[np.ndarray, " w"]:
    """Background of each energy: the mean over quiet wavevectors, smoothed along the energy.

    Pixels that are not used do not enter the mean; energies at which the whole region is missing
    are interpolated from their neighbours. The smoothing counts energies in steps, so they should
    be evenly spaced.

    Take the spectrum with `sigma_max = inf`: a limit on σ empties the region where the background is
    high. The paper averages the raw matrix with its zeros for not measured among the numbers, which
    is what the plain values of the array give.

    Args:
        spectrum: an image, or its intensities (q, w) with NaN where missing.
        columns: wavevectors without signal, counted from 0; the paper's by default.
        window: energies in the smoothing window, odd.
        order: of the smoothing polynomial, below `window`.

    Returns:
        One value for each distinct energy, ascending, in the data's unit.

    Raises:
        DataError: the region holds nothing, the spectrum has fewer energies than the window, or
            it is no image.

    Source: Chitturi et al., Nat. Commun. 14, 5852 (2023); Savitzky and Golay, Anal. Chem. 36, 1627 (1964).
    """
    intensity, used, row, n_rows = _image(spectrum)
    if n_rows < window:
        raise DataError(
            f"The background is smoothed over {window} energies but the spectrum has {n_rows}: "
            "give a smaller odd window, or choose another background."
        )
    used, row = used[columns], row[columns][used[columns]]
    if not used.any():
        raise DataError(
            f"No pixel was measured in the background region, Q columns {columns.start} to {columns.stop} "
            f"(exclusive) of {len(intensity)}. Choose columns that hold data but no signal: savgol:FIRST:LAST."
        )
    n = np.bincount(row, minlength=n_rows)
    total = np.bincount(row, weights=intensity[columns][used], minlength=n_rows)
    seen = np.flatnonzero(n)
    mean = np.interp(np.arange(n_rows), seen, total[seen] / n[seen])
    return np.asarray(scipy.signal.savgol_filter(mean, window, order))  # SciPy imports it when first used


def _image(spectrum: Measured | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Intensity, used and row as (q, w), and the number of rows."""
    if not isinstance(spectrum, Measured):
        row = np.broadcast_to(np.arange(spectrum.shape[1]), spectrum.shape)
        return spectrum, np.isfinite(spectrum), row, spectrum.shape[1]
    if spectrum.shape is None:
        raise DataError(f"{spectrum.name} is a list of points; this background needs an image. Choose another one.")
    intensity, used, row = (a.reshape(spectrum.shape) for a in (spectrum.intensity, spectrum.used, spectrum.row))
    return intensity, used, row, spectrum.n_rows
