"""Spectra that somebody has computed already, from which a surrogate can learn: any theory will do."""

from __future__ import annotations

import dataclasses
import functools
import hashlib

import numpy as np
from numpy.typing import ArrayLike

from insiren.errors import SurrogateError
from insiren.forward import Parameter
from insiren.surrogate.domain import Domain

_SAME = 1e-3  # r.l.u.: how far from the value of an axis that never varies a query may lie


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """S(Q, ω) at given wavevectors and energies for m sets of parameters.

    Attributes:
        parameters: what the sets are sets of; their bounds are the box of the surrogate.
        params: values, shape (m, p).
        hkl: wavevectors in r.l.u., shape (m, q, 3).
        omega: energy transfers in meV, shape (m, q, w).
        S: spectra per meV and crystal cell, shape (m, q, w); NaN where there is none.
    """

    parameters: tuple[Parameter, ...]
    params: np.ndarray
    hkl: np.ndarray
    omega: np.ndarray
    S: np.ndarray

    @property
    def sets(self) -> int:
        """How many sets of parameters there are."""
        return len(self.params)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of everything."""
        found = hashlib.sha256(repr(self.parameters).encode())
        for x in (self.params, self.hkl, self.omega, self.S):
            found.update(repr(x.shape).encode() + np.ascontiguousarray(x).tobytes())
        return found.hexdigest()

    def domain(self, ignored: str = "") -> Domain:
        """The box that the samples fill.

        Args:
            ignored: axes, such as "kl", on which the spectrum is known not to depend. Any other axis is an
                input; one that never varies may only be asked for at its one value.
        """
        axes = tuple(a for a in range(3) if "hkl"[a] not in ignored)
        low, high = self.hkl.min((0, 1))[list(axes)], self.hkl.max((0, 1))[list(axes)]
        still = high - low < _SAME
        spans = zip(low - _SAME * still, high + _SAME * still, strict=True)
        n = len(axes)
        return Domain(
            axes=axes,
            period=(0,) * n,
            operations=(tuple(tuple(int(i == j) for j in range(n)) for i in range(n)),),
            q_range=tuple((float(a), float(b)) for a, b in spans),
            omega=(float(self.omega.min()), float(self.omega.max())),
            inputs=self.parameters,
            fixed=(),
        )


def samples(
    parameters: tuple[Parameter, ...], params: ArrayLike, hkl: ArrayLike, omega: ArrayLike, S: ArrayLike
) -> Samples:
    """Samples from arrays that may be shared by all sets.

    Args:
        parameters: name, unit and bounds of each parameter; values outside the bounds are refused.
        params: shape (m, p).
        hkl: r.l.u., shape (q, 3) for all sets or (m, q, 3).
        omega: meV, shape (w,) for all wavevectors and sets or (m, q, w).
        S: per meV and crystal cell, shape (m, q, w); NaN marks what was not computed.

    Raises:
        SurrogateError: shapes do not fit together, values make no sense, or parameters leave their bounds.
    """
    params, hkl, omega, S = (np.asarray(x, float) for x in (params, hkl, omega, S))
    if S.ndim != 3:
        raise SurrogateError(f"S has shape {S.shape}; three axes are needed: parameter sets, wavevectors, energies.")
    m, q, w = S.shape
    fits = {
        f"params {params.shape}": params.shape == (m, len(parameters)),
        f"hkl {hkl.shape}": hkl.shape in ((q, 3), (m, q, 3)),
        f"omega {omega.shape}": omega.shape in ((w,), (m, q, w)),
    }
    if wrong := [name for name, fine in fits.items() if not fine]:
        raise SurrogateError(
            f"{', '.join(wrong)} does not fit S {S.shape} = (m, q, w) with {len(parameters)} parameters: "
            f"params is (m, {len(parameters)}), hkl (q, 3) or (m, q, 3), omega (w,) or (m, q, w)."
        )
    _check_values(parameters, params, hkl, omega, S)
    return Samples(tuple(parameters), params, np.broadcast_to(hkl, (m, q, 3)), np.broadcast_to(omega, (m, q, w)), S)


def _check_values(
    parameters: tuple[Parameter, ...], params: np.ndarray, hkl: np.ndarray, omega: np.ndarray, S: np.ndarray
) -> None:
    for name, x in (("params", params), ("hkl", hkl), ("omega", omega)):
        if bad := int(np.sum(~np.isfinite(x))):
            raise SurrogateError(
                f"{bad} of {x.size:,} values of {name} are not finite: nobody can say what S belongs to."
            )
    known = S[np.isfinite(S)]
    if not known.size or not known.max() > 0:
        raise SurrogateError("S holds nothing above 0: there is nothing to learn.")
    if known.min() < 0:
        raise SurrogateError(
            f"S is {known.min():.3g} at its least ({np.sum(known < 0):,} values lie below 0), but log(1 + c S) is "
            "learnt. Set rounding errors to 0, and what was not computed to NaN."
        )
    for n, p in enumerate(parameters):
        if not p.min < p.max:
            raise SurrogateError(f"{p.name} has the bounds {p.min:g} … {p.max:g}: it does not vary. Leave it out.")
        low, high = params[:, n].min(), params[:, n].max()
        if low < p.min or high > p.max:
            raise SurrogateError(f"{p.name} runs over {low:g} … {high:g}, beyond its bounds {p.min:g} … {p.max:g}.")
    if not omega.min() < omega.max():
        raise SurrogateError("All energies are the same; a surrogate needs a range of them.")
