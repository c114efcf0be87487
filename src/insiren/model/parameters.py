"""Named parameters, and expressions of them in model files and ties."""

from __future__ import annotations

import ast
import keyword
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from insiren.errors import ModelError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS = ("sqrt", "sin", "cos", "tan", "exp", "log", "abs")
_CONSTANTS = {"pi": math.pi}
_LONGEST = 500  # characters; a longer expression is a mistake, and nesting it could exhaust the stack


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ModelError(f"The expression {text[:40]!r}… has {len(text)} characters; {_LONGEST} is the limit.")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{text!r} is not an expression of parameter names and numbers ({error}).") from error


def _walk(node: ast.expr, values: Mapping[str, Any], text: str) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)  # whole numbers could grow without bound
        case ast.Name(id=name):
            if name in values:
                return values[name]
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            raise ModelError(
                f"{text!r} uses {name!r}, which is not among the parameters {', '.join(values) or '(none)'}."
            )
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_walk(left, values, text), _walk(right, values, text))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_walk(operand, values, text))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _called(name, _walk(argument, values, text))
    allowed = ", ".join(_FUNCTIONS)
    raise ModelError(f"{text!r} may hold only names, numbers, + - * / ** and the functions {allowed}.")


def _called(name: str, value: Any) -> Any:
    """A function of a plain number is one, while another is traced by JAX too, so that models can be checked then."""
    if not isinstance(value, float):
        return getattr(jnp, name)(value)
    with np.errstate(all="ignore"):  # the root of -1 is NaN, which who asked looks for
        return float(getattr(np, name)(value))


def is_name(text: str) -> bool:
    """Whether an expression can refer to a parameter of this name."""
    return text.isidentifier() and not keyword.iskeyword(text) and text not in (*_FUNCTIONS, *_CONSTANTS)


def names(expression: float | str) -> set[str]:
    """The parameter names that a number or an expression uses."""
    if not isinstance(expression, str):
        return set()
    found = {node.id for node in ast.walk(_parse(expression)) if isinstance(node, ast.Name)}
    return found - set(_FUNCTIONS) - set(_CONSTANTS)


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
