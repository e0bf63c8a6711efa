"""Lines of text to values; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivers.reading import Value
from drivers.text.pattern import LONGEST_LINE
from drivers.text.profile import TextPoint, TextProfile
from drivers.vocabulary import PointSpec

_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,12})?|\.\d{1,12})([eE][+-]?\d{1,2})?", re.ASCII)
_SWITCH = {"1": True, "on": True, "true": True, "0": False, "off": False, "false": False}


def match(profile: TextProfile, line: bytes) -> Mapping[str, str | None] | None:
    """The named groups of a line without its terminator; None for a line of another form."""
    try:
        text = line.decode(profile.encoding).strip(" \t\r\n\0")
    except UnicodeDecodeError:
        return None
    if len(text) > LONGEST_LINE:
        return None
    found = profile.compiled.fullmatch(text)
    return None if found is None else found.groupdict()


def raw_value(text: str | None, point: TextPoint, spec: PointSpec) -> Value | None:
    """What a group says, before scale and range; None for no value, ValueError for what is none."""
    text = (text or "").strip()
    if not text:
        return None
    if point.map is not None:
        if text not in point.map:
            raise ValueError("unmapped")
        return point.map[text]
    if spec.type == "text":
        return text
    if spec.type == "switch":
        if text.lower() not in _SWITCH:
            raise ValueError("not_a_switch")
        return _SWITCH[text.lower()]
    if not _NUMBER.fullmatch(text):
        raise ValueError("not_a_number")
    return float(text)
