"""Claim: errors are the scatter of repeated measurements, for every kind of weights and background (docs/theory.md).

    python studies/pulls.py [MEASUREMENTS]

One ridge with known parameters is measured again and again, with another noise each time, and fitted. A pull is
(answer − truth)/error: over many measurements its root mean square is 1 and its mean 0 where errors are right and the
answer is unbiased.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipp as sc

import insiren as ins

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fit"))
from theory import HKL, OMEGA, THEORY, TRUTH, expected, seen

SLOPE = 0.4 + 0.8 * np.exp(-OMEGA / 6)  # a background of the energy alone
WARPED = SLOPE * (1 + 0.6 * np.cos(2.0 * HKL[:, :1]))  # one that bends along Q as well
OUTLIERS = 30  # of 720 pixels, 20 σ off


def counts(seed: int) -> sc.DataArray:
    clean = ins.image("counted", HKL, OMEGA, 2 * expected(), None)
    return ins.count(clean, 6000, seed, background=0.3)


def with_outliers(seed: int) -> sc.DataArray:
    data, rng = seen(seed, 0.5), np.random.default_rng(500 + seed)
    where = rng.choice(data.values.size, OUTLIERS, replace=False)
    data.values.reshape(-1)[where] += rng.choice([-1, 1], OUTLIERS) * 4.0
    return data


def can(seed: int) -> sc.DataArray:
    """An empty can: the warped background, measured with little noise and half the intensity."""
    noise = np.random.default_rng(1000 + seed).normal(size=WARPED.shape)
    return ins.image("can", HKL, OMEGA, WARPED / 2 + 0.02 * noise, np.full_like(WARPED, 0.02))


def kinds() -> Iterator[tuple[str, Callable[[int], sc.DataArray], Callable[[int], dict[str, Any]]]]:
    """What is measured, by seed, and the options of its fit."""
    plain = {"weights": "data", "background": "constant"}
    yield "counts", counts, lambda seed: plain
    yield "σ of the data", lambda seed: seen(seed, 0.5), lambda seed: plain
    yield "robust", lambda seed: seen(seed, 0.5), lambda seed: plain | {"robust": True}
    yield f"robust, {OUTLIERS} outliers", with_outliers, lambda seed: plain | {"robust": True}
    for background, under in (("per-energy", SLOPE), ("smooth", SLOPE), ("lowrank", WARPED)):
        yield f"{background}", lambda seed, u=under: seen(seed, u), lambda seed, b=background: plain | {"background": b}
    yield "template", lambda seed: seen(seed, WARPED), lambda seed: plain | {"template": can(seed)}


def main() -> None:
    """Prints a row for each kind, and fails where a mean lies 3.5 σ from 0 or a mean square as far from 1."""
    many, off = int(sys.argv[1]) if len(sys.argv) > 1 else 48, False
    print(f"{many} measurements each\n{'':<22}{'rms of A':>9}{'of B':>7}{'mean of A':>11}{'of B':>7}")
    for name, measurement, options in kinds():
        pulls = []
        for seed in range(many):
            found = ins.fit(THEORY, measurement(seed), starts=1, **options(seed))
            pulls.append([(found.values[n] - TRUTH[n]) / (found.errors[n] or np.nan) for n in ("A", "B")])
        square, mean = np.mean(np.square(pulls), axis=0), np.mean(pulls, axis=0)
        wrong = np.any(np.abs(mean) > 3.5 / np.sqrt(many)) or np.any(np.abs(square - 1) > 3.5 * np.sqrt(2 / many))
        off |= bool(wrong)
        print(f"{name:<22}{square[0] ** 0.5:9.2f}{square[1] ** 0.5:7.2f}{mean[0]:+11.2f}{mean[1]:+7.2f}", flush=True)
    sys.exit(int(off))


if __name__ == "__main__":
    main()
