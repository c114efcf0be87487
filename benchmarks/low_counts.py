"""How few neutrons suffice: the measurement of La2NiO4 thinned and fitted, beside the Cramér–Rao bound.

    python benchmarks/low_counts.py FOLDER [SEEDS]

FOLDER holds both measured paths. Each seed thins them to so many neutrons as the published study did (3 × 3 blur,
rejection sampling, in proportion to intensity over both paths) and, as an experiment would, by (I/σ)² of each
pixel. J and Jp are fitted jointly to counts, without Q broadening, scale and background of every energy free. The
bound is the inverse of the Fisher information of the counts expected in every pixel. Scatter is the root mean square
of the distance from the mean, and of that from the answer at all neutrons.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipp as sc
from screened import screened_fit

import insiren as ins
from insiren.data.thinning import blurred, neutrons_in, recounted, thinned

LEVELS = (1_635, 4_105, 8_167, 16_481)
NAMES = ("J", "Jp")
CLOSE = (1.5, 0.5)  # meV from the answer at all neutrons: the share of answers within is counted

Thin = Callable[[list[sc.DataArray], int, int], list[sc.DataArray]]


def as_published(data: list[sc.DataArray], neutrons: int, seed: int) -> list[sc.DataArray]:
    """Both paths thinned in proportion to their intensity."""
    total = np.array([np.nansum(np.maximum(blurred(one), 0)) for one in data])
    share = np.random.default_rng(seed).multinomial(neutrons, total / total.sum())
    return [thinned(one, int(n), 2 * seed + k) for k, (one, n) in enumerate(zip(data, share, strict=True))]


def as_measured(data: list[sc.DataArray], neutrons: int, seed: int) -> list[sc.DataArray]:
    """Both paths measured for a share of the time."""
    share = neutrons / sum(neutrons_in(one) for one in data)
    return [recounted(one, share, 2 * seed + k) for k, one in enumerate(data)]


def bound(full: ins.Fit, few: list[sc.DataArray], data: list[sc.DataArray]) -> np.ndarray:
    """Least standard errors of J and Jp that an unbiased estimate from such counts can have."""
    weights = []
    for target, one, source in zip(full.problem.data, few, data, strict=True):
        mean, norm = np.nan_to_num(blurred(source)), one.coords["norm"].values
        used = ~one.masks["missing"].values & (mean > 0) & (np.asarray(target.weight) > 0).reshape(mean.shape)
        weights.append(target._replace(weight=jnp.asarray(np.where(used, norm / np.where(used, mean, 1), 0).ravel())))
    _, J = dataclasses.replace(full.problem, data=tuple(weights)).jacobian(full.theta)
    return np.sqrt(np.diag(np.linalg.inv(J.T @ J)))


def study(simulator: ins.Forward, data: list[sc.DataArray], full: ins.Fit, thin: Thin, seeds: int) -> None:
    for neutrons in LEVELS:
        answers, limit = [], None
        for seed in range(seeds):
            few = thin(data, neutrons, seed)
            limit = bound(full, few, data) if limit is None else limit
            answers.append(screened_fit(simulator, few).theta)
        off = np.array(answers) - full.theta
        scatter = np.std(answers, axis=0, ddof=1)
        distance = np.sqrt(np.mean(off**2, axis=0))
        near = np.mean(np.all(np.abs(off) < CLOSE, axis=1))
        text = "; ".join(
            f"{name} bound {limit[k]:.2f}, scatter {scatter[k]:.2f}, from the full answer {distance[k]:.2f}"
            for k, name in enumerate(NAMES)
        )
        print(f"{thin.__name__} {neutrons:,} neutrons, {seeds} seeds: {text}; near {100 * near:.0f} %", flush=True)


def main() -> None:
    data = ins.read(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    simulator = ins.exact(ins.load_model("la2nio4"))
    full = screened_fit(simulator, data, "gaussian")
    print("all neutrons:", ", ".join(f"{n} = {full.values[n]:.3f} ± {full.errors[n]:.3f}" for n in NAMES), flush=True)
    for thin in (as_published, as_measured):
        study(simulator, data, full, thin, seeds)


if __name__ == "__main__":
    main()
