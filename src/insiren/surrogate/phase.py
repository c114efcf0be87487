"""The stable phase of a theory that is known by its spectra alone: learnt from which parameter sets have one."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from insiren.errors import OutsideDomain
from insiren.forward import Parameter, Parameters


class Phase(eqx.Module):
    """Parameter sets that had a spectrum, and sets that had none; a query goes with the nearest.

    The boundary runs half-way between sets of either kind, so that it is as sharp as they are dense.

    Attributes:
        sets: in [−1, 1] of the box, single precision, shape (m, p).
        stable: whether each had a spectrum, shape (m,).
    """

    sets: Float[Array, "m p"]
    stable: Bool[Array, " m"]

    def _nearest(self, params: Parameters, inputs: tuple[Parameter, ...]) -> Array:
        here = jnp.stack([2 * (jnp.asarray(params[p.name]) - p.min) / (p.max - p.min) - 1 for p in inputs])
        return jnp.argmin(jnp.sum((self.sets - here) ** 2, axis=1))

    def holds(self, params: Parameters, inputs: tuple[Parameter, ...]) -> Bool[Array, ""]:
        """Whether the nearest set has a spectrum; traceable."""
        return self.stable[self._nearest(params, inputs)]

    def refuse_outside(self, params: Parameters, inputs: tuple[Parameter, ...]) -> None:
        """Raises where the nearest set has none.

        Raises:
            OutsideDomain: names the parameters and that set.
        """
        at = int(self._nearest(params, inputs))
        if bool(self.stable[at]):
            return
        asked = ", ".join(f"{p.name} = {float(np.asarray(params[p.name])):.6g}" for p in inputs)
        set_ = (np.asarray(self.sets[at], float) + 1) / 2
        near = ", ".join(f"{p.name} = {p.min + x * (p.max - p.min):.6g}" for p, x in zip(inputs, set_, strict=True))
        raise OutsideDomain(
            f"{asked} lies outside the stable phase that this surrogate learnt: the nearest of {len(self.stable)} "
            f"parameter sets, {near}, has no spectrum. Narrow the bounds of the parameters, or train on more sets near "
            "the boundary."
        )


def phase_of(params: np.ndarray, S: np.ndarray, inputs: tuple[Parameter, ...]) -> Phase | None:
    """The phase that samples tell: a set without any spectrum is unstable. None where all have one.

    Args:
        params: shape (m, p).
        S: NaN where there is none, shape (m, q, w).
        inputs: whose bounds are the box.
    """
    stable = np.isfinite(S).any(axis=(1, 2))
    if stable.all():
        return None
    low, high = (np.array([getattr(p, side) for p in inputs]) for side in ("min", "max"))
    return Phase(jnp.asarray(2 * (params - low) / (high - low) - 1, jnp.float32), jnp.asarray(stable))
