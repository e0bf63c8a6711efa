"""Plain YAML scalars: what they mean, and which ones are refused.

The meaning is YAML 1.2 core. Whatever YAML 1.1 reads otherwise (`on`, `010`,
`12:30:00`, `1_000`) is an error, because addresses and times are exactly our data
and a reader of either version must see the same. One difference is settled instead:
an exponent without a decimal point (`8E1`, `24e124`) is text, as in YAML 1.1, because
that is how framings and hardware ids are written.
"""

from __future__ import annotations

import math
import re

CONTROL = re.compile(
    "[^\t\n\u0020-\u007e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""A character that no text of a configuration needs: controls, other line ends, halves of surrogates."""

Scalar = None | bool | int | float | str

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_OLD_SWITCH = frozenset({"on", "off", "yes", "no", "y", "n"})
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,16}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?)?")
_OTHER_BASE = re.compile(r"[-+]?0[bo][0-9_]+|[-+]0x[0-9a-fA-F_]+|0x[0-9a-fA-F_]*_[0-9a-fA-F_]*")
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_NUMBER = 40
"""Digits that a number may have; longer ones are identifiers that need quotes."""


def resolve(text: str) -> Scalar:
    """The value of a plain scalar; ValueError with the mend when it is refused."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text.lower() in _OLD_SWITCH:
        raise ValueError(
            f'plain {text} means different things to different readers: write "{text}", true or false'
        )
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> int | float | str:
    _refuse(text)
    if _INT.fullmatch(text):
        _bounded(text)
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        _bounded(text)
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f'{text} is beyond what a number can hold: quote it ("{text}") if it is text')
        return number
    return text


def _refuse(text: str) -> None:
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(
            f'{_short(text)} begins with zero, which some read as octal: quote it ("{_short(text)}") '
            "if it is text, or write the number without the zero"
        )
    if _SEXAGESIMAL.fullmatch(text):
        raise ValueError(f'{_short(text)} looks like a base-60 number: quote it ("{_short(text)}")')
    if _OTHER_BASE.fullmatch(text) or _GROUPED.fullmatch(text):
        raise ValueError(
            f'{_short(text)} is a number to some readers only: quote it ("{_short(text)}") if it is text, '
            "or write plain decimal digits"
        )
    if _NOT_A_NUMBER.fullmatch(text):
        raise ValueError(
            f'{text} is not a usable number: leave the key out, or quote it ("{text}") if it is text'
        )


def _bounded(text: str) -> None:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f'a number of {len(text)} digits: quote it ("{_short(text)}") if it is text')


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}..."
