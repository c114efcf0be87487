"""Many lines gathered on a grid of energies, so that their number hardly matters.

The line of a mode, f(ω; E), changes over a FWHM in E. On a grid of energies Eₖ far finer than that it is a sum of cubic
B-splines, f(ω; E) = Σₖ Fₖ(ω) B(x(E) − k), so that

    Σₗ Iₗ f(ω; Eₗ) = Σₖ Fₖ(ω) Σₗ Iₗ B(x(Eₗ) − k):

each line is shared out among four nodes, and shapes are worked out at the nodes alone. Both sums have two continuous
derivatives in the energies. Beyond the energies that are asked for, nodes grow apart: what reaches in from there is the
slow tail of a damped line. With a step of a sixth of the standard deviation of a line its shape is right to 1e-4 of its
height; `NODES` are far more than that for any measured map.

Source: quasi-interpolation with cubic splines: de Boor, A Practical Guide to Splines (2001), chapter XII.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Points
from insiren.instrument.profile import Profile
from insiren.instrument.resolution import FWHM_PER_SIGMA
from insiren.simulate.chunks import in_chunks

NODES = 2048  # of equal distance
_BEYOND = 64  # nodes on either side of them
_GROWTH = 0.15  # of the distance between those, from one to the next: the last lies some forty ranges away
_REACH = 5.0  # standard deviations of the resolution by which the even grid goes beyond the energies asked for
_TRIED = 33  # energies at which the width is looked up
_CHUNK = 512  # points that have energies of their own, at once

Width = Callable[[Array], Array]


class EnergyGrid(eqx.Module):
    """Nodes in energy, `_BEYOND` of them below the even ones and as many above.

    Attributes:
        low: energy of the first even node in meV.
        step: between even nodes in meV.
    """

    low: Float[Array, ""]
    step: Float[Array, ""]

    @property
    def energies(self) -> Float[Array, " k"]:
        """Of all nodes in meV."""
        n = np.arange(-_BEYOND, NODES + _BEYOND)
        even = np.clip(n, 0, NODES - 1)
        beyond = np.sign(n - even) * np.expm1(_GROWTH * np.abs(n - even)) / _GROWTH
        return self.low + self.step * (even + beyond)

    def place(self, E: Float[Array, " l"]) -> Float[Array, " l"]:
        """Number of the node at an energy in meV, with what lies between; NaN stays NaN."""
        x = (E - self.low) / self.step
        even = jnp.clip(x, 0.0, NODES - 1.0)
        beyond = jnp.sign(x - even) * jnp.log1p(_GROWTH * jnp.abs(x - even)) / _GROWTH
        return jnp.clip(even + beyond + _BEYOND, 1.0, NODES + 2 * _BEYOND - 3.0)

    def gathered(self, E: Float[Array, " l"], weight: Float[Array, " l"]) -> Float[Array, " k"]:
        """The weight that lines at energies E (meV) bring to each node."""
        x = self.place(E)
        k = jnp.floor(jnp.where(jnp.isnan(x), 1.0, jax.lax.stop_gradient(x)))
        u = x - k
        v = 1 - u
        splines = (v**3, 4 - 6 * u**2 + 3 * u**3, 4 - 6 * v**2 + 3 * v**3, u**3)
        shares = jnp.stack([weight / 6 * one for one in splines], -1)
        taps = k.astype(jnp.int32)[:, None] + np.arange(-1, 3, dtype=np.int32)
        return jnp.zeros(NODES + 2 * _BEYOND).at[taps].add(shares)

    def response(self, omega: Float[Array, " w"], fwhm: Width, shape: Profile) -> Float[Array, "k w"]:
        """What a weight of 1 at each node adds at each ω (meV), in 1/meV."""
        E = self.energies[:, None]
        f = shape(omega, E, fwhm(E))
        f = jnp.where(jnp.isfinite(f), f, 0.0)  # far beyond all lines a polynomial for the width may mean nothing
        around = jnp.pad(f, ((1, 1), (0, 0)), mode="edge")
        return f - (around[2:] - 2 * f + around[:-2]) / 6

    def seen(self, weight: Float[Array, "q k"], points: Points, fwhm: Width, shape: Profile) -> Float[Array, " d"]:
        """The sum of all lines at points, from what was gathered for each place; in the weights' unit per meV."""
        if points.is_even:
            return (weight @ self.response(points.rows[0], fwhm, shape)).reshape(-1)
        some = lambda omega, at: jnp.sum(weight[at] * self.response(omega, fwhm, shape).T, -1)  # noqa: E731
        return in_chunks(some, _CHUNK, points.omega, points.index)


def energy_grid(omega: Float[Array, " d"], fwhm: Width) -> EnergyGrid:
    """A grid for spectra at energies ω in meV, seen with a FWHM in meV that depends on the energy of the mode."""
    low, high = jnp.min(omega), jnp.max(omega)
    sigmas = _REACH / FWHM_PER_SIGMA
    wide = sigmas * jnp.max(fwhm(jnp.linspace(low, high, _TRIED)))
    ends = jnp.stack([low - wide, high + wide])  # what reaches in from beyond has the width that it has there
    wide = jnp.maximum(wide, sigmas * jnp.max(fwhm(ends)))
    low, high = low - wide, high + wide
    return EnergyGrid(*(jax.lax.stop_gradient(x) for x in (low, (high - low) / (NODES - 1))))
