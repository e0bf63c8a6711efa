"""Line protocol -> points: the strict inverse of `line_protocol`, for the stand-in and tests.

It takes what every InfluxDB takes, and refuses what some of them repair in silence
(several blanks, a missing timestamp, a key given twice).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FieldValue = float | bool | str | int
_MEASUREMENT = re.compile(r"((?:\\[, ]|[^, \n])++)")
_NAME = re.compile(r"((?:\\[,= ]|[^,= \n])++)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?=[, \n]|\Z)")
_INTEGER = re.compile(r"(-?\d+)[iu](?=[, \n]|\Z)")
_BOOL = re.compile(r"(?:(t|T|true|True|TRUE)|f|F|false|False|FALSE)(?=[, \n]|\Z)")
_TEXT = re.compile(r'"((?:\\["\\]|[^"])*+)"(?=[, \n]|\Z)')
_TIME = re.compile(r" (-?\d{1,19})(?=\n|\Z)")
_MEASUREMENT_ESCAPE = re.compile(r"\\([, ])")
_NAME_ESCAPE = re.compile(r"\\([,= ])")
_TEXT_ESCAPE = re.compile(r'\\(["\\])')
_EMPTY = re.compile(r"(?:[ \t]*|#[^\n]*)(?:\n|\Z)")


class Point(NamedTuple):
    """One parsed line; `at` in the precision of the write, `line` counted from 1."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, FieldValue]
    at: int
    line: int


class LineFault(ValueError):
    """The first line that is not line protocol, counted from 1, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def parse_lines(body: bytes) -> list[Point]:
    """All points of a write; LineFault at the first fault, LineFault(0) when not UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise LineFault(0, "not UTF-8") from error
    return list(_points(text))


def _points(text: str) -> Iterator[Point]:
    position = 0
    line = 1
    while position < len(text):
        empty = _EMPTY.match(text, position)
        if empty is not None and (empty.end() > position):
            position, line = empty.end(), line + 1
            continue
        point, end = _Scanner(text, position, line).point()
        yield point
        line += text.count("\n", position, end) + 1  # texts may hold newlines
        position = end + 1


class _Scanner:
    """Reads one line from `position` on."""

    def __init__(self, text: str, position: int, line: int) -> None:
        self._text = text
        self._position = position
        self._line = line

    def point(self) -> tuple[Point, int]:
        measurement = _MEASUREMENT_ESCAPE.sub(r"\1", self._take(_MEASUREMENT, "no measurement"))
        tags: dict[str, str] = {}
        while self._skip(","):
            key = self._key(tags)
            tags[key] = self._name("empty tag value")
        if not self._skip(" "):
            raise self._fault("expected a blank before the fields")
        fields: dict[str, FieldValue] = {}
        while not fields or self._skip(","):
            key = self._key(fields)
            fields[key] = self._value()
        at = int(self._take(_TIME, "expected one blank, a timestamp and the end of the line"))
        return Point(measurement, tags, fields, at, self._line), self._position

    def _key(self, known: dict[str, str] | dict[str, FieldValue]) -> str:
        key = self._name("empty key")
        if key in known:
            raise self._fault(f"{key} is given twice")
        if not self._skip("="):
            raise self._fault(f"expected = behind {key}")
        return key

    def _name(self, otherwise: str) -> str:
        return _NAME_ESCAPE.sub(r"\1", self._take(_NAME, otherwise))

    def _value(self) -> FieldValue:
        match = _NUMBER.match(self._text, self._position)
        if match:
            self._position = match.end()
            return float(match[0])
        match = _TEXT.match(self._text, self._position)
        if match:
            self._position = match.end()
            return _TEXT_ESCAPE.sub(r"\1", match[1])
        match = _BOOL.match(self._text, self._position)
        if match:
            self._position = match.end()
            return match[1] is not None
        return int(self._take(_INTEGER, "invalid field value"))

    def _take(self, pattern: re.Pattern[str], otherwise: str) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise self._fault(otherwise)
        self._position = match.end()
        return match[1]

    def _skip(self, character: str) -> bool:
        if not self._text.startswith(character, self._position):
            return False
        self._position += 1
        return True

    def _fault(self, reason: str) -> LineFault:
        return LineFault(self._line, reason)
