"""The seam at which everything meets: where a spectrum is wanted, and what gives it.

`Points` say where; a `Forward` gives S(Q, ω) there for named parameters. The exact
simulator seen through an instrument is a Forward, a trained surrogate is one, and so is
any theory of the user's (`forward`). Double precision is switched on here, once, before any
array exists: magnon energies near Goldstone points need it. So is JAX's cache of compiled functions (`cache`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from insiren.cache import keep_compiled
from insiren.errors import ModelError

jax.config.update("jax_enable_x64", True)
keep_compiled(jax.config)

Parameters = Mapping[str, ArrayLike]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One named number of a Forward.

    Attributes:
        name: as written in the model file and on the command line.
        value: default, in `unit`.
        min: lower bound, in `unit`.
        max: upper bound, in `unit`.
        unit: text for people, "" where it has none.
        free: whether a fit frees it unless told otherwise.
        label: TeX for axes, or the name again.
    """

    name: str
    value: float
    min: float
    max: float
    unit: str = ""
    free: bool = False
    label: str = ""


class Bins(NamedTuple):
    """Over what the spectrum is averaged around each point; the default is the point itself.

    Attributes:
        hkl: full edges of a bin in Q, each a vector in r.l.u.; a powder has none.
        Q_abs: full width of a bin in |Q| of a powder, 1/Å.
        omega: full width in energy, meV.
    """

    hkl: tuple[tuple[float, float, float], ...] = ()
    Q_abs: float = 0.0
    omega: float = 0.0


POINT = Bins()  # a point
_NOTHING = np.zeros(0)


class Points(eqx.Module):
    """Where a spectrum is wanted: unique wavevectors and the energies asked of each.

    Given one wavevector a data point, the unique ones are found here. A full table, every
    row of ω for its own wavevector, is `Points.table`; simulators are faster on it. A
    powder has |Q| in place of wavevectors.

    Attributes:
        hkl: unique wavevectors in r.l.u., shape (q, 3); (q, 0) for a powder.
        omega: energy transfer of each data point in meV, shape (d,).
        index: which wavevector each data point belongs to, shape (d,).
        is_table: whether the data points are all energies of the first wavevector, then
            all of the second, and so on, the same number of each.
        Q_abs: |Q| of a powder in 1/Å, shape (q,); None for a single crystal.
        bins: the bin around each point.
        is_even: whether it is known that all wavevectors of a table have the same energies.
    """

    hkl: Float[Array, "q r"]
    omega: Float[Array, " d"]
    index: Int[Array, " d"]
    is_table: bool = eqx.field(static=True)
    Q_abs: Float[Array, " q"] | None
    bins: Bins = eqx.field(static=True)
    is_even: bool = eqx.field(static=True)

    def __init__(
        self,
        hkl: ArrayLike | None = None,
        omega: ArrayLike = _NOTHING,
        index: ArrayLike | None = None,
        *,
        Q_abs: ArrayLike | None = None,
        is_table: bool = False,
        bins: Bins = POINT,
    ):
        if (hkl is None) == (Q_abs is None):
            raise ValueError("Points have wavevectors hkl or, for a powder, Q_abs; give one of them.")
        place = np.asarray(Q_abs, float)[:, None] if hkl is None else hkl
        if index is None:
            if len(np.shape(place)) != 2 or np.shape(place)[0] != np.shape(omega)[0]:
                shape = np.shape(place if Q_abs is None else Q_abs)
                raise ValueError(f"hkl {shape} and omega {np.shape(omega)} do not name the same points.")
            place, index = np.unique(np.asarray(place, float), axis=0, return_inverse=True)
            index = index.reshape(-1)
        self.hkl = on_device(np.zeros((np.shape(place)[0], 0)) if hkl is None else place, float)
        self.Q_abs = on_device(np.asarray(place)[:, 0]) if hkl is None else None
        self.omega = on_device(omega, float)
        self.index = on_device(index)
        self.is_table = is_table
        self.bins = bins
        self.is_even = is_table and not isinstance(omega, Tracer) and _repeats(np.asarray(omega), len(self.hkl))

    @classmethod
    def table(
        cls,
        hkl: ArrayLike | None = None,
        omega: ArrayLike = _NOTHING,
        *,
        Q_abs: ArrayLike | None = None,
        bins: Bins = POINT,
    ) -> Points:
        """Points of a full table.

        Args:
            hkl: wavevectors in r.l.u., shape (q, 3), kept in their order, repeats too.
            omega: energies in meV, shape (w,) for all wavevectors or (q, w) for each.
            Q_abs: |Q| of a powder in 1/Å, shape (q,), in place of hkl.
            bins: the bin around each point.
        """
        q = np.shape(np.zeros(0) if Q_abs is None else Q_abs)[0] if hkl is None else np.shape(hkl)[0]
        numpy = jnp if isinstance(omega, Tracer) else np
        energies = numpy.broadcast_to(numpy.asarray(omega, float), (q, np.shape(omega)[-1]))
        index = np.repeat(np.arange(q), energies.shape[1])
        return cls(hkl, energies.reshape(-1), index, Q_abs=Q_abs, is_table=True, bins=bins)

    @property
    def rows(self) -> Float[Array, "q w"]:
        """Energies of each wavevector of a table in meV, shape (q, w)."""
        return self.omega.reshape(self.hkl.shape[0], -1)

    def columns(self, which: np.ndarray) -> Points:
        """The part of a table at some of its wavevectors, given by their numbers."""
        hkl, Q_abs = self._places(which)
        return Points.table(hkl, np.asarray(self.omega).reshape(len(self.hkl), -1)[which], Q_abs=Q_abs, bins=self.bins)

    def subset(self, which: np.ndarray) -> Points:
        """Some of the data points, given by their numbers, as a list."""
        hkl, Q_abs = self._places(np.asarray(self.index)[which])
        return Points(hkl, np.asarray(self.omega)[which], Q_abs=Q_abs, bins=self.bins)

    def _places(self, which: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Wavevectors or |Q| of these numbers, and None for the other."""
        if self.Q_abs is None:
            return np.asarray(self.hkl)[which], None
        return None, np.asarray(self.Q_abs)[which]

    def __len__(self) -> int:
        return self.omega.shape[0]


def on_device(values: ArrayLike, kind: type | None = None) -> Array:
    """An array for compiled functions; what is known is moved, where `jnp.asarray` would compile for every shape."""
    if isinstance(values, (jax.Array, Tracer)):
        return jnp.asarray(values, kind)
    return jax.device_put(np.asarray(values, kind))


def _repeats(omega: Float[np.ndarray, " d"], times: int) -> bool:
    """Whether values are a row of so many repetitions."""
    rows = omega.reshape(times, -1)
    return bool(np.all(rows == rows[:1]))


class Forward(eqx.Module):
    """Something that gives S(Q, ω) for named parameters.

    A subclass gives `parameters` and `spectrum`; calling it fills in what is left out,
    compiles once for each shape of the points, and explains instead of returning NaN.
    """

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The named numbers it takes, with units, bounds and defaults."""
        raise NotImplementedError

    def given(self, fixed: Mapping[str, float]) -> Forward:
        """An equal Forward that may be cheaper, knowing that these parameters keep these values."""
        return self

    def at(self, points: Points, params: Parameters) -> Forward:
        """An equal Forward prepared for these concrete points, at parameters near these."""
        return self

    def covers(self, params: Parameters) -> bool:
        """Whether parameters are near enough to those that this Forward was prepared for."""
        return True

    def divergent(self, params: Parameters, points: Points) -> Bool[Array, " q"]:
        """At which wavevectors of the points the intensity has no finite value, shape (q,)."""
        return on_device(np.zeros(points.hkl.shape[0], bool))

    @property
    def draft(self) -> Forward:
        """A rougher and cheaper Forward of the same parameters, for a search; or itself."""
        return self

    @property
    def exact(self) -> Forward | None:
        """The exact simulator that this Forward stands for, or None."""
        return None

    @property
    def pointwise(self) -> bool:
        """Whether any subset of points may be asked for; else only whole tables."""
        return True

    @property
    def parallel(self) -> bool:
        """Whether two threads may evaluate it at once; see `simulate.lswt.after` for what may not."""
        return False

    @property
    def batches(self) -> bool:
        """Whether several parameter sets at once cost less than one after the other."""
        return False

    @property
    def averages(self) -> bool:
        """Whether it averages over the bins of points; else it gives the spectrum at their centres."""
        return False

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Beyond which values of its parameters it has no answer, by name; empty where it asks the physics alone."""
        return {}

    def mistakes(self, params: Parameters, points: Points, many: int, seed: int) -> Float[Array, "m d"] | None:
        """Errors that its spectrum may have, drawn as large and as smooth as is known; None where it is right.

        Args:
            params: values by name.
            points: where.
            many: how many to draw.
            seed: of the random numbers.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """What a report should say of it: "model", "forward", and numbers such as its quadrature."""
        return {"model": type(self).__name__, "forward": "callable"}

    def check(self, params: Parameters) -> None:
        """Raises the error that explains why these parameters have no answer, if they have none."""

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        """S(Q, ω) at the points, per meV and crystal cell; NaN where there is no answer.

        Must be traceable by JAX in the parameters. `params` names every parameter.
        """
        raise NotImplementedError

    def explain(self, params: Parameters, points: Points) -> Exception:
        """The error that says why `spectrum` has no answer here."""
        named = ", ".join(f"{name} = {float(np.asarray(value)):.6g}" for name, value in params.items())
        return ModelError(f"The spectrum has no finite value at {named}. Narrow the bounds of the parameters.")

    def __call__(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        """S(Q, ω) at the points, shape (d,), per meV and crystal cell.

        Args:
            params: values by name; those left out take the model's.
            points: where the spectrum is wanted.

        Raises:
            ModelError: a name is unknown, or there is no answer (`UnstableStructure`
                where the magnetic structure is not an energy minimum).
        """
        filled = complete(self.parameters, params)
        if any(isinstance(x, Tracer) for x in (*filled.values(), points.hkl, points.omega)):
            return self.spectrum(filled, points)
        self.check(filled)
        S = _compiled(self.at(points, filled), filled, points)
        if not bool(jnp.all(jnp.isfinite(S))):
            raise self.explain(filled, points)
        return S


@runtime_checkable
class Bands(Protocol):
    """The optional second seam, for peak lists and overlays: magnon energies and weights."""

    def bands(self, params: Parameters, hkl: Float[Array, "q 3"]) -> tuple[Array, Array]:
        """Energies in meV (q, n) and the intensity of each mode (q, n)."""
        ...


@eqx.filter_jit
def _compiled(forward: Forward, params: dict[str, Array], points: Points) -> Float[Array, " d"]:
    return forward.spectrum(params, points)


def complete(parameters: tuple[Parameter, ...], params: Parameters) -> dict[str, Array]:
    """Every parameter by name: the given value, or the model's own.

    Raises:
        ModelError: a name is not among the parameters.
    """
    known = [p.name for p in parameters]
    unknown = [name for name in params if name not in known]
    if unknown:
        raise ModelError(f"No parameter is called {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
    return {p.name: jnp.asarray(params.get(p.name, p.value), float) for p in parameters}


class _Callable(Forward):
    """A user's own theory as a Forward."""

    function: Callable[[dict[str, Any], Points], ArrayLike] = eqx.field(static=True)
    declared: tuple[Parameter, ...] = eqx.field(static=True)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.declared

    def spectrum(self, params: Parameters, points: Points) -> Float[Array, " d"]:
        return jnp.asarray(self.function(dict(params), points), float)


def forward(function: Callable[[dict[str, Any], Points], ArrayLike], parameters: tuple[Parameter, ...]) -> Forward:
    """Any JAX-traceable `function(params, points)` -> S (d,) as a Forward.

    Args:
        function: gives S(Q, ω) at the points for parameters by name; built of `jax.numpy`,
            so that its gradient exists.
        parameters: what it takes, with defaults and bounds.
    """
    return _Callable(function, tuple(parameters))
