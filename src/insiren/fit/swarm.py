"""The baseline: mode energies by SpinW's rule, its R-value, and a particle swarm.

It is what a fit of intensities is compared with: peaks are picked from the maps first, and what the peaks do
not say, intensities, widths and everything between the peaks, is not used.

Source: Toth and Lake, J. Phys.: Condens. Matter 27, 166002 (2015), for the rule; Clerc and Kennedy, IEEE Trans.
Evol. Comput. 6, 58 (2002), for the constriction of the swarm.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipp as sc

from insiren.data.peaks import is_peaks
from insiren.data.picking import picked
from insiren.errors import FitError
from insiren.fit.assignment import LEVEL, VISIBLE, levels
from insiren.fit.peaks import INSTRUMENT, PeakProblem, PeakSet, peak_problem, peak_set
from insiren.fit.problem import choose
from insiren.forward import Forward

PARTICLES, ITERATIONS = 25, 20  # SpinW's defaults
OWN, SOCIAL = 2.8, 1.3  # attraction of a particle to its own best and to that of all, SpinW's defaults
_WORST = 1e12  # stands for an R-value where the structure is unstable: the swarm needs numbers

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline:
    """What peaks and a particle swarm find.

    Attributes:
        values: of every parameter by name, in its unit.
        names: of the free ones.
        R: √(mean of squared distances in σ) at the best particle.
        peaks: the lists that were compared.
        particles: of the swarm.
        iterations: of the swarm.
        seed: of the swarm.
        seconds: "pick" for the peaks, "swarm" for the search.
    """

    values: dict[str, float]
    names: tuple[str, ...]
    R: float
    peaks: tuple[PeakSet, ...]
    particles: int
    iterations: int
    seed: int
    seconds: dict[str, float]

    @property
    def n_peaks(self) -> int:
        return sum(len(one.at) for one in self.peaks)

    def to_dict(self) -> dict[str, Any]:
        """The baseline as JSON would hold it."""
        return {
            "method": "peaks and a particle swarm",
            "parameters": {name: {"value": v, "fixed": name not in self.names} for name, v in self.values.items()},
            "R": self.R,
            "n_peaks": self.n_peaks,
            "particles": self.particles,
            "iterations": self.iterations,
            "seed": self.seed,
            "seconds": self.seconds,
        }


def baseline(
    forward: Forward,
    data: Sequence[sc.DataArray] | sc.DataArray,
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    ties: Mapping[str, str] | None = None,
    particles: int = PARTICLES,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: Progress = lambda stage, fraction: None,
) -> Baseline:
    """The parameters that a particle swarm finds for the peaks of maps, or for lists of peaks.

    Args:
        forward: what calculates modes.
        data: maps, from which peaks are picked, and lists of peaks.
        free: parameters to free besides those the model frees.
        fixed: values to fix; those of the instrument are, since they move no mode.
        bounds: (lower, upper) instead of the model's.
        ties: expressions of other parameters.
        particles: of the swarm.
        iterations: of the swarm.
        seed: of the swarm.
        progress: told the stage and the fraction of it that is done.

    Raises:
        FitError: nothing is free, the modes are not known, or `pymoo` is not installed.
        DataError: no peak stands out.
    """
    progress("pick", 0.0)
    begin = time.perf_counter()
    instrument = {p.name: p.value for p in forward.parameters if p.name in INSTRUMENT and p.free}
    held = {name: value for name, value in instrument.items() if name not in (ties or {})} | dict(fixed or {})
    wished = [name for name in free or () if name not in held]
    choice = choose(forward.parameters, wished, held, {n: b for n, b in (bounds or {}).items() if n not in held}, ties)
    sets = [data] if isinstance(data, sc.DataArray) else list(data)
    lists = tuple(peak_set(one if is_peaks(one) else picked(one)) for one in sets)
    if not lists:
        raise FitError("There is no data set to fit.")
    problem = peak_problem(forward, lists, choice)
    middle = time.perf_counter()
    progress("swarm", 0.0)
    theta, R = _swarm(problem, particles, iterations, seed, progress)
    done = time.perf_counter()
    return Baseline(
        values={name: float(v) for name, v in problem.choice.values(theta).items()},
        names=choice.names,
        R=R,
        peaks=lists,
        particles=particles,
        iterations=iterations,
        seed=seed,
        seconds={"pick": round(middle - begin, 3), "swarm": round(done - middle, 3)},
    )


def r_value(E: np.ndarray, I: np.ndarray, peaks: PeakSet) -> float:
    """√(mean of ((calculated − observed)/σ)²) by SpinW's rule; infinite where a mode has no energy.

    At each wavevector the levels within the window are kept, of these as many of the strongest as there are peaks.
    Where there are fewer, the limits of the window stand in: the ascending levels slide along the ascending peaks to
    where they fit best, and peaks below and above them are compared with the lower and the upper limit.

    Args:
        E: energies of the modes in meV, (q, n).
        I: their weights, (q, n).
        peaks: what was observed at the wavevectors.
    """
    return float(_r_values(E[None], I[None], peaks)[0])


def _r_values(E: np.ndarray, I: np.ndarray, peaks: PeakSet) -> np.ndarray:
    """R-values of many sets of modes, (t, q, n), at once; `r_value` says what they are."""
    count = np.bincount(peaks.at, minlength=E.shape[1])
    alone = count[peaks.at] == 1
    total = np.sum(_single(E, I, peaks, alone) ** 2, axis=1)
    for t in np.flatnonzero(np.isfinite(total)) if not alone.all() else ():
        total[t] += _several(E[t], I[t], peaks, count)
    return np.where(np.isfinite(E).all((1, 2)), np.sqrt(total / len(peaks.at)), np.inf)


def _single(E: np.ndarray, I: np.ndarray, peaks: PeakSet, alone: np.ndarray) -> np.ndarray:
    """Distances in σ of the peaks that are alone at their wavevector, (t, p)."""
    at, energy, sigma, window = (x[alone] for x in (peaks.at, peaks.energy, peaks.sigma, peaks.window))
    place, weight = E[:, at], I[:, at]
    same = np.abs(place[..., :, None] - place[..., None, :]) < LEVEL * np.max(place, -1)[..., None, None]
    weight = np.sum(np.where(same, weight[..., None, :], 0), -1)
    kept = (place >= window[:, :1]) & (place <= window[:, 1:]) & (weight >= VISIBLE * weight.max(-1, keepdims=True))
    best = np.argmax(np.where(kept, weight, -1), -1)[..., None]
    nearest = np.where(energy - window[:, 0] < window[:, 1] - energy, window[:, 0], window[:, 1])
    return (np.where(kept.any(-1), np.take_along_axis(place, best, -1)[..., 0], nearest) - energy) / sigma


def _several(E: np.ndarray, I: np.ndarray, peaks: PeakSet, count: np.ndarray) -> float:
    """The sum of squared distances at wavevectors with several peaks."""
    total = 0.0
    for q in np.flatnonzero(count > 1):
        which = np.flatnonzero(peaks.at == q)
        which = which[np.argsort(peaks.energy[which])]
        low, high = peaks.window[which[0]]
        place, weight = levels(E[q], I[q])
        kept = (place >= low) & (place <= high) & (weight >= VISIBLE * weight.max())
        place, weight = place[kept], weight[kept]
        place = np.sort(place[np.argsort(-weight)[: len(which)]])
        total += _slid(place, peaks.energy[which], peaks.sigma[which], low, high)
    return total


def _slid(place: np.ndarray, energy: np.ndarray, sigma: np.ndarray, low: float, high: float) -> float:
    """The least squared distance of ascending peaks from fewer or as many ascending levels."""
    missing = len(energy) - len(place)
    padded = [np.concatenate([[low] * n, place, [high] * (missing - n)]) for n in range(missing + 1)]
    return min(float(np.sum(((row - energy) / sigma) ** 2)) for row in padded)


def _swarm(
    problem: PeakProblem, particles: int, iterations: int, seed: int, progress: Progress
) -> tuple[np.ndarray, float]:
    """The best particle and its R-value."""
    try:
        from pymoo.algorithms.soo.nonconvex.pso import PSO
        from pymoo.core.problem import Problem
        from pymoo.optimize import minimize
    except ImportError as error:
        raise FitError(
            "The baseline needs the package pymoo for its particle swarm: pip install 'insiren[baseline]'."
        ) from error
    together = OWN + SOCIAL
    constriction = 2 / abs(2 - together - np.sqrt(together**2 - 4 * together))
    choice, peaks = problem.choice, problem.whole()
    done = 0

    class Distance(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(choice.names), n_obj=1, xl=choice.lower, xu=choice.upper)

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            nonlocal done
            E, I = problem.many_bands(x)
            out["F"] = np.minimum(_r_values(E, I, peaks), _WORST)[:, None]
            done += 1
            progress("swarm", min(1.0, done / iterations))

    algorithm = PSO(
        pop_size=particles,
        w=constriction,
        c1=constriction * OWN,
        c2=constriction * SOCIAL,
        adaptive=False,
        pertube_best=False,
        max_velocity_rate=1.0,
    )
    result = minimize(Distance(), algorithm, ("n_gen", iterations), seed=seed, verbose=False)
    R = _WORST if result.F is None else float(result.F[0])
    if R >= _WORST:
        raise FitError("No particle of the swarm found a stable structure; narrow the bounds.")
    return np.asarray(result.X, float), R
