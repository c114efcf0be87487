"""Samples of a posterior by the No-U-Turn sampler, for a Forward whose gradient is cheap.

It walks in coordinates z in which the posterior is nearly a unit Gaussian: θ lies between its bounds by a
logistic function of x, and x = x̂ + A z with the covariance of the answer in A. So the walls of the box lie at
infinity, and there is no mass matrix to learn; a short warm-up finds the step.

Source: Hoffman and Gelman, J. Mach. Learn. Res. 15, 1593 (2014); blackjax does the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import blackjax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.diagnostics import effective_sample_size, potential_scale_reduction
from jaxtyping import Array, Float

from insiren.fit.counting import Counts
from insiren.fit.misfit import traced
from insiren.fit.objective import counted
from insiren.fit.problem import Problem
from insiren.fit.result import Fit

CHAINS = 4  # R-hat compares them
WARM_UP = 100  # steps to find the step size
_AT_ONCE = 20  # steps between two reports of progress
_DOUBLINGS = 6  # of a trajectory at most: 63 gradients a sample


class _Density(eqx.Module):
    """log posterior in the coordinates z."""

    problem: Problem
    middle: Float[Array, " p"]
    turn: Float[Array, "p p"]
    noise: Float[Array, ""]
    counts: tuple[Counts, ...]  # of each data set; empty but for Poisson

    def theta(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        lower, upper = self.problem.choice.lower, self.problem.choice.upper
        return jnp.asarray(lower) + jnp.asarray(upper - lower) * jax.nn.sigmoid(self.middle + self.turn @ z)

    def __call__(self, z: Float[Array, " p"]) -> Float[Array, ""]:
        x = self.middle + self.turn @ z
        stretch = jnp.sum(jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x))  # of volume, from x to θ
        spectra = self.problem.spectra(self.theta(z))
        value = -0.5 * traced(self.problem.kind, spectra, self.problem.data, self.counts) / self.noise + stretch
        return jnp.where(jnp.isfinite(value), value, -jnp.inf)


def walk(
    fit: Fit, samples: int, seed: int, progress: Callable[[str, float], None]
) -> tuple[np.ndarray, float, float, float]:
    """Samples from several chains.

    Args:
        fit: the answer of a fit, with a finite covariance.
        samples: over all chains, rounded up to as many in each.
        seed: of the random numbers.
        progress: told the stage and the fraction of it that is done.

    Returns:
        Samples of θ (n, p), the least effective sample size and the largest R-hat of any parameter, and the
        share of samples whose trajectory diverged.
    """
    density = _density(fit)
    keys = jax.random.split(jax.random.key(seed), CHAINS + 1)
    start = jax.random.normal(keys[0], (CHAINS, len(fit.names)))
    progress("posterior", 0.0)
    tuned = _tune(density, start[0], keys[0])
    each = -(-samples // (CHAINS * _AT_ONCE))  # blocks a chain
    chains, divergent = [], []
    for n in range(CHAINS):
        state, drawn = blackjax.nuts.init(start[n], density), []
        for block, key in enumerate(jax.random.split(keys[1 + n], each + 1)):
            state, (z, split) = _steps(density, tuned, state, key)
            if block:  # the first leads from the start into the posterior
                drawn.append(np.asarray(jax.vmap(density.theta)(z)))
                divergent.append(np.asarray(split))
            progress("posterior", (n * (each + 1) + block + 1) / (CHAINS * (each + 1)))
        chains.append(np.concatenate(drawn))
    whole = jnp.asarray(np.stack(chains))
    ess, rhat = effective_sample_size(whole), potential_scale_reduction(whole)
    return np.concatenate(chains), float(jnp.min(ess)), float(jnp.max(rhat)), float(np.mean(divergent))


def _density(fit: Fit) -> _Density:
    choice = fit.problem.choice
    share = (fit.theta - choice.lower) / (choice.upper - choice.lower)
    slope = share * (1 - share) * (choice.upper - choice.lower)  # dθ/dx
    counts = tuple(counted(m.measured) for m in fit.maps) if fit.objective == "poisson" else ()
    return _Density(
        fit.problem,
        jnp.asarray(np.log(share / (1 - share))),
        jnp.asarray(np.linalg.cholesky(fit.covariance) / slope[:, None]),
        jnp.asarray(fit.noise),
        counts,
    )


@eqx.filter_jit
def _tune(density: _Density, start: Array, key: Array) -> dict[str, Array]:
    """The step and the scales of z."""
    warm = blackjax.window_adaptation(blackjax.nuts, density, initial_step_size=0.5, max_num_doublings=_DOUBLINGS)
    (_, found), _ = warm.run(key, start, num_steps=WARM_UP)  # pyright: ignore[reportCallIssue]
    return {name: found[name] for name in ("step_size", "inverse_mass_matrix")}


@eqx.filter_jit
def _steps(density: _Density, tuned: dict[str, Array], state: Any, key: Array) -> tuple[Any, tuple[Array, Array]]:
    """Some steps of one chain: the state, and z and whether the trajectory diverged at each."""
    kernel = blackjax.nuts(density, **tuned, max_num_doublings=_DOUBLINGS)

    def one(state: Any, key: Array):
        state, info = kernel.step(key, state)
        return state, (state.position, info.is_divergent)  # pyright: ignore[reportAttributeAccessIssue]

    return jax.lax.scan(one, state, jax.random.split(key, _AT_ONCE))
