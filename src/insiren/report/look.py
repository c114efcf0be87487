"""How figures look, and how they get into a page."""

from __future__ import annotations

import contextlib
import io
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from insiren.errors import FitError
from insiren.report.saved import write

INK = "#1f2430"
QUIET = "#6b7280"
MISSING = "#c9ccd2"
DATA = "#2b59c3"
MODEL = "#d1495b"
BACKGROUND = "#8a6d3b"
SERIES = ("#2b59c3", "#d1495b", "#1b998b", "#e08e0b", "#6c4ab6", "#52606d")  # apart also for the colour blind
INTENSITY = "magma"
DIFFERENCE = "RdBu_r"
_SHARP = 200  # dots an inch of what is rasterised: twice what a screen shows

_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a page looks alike everywhere
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "axes.edgecolor": "#9aa1ad",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.0,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "savefig.dpi": _SHARP,
    "figure.dpi": 100,
    "svg.fonttype": "path",
    "svg.hashsalt": "insiren",  # the same fit gives the same page
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The look of our figures, for as long as they are drawn and saved."""
    with matplotlib.rc_context(_STYLE):
        yield


def figure(width: float, height: float, hspace: float = 0.02, wspace: float = 0.02) -> Figure:
    """An empty figure, size in inches, that no global state knows of."""
    drawn = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(hspace=hspace, wspace=wspace))
    FigureCanvasAgg(drawn)
    return drawn


def colours(name: str) -> Colormap:
    """A colour map whose missing values are grey."""
    return matplotlib.colormaps[name].with_extremes(bad=MISSING)


def plain_frame(axes: Axes) -> None:
    """Only the two lines that carry numbers, and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8ec", linewidth=0.6)


def edges(centres: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n+1"]:
    """Borders of the cells around ascending centres."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def saved(drawn: Figure, kind: str = "svg") -> bytes:
    """A figure as the bytes of a file, "svg" or "png", without a date in it."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return buffer.getvalue()


def write_picture(drawn: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes a figure as PNG or SVG, by the suffix of the path.

    Raises:
        FitError: another suffix, or the file cannot be written.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise FitError(f"{path}: a picture is written as .png or .svg; choose one of these suffixes.")
    return write(path, saved(drawn, kind))


def embedded(drawn: Figure) -> str:
    """A figure as an address that holds the picture itself."""
    # Escaped, not base64: the rasters inside are base64 already, and twice would be a third larger.
    return "data:image/svg+xml," + urllib.parse.quote(saved(drawn), safe=" /:;=,+()!*'-._~?@$|^[]{}")
