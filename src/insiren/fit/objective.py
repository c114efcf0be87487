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

from insiren.data.background import Basis
from insiren.data.spectrum import Measured
from insiren.errors import FitError
from insiren.fit.counting import Counts, Likeliest, counts_of, information, likeliest, moved, poisson_deviance
from insiren.forward import on_device

Kind = Literal["gaussian", "poisson", "pearson"]
KINDS: tuple[Kind, ...] = ("gaussian", "poisson", "pearson")
FLAT = 1e-13  # of the largest eigenvalue: a background function that the pixels say no more of stays 0
_EMPTY = np.zeros(0)


class Curve(NamedTuple):
    """A background that is a sum of given functions, whose coefficients β are eliminated under a penalty.

    The penalty βᵀ diag(λ·K) β is a Gaussian prior in the unit of the noise, so that what is left after
    elimination is the marginal likelihood, up to a constant.

    Attributes:
        functions: value of each function at each group of pixels, shape (b, k).
        penalties: diagonals K of the kinds of penalty, shape (m, k); m = 0 for none.
        stiffness: λ of each kind, shape (m,).
        inverse: of ΣᵢwᵢfᵢfᵢT + penalty, shape (k, k).
    """

    functions: Float[Array, "b k"]
    penalties: Float[Array, "m k"]
    stiffness: Float[Array, " m"]
    inverse: Float[Array, "k k"]

    @property
    def root(self) -> Float[Array, " k"]:
        """The square root of the penalty, a diagonal."""
        return jnp.sqrt(self.stiffness @ self.penalties)


class Target(NamedTuple):
    """One data set as a fit sees it; pixels left out have weight 0.

    Attributes:
        intensity: in the data's unit, a fixed background already subtracted, shape (d,).
        weight: 1/σ² (a model's σ where the objective is Poisson), shape (d,).
        group: which background value a pixel has, shape (d,).
        groups: one zero a background value, shape (b,); empty without background.
        curve: the functions of which the background values are a sum, or None where each is free.
        exposure: counts for intensity 1, 0 where left out, where the likelihood is that of counts; else None. Then
            weights follow from the model, and `weight` only says what is left out. Shape (d,).
    """

    intensity: Float[Array, " d"]
    weight: Float[Array, " d"]
    group: Int[Array, " d"]
    groups: Float[Array, " b"]
    curve: Curve | None = None
    exposure: Float[Array, " d"] | None = None

    @property
    def counts(self) -> Counts:
        """The counts of a data set with exposures."""
        assert self.exposure is not None
        return counts_of(self.intensity, self.exposure, self.group, self.groups.shape[0])

    @property
    def pixels(self) -> int:
        """How many residuals are those of pixels; the penalty's come after them."""
        return self.intensity.shape[0]


def target(
    measured: Measured, background: str, curve: Float[np.ndarray, " r"] | None = None, basis: Basis | None = None
) -> Target:
    """A data set with its weights and background groups.

    Args:
        measured: the data set.
        background: how the background is treated; what is not per-energy or constant has no group of its own.
        curve: background of each energy row that is subtracted beforehand, in the data's unit.
        basis: functions of which the background is a sum.
    """
    weight = np.where(measured.used, measured.sigma**-2.0, 0.0)
    intensity, group, groups = measured.intensity, np.zeros(len(weight), int), 0
    if background == "per-energy":
        group, groups = measured.row, measured.n_rows
    elif background == "constant":
        groups = 1
    if curve is not None:
        intensity = np.where(measured.used, intensity - curve[measured.row], 0.0)
    made = Target(on_device(intensity), on_device(weight), on_device(group), on_device(np.zeros(groups)))
    if basis is None:
        return made
    functions, penalties = jnp.asarray(basis.functions), jnp.asarray(basis.penalties)
    empty = Curve(functions, penalties, jnp.zeros(len(penalties)), jnp.zeros((functions.shape[1],) * 2))
    made = made._replace(group=jnp.asarray(basis.group), groups=jnp.zeros(len(functions)), curve=empty)
    return stiffened(made, middling(made))


def gram(data: Target) -> np.ndarray:
    """Σ w f fᵀ of the functions f of a background over the pixels, shape (k, k)."""
    assert data.curve is not None
    w, f = np.asarray(data.weight), np.asarray(data.curve.functions)
    return f.T @ (np.bincount(np.asarray(data.group), w, len(f))[:, None] * f)


def middling(data: Target) -> np.ndarray:
    """A stiffness (m,) to begin with, at which data and penalty weigh about the same."""
    assert data.curve is not None
    penalties = np.asarray(data.curve.penalties)
    return np.trace(gram(data)) / (penalties.sum(axis=1) * max(1, len(penalties)))


def stiffened(data: Target, stiffness: np.ndarray) -> Target:
    """The same with another stiffness (m,) of its background."""
    if data.curve is None:
        return data
    full = gram(data) + np.diag(stiffness @ np.asarray(data.curve.penalties))
    inverse = np.linalg.pinv(full, rcond=FLAT, hermitian=True)
    return data._replace(curve=data.curve._replace(stiffness=jnp.asarray(stiffness), inverse=jnp.asarray(inverse)))


def reweighted(data: Target, weight: np.ndarray) -> Target:
    """The same with other weights (d,) of its pixels; of counts, those of weight 0 are left out and the others stay."""
    changed = data._replace(weight=jnp.asarray(weight))
    if data.exposure is not None:
        changed = changed._replace(exposure=jnp.where(changed.weight > 0, data.exposure, 0.0))
    return changed if data.curve is None else stiffened(changed, np.asarray(data.curve.stiffness))


def picked(data: Target, pixels: np.ndarray) -> Target:
    """Some of the pixels, given by their numbers."""
    group, curve, groups = np.asarray(data.group)[pixels], data.curve, data.groups
    if curve is not None:
        kept, group = np.unique(group, return_inverse=True)
        curve, groups = curve._replace(functions=curve.functions[kept]), jnp.zeros(len(kept))
    exposure = None if data.exposure is None else on_device(np.asarray(data.exposure)[pixels])
    intensity, weight = (on_device(np.asarray(x)[pixels]) for x in (data.intensity, data.weight))
    few = Target(intensity, weight, on_device(group), groups, curve, exposure)
    if curve is None:
        return few
    share = float(np.sum(np.asarray(few.weight)) / np.sum(np.asarray(data.weight)))
    return stiffened(few, share * np.asarray(curve.stiffness))


def nuisance(data: Target) -> float:
    """Degrees of freedom that the scale and the background of a data set take from its pixels.

    Of a penalised background they are the trace of the matrix that makes the fit from the data.

    Source: Wood, Generalized Additive Models, 2nd ed. (2017), section 5.4.2.
    """
    if data.curve is not None:
        return 1 + float(np.sum(np.asarray(data.curve.inverse) * gram(data)))
    used = np.asarray(data.weight) > 0
    return 1 + (len(np.unique(np.asarray(data.group)[used])) if data.groups.shape[0] else 0)


class Profile(NamedTuple):
    """The model of a data set with its eliminated scale and background.

    Attributes:
        scale: in the data's unit per unit of S.
        background: of each group of pixels in the data's unit, shape (b,).
        model: scale · S + background, shape (d,).
        coefficients: of the functions of which the background is a sum, shape (k,).
    """

    scale: Float[Array, ""]
    background: Float[Array, " b"]
    model: Float[Array, " d"]
    coefficients: Float[Array, " k"] | np.ndarray = _EMPTY


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
    if data.exposure is not None:
        return _counted_profile(S, data)[0]
    w, I = data.weight, data.intensity
    groups = data.groups.shape[0]
    if groups == 0:
        scale = _ratio(jnp.sum(w * S * I), jnp.sum(w * S * S))
        return Profile(scale, data.groups, scale * S)
    total = functools.partial(jax.ops.segment_sum, segment_ids=data.group, num_segments=groups)
    if data.curve is not None:
        f, inverse = data.curve.functions, data.curve.inverse
        along_S, along_I = f.T @ total(w * S), f.T @ total(w * I)
        of_S, of_I = inverse @ along_S, inverse @ along_I
        scale = _ratio(jnp.sum(w * S * I) - along_S @ of_I, jnp.sum(w * S * S) - along_S @ of_S)
        background = f @ (of_I - scale * of_S)
        return Profile(scale, background, scale * S + background[data.group], of_I - scale * of_S)
    weight = total(w)
    mean_S, mean_I = _ratio(total(w * S), weight), _ratio(total(w * I), weight)
    rest_S, rest_I = S - mean_S[data.group], I - mean_I[data.group]
    scale = _ratio(jnp.sum(w * rest_S * rest_I), jnp.sum(w * rest_S**2))
    background = mean_I - scale * mean_S
    return Profile(scale, background, scale * S + background[data.group])


def _counted_profile(S: Float[Array, " d"], data: Target) -> tuple[Profile, Likeliest]:
    """The profile of counts, whose model has the derivatives of the information of expected counts."""
    counts = data.counts
    best = likeliest(S, counts)
    return Profile(best.scale, best.background, best.model + moved(S, best, counts)), best


def _ratio(above: Array, below: Array) -> Array:
    """above / below, 0 where there is nothing below; never negative where both are scalars."""
    safe = jnp.where(below > 0, above / jnp.where(below > 0, below, 1), 0)
    return jnp.maximum(safe, 0) if safe.ndim == 0 else safe


@jax.jit
def least_squares_residual(spectra: tuple[Array, ...], data: tuple[Target, ...]) -> Float[Array, " d"]:
    """(I − scale S − background)/σ of all pixels of all data sets, 0 where left out; then the penalties' roots."""
    pixels, penalties = [], []
    for S, t in zip(spectra, data, strict=True):
        weight = t.weight
        if t.exposure is None:
            best = profile(S, t)
        else:
            best, found = _counted_profile(S, t)
            weight = found.weight
        pixels.append(jnp.sqrt(weight) * (t.intensity - best.model))
        if t.curve is not None and t.curve.penalties.shape[0]:
            penalties.append(t.curve.root * best.coefficients)
    return jnp.concatenate([*pixels, *penalties])


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


def cost(kind: Kind, spectra: tuple[Array, ...], data: tuple[Target, ...]) -> Float[Array, ""]:
    """What a fit minimises: Σ r² of the residual vector, for counts their deviance.

    The derivative of the deviance is that of Σ r² at fixed weights, 2 Jᵀr: scale and background are at their best.
    """
    if kind == "pearson":
        return jnp.sum(pearson_residual(spectra, data) ** 2)
    parts = []
    for S, t in zip(spectra, data, strict=True):
        if t.exposure is None:
            parts.append(jnp.sum(least_squares_residual((S,), (t,)) ** 2))
        else:
            counts = t.counts
            parts.append(poisson_deviance(likeliest(S, counts).model, counts))
    return sum(parts, jnp.zeros(()))


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
    return reweighted(data, np.asarray(_information(found.model, counted(measured))))


_information = jax.jit(information)


def counted(measured: Measured) -> Counts:
    """The counts of a data set, whatever its background.

    Raises:
        FitError: it holds none.
    """
    if measured.counts is None or measured.norm is None:
        raise FitError(f"{measured.name} holds no neutron counts, so no Poisson likelihood; use --objective gaussian.")
    used, none = measured.used, np.zeros(len(measured.used), int)
    n, m = (jnp.asarray(np.where(used, x, 0.0)) for x in (measured.counts, measured.norm))
    return Counts(n, m, jnp.asarray(none), 0)
