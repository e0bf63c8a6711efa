"""Profiles of devices that print lines of text: one pattern with named groups."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from drivers.profile import PointMap, Profile
from drivers.settings import Settings
from drivers.text.pattern import compile_pattern
from drivers.vocabulary import PointName

ADDRESS = "{address}"
"""What stands for the device's address in a request."""


def _pattern(text: str) -> str:
    compile_pattern(text)
    return text


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.?))", re.DOTALL)
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


def _unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is not None:
            return chr(int(found[1], 16))
        if found[2] not in _ESCAPES:
            raise ValueError(r"only the escapes \r \n \t \\ and \xHH are taken")
        return _ESCAPES[found[2]]

    plain = _ESCAPE.sub(one, text)
    try:
        plain.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError("only characters up to U+00FF can be sent") from error
    return plain


class TextPoint(PointMap):
    """One point: the named group `group` of the pattern, by default the one of the point's name.

    `map` translates the text of the group (`OPEN`, `1`) before anything else. An empty
    or absent group is no value.
    """

    group: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    map: dict[str, float | bool | str] | None = None


class CapturedLine(Settings):
    """A line as a test of the profile; `request` is what it answers where the device is asked."""

    line: str
    request: str | None = None
    expect: dict[PointName, float | bool | str | None]
    source: str = ""


class TextProfile(Profile):
    """A device that prints one line a measurement, by itself or when `request` is sent.

    `pattern` must match a whole line, without the terminator and the white space around
    it. In `terminator` and `request` control characters are written `\\r \\n \\t \\x02`.
    `{address}` in `request` is the device's address.
    """

    family: Literal["text"]
    pattern: Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
    encoding: Literal["ascii", "latin-1", "utf-8", "gb18030"] = "ascii"
    terminator: Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_unescape)] = "\n"
    request: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_unescape)] | None = None
    points: Annotated[dict[PointName, TextPoint], Field(min_length=1)]
    exchanges: tuple[CapturedLine, ...] = ()

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        groups = compile_pattern(self.pattern).groupindex
        for name, point in self.points.items():
            if (point.group or name) not in groups:
                raise ValueError(f"the pattern has no group {point.group or name} for the point {name}")
        if self.encoding == "gb18030" and any(ord(c) >= 0x30 for c in self.terminator):
            raise ValueError("with gb18030 the terminator must be control characters or punctuation below 0")
        return self

    @property
    def speaks_first(self) -> bool:
        """True where nothing is sent."""
        return self.request is None

    @property
    def needs_address(self) -> bool:
        """True where the request holds the device's address."""
        return self.request is not None and ADDRESS in self.request

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern."""
        return compile_pattern(self.pattern)

    def point_names(self) -> tuple[str, ...]:
        """The points in the profile's order."""
        return tuple(self.points)
