"""Whether the answer is the global minimum, whatever the random numbers: a fit from each of many seeds, and a grid.

Both paths of La2NiO4 (measured where INSIREN_SHARED names a folder that holds them, else simulated), no Q broadening.
The grid covers the whole bounds of J and Jp on all pixels: no point of it may be better than an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import scipp as sc

import insiren as ins

_SEEDS = 100
_POINTS = 70  # along each axis
_CLOSE = 0.1  # standard errors between answers that are the same
_SHARP = {"q_fwhm": 0.0}
Row = tuple[str, str, str, str]


def global_rows(data: list[sc.DataArray]) -> Iterator[Callable[[], Row]]:
    """The time of a landscape over the whole bounds, and how many seeds give an answer that no point of it beats."""
    simulator, least = ins.exact(ins.load_model("la2nio4")), []

    def grid() -> Row:
        spent = []
        for _ in range(2):
            began = time.perf_counter()
            found = ins.landscape(simulator, data, "J", "Jp", points=_POINTS, fixed=_SHARP)
            spent.append(time.perf_counter() - began)
        least.append(float(np.nanmin(found.objective)))
        what = f"{_POINTS} × {_POINTS} landscape on all pixels with its fit, no Q broadening"
        return what, f"{spent[1]:.1f} s; first {spent[0]:.1f} s", "goal 25 s", ""

    def seeds() -> Row:
        fits = [ins.fit(simulator, data, seed=seed, fixed=_SHARP) for seed in range(_SEEDS)]
        values = np.array([[one.values["J"], one.values["Jp"]] for one in fits])
        errors = np.median([[one.errors["J"] or np.nan, one.errors["Jp"] or np.nan] for one in fits], axis=0)
        middle = np.median(values, axis=0)
        same = int(np.sum(np.all(np.abs(values - middle) < _CLOSE * errors, axis=1)))
        best = sum(one.objective_value <= least[0] for one in fits)
        agree = 100 * np.mean([one.starts[1] / one.starts[0] for one in fits])
        return (
            f"fits of it from {_SEEDS} seeds",
            f"{same} within {_CLOSE} σ of J {middle[0]:.3f}, Jp {middle[1]:.3f}",
            "the grid",
            f"{best} no worse than every point of it; {agree:.0f} % of raw descents agree",
        )

    yield grid
    yield seeds
