"""The shape of one line in energy, and sums of lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.forward import Parameters
from insiren.instrument.lineshape import BOLTZMANN, binned_gaussian, bose, resolved_oscillator, voigt
from insiren.instrument.resolution import gaussian
from insiren.model.parameters import evaluate
from insiren.model.spec import Model

_BIN_NODES = 3  # across an energy bin, where its mean has no closed form
_STILL = 1e-6  # of the resolution: an oscillator changes no more than so little this close to ω = 0
_UNROLL = 4  # lines written out one by one before a loop takes over


class Profile(eqx.Module):
    """A normalised line in 1/meV, as resolution, lifetime and energy bin shape it.

    Attributes:
        line: "gaussian", "lorentzian" or "oscillator".
        bin: width of the energy bin in meV.
        damping: FWHM of the line itself in meV.
        kT: meV; an oscillator carries its Bose factor in the shape.
        bare: whether it does without: divided by `omega_bose`, it is even in ω and finite at 0.
    """

    line: str = eqx.field(static=True)
    bin: float = eqx.field(static=True)
    damping: Float[Array, ""]
    kT: Float[Array, ""]
    bare: bool = eqx.field(static=True, default=False)

    def __call__(self, omega: Array, energy: Array, fwhm: Array) -> Array:
        """The line of a mode of this energy, seen with this FWHM, all in meV."""
        if self.line == "gaussian":
            return binned_gaussian(omega, energy, fwhm, self.bin) if self.bin > 0 else gaussian(omega, energy, fwhm)
        if self.bin == 0:
            return self._at(omega, energy, fwhm)
        node, weight = np.polynomial.legendre.leggauss(_BIN_NODES)
        parts = [w / 2 * self._at(omega + self.bin / 2 * x, energy, fwhm) for x, w in zip(node, weight, strict=True)]
        return jnp.sum(jnp.stack(parts), axis=0)

    def _at(self, omega: Array, energy: Array, fwhm: Array) -> Array:
        if self.line == "lorentzian":
            return voigt(omega, energy, fwhm, self.damping)
        beside = jnp.where(jnp.abs(omega) < _STILL * fwhm, _STILL * fwhm, omega)  # where 0 times infinity has its limit
        line = resolved_oscillator(beside, energy, fwhm, self.damping)
        return line / beside if self.bare else line * bose(beside, self.kT)


def profile(model: Model, params: Parameters, omega_bin: float, bare: bool = False) -> Profile:
    """The shape of lines that a model asks for, averaged over energy bins of this width in meV; see `Profile.bare`."""
    scattering = model.scattering
    given = 0.0 if scattering.damping is None else evaluate(scattering.damping, model.converted(params))
    damping = jnp.asarray(given, float)
    line = "gaussian" if scattering.damping is None else scattering.line
    return Profile(line, omega_bin, damping, thermal_energy(model, params), bare)


def thermal_energy(model: Model, params: Parameters) -> Float[Array, ""]:
    """kT of a model in meV; 0 where it states no temperature."""
    given = model.scattering.temperature
    temperature = 0.0 if given is None else evaluate(given, model.converted(params, "temperature"))
    return jnp.asarray(BOLTZMANN * temperature, float)


def line_sum(
    omega: Float[Array, "q w"],
    E: Float[Array, "q l"],
    weight: Float[Array, "q l"],
    fwhm: Float[Array, "q l"],
    shape: Callable[[Array, Array, Array], Array] = gaussian,
) -> Float[Array, "q w"]:
    """Σ over the lines of each wavevector of weight times a normalised shape, in 1/meV; energies in meV.

    The loop over lines is outside and ω inside, so that the exponentials run as one vector.
    """

    def add(total: Array, line: tuple[Array, ...]) -> tuple[Array, None]:
        energy, height, width = (x[:, None] for x in line)
        return total + height * shape(omega, energy, width), None

    total = jnp.zeros_like(omega)
    if E.shape[1] > _UNROLL:
        return jax.lax.scan(add, total, (E.T, weight.T, fwhm.T), unroll=_UNROLL)[0]
    for n in range(E.shape[1]):
        total, _ = add(total, (E[:, n], weight[:, n], fwhm[:, n]))
    return total


def view_sum(
    omega: Float[Array, "q w"],
    mix: Float[Array, "q w v"] | None,
    lines: tuple[Float[Array, "q v l"], Float[Array, "q v l"], Float[Array, "q v l"]],
    shape: Profile,
    together: bool = False,
) -> Float[Array, "q w"]:
    """`line_sum` of several views of each wavevector, mixed with weights that depend on energy.

    Args:
        omega: energies in meV.
        mix: the weight of each view, or None for a single one that counts in full.
        lines: energies in meV, weights and FWHM in meV.
        shape: of a line.
        together: whether the views show the same modes, so that only weights differ, and derivatives.
    """
    E, weight, fwhm = lines
    if mix is None:
        return line_sum(omega, E[:, 0], weight[:, 0], fwhm[:, 0], shape)
    if together:
        return _mixed(omega, mix, E, weight, fwhm, shape)

    def add(total: Array, view: Any) -> tuple[Array, None]:
        share, (energies, heights, widths) = view
        return total + share * line_sum(omega, energies, heights, widths, shape), None

    views = (jnp.moveaxis(mix, -1, 0), jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), lines))
    return jax.lax.scan(add, jnp.zeros_like(omega), views)[0]


@jax.custom_jvp
def _mixed(omega: Array, mix: Array, E: Array, weight: Array, fwhm: Array, shape: Profile) -> Array:
    """Σ_l shape(ω; E_l) Σ_v m_v(ω) I_vl, where the energies of all views are equal."""

    def add(total: Array, line: tuple[Array, Array, Array]) -> tuple[Array, None]:
        energy, height, width = line
        seen = jnp.einsum("qwv,qv->qw", mix, height)
        return total + seen * shape(omega, energy[:, None], width[:, None]), None

    each = (E[:, 0].T, jnp.moveaxis(weight, 2, 0), fwhm[:, 0].T)
    return jax.lax.scan(add, jnp.zeros_like(omega), each)[0]


@_mixed.defjvp
def _mixed_jvp(primals, tangents):
    # The energies of the views are equal, but move differently: each carries the part of a level that it sees.
    omega, mix, E, weight, fwhm, shape = primals
    domega, dmix, dE, dweight, dfwhm, dshape = tangents

    def add(total: tuple[Array, Array], line: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
        energy, height, width, denergy, dheight, dwidth = line
        at = (omega, jnp.broadcast_to(energy[:, None], omega.shape), jnp.broadcast_to(width[:, None], omega.shape))
        mixed = lambda values: jnp.einsum("qwv,qv->qw", mix, values)  # noqa: E731
        line_, by_energy = jax.jvp(lambda e: shape(at[0], e, at[2]), (at[1],), (jnp.ones_like(omega),))
        _, by_width = jax.jvp(lambda f: shape(at[0], at[1], f), (at[2],), (jnp.ones_like(omega),))
        _, by_rest = jax.jvp(lambda w, s: s(w, at[1], at[2]), (omega, shape), (domega, dshape))
        seen = mixed(height)
        change = line_ * (mixed(dheight) + jnp.einsum("qwv,qv->qw", dmix, height)) + seen * by_rest
        change = change + by_energy * mixed(height * denergy) + by_width * mixed(height * dwidth)
        return (total[0] + seen * line_, total[1] + change), None

    each = tuple(jnp.moveaxis(x, 2, 0) for x in (weight, dE, dweight, dfwhm))
    start = (jnp.zeros_like(omega), jnp.zeros_like(omega))
    return jax.lax.scan(add, start, (E[:, 0].T, each[0], fwhm[:, 0].T, *each[1:]))[0]
