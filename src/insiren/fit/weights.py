"""Weights that follow from the fitted model: variances of counts, of intensities, of a template, and of outliers.

Variances taken from the data are smallest where a pixel fluctuated low, so that they pull scale and background down.
Iterating fit and weights removes that: what is left solves the estimating equations of the likelihood.

Source: Wheaton et al., Nucl. Instrum. Meth. A 364, 320 (1995), for the bias; McCullagh and Nelder, Generalized Linear
Models, 2nd ed. (1989), chapter 2, for the iteration.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Float

from insiren.data.spectrum import Measured
from insiren.fit.evidence import by_evidence
from insiren.fit.objective import Profile, Target, poisson_weights, profile, reweighted
from insiren.fit.problem import Problem

FREEDOM = 4.0  # degrees of freedom of Student's t for outliers: 93 % efficient where there are none
_FEWEST = 10  # pixels of an energy from which a line of variance over intensity is drawn
_LEAST = 1e-3  # of the mean intensity: a variance is never that of less


class Noise(NamedTuple):
    """How the variances of one data set come about.

    Attributes:
        measured: the data set.
        model: whether they follow the model's intensity instead of the data's.
        robust: whether outliers count less.
        template: standard deviation of a template at each pixel, shape (d,), or None.
    """

    measured: Measured
    model: bool
    robust: bool
    template: np.ndarray | None

    @property
    def adapts(self) -> bool:
        """Whether weights change with the parameters, counts apart."""
        return self.model or self.robust or self.template is not None


def adapted(problem: Problem, theta: np.ndarray, noises: tuple[Noise, ...], anew: bool = True) -> Problem:
    """The problem with the weights and the stiffness of backgrounds that the model at θ asks for.

    Args:
        problem: prepared near θ.
        theta: shape (p,).
        noises: how variances come about.
        anew: whether a stiffness is sought everywhere, or near the one that there is.
    """
    data, spectra, models = [], problem.spectra(theta), []
    for S, t, noise in zip(spectra, problem.data, noises, strict=True):
        found = profile(S, t)
        if problem.kind == "poisson":
            t = poisson_weights(noise.measured, t, found)
        elif noise.adapts:
            t = reweighted(t, plain_weights(noise, t, found))
        if noise.template is not None and t.curve is not None:
            factor = float(np.asarray(found.coefficients)[0])
            weight = np.asarray(t.weight)
            t = reweighted(t, weight / (1 + weight * (factor * noise.template) ** 2))
        data.append(t)
        models.append(found)
    widen = 1.0
    if any(noise.robust for noise in noises):
        data, widen = _robust(data, models)
    data = [by_evidence(S, t, anew) for S, t in zip(spectra, data, strict=True)]
    return dataclasses.replace(problem, data=tuple(data), widen=widen)


def plain_weights(noise: Noise, data: Target, found: Profile) -> Float[np.ndarray, " d"]:
    """1/σ² of the data, or of the model where that is wished; 0 where left out."""
    one = noise.measured
    variance = one.sigma**2
    if noise.model:
        variance = model_variance(one, np.asarray(found.model))
    return np.where(one.used, 1 / variance, 0.0)


def model_variance(measured: Measured, model: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """The variance of each pixel if its intensity were the model's, shape (d,).

    Counting gives σ² = (I + c)/n with the exposure n of a pixel and c what was subtracted from its energy before. How
    σ² varies with I within an energy tells c; n follows from the pixel's own I and σ, and then the model takes the
    place of I. A count of one is the least that a σ can stand for, so that I + c is no less than σ.
    """
    offset = _offsets(measured)[measured.row]
    seen = np.maximum(measured.intensity + offset, measured.sigma)
    least = _LEAST * float(np.mean(seen[measured.used]))
    expected = np.maximum(model + offset, least)
    variance = measured.sigma**2 * expected / seen
    floor = (measured.sigma_floor or 0.0) ** 2
    return np.where(measured.used, np.maximum(variance, floor), 1.0)


def _offsets(measured: Measured) -> Float[np.ndarray, " r"]:
    """c of each energy, from σ² = α + β I with α, β ≥ 0 by relative least squares: c = α/β."""
    found = np.full(measured.n_rows, np.nan)
    floored = measured.sigma <= (measured.sigma_floor or 0.0)  # says nothing of the pixel
    for row in range(measured.n_rows):
        here = measured.used & (measured.row == row) & ~floored
        counted = here & (measured.intensity > measured.sigma)  # none or one count has the σ of one, off the line
        here = counted if counted.sum() >= _FEWEST else here
        if here.sum() < _FEWEST:
            continue
        I, variance = measured.intensity[here], measured.sigma[here] ** 2
        if (low := I.min()) < 0:
            I = I - low  # what was subtracted is at least that
        line, _ = scipy.optimize.nnls(np.stack([1 / variance, I / variance], axis=1), np.ones(len(I)))
        if line[1] > 0:
            found[row] = line[0] / line[1] - min(0.0, low)
    known = np.isfinite(found)
    if not known.any():
        return np.zeros(measured.n_rows)
    return np.interp(np.arange(measured.n_rows), np.flatnonzero(known), found[known])


def _robust(data: list[Target], models: list[Profile]) -> tuple[list[Target], float]:
    """Weights of Student's t with its scale at its best value, and the factor on the variance of the parameters.

    The estimating equations of t with ν degrees of freedom are those of least squares with weights multiplied by
    u = (ν + 1)/(ν + r²/s²), s² being the mean of u r². The variance is Huber's, s² ⟨ψ²⟩/⟨ψ′⟩² (JᵀJ)⁻¹ with ψ = u r/s.

    Source: Lange, Little and Taylor, J. Am. Stat. Assoc. 84, 881 (1989); Huber, Robust Statistics (1981), section 7.6.
    """
    rest = [
        np.sqrt(np.asarray(t.weight)) * np.asarray(t.intensity - p.model) for t, p in zip(data, models, strict=True)
    ]
    used = [np.asarray(t.weight) > 0 for t in data]
    r2 = np.concatenate([r[u] for r, u in zip(rest, used, strict=True)]) ** 2
    square = float(np.median(r2)) or 1.0
    for _ in range(100):  # a contraction; far fewer do
        last, square = square, float(np.mean((FREEDOM + 1) / (FREEDOM + r2 / square) * r2)) or 1.0
        if abs(square - last) < 1e-10 * square:
            break
    t2 = r2 / square
    u = (FREEDOM + 1) / (FREEDOM + t2)
    slope = (FREEDOM + 1) * (FREEDOM - t2) / (FREEDOM + t2) ** 2
    widen = float(np.mean(u**2 * t2) / (np.mean(slope) ** 2 * np.mean(u * t2)) * np.mean(u))
    new = [
        reweighted(t, np.asarray(t.weight) * (FREEDOM + 1) / (FREEDOM + r**2 / square))
        for t, r in zip(data, rest, strict=True)
    ]
    return new, widen
