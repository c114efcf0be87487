"""Where the pixels of a time-of-flight spectrometer lie: |Q|, or hkl of a crystal, at every energy transfer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from insiren.data.files.axes import Axis
from insiren.data.files.hints import how, otherwise
from insiren.errors import DataError

# E = ħ²k²/2m in meV for k in 1/Å. Source: CODATA 2018.
MEV = 2.0721248


class Detectors(NamedTuple):
    """Pixels of a spectrometer.

    Attributes:
        polar: scattering angle 2θ in degrees, shape (n,).
        azimuthal: angle around the beam in degrees, from the horizontal, rising upwards, shape (n,).
        fixed: Ei, or Ef of each pixel where `indirect`, in meV, shape (n,).
        indirect: whether the final energy is the fixed one.
    """

    polar: np.ndarray
    azimuthal: np.ndarray
    fixed: np.ndarray
    indirect: bool


class Pixels(NamedTuple):
    """Everything that such a spectrometer has measured.

    Attributes:
        detectors: n of them.
        energy: the axis of energy transfer.
        intensity: shape (n, w), in the file's unit.
        variance: likewise, squared.
        missing: pixels that were off, shape (n, w).
        psi: in degrees, NaN where the file does not know.
        assumed: a sentence each, with the option that overrides it.
        noted: what else was found, a sentence each.
    """

    detectors: Detectors
    energy: Axis
    intensity: np.ndarray
    variance: np.ndarray
    missing: np.ndarray
    psi: float
    assumed: list[str]
    noted: list[str]


def wavenumbers(name: str, detectors: Detectors, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k_i and k_f in 1/Å, each of shape (n, w).

    Args:
        name: of the data set, for errors.
        detectors: n of them.
        omega: energy transfer in meV, shape (w,).

    Raises:
        DataError: the neutron would end, or start, with no energy.
    """
    fixed = np.broadcast_to(detectors.fixed[:, None], (len(detectors.polar), len(omega)))
    other = fixed + omega if detectors.indirect else fixed - omega
    if not np.all(fixed > 0) or not np.all(other > 0):
        which, sign = ("Ef", "lose") if detectors.indirect else ("Ei", "gain")
        raise DataError(
            f"{name}: with {which} = {np.min(fixed):g} meV no neutron is left at an energy transfer of "
            f"{omega[np.argmin(other.min(0))]:g} meV. Give the right Ei ({how('Ei')}), or --hint geometry="
            f"{'direct' if detectors.indirect else 'indirect'} if neutrons {sign} energy against a fixed one."
        )
    k_fixed, k_other = np.sqrt(fixed / MEV), np.sqrt(other / MEV)
    return (k_other, k_fixed) if detectors.indirect else (k_fixed, k_other)


def without_kf_over_ki(
    name: str, detectors: Detectors, omega: np.ndarray, contained: bool, *intensities: np.ndarray
) -> list[np.ndarray]:
    """Intensities or their errors, shape (n, w), without the factor kf/ki of the cross section.

    Args:
        name: of the data set, for errors.
        detectors: n of them.
        omega: energy transfer in meV, shape (w,).
        contained: whether the factor is still in them.
        intensities: as the file has them.
    """
    if not contained:
        return list(intensities)
    ki, kf = wavenumbers(name, detectors, omega)
    return [one * ki / kf for one in intensities]


def said_of_kf_over_ki(contained: bool, by: str) -> str:
    """How the factor kf/ki was taken, who says so, and the option that changes it."""
    what = (
        "was in the intensities, which were multiplied by ki/kf" if contained else "is divided out of the intensities"
    )
    return (
        f"the factor kf/ki {what} ({by}); {otherwise('kf_over_ki', 'contained' if contained else 'divided')} changes it"
    )


def said_of_dark(dark: int, n: int, zeros: str | None) -> list[str]:
    """How detectors were taken that hold nothing but zeros, and the option that changes it."""
    if not dark:
        return []
    what = "counted and caught nothing" if zeros == "measured" else "were off, or behind nothing"
    return [f"{dark} of {n} detectors {what} (all zero); {otherwise('zeros', zeros or 'missing')} changes it"]


def modulus(name: str, detectors: Detectors, omega: np.ndarray) -> np.ndarray:
    """|Q| in 1/Å of each pixel at each energy transfer, shape (n, w): Q² = k_i² + k_f² − 2 k_i k_f cos 2θ."""
    ki, kf = wavenumbers(name, detectors, omega)
    cosine = np.cos(np.radians(detectors.polar))[:, None]
    # Rounding makes the forward pixel of the elastic line negative.
    return np.sqrt(np.maximum(ki**2 + kf**2 - 2 * ki * kf * cosine, 0.0))


def crystal(
    name: str, detectors: Detectors, omega: np.ndarray, B: np.ndarray, frame: np.ndarray, psi: float
) -> np.ndarray:
    """hkl in r.l.u. of each pixel at each energy transfer, shape (n, w, 3).

    The laboratory has x along k_i, z up. The crystal is turned about z so that u, in the horizontal
    plane with v, lies at the angle ψ from k_i, anticlockwise seen from above. At ψ = 0 its e₁ is x.

    Args:
        name: of the data set, for errors.
        detectors: n of them.
        omega: energy transfer in meV, shape (w,).
        B: from `orientation.reciprocal`.
        frame: from `orientation.orientation`.
        psi: in degrees.

    Source: conventions of u, v and ψ as Horace and Mantid's SetUB have them.
    """
    ki, kf = wavenumbers(name, detectors, omega)
    polar, azimuthal = np.radians(detectors.polar), np.radians(detectors.azimuthal)
    out = [np.cos(polar), np.sin(polar) * np.cos(azimuthal), np.sin(polar) * np.sin(azimuthal)]
    Q = np.stack([(ki if i == 0 else 0.0) - kf * direction[:, None] for i, direction in enumerate(out)], axis=-1)
    turn, lift = np.radians(psi), np.zeros((3, 3))
    lift[:2, :2] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    lift[2, 2] = 1
    # Laboratory to the frame of u and v, to the Cartesian frame of the crystal, to hkl.
    return Q @ (np.linalg.inv(B) @ frame.T @ lift).T
