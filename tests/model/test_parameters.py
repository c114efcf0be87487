"""Expressions of parameters."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from insiren.errors import ModelError
from insiren.model.parameters import evaluate, is_name, names

VALUES = {"J": 29.0, "D": -0.5}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (2.0, 2),
        ("3", 3),
        ("J - D/2", 29.25),
        ("-J**2", -841.0),
        ("2*(J + 1)", 60.0),
        ("cos(pi/3)*J", 14.5),
        (" sqrt(J*J) ", 29.0),
        ("abs(D)", 0.5),
    ],
)
def test_expressions_are_arithmetic_of_the_values(expression: float | str, value: float):
    np.testing.assert_allclose(evaluate(expression, VALUES), value, rtol=1e-12)


def test_names_are_those_of_parameters_alone():
    assert names("sqrt(J) + pi*D - 2") == {"J", "D"} and names(3.0) == set()


def test_an_expression_has_a_derivative():
    np.testing.assert_allclose(jax.grad(lambda J: evaluate("J**2 + sin(J)", {"J": J}))(0.3), 0.6 + np.cos(0.3))


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os')",
        "().__class__.__bases__",
        "[x for x in (1,)]",
        "lambda: 1",
        "J if J else D",
        "J < D",
        "True",
        "'J'",
        "1j",
        "J[0]",
        "sqrt(J, D)",
        "sqrt(x=J)",
        "open(J)",
        "J; D",
        "(" * 240 + "J" + ")" * 240,
        "-" * 499 + "J" + "+",
        "9**9**9**9",
        "1/0",
        "",
        "\x00",
    ],
)
def test_anything_but_arithmetic_is_refused(attack: str):
    with pytest.raises(ModelError):
        evaluate(attack, VALUES)


@pytest.mark.parametrize(
    ("text", "usable"), [("J1", True), ("J_p", True), ("1J", False), ("sqrt", False), ("if", False)]
)
def test_a_parameter_needs_a_name_that_an_expression_can_hold(text: str, usable: bool):
    assert is_name(text) is usable


def test_a_function_of_numbers_is_a_number_while_something_else_is_traced():
    def traced(x: jax.Array) -> jax.Array:
        assert not isinstance(evaluate("-sqrt(J*J)", {"J": 2.0}), jax.Array)
        return x * evaluate("exp(D)", {"D": 0.0}) * evaluate("sqrt(x)", {"x": x})

    assert float(jax.jit(traced)(4.0)) == 8.0
