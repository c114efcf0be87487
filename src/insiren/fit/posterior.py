"""The posterior of the free parameters as weighted samples, with diagnostics that say whether to believe them.

With a flat prior within the bounds its density is exp(−χ²/2 noise), scale and background at their best for every θ.
Near the minimum this is the Gaussian of the covariance (Laplace). Where one spectrum costs little work, samples
of a Student t around the answer, wider in the tails than the Gaussian, are weighted by density over proposal; the
shape k of the largest weights says whether that may be trusted (below 0.7 it may). Where thousands of spectra
with gradients are cheap, on a surrogate, the No-U-Turn sampler walks (`nuts`).

Source: importance sampling with smoothed weights and k: Vehtari, Simpson, Gelman, Yao and Gabry, J. Mach. Learn.
Res. 25, 1 (2024); fit of the generalised Pareto distribution: Zhang and Stephens, Technometrics 51, 316 (2009);
effective sample size of weights: Kong, University of Chicago technical report 348 (1992).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

from insiren.errors import FitError
from insiren.fit.misfit import misfit
from insiren.fit.nuts import walk
from insiren.fit.problem import Problem
from insiren.fit.result import Fit

Method = Literal["importance", "nuts"]
_FREEDOM = 5  # of the Student t: tails heavy enough for a posterior that is not quite Gaussian
_WORST_K = 0.7  # beyond it the smoothed weights do not converge; Vehtari et al. (2024)
_WORST_RHAT = 1.01  # Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667 (2021)
_LEAST_ESS = 100.0  # effective samples that quantiles at 16 and 84 % need
_LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)

Progress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted samples of the free parameters.

    Attributes:
        names: of the parameters.
        samples: in their units, shape (n, p).
        weights: of the samples, with sum 1, shape (n,).
        method: "importance" or "nuts".
        diagnostics: "ess" (effective samples), and "pareto_k", or "rhat" and "divergent" (a share).
        doubts: why not to trust it, in words; empty where nothing speaks against.
    """

    names: tuple[str, ...]
    samples: np.ndarray
    weights: np.ndarray
    method: str
    diagnostics: dict[str, float]
    doubts: tuple[str, ...]

    @property
    def mean(self) -> np.ndarray:
        """Of each parameter, shape (p,)."""
        return self.weights @ self.samples

    @property
    def covariance(self) -> np.ndarray:
        """Of the parameters, shape (p, p)."""
        off = self.samples - self.mean
        return (off * self.weights[:, None]).T @ off

    def quantile(self, name: str, level: float) -> float:
        """The value below which a parameter lies with a given probability."""
        values = self.samples[:, self.names.index(name)]
        order = np.argsort(values)
        grown = np.cumsum(self.weights[order]) - 0.5 * self.weights[order]
        return float(np.interp(level, grown, values[order]))

    def interval(self, name: str, probability: float = 0.6827) -> tuple[float, float]:
        """The central interval that holds a parameter with a given probability."""
        low, high = (1 - probability) / 2, (1 + probability) / 2
        return self.quantile(name, low), self.quantile(name, high)

    def to_dict(self) -> dict[str, Any]:
        """The posterior as JSON would hold it, without the samples."""
        return {
            "method": self.method,
            "n": len(self.samples),
            "diagnostics": self.diagnostics,
            "doubts": list(self.doubts),
            "mean": dict(zip(self.names, self.mean.tolist(), strict=True)),
            "sd": dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True)),
            "quantiles": {n: {f"{q:g}": self.quantile(n, q) for q in _LEVELS} for n in self.names},
        }


def posterior(
    fit: Fit,
    method: Method | None = None,
    samples: int = 1000,
    seed: int = 0,
    progress: Progress = lambda stage, fraction: None,
) -> Fit:
    """The fit with samples of its posterior, as `fit.posterior`.

    Args:
        fit: an answer by likelihood, no free parameter at a bound or without effect.
        method: "importance" or "nuts"; by default NUTS on a surrogate, importance otherwise and for lists of peaks.
        samples: how many; of NUTS, over all chains.
        seed: of the random numbers.
        progress: told the stage and the fraction of it that is done.

    Raises:
        FitError: the objective is Pearson's, or a free parameter has no error.
    """
    if fit.objective == "pearson":
        raise FitError("The Pearson objective is no likelihood, so it has no posterior; fit with --objective gaussian.")
    moving = dict(zip(fit.names, np.isfinite(np.diag(fit.covariance)), strict=True))
    if loose := [n for n in fit.names if fit.errors[n] is None and not (moving[n] and n in fit.undetermined)]:
        raise FitError(f"{', '.join(loose)} ended at a bound or without effect; fix it before sampling the posterior.")
    peaks = fit.problem.n_peaks
    method = method or ("importance" if peaks or fit.problem.forward.exact is None else "nuts")
    if method not in get_args(Method):
        raise FitError(f"There is no method {method!r}; choose one of {', '.join(get_args(Method))}.")
    if peaks and method == "nuts":
        raise FitError(
            "Where the assignment of a peak changes, its residual has a kink, which NUTS cannot follow; sample the "
            "posterior of a fit with lists of peaks by importance."
        )
    found = (_importance if method == "importance" else _nuts)(fit, samples, seed, progress)
    return dataclasses.replace(fit, posterior=found)


def log_density(fit: Fit, problem: Problem, theta: np.ndarray) -> float:
    """log posterior of θ up to a constant; −inf outside the bounds and where there is no spectrum.

    A Poisson fit takes the deviance of the counts. A background that is a sum of functions keeps the variances of the
    answer, which moves it by less than its own error.
    """
    if np.any(theta < problem.choice.lower) or np.any(theta > problem.choice.upper):
        return -np.inf
    if not fit.maps:  # peaks alone
        return -0.5 * problem.objective(theta) / fit.noise
    return -0.5 * misfit(problem, theta, [m.measured for m in fit.maps]) / fit.noise


def _importance(fit: Fit, samples: int, seed: int, progress: Progress) -> Posterior:
    """Student-t samples around the answer, weighted by the posterior."""
    rng = np.random.default_rng(seed)
    proposal = stats.multivariate_t(fit.theta, fit.covariance, df=_FREEDOM, seed=rng)  # pyright: ignore[reportArgumentType]
    drawn = np.asarray(proposal.rvs(samples)).reshape(samples, len(fit.names))
    problem, density = fit.problem, np.empty(samples)
    for n, theta in enumerate(drawn):
        if np.all((theta >= problem.choice.lower) & (theta <= problem.choice.upper)) and not problem.covers(theta):
            problem = problem.near(theta)
        density[n] = log_density(fit, problem, theta)
        progress("posterior", (n + 1) / samples)
    ratio = density - np.asarray(proposal.logpdf(drawn)).reshape(samples)
    if not np.isfinite(ratio).any():
        raise FitError("No sample around the answer lies within the bounds and has a spectrum; widen the bounds.")
    weights, k = smoothed(ratio)
    ess = float(1 / np.sum(weights**2))
    doubts = []
    if k > _WORST_K:
        doubts.append(
            f"Pareto k is {k:.2f}, above {_WORST_K}: the posterior is far from the Gaussian of the covariance, and "
            "these samples do not cover it. Sample it by NUTS on a surrogate, or look at the landscape."
        )
    if ess < _LEAST_ESS:
        doubts.append(f"Only {ess:.0f} effective samples; draw more.")
    return Posterior(
        fit.names, drawn, weights, "importance", {"ess": ess, "pareto_k": k, "freedom": float(_FREEDOM)}, tuple(doubts)
    )


def smoothed(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights with sum 1 whose largest follow a generalised Pareto distribution, and its shape k.

    Args:
        log_ratio: log of density over proposal, up to a constant; −inf for no weight, shape (n,).

    Returns:
        Weights (n,), and k; −inf where the largest are all equal.
    """
    n = len(log_ratio)
    raw = np.exp(log_ratio - np.max(log_ratio))
    tail = int(min(np.ceil(0.2 * n), np.ceil(3 * np.sqrt(n))))  # Vehtari et al. (2024), section 2.2
    order = np.argsort(raw)
    top, cut = order[-tail:], raw[order[-tail - 1]]
    above = raw[top] - cut
    if tail < 5 or not above[0] < above[-1] or above[-1] <= 0:
        return raw / raw.sum(), -np.inf
    k, scale = _pareto(above[above > 0])
    level = (np.arange(1, tail + 1) - 0.5) / tail
    fitted = cut + (scale * ((1 - level) ** -k - 1) / k if abs(k) > 1e-8 else -scale * np.log1p(-level))
    weights = raw.copy()
    weights[top] = np.minimum(fitted, raw.max())
    return weights / weights.sum(), float(k)


def _pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, by the quasi-Bayesian estimate.

    Args:
        excess: over the threshold, positive, ascending.

    Source: Zhang and Stephens (2009), equations 6 to 8; the weak prior that draws k to 0.5 with the weight of
    ten samples is that of Vehtari et al. (2024), appendix C.
    """
    n = len(excess)
    many = 30 + int(np.sqrt(n))
    quartile = excess[max(0, int(n / 4 + 0.5) - 1)]
    b = 1 / excess[-1] + (1 - np.sqrt(many / (np.arange(1, many + 1) - 0.5))) / (3 * quartile)
    k = np.mean(np.log1p(-b[:, None] * excess), axis=1)
    fitness = n * (np.log(-b / k) - k - 1)
    weight = 1 / np.sum(np.exp(fitness - fitness[:, None]), axis=1)
    best = float(np.sum(b * weight) / np.sum(weight))
    shape = float(np.mean(np.log1p(-best * excess)))
    return (n * shape + 10 * 0.5) / (n + 10), -shape / best


def _nuts(fit: Fit, samples: int, seed: int, progress: Progress) -> Posterior:
    """Samples of the No-U-Turn sampler."""
    drawn, ess, rhat, divergent = walk(fit, samples, seed, progress)
    doubts = []
    if rhat > _WORST_RHAT:
        doubts.append(f"R-hat is {rhat:.3f}, above {_WORST_RHAT}: the chains do not agree yet; draw more samples.")
    if ess < _LEAST_ESS:
        doubts.append(f"Only {ess:.0f} effective samples; draw more.")
    if divergent > 0:
        doubts.append(f"{100 * divergent:.1f} % of the steps diverged, which cuts corners off the posterior.")
    even = np.full(len(drawn), 1 / len(drawn))
    found = {"ess": ess, "rhat": rhat, "divergent": divergent}
    return Posterior(fit.names, drawn, even, "nuts", found, tuple(doubts))
