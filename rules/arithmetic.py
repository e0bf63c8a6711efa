"""Arithmetic in a rule, such as `max(param:floor, baseline:mnf_p50_28d * 1.5)`; no code is run.

Allowed are numbers, `param:NAME`, `baseline:NAME`, `point:ROLE`, + - * /, brackets, min, max and abs.
Parameters are known when a rule is compiled, baselines and points only when it is judged.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

_PARAM = re.compile(r"param:([a-z][a-z0-9_]*)")
_REFERENCE = re.compile(r"(baseline|point):([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)")
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLS: Mapping[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}
_LONGEST = 200
_DEEPEST = 20


class Reference(NamedTuple):
    """What an operand takes from elsewhere each time it is judged: a baseline, or another role."""

    kind: Literal["baseline", "point"]
    name: str

    @property
    def key(self) -> str:
        """Its name in a parsed expression: no parameter's, those have small letters only."""
        return ("B_" if self.kind == "baseline" else "P_") + self.name.replace(".", "D")


def is_expression(operand: object) -> bool:
    """Whether an operand is arithmetic: it names a parameter and says more than that."""
    return isinstance(operand, str) and "param:" in operand and _PARAM.fullmatch(operand) is None


def references(operand: object) -> tuple[Reference, ...]:
    """The baselines and points that an operand names, in order; none for a plain value."""
    return tuple(dict.fromkeys(_found(operand))) if isinstance(operand, str) else ()


def _found(text: str) -> Iterator[Reference]:
    for kind, name in _REFERENCE.findall(text):
        yield Reference("baseline" if kind == "baseline" else "point", name)


def _plain(text: str) -> str:
    """The text with names that Python can parse."""
    mangled = _REFERENCE.sub(lambda m: Reference(m[1], m[2]).key, text)  # type: ignore[arg-type]  # the pattern's own words
    return _PARAM.sub(r"\1", mangled.strip())


def names(text: str) -> tuple[str, ...]:
    """The parameters that an operand names, in order."""
    return tuple(dict.fromkeys(_PARAM.findall(text)))


def parse(text: str) -> ast.expr:
    """The expression's tree; ValueError says what is not allowed in it."""
    if len(text) > _LONGEST:
        raise ValueError(f"{text[:40]!r} ...: arithmetic is at most {_LONGEST} letters long")
    try:
        tree = ast.parse(_plain(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no arithmetic") from error
    _allow(tree, text, 0)
    return tree


def evaluate(text: str, params: Mapping[str, float]) -> float:
    """The number; ValueError for a form that is not allowed or no number, KeyError for an unknown name."""
    return value_of(parse(text), text, params)


def value_of(tree: ast.expr, text: str, names: Mapping[str, float]) -> float:
    """The number of a parsed expression; `names` has parameters, and references by their key. Raises as
    `evaluate` does."""
    try:
        number = _value(tree, names)
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
    raise ValueError(
        f"{text!r}: allowed are numbers, param:NAME, baseline:NAME, point:ROLE, + - * /, min, max and abs"
    )


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
