"""Energy resolution and Q broadening. Instruments are cited data files beside this module."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import tomllib
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from numpy.typing import ArrayLike

from insiren.errors import ModelError
from insiren.model.spec import Model

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))  # 2.3548 of a Gaussian
# Standard deviation of the patch that a node stands for, in steps: sums of such Gaussians are even to 3e-3, and
# the share of the node itself, 1 − 3 PATCH², is still positive with three axes.
PATCH = 0.55
# The outermost of n nodes lies at 2.4 + n/20 standard deviations: more nodes are denser and reach further.
_NEAREST_EDGE, _EDGE_PER_NODE = 2.4, 0.05


@dataclasses.dataclass(frozen=True)
class EnergyResolution:
    """FWHM of the energy resolution as a polynomial in the energy of the mode.

    Attributes:
        coefficients: lowest order first, meV.
        Ei: incident energy in meV, or None; beyond it on either side the FWHM keeps its value at Ei and at −Ei.
        source: where the numbers come from.
    """

    coefficients: tuple[float, ...]
    Ei: float | None
    source: str

    def fwhm(self, energy: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """FWHM in meV of a mode of this energy in meV."""
        clamped = energy if self.Ei is None else jnp.clip(energy, -self.Ei, self.Ei)
        return jnp.polyval(jnp.asarray(self.coefficients[::-1]), clamped)


def instruments() -> list[str]:
    """Names of the instruments that come with the package."""
    folder = resources.files("insiren.instrument") / "instruments"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


@functools.lru_cache(maxsize=64)
def energy_resolution(model: Model) -> EnergyResolution:
    """The energy resolution that a model's `[instrument]` asks for.

    Raises:
        ModelError: none is given, no instrument has that name, or somewhere between 0 and Ei, with a temperature
            between −Ei and Ei, the width is not positive or exceeds Ei.
    """
    asked = model.instrument.resolution
    if asked is None:
        raise ModelError(
            f"{model.name} has no energy resolution, without which the lines of a spectrum have no width. Write into "
            "its file, with your numbers in meV:\n[instrument]\nEi = 30.0\nresolution = { constant = 0.5 }"
        )
    if isinstance(asked, str):
        if asked not in instruments():
            close = difflib.get_close_matches(asked, instruments(), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ModelError(
                f"instrument.resolution: no instrument {asked!r}.{hint} There are {', '.join(instruments())}."
            )
        text = (resources.files("insiren.instrument") / "instruments" / f"{asked}.toml").read_text(encoding="utf-8")
        entry = tomllib.loads(text)
        found = EnergyResolution(tuple(entry["polynomial"]), model.instrument.Ei or entry["Ei"], entry["source"])
    else:
        coefficients = asked.polynomial or (asked.constant,)
        found = EnergyResolution(
            tuple(float(c) for c in coefficients if c is not None), model.instrument.Ei, "model file"
        )
    if len(found.coefficients) > 1 and found.Ei is None:
        raise ModelError(
            "instrument.Ei: a width that is a polynomial in the energy needs the incident energy, above which "
            "it stays as it is: write Ei = 30.0, say, in [instrument]."
        )
    _require_a_width(found, gains=model.scattering.temperature is not None)
    return found


def _require_a_width(found: EnergyResolution, gains: bool) -> None:
    """Refuses a polynomial that is no width where spectra ask for it, at its least and largest value there."""
    high = found.Ei or 0.0
    low = -high if gains else 0.0
    polynomial = np.polynomial.Polynomial(found.coefficients)
    turns = polynomial.deriv().roots().real if np.all(np.isfinite(found.coefficients)) else np.zeros(0)
    energies = np.array([low, high, *turns[(turns > low) & (turns < high)]])
    widths = polynomial(energies)
    wrong = ~(widths > 0) | (widths > (found.Ei or np.inf))
    if not np.any(wrong):
        return
    at = int(np.flatnonzero(wrong)[0])
    fault = "not positive" if not widths[at] > 0 else f"wider than Ei = {high:g} meV"
    where = "between -Ei and Ei, since a temperature shows absorbed magnons too" if gains else "between 0 and Ei"
    raise ModelError(
        f"instrument.resolution: the FWHM is {widths[at]:.4g} meV at {energies[at]:.4g} meV, which is {fault}; it is "
        f"needed {where}. Give a polynomial (in meV, lowest order first) that holds there, or a constant"
        f"{', or take temperature out of [scattering]' if energies[at] < 0 else ''}."
    )


def gaussian(
    omega: Float[Array, " ..."], energy: Float[Array, " ..."], fwhm: Float[Array, " ..."]
) -> Float[Array, " ..."]:
    """A normalised Gaussian line in 1/meV; all arguments in meV, `fwhm` a full width at half maximum."""
    rate = FWHM_PER_SIGMA / fwhm
    return rate / np.sqrt(2 * np.pi) * jnp.exp(-0.5 * ((omega - energy) * rate) ** 2)


class Moved(NamedTuple):
    """How a grid of nodes is turned and shifted: at random, so that what it misses averages out over many.

    Attributes:
        turn: a rotation of the axes, shape (a, a).
        shift: in steps along each axis, shape (a,).
    """

    turn: Float[Array, "a a"]
    shift: Float[Array, " a"]

    @classmethod
    def random(cls, key: PRNGKeyArray, axes: int) -> Moved:
        """Any rotation, and any shift of up to half a step."""
        turning, shifting = jax.random.split(key)
        turn, _ = jnp.linalg.qr(jax.random.normal(turning, (axes, axes), float))
        return cls(turn, jax.random.uniform(shifting, (axes,), float, -0.5, 0.5))


def q_quadrature(
    axes: tuple[tuple[float, float, float], ...], nodes: int, moved: Moved | None = None
) -> tuple[Float[Array, "m 3"], Float[Array, " m"]]:
    """Nodes and weights of an isotropic Gaussian over the given axes, for a FWHM of 1.

    The nodes form an even grid with the centre between them. Each stands for a patch, a Gaussian of
    standard deviation `PATCH` steps, which `patch_moments` turns into energy; nodes and patches
    together have the asked width.

    Args:
        axes: directions in r.l.u. along which Q is broadened.
        nodes: along each axis; 1 is the centre alone.
        moved: turns and shifts the grid; the width stays, the mean only on average over shifts.

    Returns:
        Offsets in r.l.u., shape (m, 3), the last axis fastest, and weights that sum to 1, shape (m,).
    """
    if nodes == 1:
        return jnp.zeros((1, 3)), jnp.ones(1)
    x = np.linspace(-1, 1, nodes) * (_NEAREST_EDGE + _EDGE_PER_NODE * nodes)  # standard deviations of the nodes
    step, count = x[1] - x[0], len(axes)
    mesh = jnp.asarray(np.stack(np.meshgrid(*[x] * count, indexing="ij"), -1).reshape(-1, count))
    if moved is not None:
        mesh = mesh + step * moved.shift
    weight = jnp.exp(-0.5 * jnp.sum(mesh**2, -1))
    weight = weight / jnp.sum(weight)
    spread = jnp.sqrt(jnp.sum(mesh**2 * weight[:, None], 0) + (PATCH * step) ** 2)
    along = mesh / spread if moved is None else mesh / spread @ moved.turn
    return along @ jnp.asarray(axes, float) / FWHM_PER_SIGMA, weight


def legendre(edges: ArrayLike, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre nodes over a box and their weights.

    Args:
        edges: of the box, full lengths (e,) along axes of their own, or vectors (e, 3); there may be none.
        count: nodes along each.

    Returns:
        Offsets from the middle in the unit of the edges, (m, 3) or (m, 1), and weights that sum to 1, (m,).
    """
    box = np.array(edges, float)
    if not len(box):
        return np.zeros((1, 3)), np.ones(1)
    x, w = np.polynomial.legendre.leggauss(count)
    mesh = np.stack(np.meshgrid(*[x / 2] * len(box), indexing="ij"), -1).reshape(-1, len(box))
    product = np.prod(np.stack(np.meshgrid(*[w / 2] * len(box), indexing="ij"), -1), -1).reshape(-1)
    return mesh @ box.reshape(len(box), -1), product


def patch_moments(
    E: Array, weight: Array, beside: Iterable[tuple[Array, Array]], views: int = 1
) -> tuple[Array, Array, Array]:
    """What the modes of a node are on average over its patch.

    The patch is replaced by the node and its two neighbours along each axis, with weights that give it
    its variance. Few nodes then describe a ridge far steeper than the energy resolution, and
    the curvature of the dispersion and the slope of the intensity are kept.

    Args:
        E: energies at the nodes in meV.
        weight: their weights.
        beside: energies and weights at the neighbours, two an axis; at an edge the node itself.
        views: how many sets of weights of the same modes stand one after the other along the last
            axis; they keep common energies, those of their mean weight.

    Returns:
        Mean energy (meV), weight, and variance of the energy (meV²).

    Source: after the adaptive broadening of Yates et al., Phys. Rev. B 75, 195121 (2007).
    """

    def common(values: Array) -> Array:
        if views == 1:
            return values
        mean = jnp.mean(values.reshape(*values.shape[:-1], views, -1), -2)
        return jnp.concatenate([mean] * views, -1)

    share = PATCH**2 / 2
    total, first, second = weight, jnp.zeros_like(E), jnp.zeros_like(E)
    for energy, other in beside:
        total = total + share * (other - weight)
        first = first + share * common(other) * (energy - E)
        second = second + share * common(other) * (energy - E) ** 2
    whole = common(total)
    seen = whole > 0
    safe = jnp.where(seen, whole, 1.0)
    shift = jnp.where(seen, first / safe, 0.0)
    return E + shift, total, jnp.where(seen, second / safe, 0.0) - shift**2


def with_patch(fwhm: Array, variance: Array) -> Array:
    """The FWHM of a line whose energy varies over its patch; meV and meV²."""
    return jnp.sqrt(fwhm**2 + FWHM_PER_SIGMA**2 * variance)


def own_neighbours(values: Array, axes: int) -> Iterator[Array]:
    """Values (…, nodes along each axis, n) moved by one node up and down each axis; edges repeat themselves."""
    for axis in range(values.ndim - 1 - axes, values.ndim - 1):
        n = values.shape[axis]
        yield jnp.concatenate([values.take(jnp.arange(1, n), axis), values.take(jnp.array([n - 1]), axis)], axis)
        yield jnp.concatenate([values.take(jnp.array([0]), axis), values.take(jnp.arange(n - 1), axis)], axis)
