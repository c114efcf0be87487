"""What an analysis of peaks makes of the measurement of La2NiO4, and of spectra of the model that describes it best.

    python benchmarks/peak_analysis.py FOLDER [SEEDS]     20 seeds by default, at least two

FOLDER holds both measured paths. `la2nio4-gap` is fitted to their intensities. Its spectra with the errors of the
measurement drawn anew, and the measurement itself, then go through the baseline: peaks are picked, assigned
to modes, and a particle swarm finds the exchange (`insiren.baseline`). If the model is right, the two
differ by chance, and the distance of both from the fit of intensities is that of the methods.

J − 2Jp is the energy of magnons at X = (1/2, 0), J − Jp that at P = (3/4, 1/4), over 4 Z_c S and without gaps.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import scipp as sc

import insiren as ins

COMBINATIONS = {"J": (1, 0), "Jp": (0, 1), "J − 2Jp": (1, -2), "J − Jp": (1, -1)}
WEIGHTS = np.array(list(COMBINATIONS.values()), float)


def by_peaks(forward: ins.Forward, data: list[sc.DataArray], seed: int) -> list[float]:
    """J and Jp of the baseline."""
    values = ins.baseline(forward, data, seed=seed).values
    return [values["J"], values["Jp"]]


def drawn(fit: ins.Fit, data: list[sc.DataArray], seed: int) -> list[sc.DataArray]:
    """What is measured if the model is right: its spectra with the errors of the data."""
    rng, made = np.random.default_rng(seed), []
    for one, beside in zip(data, fit.maps, strict=True):
        expected = np.asarray(beside.profile.model).reshape(one.shape)
        values = expected + rng.normal(size=one.shape) * np.sqrt(one.variances)
        again = one.copy()
        again.values = np.where(np.isfinite(values), values, 0.0)  # masked, like the pixels without an error
        made.append(again)
    return made


def row(name: str, values: np.ndarray, errors: np.ndarray) -> str:
    """A row of the table: each combination with its error."""
    return f"| {name} | " + " | ".join(f"{x:.2f} ± {e:.2f}" for x, e in zip(values, errors, strict=True)) + " |"


def row_of_many(name: str, answers: list[list[float]]) -> str:
    """The median over answers (J, Jp) and half the width of their middle 68 %: a swarm may end far off."""
    low, middle, high = np.percentile(np.array(answers) @ WEIGHTS.T, [16, 50, 84], axis=0)
    return row(name, middle, (high - low) / 2)


def main() -> None:
    folder, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    data, forward = list(ins.read(folder, errors="variance")), ins.exact(ins.load_model("la2nio4-gap"))
    fit = ins.fit(forward, data)
    print("| | " + " | ".join(COMBINATIONS) + " |\n|" + "---|" * (len(COMBINATIONS) + 1))
    at = [fit.names.index(name) for name in ("J", "Jp")]
    errors = np.sqrt(np.diag(WEIGHTS @ fit.covariance[np.ix_(at, at)] @ WEIGHTS.T))
    print(row("fit of intensities, standard errors", WEIGHTS @ fit.theta[at], errors), flush=True)
    measured = [by_peaks(forward, data, seed) for seed in range(seeds)]
    print(row_of_many("peaks of the measurement, seeds of the swarm", measured), flush=True)
    again = [by_peaks(forward, drawn(fit, data, seed), seed) for seed in range(seeds)]
    print(row_of_many("peaks of spectra of the fitted model, errors and swarm anew", again))


if __name__ == "__main__":
    main()
