"""Figures of the answer itself: the landscape around it, the background, the residuals."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.interpolate import RectBivariateSpline
from scipy.stats import norm

from insiren.fit.landscape import JOINT, Landscape
from insiren.fit.result import Fit
from insiren.report import look
from insiren.report.spectra import Spectrum

_FINE = 201  # points along each axis between which contours are straight
_WIDEST = 8.0  # σ: residuals beyond are counted in the last bin
_SIGMAS = ("1 σ", "2 σ", "3 σ")
_LINES = ("solid", (0, (5, 2)), (0, (1.5, 2)))


def landscape(fit: Fit, over: Landscape) -> Figure:
    """The objective over two parameters with its 1, 2, 3 σ contours and the ellipse of the covariance."""
    drawn = look.figure(5.4, 4.4)
    axes = drawn.subplots()
    x, y, delta = finer(over)
    shown = np.ma.masked_invalid(delta)
    if over.kind == "pearson":
        mesh = axes.pcolormesh(x, y, shown, cmap=look.colours("viridis_r"), rasterized=True)
        axes.contour(x, y, shown, levels=8, colors="w", linewidths=0.8)
        label = "Objective 1 − r"
    else:
        scale = LogNorm(1, max(100.0, float(shown.max())))
        mesh = axes.pcolormesh(x, y, np.maximum(shown, 1), norm=scale, cmap=look.colours("viridis_r"), rasterized=True)
        axes.contour(x, y, shown, levels=over.levels, colors="w", linewidths=1.6, linestyles=_LINES)
        label = "Δχ² / noise"
    ellipses(axes, fit, over)
    axes.plot(*over.best, marker="+", color=look.INK, markersize=9, markeredgewidth=1.4)
    units = {p.name: p.unit for p in fit.parameters}
    for name, put in ((over.x, axes.set_xlabel), (over.y, axes.set_ylabel)):
        put(f"{name} ({units[name]})" if units.get(name) else name)
    bar = drawn.colorbar(mesh, pad=0.015, aspect=28, label=label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    names = _SIGMAS if over.levels else ()
    lines = [Line2D([], [], color="#7d8794", linestyle=style) for style in _LINES[: len(names)]]
    lines.append(Line2D([], [], color=look.MODEL))
    drawn.legend(lines, [*names, "covariance, 1 σ"], loc="outside upper center", ncols=4)
    return drawn


def landscape_figure(over: Landscape, fit: Fit, path: str | os.PathLike[str]) -> Path:
    """A picture of a landscape in a file, PNG or SVG by its suffix.

    Args:
        over: the landscape of two parameters of the fit.
        fit: the fit, whose covariance is drawn over it.
        path: of the file; an existing one is replaced.

    Raises:
        FitError: another suffix, or the file cannot be written.
    """
    with look.style():
        return look.write_picture(landscape(fit, over), path)


def finer(over: Landscape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The landscape on a finer grid: x, y and Δ (y, x).

    A bicubic spline is exact where the objective is a quadratic form, so that a valley narrower
    than the grid keeps its shape. With unstable corners there is none, and the grid stays.
    """
    x, y, delta = over.x_values, over.y_values, over.delta
    if not np.isfinite(delta).all() or min(delta.shape) < 4 or np.ptp(delta) > 1e4 * JOINT[0]:
        return x, y, np.where(np.isfinite(delta), delta, np.nan)
    fine = np.linspace(x[0], x[-1], _FINE), np.linspace(y[0], y[-1], _FINE)
    return *fine, RectBivariateSpline(y, x, delta)(fine[1], fine[0])


def ellipses(axes: Axes, fit: Fit, over: Landscape) -> None:
    """The joint 1 σ ellipse of the covariance of two parameters, all others free."""
    pick = [fit.names.index(over.x), fit.names.index(over.y)]
    part = fit.covariance[np.ix_(pick, pick)]
    if not np.isfinite(part).all():
        return
    values, vectors = np.linalg.eigh(part)
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    ring = vectors @ (np.sqrt(np.maximum(values, 0) * JOINT[0])[:, None] * circle)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(over.best[0] + ring[0], over.best[1] + ring[1], color=look.MODEL, linewidth=1.3)
    axes.set(xlim=limits[0], ylim=limits[1])


def backgrounds(fit: Fit) -> Figure | None:
    """The fitted background of each data set over energy; None where none was fitted."""
    shown = [m for m in fit.maps if len(m.profile.background) in (1, m.measured.n_rows)]  # of the energy alone
    if not shown:
        return None
    drawn = look.figure(5.4, 3.4)
    axes = drawn.subplots()
    look.plain_frame(axes)
    for m, colour in zip(shown, look.SERIES * len(shown), strict=False):
        energies = np.unique(np.asarray(m.measured.points.omega))
        values = np.asarray(m.profile.background)
        values = values if len(values) == len(energies) else np.full(len(energies), values[0])
        filled = np.isin(np.arange(len(energies)), m.measured.row[m.measured.used]) | (len(m.profile.background) == 1)
        axes.plot(energies, np.where(filled, values, np.nan), color=colour, label=m.measured.name)
    axes.set(xlabel="Energy transfer ω (meV)", ylabel="Background (data unit)")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.legend()
    return drawn


def residuals(data: list[Spectrum]) -> Figure:
    """How the residuals in σ are distributed, beside the unit Gaussian they should follow."""
    drawn = look.figure(5.4, 3.4)
    axes = drawn.subplots()
    look.plain_frame(axes)
    bins = np.linspace(-_WIDEST, _WIDEST, 65)
    for one, colour in zip(data, look.SERIES * len(data), strict=False):
        values = normalised(one)
        share = np.histogram(np.clip(values, -_WIDEST, _WIDEST), bins)[0] / max(1, len(values)) / np.diff(bins)
        axes.stairs(share, bins, fill=True, color=colour, alpha=0.22)
        axes.stairs(share, bins, color=colour, linewidth=1.2, label=one.name)
    x = np.linspace(-_WIDEST, _WIDEST, 401)
    axes.plot(x, norm.pdf(x), color=look.INK, linewidth=1.2, linestyle=(0, (4, 2)), label="unit Gaussian")
    axes.set(xlabel="(data − model) / σ", ylabel="Share of pixels per σ", xlim=(-_WIDEST, _WIDEST))
    axes.legend()
    return drawn


def normalised(spectrum: Spectrum) -> np.ndarray:
    """(data − model)/σ of the used pixels."""
    values = (spectrum.intensity - spectrum.model) / spectrum.sigma
    return values[np.isfinite(values)]
