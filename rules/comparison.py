"""Comparing a value with a threshold, with hysteresis; compiled once per leaf."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from drivers.reading import Value
from rules import arithmetic
from rules.tree import Operand, Scalar, param_name

Compare = Callable[[Any, bool], bool]
"""(value, held) -> truth, where `held` is the truth before: while it is true, `clear` is the threshold."""

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def resolve(operand: Operand | None, params: Mapping[str, float]) -> Operand | None:
    """The operand with its parameters filled in and its arithmetic done; one that names baselines or
    points stays as it is. KeyError for an unknown parameter, ValueError where it gives no number."""
    if operand is None:
        return None
    if isinstance(operand, tuple):
        return tuple(_scalar(part, params) for part in operand)
    return _scalar(operand, params)


def _scalar(operand: Scalar, params: Mapping[str, float]) -> Scalar:
    if arithmetic.references(operand):
        return operand
    if isinstance(operand, str) and arithmetic.is_expression(operand):
        return arithmetic.evaluate(operand, params)
    name = param_name(operand)
    return operand if name is None else params[name]


def test_of(op: str) -> Callable[[Any, Any], bool]:
    """The bare test of an operator that compares with one value."""
    return _ORDER.get(op) or (operator.eq if op == "eq" else operator.ne)


def comparison(op: str, val: Operand, clear: Operand | None) -> Compare:
    """The comparison `value op val`; once true it holds as long as `value op clear` does."""
    if op in _ORDER:
        test = _ORDER[op]
        if clear is None:
            return lambda value, _: test(value, val)
        return lambda value, held: test(value, clear if held else val)
    if op == "between" and isinstance(val, tuple):
        return _between(val, clear if isinstance(clear, tuple) else val)
    if op == "in" and isinstance(val, tuple):
        members = frozenset(val)
        return lambda value, _: value in members
    if op == "eq":
        return lambda value, _: bool(value == val)
    return lambda value, _: bool(value != val)


def _between(val: tuple[Value, ...], clear: tuple[Value, ...]) -> Compare:
    def compare(value: Any, held: bool) -> bool:
        low, high = clear if held else val
        return bool(low <= value <= high)

    return compare
