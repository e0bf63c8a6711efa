"""Entry -> one line of InfluxDB line protocol; pure.

    measurement,tag=value,tag=value field=1.0,other=true,text="..." 1764547200000

Tags are sorted by key, numbers are always floats, the time is in milliseconds. Escapes:
`,` and blank in measurements; `,`, `=` and blank in keys and tag values; `"` and `\\` in
texts. Source: the line protocol reference of InfluxDB 2 and the parsers of 1.x and 3,
which differ in what `\\` before `\\` or a delimiter means outside of texts: such names, and
those with control characters, are refused rather than stored differently by version.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from cloud_sync.errors import NotALine
from cloud_sync.outbox import Entry
from drivers.reading import Value

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|\\(?=[\\,= ]|\Z)")
_MEASUREMENT = str.maketrans({",": "\\,", " ": "\\ "})
_KEY = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_TEXT = str.maketrans({'"': '\\"', "\\": "\\\\"})
_RESERVED = frozenset({"time", "_measurement", "_field"})  # dropped in silence or refused by the server
_LATEST = (2**63 - 1) // 1_000_000  # the server keeps nanoseconds in 64 bits


def format_entry(entry: Entry) -> bytes:
    """One line without its newline, UTF-8; NotALine when it cannot be one."""
    head = _series(entry.measurement, tuple(entry.tags.items()))
    if not entry.fields:
        raise NotALine("no field")
    body = ",".join([f"{_key(key)}={_value(key, value)}" for key, value in entry.fields.items()])
    if not -_LATEST <= entry.at <= _LATEST:
        raise NotALine(f"time {entry.at} is outside the range of the server")
    try:
        return f"{head} {body} {entry.at}".encode()
    except UnicodeEncodeError as error:
        raise NotALine("a text that is not valid Unicode") from error


def _checked(text: str) -> str:
    if not text:
        raise NotALine("empty name")
    if _UNSAFE.search(text):
        raise NotALine(f"{text!a} cannot be a name: control character, or a backslash before a delimiter")
    return text


@lru_cache(maxsize=8192)  # a school's devices: few and for ever the same
def _series(measurement: str, tags: tuple[tuple[str, str], ...]) -> str:
    head = _measurement(measurement)
    for key, value in sorted(tags):
        if value:  # an empty tag value is a syntax error; a missing tag means the same
            head += f",{_key(key)}={_checked(value).translate(_KEY)}"
    return head


def _measurement(text: str) -> str:
    if text.startswith("#"):
        raise NotALine("a measurement that starts with # would be read as a comment")
    return _checked(text).translate(_MEASUREMENT)


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    if text in _RESERVED:
        raise NotALine(f"{text} is a reserved name")
    return _checked(text).translate(_KEY)


def _value(key: str, value: Value) -> str:
    if value.__class__ is float and value - value == 0.0:  # finite: nearly all values come this way
        digits = repr(value)
        return digits.replace("e", ".0e") if "e" in digits and "." not in digits else digits
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return f'"{value.translate(_TEXT)}"'
    return _number(key, value)


def _number(key: str, value: float) -> str:
    try:
        number = float(value)
    except OverflowError as error:
        raise NotALine(f"{key} is too large for a float") from error
    if not math.isfinite(number):
        raise NotALine(f"{key} is {number}, not a finite number")
    digits = repr(number)
    if "e" in digits and "." not in digits:
        return digits.replace("e", ".0e")  # 3 Core reads a negative 1e+20 only with its point
    return digits
