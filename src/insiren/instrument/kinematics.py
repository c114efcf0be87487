"""Which (|Q|, ω) a spectrometer of direct geometry reaches at one fixed incident energy.

Energy and momentum conservation tie the scattering angle 2θ to |Q| and ω:

    E = ħ²k²/2m,   kf² = ki² (1 − ω/Ei),   Q² = ki² + kf² − 2 ki kf cos 2θ.

Only |Q| is judged here. Which directions of Q a crystal shows also depends on how its
detectors are arranged around it and how it is turned (ψ); that is not modelled.

Source: Lovesey, Theory of Neutron Scattering from Condensed Matter (1984), vol. 1, chapter 1.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float
from scipy import constants

import insiren.forward  # noqa: F401  (switches JAX to double precision)
from insiren.errors import ModelError

# ħ²/2m of the neutron in meV Å², 2.0721: J m² to meV Å² by 1e20 and 1e3 / e. Source: CODATA, through scipy.
NEUTRON = constants.hbar**2 / (2 * constants.m_n) * 1e20 * 1e3 / constants.e


def wavenumbers(omega: Float[ArrayLike, " ..."], Ei: float) -> tuple[Array, Array]:
    """ki and kf in 1/Å of neutrons that lose omega (meV) of Ei (meV); kf is 0 where they cannot.

    Raises:
        ModelError: Ei is not positive.
    """
    ratio = kf_over_ki(omega, Ei)
    ki = np.sqrt(Ei / NEUTRON)
    return jnp.full_like(ratio, ki), ki * ratio


def kf_over_ki(omega: Float[ArrayLike, " ..."], Ei: float) -> Float[Array, " ..."]:
    """kf / ki = √(1 − ω/Ei), the ratio of measured and reduced intensity; 0, with gradient 0, from Ei on.

    Args:
        omega: energy transfer in meV, > 0 when the neutron loses energy.
        Ei: incident energy in meV.

    Raises:
        ModelError: Ei is not positive.
    """
    if not Ei > 0:
        raise ModelError(f"Ei is {Ei:g} meV; a neutron has a positive energy. Give the incident energy in meV.")
    left = 1 - jnp.asarray(omega, float) / Ei
    possible = left > 0
    return jnp.where(possible, jnp.sqrt(jnp.where(possible, left, 1.0)), 0.0)


def q_range(
    omega: Float[ArrayLike, " ..."], Ei: float, min_angle: float, max_angle: float = 180.0
) -> tuple[Array, Array]:
    """The least and the largest |Q| in 1/Å that detectors between two scattering angles see.

    Args:
        omega: energy transfer in meV.
        Ei: incident energy in meV.
        min_angle: least scattering angle 2θ in degrees.
        max_angle: largest scattering angle in degrees.

    Returns:
        Two arrays of the shape of omega. From omega = Ei on, where no neutron is left, both are ki.

    Raises:
        ModelError: Ei is not positive, or the angles are not in order within 0° … 180°.
    """
    if not 0 <= min_angle < max_angle <= 180:
        raise ModelError(
            f"Scattering angles run from {min_angle:g}° to {max_angle:g}°, which is no range within 0° to 180°. "
            "Give the smaller angle first, in degrees."
        )
    ki, kf = wavenumbers(omega, Ei)
    # Q² = (ki − kf)² + 4 ki kf sin²θ, which loses no digits at small angles.
    low, high = ((ki - kf) ** 2 + 4 * ki * kf * np.sin(np.radians(a) / 2) ** 2 for a in (min_angle, max_angle))
    return _root(low), _root(high)


def covered(
    Q_abs: Float[ArrayLike, " ..."],
    omega: Float[ArrayLike, " ..."],
    Ei: float,
    min_angle: float,
    max_angle: float = 180.0,
) -> Bool[Array, " ..."]:
    """Whether detectors between two scattering angles see |Q| (1/Å) at omega (meV); the edges count as seen.

    The mask is hard and has no gradient. It is false from omega = Ei on.

    Raises:
        ModelError: Ei is not positive, or the angles are not in order within 0° … 180°.
    """
    low, high = q_range(omega, Ei, min_angle, max_angle)
    return (low <= jnp.asarray(Q_abs)) & (jnp.asarray(Q_abs) <= high) & (jnp.asarray(omega) < Ei)


def scattering_angle(
    Q_abs: Float[ArrayLike, " ..."], omega: Float[ArrayLike, " ..."], Ei: float
) -> Float[Array, " ..."]:
    """The scattering angle 2θ in degrees at which |Q| (1/Å) is seen at omega (meV).

    Returns:
        0 where |Q| is too small for any angle, 180 where it is too large, with gradient 0 in both; so a
        wavevector out of reach is not to be told from one at the edge: ask `covered`.

    Raises:
        ModelError: Ei is not positive.
    """
    ki, kf = wavenumbers(omega, Ei)
    Q2 = jnp.asarray(Q_abs, float) ** 2
    # tan²θ = (Q² − (ki − kf)²) / ((ki + kf)² − Q²), which is exact at both ends.
    below, above = Q2 - (ki - kf) ** 2, (ki + kf) ** 2 - Q2
    inside = (below > 0) & (above > 0)
    tangent = jnp.sqrt(jnp.where(inside, below, 1.0) / jnp.where(inside, above, 1.0))
    return jnp.where(inside, 2 * jnp.degrees(jnp.arctan(tangent)), jnp.where(below > 0, 180.0, 0.0))


def _root(square: Array) -> Array:
    """√ with gradient 0 at 0, as at ω = 0 and an angle of 0°."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
