"""The answer at a minimum: covariance, errors, what each data set looks like, and the check of a surrogate."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.choice import Choice
from insiren.fit.draws import boxes
from insiren.fit.identify import identify
from insiren.fit.mistakes import shifts_of_mistakes
from insiren.fit.objective import deviance, nuisance, profile
from insiren.fit.polish import Polished, polished
from insiren.fit.problem import Problem
from insiren.fit.result import Fit, Map
from insiren.fit.screening import highest
from insiren.fit.signal import signal_of

_EDGE = 1e-4  # of the width of a bound, or of the scale of the answer: closer counts as at the bound
_BLIND = 1e-12  # of the largest eigenvalue of JᵀJ: smaller ones are rounding


def answer_at(
    problem: Problem, theta: np.ndarray, maps: list[Measured], background: str, starts: tuple[int, int]
) -> Fit:
    """The answer at a minimum θ of a problem.

    Args:
        problem: prepared near θ.
        theta: values of the free parameters, shape (p,).
        maps: the data sets, in the order of the problem's.
        background: how the background was treated.
        starts: raw starts, and how many agree.

    Raises:
        ModelError: the structure is not stable at θ (`UnstableStructure`), or θ lies outside a surrogate's domain.
    """
    choice, kind = problem.choice, problem.kind
    named = {name: float(value) for name, value in choice.values(theta).items()}
    problem.check(theta)
    width = boxes(choice, highest(problem)).around(theta)
    edge = (theta - choice.lower < _EDGE * width) | (choice.upper - theta < _EDGE * width)
    spectra = problem.spectra(theta)
    pixels, peaks = problem.observed(problem.residual_of(spectra, theta))  # without the penalties of a background
    n_data = sum(int(m.used.sum()) for m in maps) + problem.n_peaks
    taken = 0.0 if kind == "pearson" else sum(nuisance(t) for t in problem.data)
    freedom = max(1.0, n_data - taken - int(np.sum(~edge)))
    noise = (problem.widen * float(pixels @ pixels) + float(peaks @ peaks)) / freedom
    noise = noise if kind == "pearson" else max(1.0, noise)
    peer = polished(problem, theta, spectra, maps, noise)
    J = problem.jacobian(theta)[1] if peer is None else peer.jacobian  # the exact one where there is one
    of_pixels, of_peaks = problem.observed(J)
    covariance = noise * _inverse(J, edge)
    check, of_surrogate = _checked(problem, theta, spectra, J, covariance, peer)
    covariance = covariance + of_surrogate
    models = [profile(S, t) for S, t in zip(spectra, problem.data, strict=True)]
    misfit = float(pixels @ pixels)
    if kind == "poisson":
        misfit = sum(deviance(m, p) for m, p in zip(maps, models, strict=True))
    objective = misfit + float(peaks @ peaks)
    return Fit(
        parameters=choice.free,
        fixed=choice.fixed,
        ties=choice.ties,
        values=named,
        errors=_errors(choice, theta, covariance),
        covariance=covariance,
        at_bound=tuple(bool(e) for e in edge),
        description=problem.forward.describe(),
        objective=kind,
        background=background,
        objective_value=objective,
        chi2_reduced=None if kind == "pearson" else objective / freedom,
        noise=noise,
        starts=starts,
        maps=tuple(Map(m, np.asarray(t.intensity), p) for m, t, p in zip(maps, problem.data, models, strict=True)),
        surrogate_check=check,
        problem=problem,
        signal=signal_of(problem, maps, models, noise, covariance),
        identified=identify(choice.names, {p.name: p.unit for p in choice.free}, covariance, of_pixels, maps, of_peaks),
    )


def _checked(
    problem: Problem,
    theta: np.ndarray,
    spectra: tuple[jax.Array, ...],
    J: np.ndarray,
    covariance: np.ndarray,
    peer: Polished | None,
) -> tuple[dict[str, Any] | None, np.ndarray]:
    """What is known of the error of a surrogate's answer, and what it adds to the covariance.

    Where the exact simulator says how far the answer is off, that shift is an error, fully correlated in all
    parameters; elsewhere the errors that the surrogate states are carried over to the parameters.
    """
    sound = np.isfinite(np.diag(covariance))
    if peer is not None:
        shift = np.where(sound, list(peer.facts["shift"].values()), 0.0)
        return peer.facts, np.outer(shift, shift)
    predicted = shifts_of_mistakes(problem, theta, spectra, J, sound)
    if predicted is None:
        return None, np.zeros_like(covariance)
    spread = dict(zip(problem.choice.names, np.sqrt(np.diag(predicted)).tolist(), strict=True))
    return {"predicted": spread}, predicted


def _inverse(J: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The inverse of JᵀJ for the free parameters, NaN for those at a bound or without effect.

    Times the reduced χ², where that is above 1, it is their covariance: a misfit larger than the quoted σ must
    widen the error. The Pearson residual has no σ of its own, so there the residual alone sets the noise. A
    combination of parameters that changes nothing gets a huge variance, never none.
    """
    found = np.full((len(edge), len(edge)), np.nan)
    size = np.linalg.norm(J, axis=0)
    sound = ~edge & (size > 0)
    if sound.any():
        inside = J[:, sound] / size[sound]
        value, vector = np.linalg.eigh(inside.T @ inside)
        part = (vector / np.maximum(value, _BLIND * value[-1])) @ vector.T / np.outer(size[sound], size[sound])
        found[np.ix_(sound, sound)] = part
    return found


def _errors(choice: Choice, theta: np.ndarray, covariance: np.ndarray) -> dict[str, float | None]:
    """Standard errors: of free parameters, of tied ones through their expression, None where there is none."""
    known = np.isfinite(np.diag(covariance))
    errors: dict[str, float | None] = {name: None for name, _ in choice.fixed}
    slopes = jax.jacfwd(choice.values)(jnp.asarray(theta)) if choice.ties else {}
    for n, name in enumerate(choice.names):
        errors[name] = float(np.sqrt(covariance[n, n])) if known[n] else None
    for name, _ in choice.ties:
        slope = np.asarray(slopes[name])
        variance = slope[known] @ covariance[np.ix_(known, known)] @ slope[known]
        errors[name] = None if slope[~known].any() else float(np.sqrt(variance))
    return errors
