"""How stiff a fitted background is, and what its freedom costs, from the evidence of the data for it.

With a penalised background the data set is a linear model with random effects: I = s S + Σ β f + noise, the noise
of variance φ σ², β Gaussian with precision λK/φ. The restricted likelihood integrates s and β out; λ is where it is
largest, with S at the parameters of the fit. So the signal competes with the background on equal terms, and
neither a region without signal nor a wanted answer enters.

Backgrounds of different kinds are compared by −2 log of the marginal likelihood, the penalised χ² divided by the
noise plus `freedom_cost`. A penalised function has the same Gaussian prior as above. One that is free has the prior
that holds as much information as one pixel, about its best value: where nothing is penalised, this is the Bayesian
information criterion, each value costing the logarithm of the number of its pixels.

Source: Patterson and Thompson, Biometrika 58, 545 (1971); Wood, J. R. Stat. Soc. B 73, 3 (2011); the unit information
prior: Kass and Wasserman, J. Am. Stat. Assoc. 90, 928 (1995).
"""

from __future__ import annotations

import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from insiren.data.spectrum import Measured
from insiren.fit.misfit import misfit
from insiren.fit.objective import FLAT, Target, gram, middling, stiffened
from insiren.fit.problem import Problem

_DECADES = np.arange(-5.0, 8.0, 2.0)  # of the stiffness at which data and penalty weigh the same
_NEAR = 0.1  # decades: how far weights that changed a little move a stiffness
_TOLERANCE = 0.01  # decades; the evidence is flat at its maximum


def by_evidence(S: Float[Array, " d"], data: Target, anew: bool = True) -> Target:
    """The data set with the stiffness of its background at the maximum of the restricted likelihood.

    Args:
        S: model spectrum at every pixel.
        data: with a background that is a sum of functions.
        anew: whether the maximum is sought everywhere, or near the stiffness that the background has.
    """
    if data.curve is None or not data.curve.penalties.shape[0]:
        return data
    cost = _Restricted(np.asarray(S), data)
    first = middling(data)
    kinds, size = len(first), 1.0 if anew else _NEAR
    if anew:
        coarse = np.stack(np.meshgrid(*[_DECADES] * kinds, indexing="ij"), -1).reshape(-1, kinds)
        start = coarse[np.argmin([cost(first * 10**step) for step in coarse])]
    else:
        start = np.clip(np.log10(np.asarray(data.curve.stiffness) / first), _DECADES[0], _DECADES[-1])
    best = scipy.optimize.minimize(
        lambda step: cost(first * 10 ** np.clip(step, _DECADES[0], _DECADES[-1])),
        start,
        method="Nelder-Mead",
        options={"xatol": _TOLERANCE, "fatol": 1e-3, "initial_simplex": [start, *(start + size * np.eye(kinds))]},
    )
    return stiffened(data, first * 10 ** np.clip(best.x, _DECADES[0], _DECADES[-1]))


def freedom_cost(data: Target) -> float:
    """What a background could have been beside what the data leave of it, as a term of −2 log marginal likelihood.

    Scale and parameters, common to all backgrounds, are not in it.

    Returns:
        log det (G + P) − log det P, G the information of the data and P that of the prior: λK of penalised
        functions, G/n of free ones, n the number of pixels. Of values that are free it is Σ log(1 + n) with the pixels
        n of each; 0 without background.
    """
    used = np.asarray(data.weight) > 0
    if data.curve is None:
        pixels = np.bincount(np.asarray(data.group)[used], minlength=data.groups.shape[0])
        return float(np.sum(np.log1p(pixels))) if data.groups.shape[0] else 0.0
    full, prior = gram(data), np.diag(np.asarray(data.curve.stiffness @ data.curve.penalties))
    free = np.diag(prior) == 0
    both = np.ix_(free, free)
    prior[both] = full[both] / np.sum(used)
    return _log_determinant(full + prior) - _log_determinant(prior)


def surprise(problem: Problem, theta: np.ndarray, maps: list[Measured], noise: float) -> float:
    """−2 log of the marginal likelihood of data sets at θ, up to what no model of them changes.

    With counts it is their Poisson deviance in place of χ². Weights count by their logarithm, as they may be a model's.

    Args:
        problem: prepared near θ, its weights and the stiffness of its backgrounds those of θ.
        theta: the best parameters, shape (p,).
        maps: the data sets, in the order of the problem's.
        noise: the factor on the variances.
    """
    spectra = problem.spectra(theta)
    value = misfit(problem, theta, maps, spectra) / noise + sum(freedom_cost(t) for t in problem.data)
    if problem.kind == "poisson":
        return value
    weights = (np.asarray(t.weight) for t in problem.data)
    return value - sum(float(np.sum(np.log(w[w > 0]))) for w in weights)


def _log_determinant(matrix: np.ndarray) -> float:
    """Log determinant of a positive matrix within its range; its diagonal may span many decades."""
    size = np.sqrt(np.diag(matrix))
    size = np.where(size > 0, size, 1.0)
    values = np.linalg.eigvalsh(matrix / np.outer(size, size))
    return float(np.sum(np.log(values[values > FLAT * values[-1:]])) + 2 * np.sum(np.log(size)))


class _Restricted:
    """−2 log of the restricted likelihood of a stiffness, up to a constant; φ at its best value, but not below 1."""

    def __init__(self, S: np.ndarray, data: Target):
        assert data.curve is not None
        w, I, f = np.asarray(data.weight), np.asarray(data.intensity), np.asarray(data.curve.functions)
        total = lambda x: f.T @ np.bincount(np.asarray(data.group), x, len(f))  # noqa: E731
        self.gram, self.penalties = gram(data), np.asarray(data.curve.penalties)
        size = np.sqrt(np.sum(w * S * S)) or 1.0
        self.along = np.stack([total(w * S) / size, total(w * I)], axis=1)
        self.SI, self.II = np.sum(w * S * I) / size, np.sum(w * I * I)
        free = int(np.sum(~self.penalties.any(axis=0)))
        self.freedom = max(1, int(np.sum(w > 0)) - 1 - free)
        # bordered by what S and I have along the functions, so that one factorisation solves for both, too
        k = len(self.gram)
        self.bordered = np.zeros((k + 2, k + 2))
        self.bordered[:k, :k], self.bordered[k:, :k] = self.gram, self.along.T
        self.bordered[[k, k + 1], [k, k + 1]] = 2.0, 2 * self.II + 1  # beyond what keeps the whole positive

    def __call__(self, stiffness: np.ndarray) -> float:
        penalty = stiffness @ self.penalties
        k, matrix = len(penalty), self.bordered.copy()
        matrix.flat[: k * (k + 3) : k + 3] += penalty
        matrix.flat[: k * (k + 3) : k + 3] += 1e-14 * np.trace(matrix[:k, :k])
        root = np.linalg.cholesky(matrix)
        of_S, of_I = root[k:, :k]
        rest = max(1e-14, 1 - of_S @ of_S)
        scale = max(0.0, (self.SI - of_S @ of_I) / rest)
        left = max(0.0, self.II - of_I @ of_I - 2 * scale * (self.SI - of_S @ of_I) + scale**2 * rest)
        noise = max(1.0, left / self.freedom)
        determinant = 2 * np.sum(np.log(np.diag(root)[:k])) + np.log(rest) - np.sum(np.log(penalty[penalty > 0]))
        return float(self.freedom * np.log(noise) + left / noise + determinant)
