"""What a user should know of a model before believing its numbers, the energies of its magnons considered."""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np

from insiren.errors import ModelError
from insiren.forward import Parameters
from insiren.model.parameters import evaluate
from insiren.model.remarks import remarks
from insiren.model.spec import Model
from insiren.model.units import ENERGIES
from insiren.simulate.lswt import hamiltonian, spin_waves, weights

_WAVEVECTORS = 32  # at random over the zone; the highest of their modes is near enough to the top of the band


def all_remarks(model: Model, params: Parameters | None = None) -> tuple[str, ...]:
    """The remarks on a model, and one where the temperature lies above its magnons.

    Args:
        model: the magnet.
        params: values by name in their units; those left out take the model's.
    """
    given = params or {}
    values = tuple((p.name, float(np.asarray(given.get(p.name, p.value)))) for p in model.all_parameters)
    return (*remarks(model, dict(values)), *_hot(model, values), *_powder_in_a_field(model, dict(values)))


def _powder_in_a_field(model: Model, values: dict[str, float]) -> tuple[str, ...]:
    """That every grain of a powder has the field along one direction of the crystal here."""
    if not model.scattering.powder or model.field is None:
        return ()
    if not any(evaluate(x, model.converted(values, "field")) for x in model.field.B):
        return ()
    return (
        "Every grain of this powder sees the field along the same direction of its crystal, where in a laboratory each "
        "sees it along another: take [field] out, or describe a sample that is one crystal.",
    )


@functools.lru_cache(maxsize=64)
def _hot(model: Model, values: tuple[tuple[str, float], ...]) -> tuple[str, ...]:
    """That kT exceeds the energy of every magnon."""
    if model.scattering.temperature is None:
        return ()
    T = float(evaluate(model.scattering.temperature, model.converted(dict(values), "temperature")))
    try:
        top, kT = _top(model, dict(values)), ENERGIES["K"] * T
    except ModelError:  # whatever asks for the structure says so
        return ()
    if not kT > top > 0:
        return ()
    return (
        f"At T = {T:g} K, kT = {kT:.3g} meV lies above the highest magnon, {top:.3g} meV: so hot a magnet has lost its "
        "order, while these spin waves keep their energies and their full moments; correct the temperature in "
        "[scattering], or describe data that were taken colder.",
    )


def _top(model: Model, params: Parameters) -> float:
    """The highest energy of the magnons in meV, Z_c included; NaN where the structure is unstable."""
    n = len(spin_waves(model).cell.spin)
    hkl = jnp.asarray(np.random.default_rng(0).uniform(size=(_WAVEVECTORS, 3)))
    H = np.asarray(hamiltonian(model, weights(model, params), hkl))
    if not np.all(np.isfinite(H)):
        return np.nan
    E = np.linalg.eigvals(np.repeat([1.0, -1.0], n)[:, None] * H)
    return model.scattering.Zc * float(np.max(E.real)) if np.max(np.abs(E.imag)) < 1e-3 * np.max(np.abs(E)) else np.nan
