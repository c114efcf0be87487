"""Averages over ranges of Q that a measurement has summed, as far as the kinematics reach.

A map of (h, k, ω) from a layered magnet is the mean over a wide range of l. At each ω only that part
of the range counts whose |Q| lies between the scattering angles of the detectors. So

    S(Q, ω) = Σ_v m_v(Q, ω) S_v(Q, ω),

where v numbers either wavevectors along the range, m their share of what is covered; or, where the
magnons do not depend on the position along the range, the components of the correlation
tensor, m the mean of F² and of the polarisation factor over what is covered: many wavevectors
for the price of six at most. m depends on no parameter. A single wavevector has such components too.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError
from insiren.instrument.kinematics import q_range
from insiren.model.crystal import to_inverse_angstrom
from insiren.model.domains import domains
from insiren.model.spec import Model
from insiren.simulate.formfactor import form_factor
from insiren.simulate.intensity import projection
from insiren.simulate.lswt import spin_waves

_FINE = 64  # wavevectors along a range where only known factors vary
_COARSE = 32  # the same where the magnons vary as well
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_ALIKE = 1e-9  # cells; positions and bonds closer than this along a range are at one height
_DARK = 1e-12  # of the largest: components that vanish by symmetry


@dataclasses.dataclass(frozen=True, eq=False)
class Integral:
    """What is seen of a range of Q.

    The ranges are absolute: where a wavevector lies along them does not count.

    Attributes:
        axes: of the ranges, r.l.u., shape (a, 3).
        offsets: of the wavevectors at which magnons are wanted, in r.l.u., shape (o, 3).
        components: weights of the correlations, shape (v, 3, 3), where v numbers components of the tensor; None where
            it numbers the offsets.
        kept: which components of the tensor these are; none of them where the model sums the same ones at any Q.
        along: wavevectors of the range, r.l.u., shape (l, 3).
        edges: the ends of the piece of range that each stands for, r.l.u., shape (l, 2, 3).
    """

    axes: np.ndarray
    offsets: np.ndarray
    components: np.ndarray | None
    kept: tuple[int, ...]
    along: np.ndarray
    edges: np.ndarray

    def foot(self, hkl: Float[Array, "q 3"]) -> Float[Array, "q 3"]:
        """The wavevectors without their parts along the ranges, r.l.u."""
        return hkl - (hkl @ np.linalg.pinv(self.axes)) @ self.axes

    def mix(self, model: Model, hkl: Float[Array, "q 3"], omega: Float[Array, "q w"]) -> Float[Array, "q w v"]:
        """m_v(Q, ω); all zero where the range is out of reach."""
        hkl = self.foot(hkl)
        covered = self._covered(model, hkl, omega)
        total = jnp.sum(covered, -1, keepdims=True)
        share = covered / jnp.where(total > 0, total, 1.0)
        if self.components is None:
            return share
        Q = (hkl[:, None] + self.along).reshape(-1, 3)
        seen = projection(model, Q)
        parts = [_part(seen, *_PAIRS[n]) for n in self.kept] or [jnp.ones(len(Q))]
        parts = jnp.stack(parts, -1)
        if model.scattering.form_factor:
            length = jnp.linalg.norm(to_inverse_angstrom(model, Q), axis=1)
            parts = parts * form_factor(str(model.sites[0].ion), length)[:, None] ** 2
        return jnp.einsum("qwl,qlv->qwv", share, parts.reshape(len(hkl), -1, parts.shape[1]))

    def _covered(self, model: Model, hkl: Array, omega: Array) -> Float[Array, "q w l"]:
        """The share of each piece of the range that detectors reach, linear in |Q| within the piece."""
        instrument = model.instrument
        if instrument.Ei is None or not len(self.axes):
            return jnp.ones((*omega.shape, len(self.along)))
        low, high = (x[..., None] for x in q_range(omega, instrument.Ei, instrument.min_angle, instrument.max_angle))
        ends = to_inverse_angstrom(model, (hkl[:, None, None] + self.edges).reshape(-1, 3))
        length = jnp.linalg.norm(ends, axis=1).reshape(len(hkl), 1, -1, 2)
        near, far = jnp.min(length, -1), jnp.max(length, -1)
        width = jnp.where(far > near, far - near, 1.0)
        inside = jnp.minimum(far, high) - jnp.maximum(near, low)
        point = (near >= low) & (near <= high)
        return jnp.where(far > near, jnp.clip(inside / width, 0.0, 1.0), point) * (omega < instrument.Ei)[..., None]


def _part(seen: Float[Array, "l 3 3"], a: int, b: int) -> Float[Array, " l"]:
    """How much of the component (a, b) there is in a symmetric matrix; see `_component`."""
    if a != b:
        return seen[:, a, b]
    return seen[:, a, a] - sum((seen[:, a, c] for c in range(3) if c != a), jnp.zeros(len(seen)))


def _component(a: int, b: int) -> np.ndarray:
    """Matrices of which every symmetric one is a sum and none is negative: eₐeₐᵀ, and (eₐ + e_b)(eₐ + e_b)ᵀ."""
    direction = np.zeros(3)
    direction[[a, b]] = 1.0
    return np.outer(direction, direction)


@functools.lru_cache(maxsize=64)
def integral(model: Model) -> Integral | None:
    """The average over ranges of Q that a model's instrument asks for, or None.

    Raises:
        ModelError: the range is out of reach altogether.
    """
    ranges = model.instrument.integrate
    if not ranges:
        return None
    flat = _is_flat(model)
    steps = _FINE if flat else _COARSE
    pieces = []
    for one in ranges:
        edge = np.linspace(*one.range, steps + 1)
        pieces.append([(np.array(one.axis) * low, np.array(one.axis) * high) for low, high in itertools.pairwise(edge)])
    edges = np.array([np.sum(combined, axis=0) for combined in itertools.product(*pieces)])  # (l, 2, 3)
    along = edges.mean(axis=1)
    axes = np.array([one.axis for one in ranges])
    if not flat:
        return Integral(axes, along, None, (), along, edges)
    return _in_components(model, axes, along, edges)


@functools.lru_cache(maxsize=64)
def at_a_point(model: Model) -> Integral | None:
    """The components seen at a single wavevector; None where form factors differ, or where there is one of weight 1."""
    scattering = model.scattering
    if scattering.form_factor and len({site.ion for site in model.sites}) > 1:
        return None
    if scattering.correlation != "perp" and not scattering.form_factor:
        return None
    return _in_components(model, np.zeros((0, 3)), np.zeros((1, 3)), np.zeros((1, 2, 3)))


def _in_components(model: Model, axes: np.ndarray, along: np.ndarray, edges: np.ndarray) -> Integral:
    """An average whose magnons are the same all along, by components that no symmetry makes vanish."""
    if model.scattering.correlation != "perp":
        same = np.asarray(projection(model, jnp.zeros((1, 3))))
        return Integral(axes, np.zeros((1, 3)), same, (), along, edges)
    every = np.array([_component(a, b) for a, b in _PAIRS])
    whole = Integral(axes, np.zeros((1, 3)), every, tuple(range(len(_PAIRS))), along, edges)
    rng = np.random.default_rng(0)
    sample = rng.uniform(-1, 1, (16, 3))
    energies = np.broadcast_to(np.linspace(0.0, 0.9 * (model.instrument.Ei or 1.0), 8), (16, 8))
    seen = jax.jit(lambda Q, omega: whole.mix(model, Q, omega)).lower(sample, energies).compile()(sample, energies)
    size = np.max(np.abs(np.asarray(seen)), axis=(0, 1))
    if not size.max() > 0:
        raise ModelError(
            "instrument.integrate: no part of the range is covered at this Ei and these scattering angles."
        )
    kept = np.flatnonzero(size > _DARK * size.max())
    return dataclasses.replace(whole, components=every[kept], kept=tuple(kept.tolist()))


def _is_flat(model: Model) -> bool:
    """Whether magnons, and the interference of sites, are the same all along the ranges."""
    waves, cell = spin_waves(model), spin_waves(model).cell
    if len({site.ion for site in model.sites}) > 1 and model.scattering.form_factor:
        return False
    across = [domain.hkl @ one.axis for domain in domains(model) for one in model.instrument.integrate]
    moves = [np.abs(waves.offsets @ a).max() > _ALIKE for a in across]
    spread = [np.ptp(cell.position @ a) > _ALIKE for a in across]
    return not (any(moves) or any(spread))
