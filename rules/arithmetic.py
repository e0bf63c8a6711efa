"""Arithmetic of parameters in a rule, such as `max(param:floor, param:usual * 1.5)`; no code is run.

Allowed are numbers, `param:NAME`, + - * /, brackets, min, max and abs.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

_PARAM = re.compile(r"param:([a-z][a-z0-9_]*)")
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: Mapping[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}
_LONGEST = 200
_DEEPEST = 20


def is_expression(operand: object) -> bool:
    """Whether an operand is arithmetic: it names a parameter and says more than that."""
    return isinstance(operand, str) and "param:" in operand and _PARAM.fullmatch(operand) is None


def names(text: str) -> tuple[str, ...]:
    """The parameters that an operand names, in order."""
    return tuple(dict.fromkeys(_PARAM.findall(text)))


def parse(text: str) -> ast.expr:
    """The expression's tree; ValueError says what is not allowed in it."""
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r} ...: arithmetic is at most {_LONGEST} letters long")
    try:
        tree = ast.parse(_PARAM.sub(r"\1", text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no arithmetic") from error
    _allow(tree, text, 0)
    return tree


def evaluate(text: str, params: Mapping[str, float]) -> float:
    """The number; ValueError for a form that is not allowed or no number, KeyError for an unknown name."""
    try:
        number = _value(parse(text), params)
    except (ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{text!r} has no value: {error}") from error
    if not math.isfinite(number):
        raise ValueError(f"{text!r} has no finite value")
    return number


def _allow(node: ast.expr, text: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"{text!r} is nested too deep")
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float()) | ast.Name():
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            _allow(inner, text, depth + 1)
            return
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _allow(left, text, depth + 1)
            _allow(right, text, depth + 1)
            return
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as parts, keywords=[]) if name in _CALLS:
            if (name == "abs") != (len(parts) == 1):
                raise ValueError(f"{text!r}: abs takes one value, min and max several")
            for part in parts:
                _allow(part, text, depth + 1)
            return
    raise ValueError(f"{text!r}: allowed are numbers, param:NAME, + - * /, min, max and abs")


def _value(node: ast.expr, params: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return params[name]
        case ast.UnaryOp(op=op, operand=inner):
            number = _value(inner, params)
            return -number if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, params), _value(right, params))
        case ast.Call(func=ast.Name(id=name), args=parts):
            return float(_CALLS[name](*(_value(part, params) for part in parts)))
    raise ValueError("not allowed")
