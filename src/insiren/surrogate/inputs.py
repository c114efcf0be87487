"""Which parameters of a model become inputs of a surrogate, and over which box."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from insiren.errors import SurrogateError
from insiren.forward import Parameter


def chosen_inputs(
    parameters: tuple[Parameter, ...],
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Parameter, ...]:
    """The parameters of a model, those with `free` set being the inputs.

    Args:
        parameters: the model's own; those with `free` set are inputs unless they are fixed.
        free: names that become inputs besides.
        fixed: values of those that do not.
        bounds: the box along inputs, instead of the model's.

    Raises:
        SurrogateError: an unknown name, a contradiction, a box that is none, or no input at all.
    """
    freed, fixed, bounds = set(free or ()), dict(fixed or {}), dict(bounds or {})
    known = [p.name for p in parameters]
    if unknown := sorted({*freed, *fixed, *bounds} - set(known)):
        raise SurrogateError(f"No parameter is called {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
    if both := sorted(freed & set(fixed)):
        raise SurrogateError(f"{', '.join(both)} cannot be both free and fixed; choose one.")
    found = []
    for p in parameters:
        is_input = (p.free or p.name in freed) and p.name not in fixed
        if p.name in bounds and not is_input:
            raise SurrogateError(f"{p.name} has bounds but is no input; free it as well, or leave the bounds out.")
        low, high = bounds.get(p.name, (p.min, p.max))
        if is_input and not -np.inf < low < high < np.inf:
            raise SurrogateError(
                f"The box of {p.name} is {low:g} … {high:g}; both must be finite, the first the lower."
            )
        value = float(np.clip(p.value, low, high)) if is_input else float(fixed.get(p.name, p.value))
        found.append(dataclasses.replace(p, free=is_input, min=float(low), max=float(high), value=value))
    if not any(p.free for p in found):
        raise SurrogateError(f"No parameter is free: there is nothing to learn along. Free one of {', '.join(known)}.")
    return tuple(found)
