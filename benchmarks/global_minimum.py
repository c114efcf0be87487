"""Whether the answer is the global minimum, whatever the random numbers: a fit from each of many seeds, and a grid.

    python benchmarks/global_minimum.py [SEEDS] [POINTS]

Both paths of La2NiO4 (measured where INSIREN_SHARED names a folder that holds them, else simulated), no Q broadening.
The grid covers the whole bounds of J and Jp on all pixels: no point of it may be better than an answer.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from fits import paths

import insiren as ins


def main(seeds: int, points: int) -> None:
    simulator, data = ins.exact(ins.load_model("la2nio4")), paths()
    began = time.perf_counter()
    grid = ins.landscape(simulator, data, "J", "Jp", points=points, fixed={"q_fwhm": 0.0})
    print(f"{points} × {points} grid and its fit, compiling: {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    ins.landscape(simulator, data, "J", "Jp", points=points, fixed={"q_fwhm": 0.0})
    print(f"again: {time.perf_counter() - began:.1f} s", flush=True)
    fits = [ins.fit(simulator, data, seed=seed, fixed={"q_fwhm": 0.0}) for seed in range(seeds)]
    best = float(np.nanmin(grid.objective))
    found = np.array([[one.values[name], one.errors[name] or np.nan] for one in fits for name in ("J", "Jp")])
    values, errors = found[:, 0].reshape(-1, 2), found[:, 1].reshape(-1, 2)
    middle = np.median(values, axis=0)
    same = np.all(np.abs(values - middle) < 0.1 * np.median(errors, axis=0), axis=1)
    least = sum(one.objective_value <= best for one in fits)
    print(
        f"{seeds} seeds: {int(same.sum())} answers within 0.1 σ of J = {middle[0]:.3f}, Jp = {middle[1]:.3f}; "
        f"{least} are no worse than every point of the grid; raw descents that agree: "
        f"{100 * np.mean([one.starts[1] / one.starts[0] for one in fits]):.0f} %"
    )


if __name__ == "__main__":
    main(*(int(x) for x in (*sys.argv[1:3], *("100", "70")[len(sys.argv[1:3]) :])))
