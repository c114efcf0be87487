"""A problem whose spectra are their own tangents at one θ: spectra do not depend on the data, so they are kept.

Between two updates an answer moves by less than its error, so that a spectrum and its derivatives, worked out once,
serve many updates. A minimum far from where they were worked out asks for new ones.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from insiren.fit.objective import Kind, Target, cost, residual_jacobian
from insiren.fit.problem import Normal, Problem


class Tangent(NamedTuple):
    """Spectra of all data sets around one θ.

    Attributes:
        theta: where, shape (p,).
        spectra: S of each data set, (d,).
        slopes: their derivatives, (p, d).
    """

    theta: np.ndarray
    spectra: tuple[Array, ...]
    slopes: tuple[Array | np.ndarray, ...]


def tangent(problem: Problem, theta: np.ndarray) -> Tangent:
    """The spectra and their derivatives at θ; NaN where there are none."""
    return Tangent(np.array(theta, float), *problem.slopes(theta))


class Expanded(Problem):
    """The problem with the tangents in place of its spectra; it asks its Forwards nothing."""

    tangent: Tangent = Tangent(np.zeros(0), (), ())

    def near(self, theta: np.ndarray) -> Problem:
        return self

    def covers(self, theta: np.ndarray) -> bool:
        return True

    def spectra(self, theta: np.ndarray | Array) -> tuple[Array, ...]:
        return _along(self.tangent.spectra, self.tangent.slopes, jnp.asarray(theta) - self.tangent.theta)

    def jacobian(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r, J = residual_jacobian(self.kind, self.spectra(theta), self.tangent.slopes, self.data)
        return np.asarray(r), np.asarray(J)

    def costs(self, thetas: Float[np.ndarray, "s p"]) -> Float[np.ndarray, " s"]:
        return np.array([self.objective(theta) for theta in thetas])

    def normal(self, thetas: Float[np.ndarray, "s p"], active: Bool[np.ndarray, " s"] | None = None) -> Normal:
        s, p = thetas.shape
        found = Normal(np.zeros(s), np.zeros((s, p)), np.zeros((s, p, p)))
        for n in range(s) if active is None else np.flatnonzero(active):
            for parts in self._normals(jnp.asarray(thetas[n] - self.tangent.theta)):
                for whole, part in zip(found, parts, strict=True):
                    whole[n] += np.asarray(part)
        found.cost[~np.isfinite(found.cost)] = np.inf
        return found

    def _normals(self, step: Array) -> list[tuple[Array, Array, Array]]:
        """The normal equations of each data set, for those of one shape share a function; of all for Pearson's."""
        S, dS, data = self.tangent.spectra, self.tangent.slopes, self.data
        if self.kind == "pearson":
            return [_normal(self.kind, S, dS, step, data)]
        each = zip(S, dS, data, strict=True)
        return [_normal(self.kind, (one,), (its,), step, (t,)) for one, its, t in each]


@functools.partial(jax.jit, static_argnums=0)
def _normal(
    kind: Kind, spectra: tuple[Array, ...], slopes: tuple[Array, ...], step: Array, data: tuple[Target, ...]
) -> tuple[Array, Array, Array]:
    """The objective, Jᵀr and JᵀJ; the residuals stay on the device."""
    spectra = _along(spectra, slopes, step)
    r, J = residual_jacobian(kind, spectra, slopes, data)
    return cost(kind, spectra, data), J.T @ r, J.T @ J


_cost = jax.jit(cost, static_argnums=0)


@jax.jit
def _along(spectra: tuple[Array, ...], slopes: tuple[Array | np.ndarray, ...], step: Array) -> tuple[Array, ...]:
    # a spectrum is never negative; its tangent may be, far away
    return tuple(jnp.maximum(S + step @ dS, 0.0) for S, dS in zip(spectra, slopes, strict=True))


def expanded(problem: Problem, at: Tangent) -> Expanded:
    """The problem around a θ."""
    return Expanded(**{f.name: getattr(problem, f.name) for f in dataclasses.fields(Problem)}, tangent=at)


def objective_at(problem: Problem, at: Tangent) -> float:
    """The objective at the θ of a tangent; infinite where there is no spectrum."""
    value = float(_cost(problem.kind, at.spectra, problem.data))
    return value if np.isfinite(value) else np.inf
