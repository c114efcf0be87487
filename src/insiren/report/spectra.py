"""Measured spectra beside their model: maps, cuts, lists of points."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipp as sc
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from insiren.data.adopt import adopt
from insiren.data.peaks import is_peaks
from insiren.data.spectrum import is_image, left_out, measured_out, points_of
from insiren.fit.result import Fit
from insiren.forward import Bands, Parameters
from insiren.report import look, path

_BRIGHT = 99.0  # percentile of the model's ridge that the colours reach, so that a few hot pixels do not dim the rest
_RIDGE = 0.1  # of the strongest ridge: rows and columns below it are not worth a cut
_CUTS = 3  # of either kind
_PANELS = 12  # of one picture
_FAINT, _CLEAR = 0.15, 0.9  # opacity of a mode without weight, and of one with half the usual weight or more


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
    """One data set of a fit as figures need it; arrays (q, w) of an image, (d,) of a list of points.

    Attributes:
        name: of the data set.
        hkl: wavevector of each column (q, 3), or of each point (d, 3), in r.l.u.
        omega: energies in meV, ascending (w,), or of each point (d,).
        intensity: in the data's unit, NaN where left out.
        sigma: as the fit weighted it, in the data's unit.
        model: scale · S + background, in the data's unit.
        background: in the data's unit.
        is_image: whether it is one.
        Q_abs: |Q| of each column (q,) or point (d,) of a powder in 1/Å; hkl is then (q, 0).
        masked: pixels that a mask leaves out although they were measured, or None.
    """

    name: str
    hkl: np.ndarray
    omega: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    model: np.ndarray
    background: np.ndarray
    is_image: bool
    Q_abs: np.ndarray | None = None
    masked: np.ndarray | None = None

    def ticks(self, named: Mapping[str, Sequence[float]] | None = None) -> tuple[list[float], list[str], str]:
        """Places along the columns of an image, what stands there, and the label of the axis."""
        return _ticks(self.hkl, self.Q_abs, named)

    @property
    def ridge(self) -> np.ndarray:
        """The model without its background."""
        return self.model - self.background


def spectra(fit: Fit) -> list[Spectrum]:
    """The data sets of a fit, each with its model."""
    found = []
    for shown, target in zip(fit.maps, fit.problem.data, strict=True):
        points, used = shown.measured.points, shown.measured.used
        values = np.asarray(shown.profile.background)
        model = np.asarray(shown.profile.model)
        background = values[np.asarray(target.group)] if len(values) else np.zeros_like(model)
        weight = np.where(used, np.asarray(target.weight), np.nan)
        intensity, sigma = np.where(used, shown.intensity, np.nan), weight**-0.5
        hkl, omega = np.asarray(points.hkl), np.asarray(points.omega)
        lengths = None if points.Q_abs is None else np.asarray(points.Q_abs)
        masked = shown.measured.masked
        if (shape := shown.measured.shape) is not None:
            omega = omega.reshape(shape)[0]
            order = np.argsort(omega)
            masked = None if masked is None else masked.reshape(shape)[:, order]
            intensity, sigma, model, background = (
                pixels.reshape(shape)[:, order] for pixels in (intensity, sigma, model, background)
            )
            omega = omega[order]
        else:
            index = np.asarray(points.index)
            hkl, lengths = hkl[index], None if lengths is None else lengths[index]
        name = shown.measured.name
        found.append(
            Spectrum(name, hkl, omega, intensity, sigma, model, background, shape is not None, lengths, masked)
        )
    return found


def dispersion(fit: Fit, hkl: Float[np.ndarray, "q r"]) -> tuple[np.ndarray, np.ndarray] | None:
    """Energies (q, n) in meV and weights (q, n) of the modes at the best values; None if nobody knows them.

    A powder, whose hkl are (q, 0), has no lines.
    """
    if hkl.shape[1] != 3:
        return None
    forward = fit.problem.forward
    source = forward if isinstance(forward, Bands) else forward.exact
    if not isinstance(source, Bands):
        return None
    known = fit.problem.values(fit.theta, 0)  # of parameters that are one each, the first data set's
    energies, weights = _bands(source, known, jnp.asarray(hkl))
    if not energies.shape[1]:
        return None  # a surrogate that learnt from spectra alone
    return np.asarray(energies), np.asarray(weights)


@eqx.filter_jit  # operation by operation it would take seconds
def _bands(source: Bands, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
    return source.bands(params, hkl)


def named_points(fit: Fit) -> Mapping[str, Sequence[float]]:
    """Names of points in reciprocal space, where the model gives some."""
    for forward in (fit.problem.forward, fit.problem.forward.exact):
        model: Any = getattr(forward, "model", None)
        if (paths := getattr(model, "paths", None)) is not None:
            return paths.points
    return {}


def maps(
    spectrum: Spectrum,
    bands: tuple[np.ndarray, np.ndarray] | None,
    named: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """Data, model and their difference, the background taken off, on one scale of intensity.

    Args:
        spectrum: an image.
        bands: energies and weights of the modes along it, drawn over the maps.
        named: points with names, for the axis.
    """
    drawn = look.figure(11, 3.9, wspace=0.03)
    left, middle, right = panels = drawn.subplots(1, 3, sharex=True, sharey=True)
    data = spectrum.intensity - spectrum.background
    top = brightest(np.where(np.isfinite(data), spectrum.ridge, np.nan))
    mesh = image(left, spectrum.omega, data, 0, top)
    image(middle, spectrum.omega, np.where(np.isfinite(data), spectrum.ridge, np.nan), 0, top)
    rest = image(right, spectrum.omega, data - spectrum.ridge, -top, top, look.DIFFERENCE)
    for axes, title, colour in zip(panels, ("Data", "Model", "Data − model"), ("w", "w", look.INK), strict=True):
        axes.set_title(title, fontweight="bold")
        if bands is not None:
            overlay(axes, *bands, colour)
        hatched(axes, spectrum.omega, spectrum.masked)
    place(left, spectrum.ticks(named))
    left.set_ylabel("Energy transfer ω (meV)")
    for shown, where in ((mesh, [left, middle]), (rest, [right])):
        bar = drawn.colorbar(shown, ax=where, pad=0.015, aspect=28, extend="max" if shown is mesh else "both")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return drawn


def brightest(ridge: np.ndarray) -> float:
    """The intensity at the bright end of the colours; positive."""
    known = ridge[np.isfinite(ridge)]
    top = float(np.percentile(known, _BRIGHT)) if len(known) else 1.0
    return top if top > 0 else 1.0


def image(axes: Axes, omega: np.ndarray, values: np.ndarray, low: float, high: float, cmap: str = "") -> QuadMesh:
    """An image (q, w) over column number and energy in meV; missing pixels are grey."""
    columns = look.edges(np.arange(len(values), dtype=float))
    return axes.pcolormesh(
        columns, look.edges(omega), np.ma.masked_invalid(values.T), vmin=low, vmax=high,
        cmap=look.colours(cmap or look.INTENSITY), rasterized=True,
    )  # fmt: skip


def hatched(axes: Axes, omega: np.ndarray, masked: np.ndarray | None) -> None:
    """Hatches the pixels (q, w) of an image that a mask leaves out."""
    if masked is None or not masked.any():
        return
    columns, rows = look.edges(np.arange(len(masked), dtype=float)), look.edges(omega)
    q, w = np.nonzero(masked)
    corners = [(columns[q + i], rows[w + j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    cells = np.array(corners).transpose(2, 0, 1)
    axes.add_collection(
        PolyCollection(
            list(cells), facecolors="none", edgecolors=look.QUIET, linewidths=0, hatch="////", rasterized=True
        ),
        autolim=False,
    )


def place(axes: Axes, ticks: tuple[list[float], list[str], str]) -> None:
    """Labels the columns of an image by where its path turns, or by |Q|."""
    at, labels, label = ticks
    for shared in axes.get_shared_x_axes().get_siblings(axes):
        shared.set_xticks(at, labels)
        shared.set_xlabel(label, color=look.QUIET)


def _ticks(
    hkl: np.ndarray, Q_abs: np.ndarray | None, named: Mapping[str, Sequence[float]] | None
) -> tuple[list[float], list[str], str]:
    if Q_abs is not None:
        return path.powder_ticks(Q_abs)
    at, labels, label = path.ticks(hkl, named)
    return [float(column) for column in at], labels, label


def overlay(axes: Axes, energies: np.ndarray, weights: np.ndarray, colour: str) -> None:
    """Dispersion lines over an image; modes of little weight are fainter."""
    limits = axes.get_ylim()
    strongest = np.nan_to_num(weights).max(axis=1)
    usual = np.median(strongest) or 1.0  # the median, for weights diverge at Goldstone points
    opacity = _FAINT + (_CLEAR - _FAINT) * np.clip(2 * weights / usual, 0, 1)
    columns = np.arange(len(energies), dtype=float)
    for mode in range(energies.shape[1]):
        points = np.stack([columns, energies[:, mode]], axis=1)
        pieces = np.stack([points[:-1], points[1:]], axis=1)
        alpha = np.minimum(opacity[:-1, mode], opacity[1:, mode])
        known = np.isfinite(pieces).all(axis=(1, 2)) & np.isfinite(alpha)
        rgba = np.column_stack([np.tile(to_rgb(colour), (len(pieces), 1)), alpha])
        axes.add_collection(LineCollection(list(pieces[known]), colors=rgba[known], linewidths=0.8), autolim=False)
    axes.set_ylim(limits)


def cuts(spectrum: Spectrum, named: Mapping[str, Sequence[float]] | None = None) -> Figure:
    """Cuts through the ridge: at constant energy above, at constant Q below, with error bars.

    Args:
        spectrum: an image.
        named: points with names, for the axis.
    """
    drawn = look.figure(11, 5.4, hspace=0.04)
    panels = drawn.subplots(2, _CUTS)
    # Several energies or wavevectors together show the ridge where single pixels are noisy.
    thick = (max(1, len(spectrum.omega) // 40), max(1, len(spectrum.intensity) // 70))
    for axes, slab in zip(panels[0], slabs(spectrum, 1, thick[0]), strict=False):
        low, high = spectrum.omega[slab][[0, -1]]
        span = f"{low:.4g} meV" if low == high else f"{low:.4g} to {high:.4g} meV"
        _cut(axes, np.arange(len(spectrum.intensity), dtype=float), *_averaged(spectrum, slab, 1))
        axes.set_title(f"ω = {span}")
        place(axes, spectrum.ticks(named))
    for axes, slab in zip(panels[1], slabs(spectrum, 0, thick[1]), strict=False):
        _cut(axes, spectrum.omega, *_averaged(spectrum, slab, 0))
        axes.set_title(_where(spectrum, slab))
        axes.set_xlabel("Energy transfer ω (meV)", color=look.QUIET)
    for axes in panels.flat:
        axes.set_visible(axes.has_data())
    for row in panels:
        row[0].set_ylabel("Intensity (data unit)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper right", ncols=3)
    return drawn


def _where(spectrum: Spectrum, slab: slice) -> str:
    """The mean wavevector of some columns in words."""
    if spectrum.Q_abs is not None:
        return f"|Q| = {spectrum.Q_abs[slab].mean():.3g} 1/Å"
    h, k, l = spectrum.hkl[slab].mean(axis=0)
    return f"Q = ({h:.3g}, {k:.3g}, {l:.3g})".replace("-", "−")


def slabs(spectrum: Spectrum, along: int, thick: int) -> list[slice]:
    """Rows of energy (along = 1) or columns of Q (0) that the ridge crosses, `thick` and more wide, well apart."""
    ridge = np.where(np.isfinite(spectrum.intensity), spectrum.ridge, 0.0)
    height = ridge.max(axis=1 - along)
    crossed = np.flatnonzero(height > _RIDGE * height.max())
    if not len(crossed):
        return []
    wanted = crossed[((np.arange(_CUTS) + 0.5) / _CUTS * len(crossed)).astype(int)]
    half, last = thick // 2, ridge.shape[along]
    return [slice(max(0, n - half), min(last, n + half + 1)) for n in np.unique(wanted)]


def _averaged(spectrum: Spectrum, slab: slice, axis: int) -> tuple[np.ndarray, ...]:
    """Mean intensity, its σ, model and background over the used pixels of a slab, NaN where there are none."""
    part = (slice(None), slab) if axis == 1 else (slab, slice(None))
    used = np.isfinite(spectrum.intensity[part])
    n = np.where(used.any(axis=axis), used.sum(axis=axis), np.nan)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.where(used, values[part], 0.0).sum(axis=axis) / n

    sigma = np.sqrt(np.where(used, spectrum.sigma[part] ** 2, 0.0).sum(axis=axis)) / n
    return mean(spectrum.intensity), sigma, mean(spectrum.model), mean(spectrum.background)


def _cut(axes: Axes, x: np.ndarray, I: np.ndarray, sigma: np.ndarray, model: np.ndarray, background: np.ndarray):
    look.plain_frame(axes)
    axes.fill_between(x, 0, background, color=look.BACKGROUND, alpha=0.14, linewidth=0, label="background")
    axes.errorbar(
        x, I, sigma, fmt="o", markersize=2.2, color=look.DATA, ecolor=look.DATA, elinewidth=0.7, alpha=0.75,
        label="data", zorder=2, rasterized=True,
    )  # fmt: skip
    axes.plot(x, model, color=look.MODEL, label="model", zorder=3)
    axes.margins(x=0.01)


def point_plot(spectrum: Spectrum) -> Figure:
    """A list of points with error bars beside its model, in the order of the list."""
    drawn = look.figure(11, 3.4)
    axes = drawn.subplots()
    _cut(
        axes, np.arange(len(spectrum.omega), dtype=float), spectrum.intensity, spectrum.sigma, spectrum.model,
        spectrum.background,
    )  # fmt: skip
    axes.set_xlabel("Point of the list", color=look.QUIET)
    axes.set_ylabel("Intensity (data unit)")
    drawn.legend(loc="outside upper right", ncols=3)
    return drawn


def spectrum_figure(data: sc.DataArray, path: str | os.PathLike[str], title: str = "") -> Path:
    """A picture of one measured or simulated spectrum in a file, PNG or SVG by its suffix.

    Args:
        data: a spectrum as `image` or `point_list` make it, or what `adopt` makes one of.
        path: of the file; an existing one is replaced.
        title: above the picture; by default the name of the data set.

    Raises:
        DataError: no spectrum.
        FitError: another suffix, or the file cannot be written.
    """
    with look.style():
        drawn = look.figure(7, 4.2)
        _panel(drawn, drawn.subplots(), data, title)
        return look.write_picture(drawn, path)


def spectra_figure(data: Sequence[sc.DataArray], path: str | os.PathLike[str]) -> Path:
    """A picture of data sets one above the other, lists of peaks among them; PNG or SVG by its suffix.

    Args:
        data: spectra and lists of peaks; beyond a dozen the rest is left out.
        path: of the file; an existing one is replaced.

    Raises:
        DataError: neither spectrum nor peaks.
        FitError: another suffix, or the file cannot be written.
    """
    shown = data[:_PANELS]
    with look.style():
        drawn = look.figure(7, 4.2 * len(shown))
        for axes, one in zip(np.atleast_1d(drawn.subplots(len(shown))), shown, strict=True):
            _panel(drawn, axes, one, "")
        return look.write_picture(drawn, path)


def _panel(drawn: Figure, axes: Axes, data: sc.DataArray, title: str) -> None:
    axes.set_title(title or data.name, fontweight="bold")
    axes.set_ylabel("Energy transfer ω (meV)")
    if is_peaks(data):
        look.plain_frame(axes)
        axes.errorbar(np.arange(len(data.values)), data.values, np.sqrt(data.variances), fmt="o", markersize=3)
        axes.set_xlabel("Peak of the list")
        return
    data = adopt(data)
    if grid := is_image(data):
        data = data.transpose(["Q", "energy_transfer"])
    points = points_of(data)
    omega = np.asarray(points.rows[0] if grid else points.omega)
    values = np.where(left_out(data), np.nan, data.values)
    order = np.argsort(omega)
    line = grid and 1 in values.shape
    if line:
        sigma = None if data.variances is None else np.sqrt(np.maximum(data.variances[:, order], 0.0)).ravel()
        along = omega[order] if len(values) == 1 else np.arange(len(values))
        look.plain_frame(axes)
        axes.errorbar(along, values[:, order].ravel(), sigma, fmt="o", markersize=3)
        axes.set_xlabel("Energy transfer ω (meV)")
        axes.set_ylabel("Intensity")
    if grid and len(values) > 1:
        lengths = None if points.Q_abs is None else np.asarray(points.Q_abs)
        place(axes, _ticks(np.asarray(points.hkl), lengths, None))
    if line:
        return
    if grid:
        mesh = image(axes, omega[order], values[:, order], 0, brightest(values))
        masked = measured_out(data)
        hatched(axes, omega[order], None if masked is None else masked.reshape(values.shape)[:, order])
    else:
        mesh = axes.scatter(np.arange(len(omega)), omega, c=values, s=9, cmap=look.colours(look.INTENSITY))
        axes.set_xlabel("Point of the list")
    drawn.colorbar(mesh, ax=axes, pad=0.015, aspect=28, label="Intensity")
