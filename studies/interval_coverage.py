"""Claim: intervals of 68.3 and 95 % hold the truth as often as they say (docs/theory.md, errors of counts).

    python studies/interval_coverage.py [MEASUREMENTS]

Square-lattice antiferromagnet of La2NiO4 on a path through the zone, no Q broadening, Poisson counts at many and at
few neutrons, a background of its own for every energy (two phonon bands on a slope), a stripe of wavevectors and one
pixel in ten not measured. Every measurement is fitted from scratch: J and Jp free, scale and background unknown.
Intervals: the standard error of the fit, and 1.96 times it.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipp as sc
from scipy.stats import qmc

import insiren as ins
from insiren.data.spectrum import Measured, measured
from insiren.fit.answer import answer_at
from insiren.fit.many import objectives
from insiren.fit.objective import Kind, Target, target
from insiren.fit.problem import Choice, Problem, choose
from insiren.fit.settle import settle

TRUTH = {"J": 29.0, "Jp": 1.67, "q_fwhm": 0.0}
COLUMNS, OMEGA = 28, np.arange(24.0, 140.0, 4.0)
LEVELS = {"many": 300_000, "few": 2_500}
BOX = {"J": (20.0, 45.0), "Jp": (-8.0, 9.0)}
SHARP = {"q_fwhm": 0.0}


class Coverage(NamedTuple):
    """Shares of measurements whose interval holds the truth, by parameter.

    Attributes:
        neutrons: expected in a measurement.
        measurements: that were fitted.
        one: share of one standard error, by name.
        two: share of 1.96 standard errors, by name.
        bias: mean of (answer − truth)/error, by name.
        spread: standard deviation of the same.
    """

    neutrons: int
    measurements: int
    one: dict[str, float]
    two: dict[str, float]
    bias: dict[str, float]
    spread: dict[str, float]


def expected(simulator: ins.Forward) -> sc.DataArray:
    """What is measured on average: the signal on the path, with what was not measured."""
    corners = np.array([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.75, 0.25, 0.0]])
    at = np.linspace(0, 3, COLUMNS, endpoint=False) + 0.02  # beside the points where the intensity diverges
    hkl = np.stack([np.interp(at, np.arange(4), corners[:, n]) for n in range(3)], axis=1)
    clean = ins.simulate(simulator, TRUTH, ins.Points.table(hkl, OMEGA))
    missing = np.random.default_rng(0).uniform(size=clean.shape) < 0.1
    missing[5:8, : len(OMEGA) // 2] = True
    return clean.assign_masks(missing=sc.array(dims=clean.dims, values=missing))


def background(level: float) -> np.ndarray:
    """Of each energy: a slope with two bands, in units of `level`."""
    bands = 2 * np.exp(-0.5 * ((OMEGA - 42) / 5) ** 2) + np.exp(-0.5 * ((OMEGA - 86) / 6) ** 2)
    return level * (1.5 - OMEGA / 140 + bands)


def coverage(neutrons: int, measurements: int) -> Coverage:
    """Fits many simulated measurements of so many neutrons each."""
    simulator = ins.exact(ins.load_model("la2nio4"))
    clean = expected(simulator)
    under = background(0.5 * float(np.nanmean(clean.values[~clean.masks["missing"].values])))
    pulls: dict[str, list[float]] = {"J": [], "Jp": []}
    for seed in range(measurements):
        counted = ins.count(clean, neutrons, seed, under)
        found = screened_fit(simulator, [counted])
        for name, kept in pulls.items():
            error = found.errors[name]
            kept.append(np.inf if error is None else (found.values[name] - TRUTH[name]) / error)
    off = {name: np.abs(kept) for name, kept in pulls.items()}
    return Coverage(
        neutrons,
        measurements,
        {n: float(np.mean(x < 1)) for n, x in off.items()},
        {n: float(np.mean(x < 1.96)) for n, x in off.items()},
        {n: float(np.mean(x)) for n, x in pulls.items()},
        {n: float(np.std(x)) for n, x in pulls.items()},
    )


def screened_fit(
    simulator: ins.Forward, data: list[sc.DataArray], kind: Kind = "poisson", tried: int = 128, descents: int = 3
) -> ins.Fit:
    """J and Jp of measurements, scale and background of every energy free, from a quasi-random screen of the box.

    Does what `fit` does, with every point of the screen on all pixels and no count of raw starts.
    """
    choice = choose(simulator.parameters, fixed=SHARP, bounds=BOX)
    ready = simulator.given(SHARP)
    maps = [_finite(ready, choice, measured(one)) for one in data]
    targets = tuple(_counted(target(m, "per-energy"), m, kind) for m in maps)
    problem = Problem(ready, (ready,) * len(maps), tuple(m.points for m in maps), targets, choice, kind)
    thetas = choice.lower + qmc.Sobol(2, rng=0).random(tried) * (choice.upper - choice.lower)
    values = objectives(problem, thetas)
    ends = [settle(problem, thetas[n], maps) for n in np.argsort(values)[:descents]]
    answers = [answer_at(end.problem, end.theta, maps, "per-energy", (descents, descents)) for end in ends]
    return min(answers, key=lambda answer: answer.objective_value)


def _counted(made: Target, one: Measured, kind: Kind) -> Target:
    """The data set with its counts, where they are fitted."""
    if kind != "poisson" or one.norm is None:
        return made
    return made._replace(exposure=jnp.asarray(np.where(one.used, one.norm, 0.0)))


def _finite(forward: ins.Forward, choice: Choice, one: Measured) -> Measured:
    """The data set without wavevectors at which the intensity diverges."""
    values = choice.values(np.array([p.value for p in choice.free]))
    used = one.used & ~np.asarray(forward.divergent(values, one.points))[np.asarray(one.points.index)]
    return dataclasses.replace(one, used=used, sigma=np.where(used, one.sigma, 1.0))


def main() -> None:
    """Prints the shares, and fails where one lies three binomial errors from what is promised."""
    many, off = int(sys.argv[1]) if len(sys.argv) > 1 else 400, False
    for word, neutrons in LEVELS.items():
        found = coverage(neutrons, many)
        for name in ("J", "Jp"):
            print(
                f"{word} ({neutrons:,} neutrons), {many} measurements, {name}: 68 % holds {100 * found.one[name]:.1f}, "
                f"95 % holds {100 * found.two[name]:.1f} %; pulls {found.bias[name]:+.2f} ± {found.spread[name]:.2f}",
                flush=True,
            )
            for share, promised in ((found.one[name], 0.683), (found.two[name], 0.95)):
                off |= abs(share - promised) > 3 * (promised * (1 - promised) / many) ** 0.5
    sys.exit(int(off))


if __name__ == "__main__":
    main()
