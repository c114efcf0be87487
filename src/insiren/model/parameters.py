"""Named parameters, and expressions of them in model files and ties."""

from __future__ import annotations

import ast
import difflib
import keyword
import math
import operator
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from insiren.errors import ModelError
from insiren.forward import Parameter
from insiren.model.tables import Number, ParameterTable
from insiren.model.units import UNITS_OF, Use, factor

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS = ("sqrt", "sin", "cos", "tan", "exp", "log", "abs")  # as NumPy and JAX call them
_CONSTANTS = {"pi": math.pi}
_WORDS = (*_CONSTANTS, *_FUNCTIONS)  # names that mean something in every expression
BUILT_IN = (  # of the instrument; a file may give them other values, but no other meaning
    Parameter("width", 1.0, 0.3, 3.0, "", False, "width"),
    Parameter("q_fwhm", 0.0, 0.0, 0.2, "r.l.u.", False, r"q_{\mathrm{fwhm}}"),
)
_MEANING = {
    "width": "the factor on the energy resolution, a number above 0",
    "q_fwhm": "the FWHM of the Q broadening in r.l.u., 0 or more",
}
TAKEN = (*_MEANING, *_WORDS)
_KINDS: dict[Use, str] = {
    "energy": "an energy", "field": "a field", "temperature": "a temperature", "number": "a pure number"
}  # fmt: skip
_OTHERWISE = f"Call yours something else; these names are taken: {', '.join(TAKEN)}"
_LONGEST = 500  # characters; a longer expression is a mistake, and nesting it could exhaust the stack


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ModelError(f"The expression {text[:40]!r}… has {len(text)} characters; {_LONGEST} is the limit.")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{text!r} is not an expression of parameter names and numbers such as 'J1 - D/2'.") from error


def _walk(node: ast.expr, values: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)  # whole numbers could grow without bound
        case ast.Name(id=name):
            if name in values:
                return values[name]
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            close = difflib.get_close_matches(name, values, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ModelError(
                f"{text!r} uses {name!r}, which is not among the parameters {', '.join(values) or '(none)'}.{hint}"
            )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_walk(left, values, text), _walk(right, values, text))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_walk(operand, values, text))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _applied(name, _walk(argument, values, text))
    allowed = ", ".join(_FUNCTIONS)
    raise ModelError(f"{text!r} may hold only names, numbers, + - * / ** and the functions {allowed}.")


def _applied(function: str, x: Any) -> Any:
    """A function of a number; one that JAX does not follow stays a number, also while JAX traces something else."""
    if isinstance(x, jax.Array):
        return getattr(jnp, function)(x)
    with np.errstate(all="ignore"):  # what is no number is refused by those who use it
        return getattr(np, function)(x)


def is_name(text: str) -> bool:
    """Whether an expression can refer to a parameter of this name."""
    plain = unicodedata.normalize("NFKC", text) == text  # as Python reads a name: the micro sign becomes a Greek mu
    return plain and text.isidentifier() and not keyword.iskeyword(text) and text not in _WORDS


def names(expression: float | str) -> set[str]:
    """The parameter names that a number or an expression uses."""
    if not isinstance(expression, str):
        return set()
    found = {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name)}
    return found - set(_WORDS)


def evaluate(expression: float | str, values: Mapping[str, Any]) -> Any:
    """The value of a number or an expression such as `"J1 - D/2"`; traceable by JAX.

    Args:
        expression: a number, or arithmetic on parameter names.
        values: the parameters by name.

    Raises:
        ModelError: an unknown name, or anything but arithmetic.
    """
    if not isinstance(expression, str):
        return expression
    try:
        return _walk(_parse(expression), values, expression)
    except (ArithmeticError, RecursionError) as error:
        raise ModelError(f"{expression[:40]!r} has no value: {error}.") from None


class Place(NamedTuple):
    """Where a model file has a number or an expression, such as "bond.0.exchange", and what it is there."""

    where: str
    use: Use
    expression: Number


def check_names(tables: Mapping[str, ParameterTable], places: Sequence[Place]) -> None:
    """Refuses names that expressions cannot hold, and those of the instrument where they mean something else.

    Raises:
        ValueError: names the parameter and what is taken, or the place of an expression that cannot be read.
    """
    for name in tables:
        if not is_name(name):
            what = "means something in every expression" if name in _WORDS else "is no name of letters, digits and _"
            raise ValueError(f"parameters.{name}: {name!r} {what}. {_OTHERWISE}")
    for place in places:
        try:
            used = sorted(names(place.expression) & set(_MEANING))
        except ModelError as error:
            raise ValueError(f"{place.where}: {error}") from None
        if used:
            raise ValueError(
                f"{place.where} uses {used[0]!r}, which is already {_MEANING[used[0]]}, so that one number would stand "
                f"for both. {_OTHERWISE}"
            )
    for p in BUILT_IN:
        table = tables.get(p.name)
        if table is None:
            continue
        if table.min < 0 or (p.name == "width" and table.value <= 0):
            raise ValueError(
                f"parameters.{p.name} is {_MEANING[p.name]}, but here it is {table.value:g} in {table.min:g} … "
                f"{table.max:g}. {_OTHERWISE}"
            )
        if table.unit not in (None, p.unit):
            raise ValueError(f"parameters.{p.name} is {_MEANING[p.name]}; leave out its unit {table.unit!r}")


def check_units(tables: Mapping[str, ParameterTable], places: Sequence[Place]) -> None:
    """Refuses a parameter that stands alone where its unit has no place, such as one in T as an exchange.

    Raises:
        ValueError: names the place, the unit, and those that fit.
    """
    for place in places:
        alone = str(place.expression).strip().lstrip("+-").strip()
        unit = tables[alone].unit if alone in tables else None
        fitting = UNITS_OF[place.use]
        if unit not in (None, "", *fitting):
            known = ", ".join(f'"{one}"' for one in fitting)
            raise ValueError(
                f"{place.where} is {_KINDS[place.use]}, but parameters.{alone} has the unit {unit!r}; it can be {known}"
            )


def declared(tables: Mapping[str, ParameterTable], places: Sequence[Place]) -> tuple[Parameter, ...]:
    """The parameters of a model file with the units they are quoted in, then the instrument's unless declared."""
    default = {"energy": "meV", "field": "T", "temperature": "K", "number": ""}
    used = [(place.use, names(place.expression)) for place in places]
    units = {p.name: p.unit for p in BUILT_IN}
    for name in tables:
        uses = [use for use, found in used if name in found]
        units.setdefault(name, default["energy" if not uses or "energy" in uses else uses[0]])
    found = tuple(
        Parameter(name, p.value, p.min, p.max, units[name] if p.unit is None else p.unit, p.free, p.label or name)
        for name, p in tables.items()
    )
    return found + tuple(p for p in BUILT_IN if p.name not in tables)


def scales(parameters: Sequence[Parameter], use: Use) -> dict[str, float]:
    """What takes the values of parameters from their units to those of this use, by name; without factors of 1."""
    found = {p.name: factor(p.unit, use) for p in parameters}
    return {name: scale for name, scale in found.items() if scale != 1}
