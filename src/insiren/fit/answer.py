"""The answer at a minimum: covariance, errors, what each data set looks like, and the check of a surrogate."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from insiren.data.spectrum import Measured
from insiren.fit.draws import boxes
from insiren.fit.identify import Seen, identify
from insiren.fit.misfit import deviance
from insiren.fit.mistakes import shifts_of_mistakes
from insiren.fit.objective import nuisance, profile
from insiren.fit.polish import Polished, polished
from insiren.fit.problem import Problem
from insiren.fit.result import Fit, Map
from insiren.fit.screening import highest
from insiren.fit.signal import signal_of
from insiren.fit.uncertainty import at_bound, blind, errors, inverse


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
    edge = at_bound(choice, theta, boxes(choice, highest(problem)).around(theta))
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
    covariance = noise * inverse(J, edge)
    check, of_surrogate = _checked(problem, theta, spectra, J, covariance, peer)
    covariance = covariance + of_surrogate
    found = errors(choice, theta, covariance, blind(J, edge))
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
        errors=found.of,
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
        identified=identify(choice.free, theta, covariance, found.undetermined, Seen(of_pixels, maps, of_peaks)),
        undetermined=found.undetermined,
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
