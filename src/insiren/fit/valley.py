"""How large a part of a box the valley of an answer takes.

Two spectra that differ by δ are alike by 1 − ½ δᵀMδ, with M the curvature of the objective of data that are the
spectrum itself, in units of what the spectrum explains. Where δᵀMδ = 2 a ridge has moved by about its own width, and
from there a descent begins to find it.

Source: the metric of a template bank: Owen, Phys. Rev. D 53, 6749 (1996).
"""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

from insiren.fit.objective import Target
from insiren.fit.problem import Problem
from insiren.fit.signal import without_magnons

_REACH = 2.0  # of δᵀMδ


def metric(problem: Problem, theta: np.ndarray, batch: int) -> np.ndarray:
    """M of the spectrum at θ, in the noise and with the background of the data, shape (p, p); 0 without a spectrum.

    Args:
        problem: of maps.
        theta: parameters, shape (p,).
        batch: how many θ its compiled function takes.
    """
    spectra = problem.spectra(theta)
    own = dataclasses.replace(
        problem, data=tuple(_like(t, np.asarray(S)) for t, S in zip(problem.data, spectra, strict=True))
    )
    found = own.normal(np.resize(theta, (batch, len(theta))), np.arange(batch) == 0)
    explained = without_magnons(own) - found.cost[0]
    sound = np.isfinite(found.gram[0]).all() and explained > 0
    return found.gram[0] / explained if sound else np.zeros_like(found.gram[0])


def share(M: np.ndarray, width: np.ndarray) -> float:
    """The part of a box of these widths that lies in a valley with the metric M."""
    across = 2 * np.sqrt(_REACH / np.maximum(np.linalg.eigvalsh(M * np.outer(width, width)), 1e-300))
    size = len(width)
    ball = math.pi ** (size / 2) / math.gamma(size / 2 + 1) / 2**size  # of the cube around it
    narrow = across < 1
    return float(np.prod(across[narrow])) * (ball if narrow.all() else 1.0)


def _like(data: Target, S: np.ndarray) -> Target:
    """Data that are a spectrum, as strong as what was measured; of counts on as much of a flat background."""
    seen = np.asarray(data.weight) > 0
    total = float(np.sum(S[seen]))
    mean = max(float(np.mean(np.asarray(data.intensity)[seen])), 0.0)
    flat = mean if data.exposure is not None and data.groups.shape[0] else 0.0
    return data._replace(intensity=jnp.asarray(flat + S * (mean * seen.sum() / total if total > 0 else 0.0)))
