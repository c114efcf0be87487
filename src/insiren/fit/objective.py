"""What a fit minimises: a vector of residuals r(θ) with the objective Σ r², for each kind of objective.

Scale and background enter linearly, so they are eliminated: for every model spectrum S the best
scale s ≥ 0 of a data set and the best background b of each row follow from linear least squares,
and the residual that remains depends on the physics alone. Its derivative keeps their motion
with θ (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973)).
"""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from insiren.data.spectrum import Measured
from insiren.errors import FitError

Kind = Literal["gaussian", "poisson", "pearson"]
Background = Literal["per-energy", "constant", "none", "savgol"]
KINDS: tuple[Kind, ...] = ("gaussian", "poisson", "pearson")
_LEAST = 1e-3  # of the mean count: an expected count is never less, since zero would be certainty
BACKGROUNDS: tuple[Background, ...] = ("per-energy", "constant", "none", "savgol")


class Target(NamedTuple):
    """One data set as a fit sees it; pixels left out have weight 0.

    Attributes:
        intensity: in the data's unit, a fixed background already subtracted, shape (d,).
        weight: 1/σ² (a model's σ where the objective is Poisson), shape (d,).
        group: which background value a pixel has, shape (d,).
        groups: one zero a background value, shape (b,); empty without background.
    """

    intensity: Float[Array, " d"]
    weight: Float[Array, " d"]
    group: Int[Array, " d"]
    groups: Float[Array, " b"]


def target(measured: Measured, background: Background, curve: Float[np.ndarray, " r"] | None = None) -> Target:
    """A data set with its weights and background groups.

    Args:
        measured: the data set.
        background: how the background is treated.
        curve: background of each energy row that is subtracted beforehand, in the data's unit.
    """
    weight = np.where(measured.used, measured.sigma**-2.0, 0.0)
    intensity, group, groups = measured.intensity, np.zeros(len(weight), int), 0
    if background == "per-energy":
        group, groups = measured.row, measured.n_rows
    elif background == "constant":
        groups = 1
    if curve is not None:
        intensity = np.where(measured.used, intensity - curve[measured.row], 0.0)
    return Target(jnp.asarray(intensity), jnp.asarray(weight), jnp.asarray(group), jnp.zeros(groups))


class Profile(NamedTuple):
    """The model of a data set with its eliminated scale and background."""

    scale: Float[Array, ""]
    background: Float[Array, " b"]
    model: Float[Array, " d"]


@jax.jit
def profile(S: Float[Array, " d"], data: Target) -> Profile:
    """The best scale ≥ 0 and background values of a data set for a model spectrum.

    Args:
        S: model spectrum at every pixel, any unit.
        data: the data set.

    Returns:
        Scale in data units per unit of S, background in data units (0 where a group has no
        pixel), and scale · S + background at every pixel.
    """
    w, I = data.weight, data.intensity
    groups = data.groups.shape[0]
    if groups == 0:
        scale = _ratio(jnp.sum(w * S * I), jnp.sum(w * S * S))
        return Profile(scale, data.groups, scale * S)
    total = functools.partial(jax.ops.segment_sum, segment_ids=data.group, num_segments=groups)
    weight = total(w)
    mean_S, mean_I = _ratio(total(w * S), weight), _ratio(total(w * I), weight)
    rest_S, rest_I = S - mean_S[data.group], I - mean_I[data.group]
    scale = _ratio(jnp.sum(w * rest_S * rest_I), jnp.sum(w * rest_S**2))
    background = mean_I - scale * mean_S
    return Profile(scale, background, scale * S + background[data.group])


def _ratio(above: Array, below: Array) -> Array:
    """above / below, 0 where there is nothing below; never negative where both are scalars."""
    safe = jnp.where(below > 0, above / jnp.where(below > 0, below, 1), 0)
    return jnp.maximum(safe, 0) if safe.ndim == 0 else safe


@jax.jit
def least_squares_residual(spectra: tuple[Array, ...], data: tuple[Target, ...]) -> Float[Array, " d"]:
    """(I − scale S − background)/σ of all pixels of all data sets; 0 where left out."""
    return jnp.concatenate(
        [jnp.sqrt(t.weight) * (t.intensity - profile(S, t).model) for S, t in zip(spectra, data, strict=True)]
    )


@jax.jit
def pearson_residual(spectra: tuple[Array, ...], data: tuple[Target, ...]) -> Float[Array, " d"]:
    """Residual whose square sum is 1 − r, r the Pearson correlation of logarithms.

    r is taken between log(1 + S) and log(1 + max(I, 0)) over all used pixels of all data sets, as
    one. With both centred and of unit length, |a − b|² = 2 (1 − r).

    Source: Chitturi et al., Nat. Commun. 14, 5852 (2023), Eq. (3).
    """
    S = jnp.concatenate(spectra)
    I = jnp.concatenate([t.intensity for t in data])
    used = jnp.concatenate([t.weight > 0 for t in data])

    def unit(x: Array) -> Array:
        centred = jnp.where(used, x - jnp.sum(jnp.where(used, x, 0)) / jnp.sum(used), 0)
        return centred / jnp.linalg.norm(centred)

    return (unit(jnp.log1p(S)) - unit(jnp.log1p(jnp.maximum(I, 0)))) / np.sqrt(2)


def residual(kind: Kind, spectra: tuple[Array, ...], data: tuple[Target, ...]) -> Float[Array, " d"]:
    """The residual vector of an objective."""
    return pearson_residual(spectra, data) if kind == "pearson" else least_squares_residual(spectra, data)


@functools.partial(jax.jit, static_argnums=0)
def residual_jacobian(kind: Kind, spectra: tuple[Array, ...], slopes: tuple[Array, ...], data: tuple[Target, ...]):
    """The residual and its Jacobian (d, p), from spectra (d,) and their derivatives (p, d)."""

    def along(direction: tuple[Array, ...]):
        return jax.jvp(lambda S: residual(kind, S, data), (spectra,), (direction,))

    return jax.vmap(along, out_axes=(None, 1))(slopes)


def poisson_weights(measured: Measured, data: Target, found: Profile) -> Target:
    """Weights of the Poisson likelihood at the present model: 1/variance of the expected counts.

    With these, least squares has the same stationary point as the likelihood of the counts, so
    iterating fit and weights solves it, without the bias of variances taken from the data.

    Raises:
        FitError: the data set holds no counts.
    """
    counts, norm = _counted(measured)
    expected = np.maximum(np.asarray(found.model) * norm, _LEAST * np.mean(counts[measured.used]))
    return data._replace(weight=jnp.asarray(np.where(measured.used, norm**2 / expected, 0.0)))


def _counted(measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    if measured.counts is None or measured.norm is None:
        raise FitError(f"{measured.name} holds no neutron counts, so no Poisson likelihood; use --objective gaussian.")
    return measured.counts, measured.norm


def deviance(measured: Measured, found: Profile) -> float:
    """Poisson deviance 2 Σ [μ − n + n log(n/μ)] of the counts, over the used pixels."""
    counts, norm = _counted(measured)
    n = counts[measured.used]
    mu = np.maximum((np.asarray(found.model) * norm)[measured.used], _LEAST * np.mean(n))
    return float(2 * np.sum(mu - n + np.where(n > 0, n * np.log(np.where(n > 0, n, 1) / mu), 0.0)))
