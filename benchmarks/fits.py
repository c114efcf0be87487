"""How long a fit takes: both paths of La2NiO4 jointly, ten raw starts and the covariance, after the first compile.

The data are measured where INSIREN_SHARED names a folder that holds them, else simulated on the same paths.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc
from global_minimum import global_rows

from insiren.data.counts import count
from insiren.data.files import read
from insiren.data.simulated import simulate
from insiren.fit.descent import STEPS
from insiren.fit.optimise import fit
from insiren.forward import Points
from insiren.instrument.exact import exact
from insiren.model.crystal import route
from insiren.model.spec import load_model
from insiren.surrogate.store import bundled_surrogates, load_surrogate

_RUNS = 3
_STARTS = 10
_NEUTRONS = 1_000_000  # of simulated data, a path
Row = tuple[str, str, str, str]


def paths() -> list[sc.DataArray]:
    """Both paths, measured or simulated."""
    folder = Path(os.environ.get("INSIREN_SHARED", "")) / "data" / "la2nio4"
    if folder.is_dir():
        return read(folder)
    model = load_model("la2nio4")
    simulator, found = exact(model), []
    for seed, name in enumerate(("path1", "path2")):
        points = Points.table(route(model, name)[0], np.arange(20.0, 141.0))
        seen = count(simulate(simulator, {"q_fwhm": 0.085}, points), _NEUTRONS, seed, background=0.02)
        found.append(seen.drop_coords(["counts", "norm"]))
    return found


def fit_rows() -> Iterator[Callable[[], Row]]:
    """Fits with and without broadening in Q, and by surrogate, beside the goals of the project."""
    simulator = exact(load_model("la2nio4"))
    cases: list[tuple[str, Any, dict[str, float], str]] = [
        ("joint fit, no Q broadening", simulator, {"q_fwhm": 0.0}, "goal 1 s"),
        ("joint fit, Q broadening free", simulator, {}, "goal 4 s"),
    ]
    for name in bundled_surrogates():
        cases.append((f"joint fit by {name}", load_surrogate(name), {}, "goal 2 s"))
    data, took = paths(), {}
    for name, forward, fixed, goal in cases:

        def row(name=name, forward=forward, fixed=fixed, goal=goal) -> Row:
            found, spent = _timed(forward, data, _RUNS, fixed=fixed, starts=_STARTS)
            took[name] = statistics.median(spent[1:])
            answer = ", ".join(f"{n} {found.values[n]:.3f}({found.errors[n] or np.nan:.3f})" for n in found.names)
            said = f"{took[name]:.2f} s; first {spent[0]:.1f} s"
            return name, said, goal, f"{answer}; {found.starts[1]} of {_STARTS} agree"

        yield row
    for name in bundled_surrogates():

        def published(name=name) -> Row:
            _, spent = _timed(load_surrogate(name), data, 1, preset="paper", starts=_STARTS)
            ratios = ", ".join(f"{spent[-1] / took[known]:.0f} × {known}" for known in took)
            what = f"the paper's procedure by {name}, {_STARTS} starts of {STEPS:,} steps"
            return what, f"{spent[-1]:.1f} s; first {spent[0]:.1f} s", "the fits above", ratios

        yield published
    yield from global_rows(data)


def _timed(forward: Any, data: list[sc.DataArray], runs: int, **wishes: Any) -> tuple[Any, list[float]]:
    """The answer, and the seconds of each fit; the first compiles."""
    spent, found = [], None
    for _ in range(runs + 1):
        begin = time.perf_counter()
        found = fit(forward, data, **wishes)
        spent.append(time.perf_counter() - begin)
    return found, spent
