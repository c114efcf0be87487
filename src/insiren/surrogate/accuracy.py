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
        ridge_bias: median over wavevectors of the shift of the brightest energy, meV, shape (n,).
        ridge_spread: half of the range that holds the middle 68 % of the shifts, meV, shape (n,). Where two
            maxima rival, near a zone centre, a shift jumps between them; mean and standard deviation would show that
            alone.
        shift_bias: the same as `ridge_bias` of the shift of a wavevector's whole spectrum, by least squares. Where a
            broadening makes a hump of a ridge, its brightest energy is a matter of its fourth digit, this is not.
        shift_spread: of that.
    """

    r: np.ndarray
    ridge_bias: np.ndarray
    ridge_spread: np.ndarray
    shift_bias: np.ndarray
    shift_spread: np.ndarray


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
        ridges = (_ridge(learnt, omega) - _ridge(exact, omega), _shift(exact, learnt, omega))
        rows.append((r, *(x for one in ridges for x in _middle(one[seen]))))
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


def _shift(exact: np.ndarray, learnt: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """By how much each spectrum is moved up: δ of least squares of S(ω − δ) ≈ S − δ S′, to first order."""
    slope = np.gradient(exact, omega, axis=1)
    square = np.sum(slope**2, axis=1)
    return np.where(square > 0, np.sum(slope * (exact - learnt), axis=1) / np.where(square > 0, square, 1.0), np.nan)


def _ridge(S: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """The brightest energy of each wavevector, by the parabola through its three pixels; NaN at the edge."""
    top = np.argmax(S, axis=1)
    inner = (top > 0) & (top < len(omega) - 1)
    row, at = np.arange(len(S)), np.clip(top, 1, len(omega) - 2)
    before, peak, after = S[row, at - 1], S[row, at], S[row, at + 1]
    curvature = before - 2 * peak + after
    offset = np.where(curvature < 0, 0.5 * (before - after) / np.where(curvature < 0, curvature, -1), 0.0)
    return np.where(inner, omega[at] + offset * (omega[1] - omega[0]), np.nan)
