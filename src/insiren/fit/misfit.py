"""What answers are compared by, and what a posterior is the density of: the same number by every route.

χ² of intensities, the Poisson deviance of counts, and what a penalised background pays. The deviance has the expected
counts of `counting`, with their one floor, wherever it is asked for: in the fit, of weighted samples, on a walk through
the posterior, and while counts come in.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.data.spectrum import Measured
from insiren.fit.counting import Counts, poisson_deviance
from insiren.fit.objective import Kind, Profile, Target, counted, profile, residual
from insiren.fit.problem import Problem


def misfit(
    problem: Problem, theta: np.ndarray, maps: Sequence[Measured], spectra: tuple[Array, ...] | None = None
) -> float:
    """−2 log of the likelihood at θ up to what no parameter changes; infinite where there is no spectrum.

    Args:
        problem: prepared near θ, its weights those of the answer.
        theta: shape (p,).
        maps: the data sets, in the order of the problem's.
        spectra: of the data sets at θ, where they are known.
    """
    spectra = problem.spectra(theta) if spectra is None else spectra
    if problem.kind != "poisson" or all(t.exposure is not None for t in problem.data):
        return problem.objective_of(spectra) + problem.besides(theta)
    parts = zip(spectra, problem.data, maps, strict=True)
    value = sum(float(_of_counts(profile(S, t), t, counted(m))) for S, t, m in parts)
    return value + problem.besides(theta) if np.isfinite(value) else np.inf


def deviance(measured: Measured, found: Profile) -> float:
    """Poisson deviance of the counts of a data set, over the used pixels."""
    return float(_deviance(found.model, counted(measured)))


def traced(
    kind: Kind, spectra: tuple[Array, ...], data: tuple[Target, ...], counts: tuple[Counts, ...]
) -> Float[Array, ""]:
    """The same for JAX, which takes its derivatives by the spectra.

    Args:
        kind: of the objective.
        spectra: of the data sets.
        data: the data sets.
        counts: of each; not asked for where the objective is not Poisson's.
    """
    if kind != "poisson":
        return jnp.sum(residual(kind, spectra, data) ** 2)
    parts = zip(spectra, data, counts, strict=True)
    return sum((_penalised(profile(S, t), t, c) for S, t, c in parts), jnp.zeros(()))


def _penalised(found: Profile, data: Target, counts: Counts) -> Float[Array, ""]:
    """The deviance, and what the penalty of the background adds."""
    value = poisson_deviance(found.model, counts)
    if data.curve is None or not data.curve.penalties.shape[0]:
        return value
    return value + jnp.sum((data.curve.root * found.coefficients) ** 2)


_deviance, _of_counts = jax.jit(poisson_deviance), jax.jit(_penalised)
