"""Which parameters of a fit are free, and what becomes of the others: fixed, tied, shared or one each."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from insiren.errors import FitError
from insiren.forward import Forward, Parameter, on_device
from insiren.model.parameters import BUILT_IN, evaluate, names
from insiren.model.units import ENERGIES


class Names(NamedTuple):
    """What a spectrum needs to know of a choice to be compiled: names, but no numbers."""

    free: tuple[str, ...]
    ties: tuple[tuple[str, str], ...]
    wanted: tuple[str, ...]

    def values(self, theta: ArrayLike, constant: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """The wanted parameters by name, from the free and the fixed ones; traceable by JAX."""
        known: dict[str, Any] = dict(constant)
        known |= {name: theta[n] for n, name in enumerate(self.free)}  # type: ignore[index]  # an array
        for name, expression in self.ties:
            known[name] = _evaluated(expression, known)
        return {name: on_device(known[name], float) for name in self.wanted}


def _evaluated(expression: str, known: Mapping[str, Any]) -> Any:
    """The value of a tie; one that is not finite is refused by whoever asks for it."""
    with np.errstate(all="ignore"):
        return evaluate(expression, known)


class Part(NamedTuple):
    """The choice as one data set sees it.

    Attributes:
        names: by which its Forward knows the parameters.
        constant: the fixed ones by name.
        index: which of the free parameters of the fit these are, shape (l,).
    """

    names: Names
    constant: dict[str, float]
    index: np.ndarray


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which parameters are free, and what becomes of the others.

    Parameters that are one each for data sets are called NAME[1], NAME[2], … in the order of the data sets.

    Attributes:
        free: the parameters that are fitted, with the bounds of this fit.
        fixed: values of those that are not.
        ties: (name, expression) of those that follow others; of one each, in terms of the same data set.
        each: names, without number, of those that are one each.
        sets: how many data sets there are.
    """

    free: tuple[Parameter, ...]
    fixed: tuple[tuple[str, float], ...]
    ties: tuple[tuple[str, str], ...]
    each: tuple[str, ...] = ()
    sets: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.free)

    @property
    def lower(self) -> np.ndarray:
        return np.array([p.min for p in self.free])

    @property
    def upper(self) -> np.ndarray:
        return np.array([p.max for p in self.free])

    def values(self, theta: Array | np.ndarray) -> dict[str, Array]:
        """Every parameter by name, from the free ones; traceable by JAX."""
        known: dict[str, Any] = dict(self.fixed)
        known |= {name: theta[n] for n, name in enumerate(self.names)}
        for name, expression in self.ties:
            number = name.partition("[")[2]
            here = {one: known[f"{one}[{number}"] for one in self.each if f"{one}[{number}" in known} if number else {}
            known[name] = _evaluated(expression, known | here)
        return {name: on_device(value, float) for name, value in known.items()}

    def part(self, which: int, forward: Forward) -> Part:
        """The choice as a data set, counted from 0, and its Forward see it."""
        wanted = tuple(p.name for p in forward.parameters)
        needed = {*wanted, *(n for name, e in self.ties if name.partition("[")[0] in wanted for n in names(e))}

        def here(name: str) -> str | None:
            base, _, number = name.partition("[")
            return base if base in needed and (not number or number == f"{which + 1}]") else None

        free = [(n, local) for n, name in enumerate(self.names) if (local := here(name))]
        ties = tuple((local, e) for name, e in self.ties if (local := here(name)))
        constant = {local: value for name, value in self.fixed if (local := here(name))}
        index = np.array([n for n, _ in free], int)
        return Part(Names(tuple(local for _, local in free), ties, wanted), constant, index)


def choose(
    parameters: tuple[Parameter, ...],
    free: Sequence[str] | None = None,
    fixed: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    ties: Mapping[str, str] | None = None,
    each: Sequence[str] | None = None,
    sets: Sequence[str] = ("",),
) -> Choice:
    """The free, fixed and tied parameters of a fit.

    Args:
        parameters: those of the Forward; the ones with `free` set are free by default.
        free: names to free besides.
        fixed: values to fix.
        bounds: bounds to use instead of the model's.
        ties: expressions of other parameters, such as {"Jp": "J/20"}.
        each: names of parameters that are one each for data sets, and free unless they are fixed or tied. "width[2]" is
            that of the second data set, and "width[NAME]" that of the data set of this name.
        sets: names of the data sets.

    Raises:
        FitError: an unknown name, contradicting wishes, or nothing left to fit.
    """
    each = tuple(dict.fromkeys(each or ()))
    _known([*each, *(n for e in (ties or {}).values() for n in names(e))], [p.name for p in parameters])
    parameters = tuple(one for p in parameters for one in (_numbered(p, len(sets)) if p.name in each else [p]))
    spread = lambda wish: _spread(wish, each, sets)  # noqa: E731
    wished = set(spread(dict.fromkeys([*(free or ()), *each])))
    fixed, bounds, ties = spread(fixed or {}), spread(bounds or {}), spread(ties or {})
    _known([*wished, *fixed, *bounds, *ties], [p.name for p in parameters])
    for name, expression in ties.items():
        if "[" not in name and (alone := sorted(names(expression) & set(each))):
            raise FitError(f"{name} follows {alone[0]}, of which each data set has its own; give it one each too.")
    implied = set(spread(dict.fromkeys(each))) - set(spread(dict.fromkeys(free or ())))
    for one, other in ((wished - implied, fixed), (wished - implied, ties), (fixed, ties)):
        if both := set(one) & set(other):
            raise FitError(f"{', '.join(sorted(both))} cannot be two of free, fixed and tied; choose one.")
    if endless := [name for name, value in fixed.items() if not np.isfinite(value)]:
        raise FitError(f"{', '.join(endless)} cannot be fixed to what is no finite number.")
    tied = {name.partition("[")[0] for name in ties}
    if chained := [n for e in ties.values() for n in names(e) if n in tied]:
        raise FitError(f"A tie may not use a tied parameter ({', '.join(chained)}); write it out.")
    _refuse_mixed_units(parameters, ties)
    chosen = [p for p in parameters if (p.free or p.name in wished) and p.name not in fixed and p.name not in ties]
    if not chosen:
        raise FitError("No parameter is free, so there is nothing to fit; free one with --free NAME.")
    if idle := sorted(set(bounds) - {p.name for p in chosen}):
        raise FitError(f"{', '.join(idle)} has bounds but is not free; free it as well, or leave the bounds out.")
    rest = {p.name: float(fixed.get(p.name, p.value)) for p in parameters if p not in chosen and p.name not in ties}
    found = tuple(_bounded(p, bounds.get(p.name)) for p in chosen)
    return Choice(found, tuple(rest.items()), tuple(ties.items()), each, len(sets))


def _known(wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            alike = {one.lower(): one for one in known}
            close = difflib.get_close_matches(name.lower(), alike, n=1)
            hint = f" Did you mean {alike[close[0]]!r}?" if close else ""
            raise FitError(f"No parameter is called {name!r}.{hint} There are {', '.join(known)}.")


def _refuse_mixed_units(parameters: Sequence[Parameter], ties: Mapping[str, str]) -> None:
    """Refuses a tie between energies of different units, since it is of numbers as they are quoted."""
    units = {p.name.partition("[")[0]: p.unit for p in parameters}
    for name, expression in ties.items():
        own = units[name.partition("[")[0]]
        for other in sorted(names(expression)):
            if {own, units[other]} <= set(ENERGIES) and own != units[other]:
                raise FitError(
                    f"{name} is in {own} and cannot be {expression!r} with {other} in {units[other]}: a tie is between "
                    "numbers as they are quoted. Give both the same unit in [parameters]."
                )


def _numbered(parameter: Parameter, sets: int) -> list[Parameter]:
    """One parameter for each data set."""
    label = parameter.label or parameter.name
    return [
        dataclasses.replace(
            parameter, name=f"{parameter.name}[{n}]", label=f"{label}_{{{n}}}" if parameter.label else ""
        )
        for n in range(1, sets + 1)
    ]


def _spread(wish: Mapping[str, Any], each: Sequence[str], sets: Sequence[str]) -> dict[str, Any]:
    """The same wishes by the names of this fit: NAME means all of NAME[n], and data sets may be named."""
    found: dict[str, Any] = {}
    for name, value in wish.items():
        base, _, rest = name.partition("[")
        if base not in each:
            found[name] = value
        elif not rest:
            found = {f"{base}[{n}]": value for n in range(1, len(sets) + 1)} | found
        else:
            inside = rest.removesuffix("]")
            found[f"{base}[{sets.index(inside) + 1}]" if inside in sets else name] = value
    return found


def _bounded(parameter: Parameter, bounds: tuple[float, float] | None) -> Parameter:
    low, high = bounds or (parameter.min, parameter.max)
    if not -np.inf < low < high < np.inf:
        raise FitError(
            f"The bounds of {parameter.name} are {low:g} and {high:g}; both must be finite, the first the lower."
        )
    if low < 0 and parameter.name.partition("[")[0] in (p.name for p in BUILT_IN):
        raise FitError(f"{parameter.name} is a width, so that its lower bound cannot be {low:g}; give 0 or more.")
    return dataclasses.replace(
        parameter, min=float(low), max=float(high), value=float(np.clip(parameter.value, low, high))
    )


def within_limits(choice: Choice, forwards: Sequence[Forward]) -> Choice:
    """The choice with bounds no wider than what the Forwards can answer.

    Raises:
        FitError: the bounds of a parameter lie wholly beyond.
    """
    found = []
    for p in choice.free:
        low, high = limits_of(p.name, forwards)
        if not max(low, p.min) < min(high, p.max):
            raise FitError(
                f"{p.name} is to lie in {p.min:g} … {p.max:g} {p.unit}, but this surrogate learnt {low:g} … {high:g}. "
                "Change the bounds, use the exact simulator, or train a surrogate over a larger box."
            )
        found.append(_bounded(p, (max(low, p.min), min(high, p.max))))
    return dataclasses.replace(choice, free=tuple(found))


def limits_of(name: str, forwards: Sequence[Forward]) -> tuple[float, float]:
    """Between which values of a parameter all Forwards have answers; infinite where there is no limit."""
    spans = [s for one in forwards if (s := one.limits.get(name.partition("[")[0])) is not None]
    return max((low for low, _ in spans), default=-np.inf), min((high for _, high in spans), default=np.inf)


def merged(forwards: Sequence[Forward]) -> tuple[Parameter, ...]:
    """The parameters of several Forwards, those of one name as one, with the first's default and the common bounds.

    Raises:
        FitError: a shared parameter has different units, or bounds that exclude each other.
    """
    found: dict[str, Parameter] = {}
    for forward in forwards:
        for p in forward.parameters:
            if (known := found.setdefault(p.name, p)) == p:
                continue
            low, high = max(known.min, p.min), min(known.max, p.max)
            if known.unit != p.unit or not low < high:
                raise FitError(
                    f"{p.name} is {known.min:g} … {known.max:g} {known.unit} in one Forward and {p.min:g} … {p.max:g} "
                    f"{p.unit} in another, so it cannot be shared; rename one of them."
                )
            value = float(np.clip(known.value, low, high))
            found[p.name] = dataclasses.replace(known, min=low, max=high, value=value, free=known.free or p.free)
    return tuple(found.values())
