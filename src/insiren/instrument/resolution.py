"""Energy resolution and Q broadening. Instruments are cited data files beside this module."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import tomllib
from importlib import resources

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError
from insiren.model.spec import Model

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))  # 2.3548 of a Gaussian


@dataclasses.dataclass(frozen=True)
class EnergyResolution:
    """FWHM of the energy resolution as a polynomial in the energy of the mode.

    Attributes:
        coefficients: lowest order first, meV.
        Ei: incident energy in meV, or None; above it the FWHM keeps its value at Ei.
        source: where the numbers come from.
    """

    coefficients: tuple[float, ...]
    Ei: float | None
    source: str

    def fwhm(self, energy: Float[Array, " ..."]) -> Float[Array, " ..."]:
        """FWHM in meV of a mode of this energy in meV."""
        clamped = energy if self.Ei is None else jnp.minimum(energy, self.Ei)
        return jnp.polyval(jnp.asarray(self.coefficients[::-1]), clamped)


def instruments() -> list[str]:
    """Names of the instruments that come with the package."""
    folder = resources.files("insiren.instrument") / "instruments"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


@functools.lru_cache(maxsize=64)
def energy_resolution(model: Model) -> EnergyResolution:
    """The energy resolution that a model's `[instrument]` asks for.

    Raises:
        ModelError: no instrument has that name, or the width is not positive up to Ei.
    """
    asked = model.instrument.resolution
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
        raise ModelError("instrument.Ei: a width that is a polynomial needs Ei in meV, above which it stays as it is.")
    reach = np.linspace(0, found.Ei or 0, 101)
    if np.min(np.polyval(found.coefficients[::-1], reach)) <= 0:
        raise ModelError("instrument.resolution: the FWHM is not positive everywhere between 0 and Ei.")
    return found


def gaussian(
    omega: Float[Array, " ..."], energy: Float[Array, " ..."], fwhm: Float[Array, " ..."]
) -> Float[Array, " ..."]:
    """A normalised Gaussian line in 1/meV; all arguments in meV, `fwhm` a full width at half maximum."""
    rate = FWHM_PER_SIGMA / fwhm
    return rate / np.sqrt(2 * np.pi) * jnp.exp(-0.5 * ((omega - energy) * rate) ** 2)


def q_quadrature(axes: tuple[tuple[float, float, float], ...], nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of an isotropic Gaussian over the given axes, for a FWHM of 1.

    Args:
        axes: directions in r.l.u. along which Q is broadened.
        nodes: Gauss–Hermite nodes along each axis; 1 is the centre alone.

    Returns:
        Offsets in r.l.u., shape (m, 3), and weights that sum to 1, shape (m,).
    """
    x, weight = np.polynomial.hermite_e.hermegauss(nodes)
    mesh = np.stack(np.meshgrid(*[x] * len(axes), indexing="ij"), -1).reshape(-1, len(axes))
    product = np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * len(axes), indexing="ij"), -1), -1).reshape(-1)
    return mesh @ np.array(axes) / FWHM_PER_SIGMA, product
