"""Lists of peaks in a report: each observed energy beside its mode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from insiren.fit.peak_fit import Peak
from insiren.report import look


def by_list(peaks: Sequence[Peak]) -> dict[str, list[Peak]]:
    """The peaks of each list by its name, in their order."""
    return {name: [p for p in peaks if p.data == name] for name in dict.fromkeys(p.data for p in peaks)}


def peak_plot(peaks: Sequence[Peak]) -> Figure:
    """Observed energies and their modes above, what is left over in σ below, peak by peak."""
    drawn = look.figure(7.2, 5.0)
    above, below = drawn.subplots(2, sharex=True, height_ratios=[2.2, 1])
    x = np.arange(len(peaks))
    for axes in (above, below):
        look.plain_frame(axes)
    above.errorbar(x, [p.observed for p in peaks], [p.sigma for p in peaks], fmt="o", markersize=3, color=look.DATA)
    above.plot(x, [p.calculated for p in peaks], "_", markersize=11, markeredgewidth=1.6, color=look.MODEL)
    above.set_ylabel("Energy (meV)")
    below.axhline(0, color=look.QUIET, linewidth=0.8)
    below.plot(x, [p.off for p in peaks], "o", markersize=3, color=look.DATA)
    below.set(xlabel="Peak of the list", ylabel="(observed − mode) / σ")
    return drawn


def peak_rows(peaks: Sequence[Peak]) -> list[tuple[str, ...]]:
    """Place, observed and calculated energy and the residual of each peak, as text."""
    return [
        (
            f"({', '.join(f'{x:g}' for x in p.hkl)})",
            f"{p.observed:.2f} ± {p.sigma:.2f}",
            f"{p.calculated:.2f}",
            str(p.mode + 1),
            f"{p.off:+.1f}".replace("-", "−"),
        )
        for p in peaks
    ]
