"""What a surrogate file states of itself: its making, its cost, and how far it is off on what it never learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray
from scipy.stats import spearmanr

import insiren
from insiren.surrogate.errormap import ErrorMap, Held, map_errors
from insiren.surrogate.labels import ENERGIES
from insiren.surrogate.siren import Siren

_STREAM = 2_000_003  # of random numbers: apart from those of training and of the held-out error
QUERIES = 1000


def provenance(
    model: str,
    digest: str,
    recipe: dict[str, Any],
    seed: int,
    seconds: float,
    held_out: dict[str, Any],
    applied: Sequence[str] = (),
) -> str:
    """The facts that travel with a surrogate, as JSON.

    Args:
        model: its name.
        digest: SHA-256 of the model, or of the spectra that took its place.
        recipe: how it was trained.
        seed: of all random numbers.
        seconds: of simulation and training.
        held_out: errors on what it never learnt from.
        applied: names of what is known and applied to its answer.
    """
    devices = jax.devices()
    cost = {"seconds": round(seconds, 1), "devices": len(devices), "platform": devices[0].platform}
    facts = {"insiren": insiren.__version__, "model": model, "digest": digest, "recipe": recipe, "seed": seed}
    return json.dumps(facts | {"cost": cost, "applied": list(applied), "held_out": held_out})


def correlations(r: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Pearson r of held-out spectra, one a parameter set, in short."""
    return {"r_median": float(np.median(r)), "r_min": float(np.min(r)), "spectra": len(r)}


def measured_errors(
    net: Siren, labels: Callable[[PRNGKeyArray], tuple[Array, Array]], axis: int, seed: int
) -> tuple[ErrorMap, dict[str, Any]]:
    """The map of a network's errors from three draws: to learn from, for the factor, and to see whether it holds.

    Args:
        net: whose errors.
        labels: scaled inputs (n, e, i) and labels (n, e) or (n, e, v) for a random key; see `draw`.
        axis: which of the inputs is the energy.
        seed: of the training.

    Returns:
        The map, and its agreement with true errors at one uniform energy of each of 1,000 (Q, parameters).
    """
    learn, factor, test = (labels(key) for key in jax.random.split(jax.random.key(seed + _STREAM), 3))
    near, anywhere = (tuple(a[:, part] for a in factor) for part in (slice(ENERGIES // 2), slice(ENERGIES // 2, None)))
    found = map_errors(net, learn, [near, anywhere], axis, seed)  # type: ignore[list-item]
    return found, agreement(found, net, (test[0][:QUERIES, -1], test[1][:QUERIES, -1]))


def agreement(found: ErrorMap, net: Siren, held: Held) -> dict[str, Any]:
    """How the stated bound compares with true errors of S, or of its components, at points that nobody has seen.

    Returns:
        "queries"; "rank_correlation" (Spearman) of bounds and errors; "covered", the share of errors below their bound.
    """
    x, y = held
    x = jnp.asarray(x)
    answer = net(x)
    bound = np.ravel(np.exp(answer) * np.expm1(found.bound(x, answer)))
    error = np.ravel(np.abs(np.expm1(np.asarray(answer)) - np.expm1(np.asarray(y))))
    rank = np.asarray(spearmanr(bound, error))[0] if len(error) > 2 else np.nan  # two points are always in order
    return {
        "queries": len(y),
        "rank_correlation": float(rank) if np.isfinite(rank) else None,
        "covered": float(np.mean(error <= bound)),
    }
