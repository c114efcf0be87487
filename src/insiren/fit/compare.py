"""Which of several fits of the same data deserves more trust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from insiren.errors import FitError
from insiren.fit.evidence import surprise
from insiren.fit.result import Fit

STRONG = 10.0  # by which an information criterion is strongly worse


def compare(fits: Sequence[Fit]) -> list[dict[str, Any]]:
    """Fits of the same data ranked by the Bayesian information criterion, with their evidence.

    Both use χ² divided by the noise factor of the best fit, so that a misfit common to all does
    not decide between them; to it belong what the background could have been beside what it is, and the weights of
    the pixels, where the fits differ in them. The evidence is that of Laplace's approximation with a flat prior
    within the bounds.

    Args:
        fits: of the same data with the same objective, which must not be Pearson's; those that `load_fit` gives do not
            hold the data.

    Returns:
        For each fit, in the order given: its model, free parameters, "delta_bic" (0 is the best,
        above 10 is strongly worse) and "delta_log_evidence" (0 is the best).

    Raises:
        FitError: fewer than two, or they are not comparable.

    Source: Schwarz, Ann. Statist. 6, 461 (1978); MacKay, Information Theory (2003), chapter 28.
    """
    if len(fits) < 2:
        raise FitError("Comparing takes two fits at least.")
    if not all(isinstance(f, Fit) for f in fits):
        raise FitError("A fit read from a file does not hold its data; compare the answers of `fit`.")
    if len({(f.objective, f.background, f.n_data) for f in fits}) > 1:
        raise FitError("The fits differ in objective, background or pixels, so their χ² cannot be compared.")
    if fits[0].objective == "pearson":
        raise FitError(
            "The Pearson objective is no likelihood, so it cannot rank models; fit with --objective gaussian."
        )
    if any(f.settings.get("robust") for f in fits):
        raise FitError("The weights of a robust fit follow its residuals, so it has no likelihood to compare.")
    noise = min(f.noise for f in fits)
    misfit = np.array([_misfit(f, noise) for f in fits])
    bic = misfit + [len(f.names) * np.log(f.n_data) for f in fits]
    evidence = np.array([_log_evidence(f, x, noise) for f, x in zip(fits, misfit, strict=True)])
    return [
        {
            "model": f.description.get("model"),
            "free": list(f.names),
            "delta_bic": float(b - bic.min()),
            "delta_log_evidence": float(e - evidence.max()),
        }
        for f, b, e in zip(fits, bic, evidence, strict=True)
    ]


def _misfit(fit: Fit, noise: float) -> float:
    """−2 log of the likelihood at the answer, up to what all fits share."""
    if not fit.maps:  # peaks alone, which have no background
        return fit.objective_value / noise
    return surprise(fit.problem, fit.theta, [m.measured for m in fit.maps], noise)


def _log_evidence(fit: Fit, misfit: float, noise: float) -> float:
    """log of ∫ likelihood × prior, up to what all fits share.

    The Gaussian ends at the bounds. Parameters at a bound count as fixed; over those that are not determined the prior
    integrates to 1, the others being what they are at the answer.
    """
    inside = np.array([fit.errors[name] is not None for name in fit.names])
    if not inside.any():
        return -0.5 * misfit
    lost = np.isfinite(np.diag(fit.covariance)) & ~inside
    parts = [fit.covariance[np.ix_(a, b)] * noise / fit.noise for a in (inside, lost) for b in (inside, lost)]
    covariance = parts[0] - parts[1] @ np.linalg.pinv(parts[3], hermitian=True) @ parts[2]
    low, high = (np.array([getattr(p, end) for p in fit.parameters])[inside] for end in ("min", "max"))
    _, logdet = np.linalg.slogdet(2 * np.pi * covariance)
    within = stats.multivariate_normal(fit.theta[inside], covariance, allow_singular=True, seed=0)  # pyright: ignore[reportArgumentType]
    mass = float(within.cdf(high, lower_limit=low))
    return float(-0.5 * misfit + 0.5 * logdet + np.log(max(mass, 1e-300)) - np.sum(np.log(high - low)))
