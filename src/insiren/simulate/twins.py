"""What is asked of a magnet is asked of every domain of the sample, each in the field that it sees."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from insiren.errors import ModelError, UnstableStructure
from insiren.forward import Parameters
from insiren.model.domains import domain_models, domains
from insiren.model.order import other_order
from insiren.model.parameters import evaluate
from insiren.model.spec import MINIMISE, Model


def of_every_domain(check: Callable[..., None]) -> Callable[..., None]:
    """The check of one Hamiltonian as the check of every different one among the domains of a model.

    Wavevectors of the sample are looked at where the domains see them, and what is refused says in which domain.
    """

    @functools.wraps(check)
    def every(model: Model, params: Parameters, hkl: Float[Array, "q 3"] | None = None) -> None:
        for magnet in domain_models(model):
            own = [domain.hkl for domain in domains(model) if domain.model == magnet]
            points = None if hkl is None else np.concatenate([np.asarray(hkl) @ turned.T for turned in own])
            try:
                check(magnet, params, None if points is None else jnp.asarray(points))
            except ModelError as error:
                text = str(error) if magnet == model else _in_domain(magnet, params, error)
                order = other_order(magnet, params) if isinstance(error, UnstableStructure) else ""
                raise type(error)(f"{text} {order}".strip()) from None

    return every


def _in_domain(magnet: Model, params: Parameters, error: ModelError) -> str:
    """What is wrong with the magnet of a domain, with the field that it sees and what to do."""
    if magnet.name in str(error):
        return str(error)
    given = magnet.field.B if magnet.field else ()
    B = ", ".join(
        f"{round(float(np.asarray(evaluate(x, magnet.converted(params, 'field')))), 6) + 0.0:g}" for x in given
    )
    text = f"In {magnet.name} the field, which stays in the laboratory, is ({B}) T along the crystal's axes: {error}"
    if isinstance(error, UnstableStructure) and magnet.structure.directions != MINIMISE:
        text += (
            ' The directions listed are those of every domain; write directions = "minimise" in [structure], and each '
            "finds its own in the field that it sees."
        )
    return text
