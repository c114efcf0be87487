"""The average over the orientations of a powder, and over the bin in |Q|.

Orientations and |Q| are the points of one lattice: θ evenly in cos θ, φ and the place within the bin by multiples of
two irrational numbers, and turned from one |Q| to the next, so that no two share an angle or a length. The error of
such a mean falls nearly as 1/n, that of a grid of n nodes as its cube root. The lines of all of them are gathered on a
grid of energies.

Source: the lattice: Roberts, The Unreasonable Effectiveness of Quasirandom Sequences (2018), after Korobov, Dokl. Akad.
Nauk SSSR 124, 1207 (1959).
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from insiren.forward import Parameters, Points
from insiren.instrument.binning import EnergyGrid, energy_grid
from insiren.instrument.profile import profile
from insiren.model.crystal import lattice
from insiren.model.spec import Model
from insiren.simulate.chunks import in_chunks
from insiren.simulate.intensity import magnons

DRAFT = 128  # orientations of a rough spectrum
FIRST = 512  # that a plan begins with
MOST = 2**16  # and ends with at the latest
GROWTH = 2  # from one attempt to the next
_PLANNED_Q = 8  # |Q| at which the average must stand still
_PLANNED_ENERGIES = 128  # at each
_PLASTIC = 1.324717957244746  # x³ = x + 1: its powers are as irrational together as two numbers can be
_TRIED = 5  # wavevectors at which a symmetry must hold
_REACHES = (0.05, 0.01, 0.002)  # of the bounds: how far parameters are drawn; nearer where the structure is unstable
_EQUAL = 1e-7  # relative
TOLERANCE = 0.015  # of the spectrum, root of the mean square: a plan is done when an attempt changes no more


class Orientations(NamedTuple):
    """Nodes of equal weight of the average over a powder.

    Attributes:
        z: cos θ, shape (n,).
        around: φ in its range, 0 … 1, shape (n,).
        across: where in the bin in |Q|, in its width, 0 … 1, shape (n,).
        octant: whether they are of an octant, which stands for all where three mirrors do.
    """

    z: Float[Array, " n"] | np.ndarray
    around: Float[Array, " n"] | np.ndarray
    across: Float[Array, " n"] | np.ndarray
    octant: bool

    def at(self, Q_abs: Float[Array, ""], edge: float, number: Int[Array, ""]) -> Float[Array, "n 3"]:
        """Wavevectors, Cartesian in 1/Å, around the |Q| of this number, in a bin of this width in 1/Å."""
        phi = (self.around + number / _PLASTIC**3) % 1 * (0.5 if self.octant else 2) * jnp.pi
        length = Q_abs + edge * ((self.across + number / _PLASTIC**4) % 1 - 0.5)
        r = jnp.sqrt(1 - self.z**2)
        return length[:, None] * jnp.stack([r * jnp.cos(phi), r * jnp.sin(phi), jnp.asarray(self.z)], -1)

    def part(self, start: int, count: int) -> Orientations:
        """Some of them."""
        some = slice(start, start + count)
        return Orientations(self.z[some], self.around[some], self.across[some], self.octant)


def orientations(count: int, octant: bool = False) -> Orientations:
    """So many orientations, of the whole sphere or of an octant."""
    n = np.arange(count)
    z, around, across = (n + 0.5) / count, (0.5 + n / _PLASTIC) % 1, (0.5 + n / _PLASTIC**2) % 1
    return Orientations(z if octant else 2 * z - 1, around, across, octant)


class Seen(Protocol):
    """What an average needs of a simulator."""

    @property
    def model(self) -> Model: ...

    def views(self, params: Parameters, hkl: Float[Array, "q 3"], over: None) -> tuple[Array, Array]:
        """Energies (meV) and weights of the magnons at wavevectors in r.l.u., (q, 1, n)."""
        ...

    def fwhm(self, params: Parameters, E: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """FWHM in meV of modes of energy E in meV."""
        ...


def spectrum(of: Seen, params: Parameters, points: Points, nodes: Orientations) -> Float[Array, " d"]:
    """S(|Q|, ω), the mean over orientations and the bins of the points, per meV and crystal cell."""
    return _spread(of, params, points, _gathered(of, params, points, nodes))


def _grid(of: Seen, params: Parameters, points: Points) -> EnergyGrid:
    return energy_grid(points.omega, functools.partial(of.fwhm, params))


def _gathered(of: Seen, params: Parameters, points: Points, nodes: Orientations) -> Float[Array, "q k"]:
    """The mean weight of the lines of some orientations at each energy of a grid, for each |Q|."""
    assert points.Q_abs is not None
    grid, to_hkl = _grid(of, params, points), np.linalg.inv(lattice(of.model).reciprocal)

    def ring(Q: Float[Array, " one"], number: Int[Array, " one"]) -> Float[Array, "one k"]:
        E, I = of.views(params, nodes.at(Q[0], points.bins.Q_abs, number[0]) @ to_hkl, None)
        return grid.gathered(E.reshape(-1), I.reshape(-1))[None] / len(nodes.z)

    return in_chunks(ring, 1, points.Q_abs, jnp.arange(len(points.Q_abs)))


def _spread(of: Seen, params: Parameters, points: Points, weight: Float[Array, "q k"]) -> Float[Array, " d"]:
    """Lines gathered on a grid as they are seen."""
    shape = profile(of.model, params, points.bins.omega)
    return _grid(of, params, points).seen(weight, points, functools.partial(of.fwhm, params), shape)


def enough(of: Seen, params: Parameters, points: Points, octant: bool) -> int:
    """How many orientations let the average at a few of the |Q| stand still, from `FIRST` to `MOST`."""
    lengths, omega = np.unique(np.asarray(points.Q_abs)), np.asarray(points.omega)
    which = np.unique(np.linspace(0, len(lengths) - 1, _PLANNED_Q).round().astype(int))
    energies = np.linspace(omega.min(), omega.max(), _PLANNED_ENERGIES)
    few = Points.table(Q_abs=lengths[which], omega=energies, bins=points.bins)
    last, count = None, FIRST
    while count < MOST:
        now = _in_parts(of, params, few, orientations(count, octant))
        if not np.all(np.isfinite(now)):
            break  # unstable, and no orientations would help
        if last is not None and np.linalg.norm(now - last) <= TOLERANCE * np.linalg.norm(now):
            break
        last, count = now, count * GROWTH
    return count


def _in_parts(of: Seen, params: Parameters, points: Points, nodes: Orientations) -> np.ndarray:
    """`spectrum` with a part of the orientations at a time, so that any number of them needs one compilation."""
    parts = [_part(of, params, points, nodes.part(start, FIRST)) for start in range(0, len(nodes.z), FIRST)]
    return np.asarray(_whole(of, params, points, sum(parts[1:], parts[0]) / len(parts)))


_part = eqx.filter_jit(_gathered)
_whole = eqx.filter_jit(_spread)


@functools.lru_cache(maxsize=64)
def has_octant(model: Model) -> bool:
    """Whether the modes of Q are those of Q with any Cartesian component reversed, so that an octant is enough.

    Tried at wavevectors and parameters at random, so that no special value pretends to a symmetry.
    """
    rng = np.random.default_rng(0)
    Q = rng.normal(size=(_TRIED, 3))
    signs = np.concatenate([np.ones((1, 3)), 1 - 2 * np.eye(3)])
    hkl = (signs[:, None] * Q).reshape(-1, 3) @ np.linalg.inv(lattice(model).reciprocal)
    compiled = None
    for reach in _REACHES:
        params = {
            p.name: np.asarray(np.clip(p.value + reach * (p.max - p.min) * rng.uniform(-1, 1), p.min, p.max))
            for p in model.all_parameters
        }
        # Compiled ahead, it runs also while another function is traced.
        compiled = compiled or jax.jit(magnons, static_argnums=0).lower(model, params, hkl).compile()
        E, I = (np.asarray(x).reshape(len(signs), _TRIED, -1) for x in compiled(params, hkl))
        if np.all(np.isfinite(E)):
            moments = np.stack([np.sum(I * E**n, -1) for n in range(3)])
            return bool(np.allclose(moments, moments[:, :1], rtol=_EQUAL))
    return False
