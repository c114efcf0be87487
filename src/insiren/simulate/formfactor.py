"""Magnetic form factors of ions: how the scattering falls with |Q| because a moment has a size.

The radial integrals are the analytic fits that periodictable carries,

    <j0>(s) = A exp(−a s²) + B exp(−b s²) + C exp(−c s²) + D,
    <j2>(s) = s² (the same with its own coefficients),        s = |Q| / 4π.

They are used as tabulated: <j0>(0) is 1 within 0.0025, the error of the fits, and is not renormalised,
so that numbers agree with those of any other programme on the same tables.

Source: Brown, International Tables for Crystallography C, section 4.4.5.
"""

from __future__ import annotations

import functools
import re
import threading

import jax.numpy as jnp
import numpy as np
import periodictable
from jax.typing import ArrayLike
from jaxtyping import Array, Float

import insiren.forward  # noqa: F401  (switches JAX to double precision)
from insiren.errors import ModelError

Radial = tuple[np.ndarray, np.ndarray | None]

# periodictable fills its tables when first asked; a second thread would find them empty meanwhile.
_LOADING = threading.Lock()
_NAME = re.compile(r"([A-Za-z]{1,3})(\d)\+?")


def form_factor(ion: str, Q_abs: Float[ArrayLike, " ..."], orbital: ArrayLike = 0.0) -> Float[Array, " ..."]:
    """The magnetic form factor F = <j0> + orbital · <j2> of one ion.

    The default is that of a moment of spin alone, which is what (g F / 2)² multiplies. In the dipole
    approximation a moment with an orbital part has orbital = (2 − g) / g, with g of the moment
    as a whole: the Landé factor of a rare earth.

    Args:
        ion: "Ni2" for Ni²⁺; "Ni2+" and "MNI2" are understood.
        Q_abs: |Q| in 1/Å.
        orbital: weight of <j2>.

    Returns:
        F, of the shape of Q_abs and orbital together; its gradient in Q_abs is 0 at Q = 0.

    Raises:
        ModelError: the ion has no tabulated <j0>, or no <j2> although an orbital weight is given.

    Source: Lovesey, Theory of Neutron Scattering from Condensed Matter (1984), vol. 2, for the dipole approximation.
    """
    j0, j2 = coefficients(ion)
    s2 = (jnp.asarray(Q_abs, float) / (4 * np.pi)) ** 2
    if isinstance(orbital, int | float) and orbital == 0:
        return _gaussians(j0, s2)
    if j2 is None:
        raise ModelError(
            f"Ion {ion!r} has a tabulated <j0> but no <j2>, so an orbital weight of {orbital} cannot be used. "
            "Leave the orbital weight at 0, or name an ion that has both."
        )
    return _gaussians(j0, s2) + orbital * s2 * _gaussians(j2, s2)


def form_factors(
    ions: tuple[str, ...], Q_abs: Float[Array, " q"], orbital: tuple[float, ...] | None = None
) -> Float[Array, "q s"]:
    """Form factors of all sites; sites that are alike are computed once.

    Args:
        ions: name of the ion on each site.
        Q_abs: |Q| in 1/Å.
        orbital: weight of <j2> on each site; 0 if left out.

    Raises:
        ModelError: as `form_factor`, or not one orbital weight a site.
    """
    weights = (0.0,) * len(ions) if orbital is None else orbital
    if len(weights) != len(ions):
        raise ModelError(f"There are {len(weights)} orbital weights for {len(ions)} ions; give one for each.")
    sites = list(zip(ions, weights, strict=True))
    distinct = list(dict.fromkeys(sites))
    F = jnp.stack([form_factor(ion, Q_abs, weight) for ion, weight in distinct], -1)
    return F[:, np.array([distinct.index(site) for site in sites])]


@functools.lru_cache(maxsize=256)
def coefficients(ion: str) -> Radial:
    """Coefficients (A, a, B, b, C, c, D) of <j0> and of <j2>; a, b, c in Å².

    Returns:
        Two arrays of shape (7,), not writeable; None in place of a <j2> that is not tabulated (Pr³⁺).

    Raises:
        ModelError: the name cannot be read, or the ion has no tabulated <j0>.
    """
    with _LOADING:
        symbol, charge = _split(ion)
        tables = periodictable.elements.symbol(symbol).magnetic_ff
    if not hasattr(tables.get(charge), "j0"):
        known = ", ".join(f"{symbol}{n}" for n in sorted(tables) if hasattr(tables[n], "j0"))
        what = "tabulated only with its orbital part, without its <j0>" if charge in tables else "not tabulated"
        listing = f"Of this element there are {known}." if known else "There is no other charge of this element."
        raise ModelError(f"The magnetic form factor of {symbol}{charge} is {what}. {listing}")
    j2 = getattr(tables[charge], "j2", None)
    return _frozen(tables[charge].j0), None if j2 is None else _frozen(j2)


def _split(ion: str) -> tuple[str, int]:
    """Element and charge of a name; an M in front counts as "magnetic" only if no element is meant (MN2 is Mn²⁺)."""
    found = _NAME.fullmatch(ion.strip())
    if found is None:
        raise ModelError(f"Ion {ion!r} cannot be read. Write the element and its charge, as in 'Ni2' for Ni²⁺.")
    magnetic = _magnetic()
    letters, charge = found[1].capitalize(), int(found[2])
    bare = found[1][1:].capitalize()
    if letters not in magnetic and letters.startswith("M") and bare in magnetic:
        letters = bare
    if letters not in magnetic:
        raise ModelError(
            f"Ion {ion!r}: no magnetic form factor of {letters} is tabulated. There are those of {', '.join(magnetic)}."
        )
    return letters, charge


@functools.cache
def _magnetic() -> tuple[str, ...]:
    """Elements with any magnetic form factor, by atomic number."""
    return tuple(element.symbol for element in periodictable.elements if getattr(element, "magnetic_ff", None))


def _frozen(values: tuple[float, ...]) -> np.ndarray:
    array = np.array(values)
    array.setflags(write=False)  # the cache hands out this very array
    return array


def _gaussians(table: np.ndarray, s2: Float[Array, " ..."]) -> Float[Array, " ..."]:
    A, a, B, b, C, c, D = table
    return A * jnp.exp(-a * s2) + B * jnp.exp(-b * s2) + C * jnp.exp(-c * s2) + D
