"""The paper's Algorithm 1: Adam on random pixels from random starts.

Source: Chitturi et al., Nat. Commun. 14, 5852 (2023), Algorithm 1 and Methods.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from insiren.errors import FitError
from insiren.fit.objective import pearson_residual
from insiren.fit.problem import Problem
from insiren.forward import Points

STEPS = 2000
BATCH = 4096  # pixels a step
RATE = 0.005  # of Adam, in units of the box
_REPORT = 100  # steps between two reports of progress


def descend(
    problem: Problem, starts: int, seed: int, progress: Callable[[str, float], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Adam descents of the Pearson objective, all at once.

    A step that leaves the stable phase, where there is no spectrum, is taken back.

    Args:
        problem: with the Pearson objective.
        starts: how many, uniform in the stable part of the box.
        seed: of starts and pixels.
        progress: told the stage and the fraction done.

    Returns:
        θ of each descent, shape (starts, p), and the objective on all pixels, shape (starts,).

    Raises:
        FitError: no stable start was found.
    """
    rng = np.random.default_rng(seed)
    box = problem.choice.upper - problem.choice.lower
    found: list[np.ndarray] = []
    for unit in rng.uniform(size=(100 * starts, len(box))):
        if len(found) < starts and np.isfinite(problem.objective(problem.choice.lower + unit * box)):
            found.append(unit)
    if len(found) < starts:
        raise FitError("Too few points within the bounds have a spectrum; narrow the bounds to the stable phase.")
    units, moments = jnp.array(found), optax.adam(RATE).init(jnp.array(found))
    used = [np.flatnonzero(np.asarray(t.weight) > 0) for t in problem.data]
    ends = np.cumsum([0, *(len(t.weight) for t in problem.data)])
    pixels = jnp.asarray(np.concatenate([u + e for u, e in zip(used, ends[:-1], strict=True)]))
    key = jax.random.key(seed)
    for n in range(0, STEPS, _REPORT):
        key, use = jax.random.split(key)
        units, moments = _steps(problem, units, moments, pixels, use)
        progress("search", (n + _REPORT) / STEPS)
    thetas = problem.choice.lower + np.asarray(units) * box
    return thetas, np.array([problem.objective(theta) for theta in thetas])


@eqx.filter_jit
def _steps(problem: Problem, units: Float[Array, "s p"], moments: optax.OptState, pixels: Array, key: Array):
    optimiser = optax.adam(RATE)
    lower, box = problem.choice.lower, problem.choice.upper - problem.choice.lower
    slope = jax.vmap(jax.value_and_grad(lambda unit, pick: _loss(problem, lower + unit * box, pick)))

    def step(carry, key):
        units, moments = carry
        pick = pixels[jax.random.randint(key, (units.shape[0], BATCH), 0, pixels.shape[0])]
        _, change = slope(units, pick)
        alive = jnp.all(jnp.isfinite(change), axis=1, keepdims=True)
        updates, moments = optimiser.update(jnp.where(alive, change, 0.0), moments)
        moved = jnp.clip(units + updates, 0.0, 1.0)
        # far enough inward that the next step has a spectrum: towards the middle of what was stable
        return (jnp.where(alive, moved, 0.99 * units + 0.01 * 0.5), moments), None

    return jax.lax.scan(step, (units, moments), jax.random.split(key, _REPORT))[0]


def _loss(problem: Problem, theta: Array, pick: Array) -> Array:
    """1 − r on the picked pixels, numbered through all data sets."""
    values = problem.choice.values(theta)
    intensity, weight = (jnp.concatenate([getattr(t, name) for t in problem.data]) for name in ("intensity", "weight"))
    if problem.forward.pointwise and all(p.Q_abs is None for p in problem.points):
        hkl, omega = (jnp.concatenate([getattr(p, name) for p in problem.points]) for name in ("hkl", "omega"))
        first = np.cumsum([0, *(p.hkl.shape[0] for p in problem.points)])
        index = jnp.concatenate([p.index + n for p, n in zip(problem.points, first[:-1], strict=True)])
        S = problem.forward.spectrum(values, Points(hkl, omega[pick], index[pick]))
    else:
        S = jnp.concatenate([f.spectrum(values, p) for f, p in zip(problem.prepared, problem.points, strict=True)])[
            pick
        ]
    picked = problem.data[0]._replace(intensity=intensity[pick], weight=weight[pick])
    return jnp.sum(pearson_residual((S,), (picked,)) ** 2)
