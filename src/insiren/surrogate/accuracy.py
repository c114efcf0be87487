"""How well a surrogate stands for its simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from insiren.errors import SurrogateError
from insiren.forward import Points
from insiren.surrogate.surrogate import Surrogate, is_stable_phase

_DARK = (
    1e-3  # of the largest intensity: a wavevector below has no ridge, but tails of lines that detectors do not reach
)


@dataclasses.dataclass(frozen=True, eq=False)
class Accuracy:
    """Agreement of a surrogate with its simulator, one entry a parameter set.

    Attributes:
        r: Pearson correlation of log(1 + c S), shape (n,).
        ridge_bias: median over wavevectors of how far a ridge is moved, meV, shape (n,). A ridge lies at the centre of
            what rises above half of its maximum, as a peak that is fitted does.
        ridge_spread: half of the range that holds the middle 68 % of these, meV, shape (n,). Where two maxima rival,
            near a zone centre, they jump; mean and standard deviation would show that alone.
        brightest_bias: the same as `ridge_bias` of the brightest energy. Where a broadening makes a hump of a ridge,
            that is a matter of its fourth digit.
        brightest_spread: of that.
    """

    r: np.ndarray
    ridge_bias: np.ndarray
    ridge_spread: np.ndarray
    brightest_bias: np.ndarray
    brightest_spread: np.ndarray


def accuracy(
    surrogate: Surrogate,
    hkl: np.ndarray,
    omega: np.ndarray,
    sets: int,
    seed: int = 0,
    held: Mapping[str, float] | None = None,
    scale: float | None = None,
    refine: int = 1,
) -> Accuracy:
    """Surrogate against simulator for random stable parameters.

    Args:
        surrogate: the one to judge.
        hkl: wavevectors in r.l.u., shape (q, 3).
        omega: energies in meV, evenly spaced, shape (w,).
        sets: parameter sets, uniform in the stable part of the box.
        seed: of the parameters.
        held: inputs that keep a value.
        scale: c of the logarithm; by default the surrogate's own.
        refine: factor on the nodes of the simulator.

    Raises:
        SurrogateError: it has no simulator.
    """
    simulator = surrogate.simulator
    if simulator is None:
        raise SurrogateError("This surrogate learnt from spectra alone: there is no simulator to compare it with.")
    simulator = dataclasses.replace(simulator, refine=refine)
    rng, points, rows = np.random.default_rng(seed), Points.table(hkl, omega), []
    prepared = None
    while len(rows) < sets:
        drawn = {p.name: rng.uniform(p.min, p.max) for p in surrogate.domain.inputs} | dict(held or {})
        params = {name: jnp.asarray(x) for name, x in (dict(surrogate.domain.fixed) | drawn).items()}
        if not bool(is_stable_phase(simulator, params)):
            continue
        if prepared is None or not prepared.covers(params):
            prepared = simulator.at(points, params)
        exact = np.asarray(_spectrum(prepared, params, points)).reshape(len(hkl), -1)
        learnt = np.asarray(_spectrum(surrogate, params, points)).reshape(len(hkl), -1)
        c = surrogate.scale if scale is None else scale
        r = np.corrcoef(np.log1p(c * exact).ravel(), np.log1p(c * np.maximum(learnt, 0)).ravel())[0, 1]
        seen = exact.max(axis=1) > _DARK * exact.max()
        moved = (place(learnt, omega) - place(exact, omega) for place in (_ridge, _brightest))
        rows.append((r, *(x for one in moved for x in _middle(one[seen]))))
    return Accuracy(*np.array(rows).T)


@eqx.filter_jit
def _spectrum(forward, params: dict[str, Array], points: Points) -> Array:
    return forward.spectrum(params, points)


def _middle(shifts: np.ndarray) -> tuple[float, float]:
    """Median, and half of the range of the middle 68 %, of those that are known."""
    shifts = shifts[np.isfinite(shifts)]
    if not len(shifts):
        return np.nan, np.nan
    low, high = np.percentile(shifts, [16, 84])
    return float(np.median(shifts)), float((high - low) / 2)


def _ridge(S: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """The centre of what rises above half of the maximum of each wavevector; NaN where there is nothing."""
    above = np.maximum(S - 0.5 * S.max(axis=1, keepdims=True), 0.0)
    total = above.sum(axis=1)
    return np.where(total > 0, above @ omega / np.where(total > 0, total, 1.0), np.nan)


def _brightest(S: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """The brightest energy of each wavevector, by the parabola through its three pixels; NaN at the edge."""
    top = np.argmax(S, axis=1)
    inner = (top > 0) & (top < len(omega) - 1)
    row, at = np.arange(len(S)), np.clip(top, 1, len(omega) - 2)
    before, peak, after = S[row, at - 1], S[row, at], S[row, at + 1]
    curvature = before - 2 * peak + after
    offset = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, -1), 0.0)
    return np.where(inner, omega[at] + offset * (omega[1] - omega[0]), np.nan)
