"""MQTT payloads: bytes to values; pure, and safe against whatever a broker lets through.

Limits (OWASP API4, and what field devices need): JSON of 32 levels, texts of 4 kB, numbers of
40 digits and finite, every key once, valid UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any, NoReturn, TypeGuard

import msgspec

from drivers.errors import BadPayload
from drivers.mqtt.profile import MqttPoint
from drivers.reading import Millis, Value
from drivers.vocabulary import PointSpec

MAX_DEPTH = 32
MAX_TEXT = 4096
MAX_DIGITS = 40

_LARGE = 10 ** (MAX_DIGITS - 1)
_NO_VALUE = frozenset({"", "nan", "null", "unavailable", "unknown"})
_SWITCH = {
    "on": True,
    "true": True,
    "1": True,
    "yes": True,
    "off": False,
    "false": False,
    "0": False,
    "no": False,
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_AVAILABLE = {
    "online": True, "true": True, "1": True, "connected": True,
    "offline": False, "false": False, "0": False, "disconnected": False,
}  # fmt: skip


class Gap(Enum):
    """Why a payload says nothing about a point."""

    ABSENT = "absent"  # the key is not there: unchanged
    NO_VALUE = "no_value"  # the device says that it has none


Json = Any
"""What JSON can hold: None, bool, int, float, str, list, dict."""

Pick = Callable[[Json], Json | Gap]
"""Finds a value in a parsed payload."""


def parse(payload: bytes, max_bytes: int) -> Json:
    """A payload as JSON when it begins like JSON, else as plain text; BadPayload with its reason."""
    if len(payload) > max_bytes:
        _refuse("oversized", f"{len(payload)} bytes")
    if payload[:1] == b"{" and len(payload) <= MAX_TEXT:
        value = _plain_object(payload)
        if value is not None:
            return value
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError as error:
        raise BadPayload(str(error), reason="bad_utf8") from error
    if text[:1] not in ("{", "["):
        if len(text) > MAX_TEXT:
            _refuse("long_text", f"{len(text)} characters")
        return text
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise BadPayload("nested without end", reason="too_deep") from error
    except json.JSONDecodeError as error:
        raise BadPayload(str(error), reason="bad_json") from error
    suspicious = len(text) > MAX_TEXT or "\\u" in text or text.count("{") + text.count("[") > MAX_DEPTH
    if suspicious:
        _inspect(value)
    return value


def _plain_object(payload: bytes) -> Json:
    """What most devices send, an object of plain members, the quick way; None for whatever needs a
    closer look: a nested, escaped, doubtful or broken one."""
    if payload.count(b"{") > 1 or b"\\" in payload or b"[" in payload:
        return None
    try:
        value: dict[str, Json] = _quick(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # A colon more than keys: a key stands there twice, or a text holds one.
    return value if payload.count(b":") == len(value) and _LONG.search(payload) is None else None


_quick = msgspec.json.Decoder(dict[str, Any]).decode
_LONG = re.compile(rb"[-\d]{%d}" % (MAX_DIGITS + 1))


def _member(name: str) -> Pick:
    """A function that follows a pointer of one step, into an object."""

    def pick(value: Json) -> Json | Gap:
        return value.get(name, Gap.ABSENT) if isinstance(value, dict) else Gap.ABSENT

    return pick


def compile_pointer(pointer: str) -> Pick:
    """A function that follows an RFC 6901 pointer."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    if not steps:
        return lambda value: value
    if len(steps) == 1 and not steps[0].isdecimal():
        return _member(steps[0])

    def pick(value: Json) -> Json | Gap:
        for step in steps:
            if isinstance(value, dict):
                if step not in value:
                    return Gap.ABSENT
                value = value[step]
            elif isinstance(value, list):
                if not (step.isascii() and step.isdecimal() and len(step) < 6 and int(step) < len(value)):
                    return Gap.ABSENT
                value = value[int(step)]
            else:
                return Gap.ABSENT
        return value

    return pick


def raw_value(found: Json | Gap, point: MqttPoint, spec: PointSpec) -> Value | Gap:
    """What the payload says about a point, before scale and range; BadPayload when it is of no use.

    Numbers may come as text, switches as words; `map` goes first.
    """
    if found is None:
        return Gap.NO_VALUE
    if point.map is None and spec.type == "number" and _is_number(found):
        return float(found)
    if isinstance(found, Gap):
        return found
    if isinstance(found, dict | list):
        _refuse("not_a_value", f"an object or list where {spec.type} was expected")
    text = found if isinstance(found, str) else json.dumps(found)
    if point.map is not None and text in point.map:
        return point.map[text]
    if text.strip().lower() in _NO_VALUE:
        return Gap.NO_VALUE
    if point.map is not None:
        _refuse("unmapped", text[:80])
    if spec.type == "text":
        return text
    if spec.type == "switch":
        return _switch(text)
    return _number(text)


def _is_number(found: Json | Gap) -> TypeGuard[float]:
    """Whether it is a number of no more digits than a text may have; not a switch's true."""
    return type(found) is float or (type(found) is int and -_LARGE < found < _LARGE)


def available(value: Json) -> bool | None:
    """What a last-will payload says: online or not; None when it says neither."""
    if isinstance(value, dict):
        value = value.get("state")
    return _AVAILABLE.get(value.lower()) if isinstance(value, str) else None


def instant(found: Json | Gap) -> Millis | None:
    """A device's own time in epoch ms: ISO 8601 with a zone, or seconds or ms since the epoch.

    None for anything else; a time without a zone is a local guess.
    """
    if isinstance(found, str):
        try:
            moment = datetime.fromisoformat(found)
        except ValueError:
            return None
        return None if moment.tzinfo is None else math.floor(moment.timestamp() * 1000)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return math.floor(found if found > 1e11 else found * 1000)


def _switch(text: str) -> bool:
    word = _SWITCH.get(text.strip().lower())
    if word is None:
        _refuse("not_a_switch", text[:80])
    return word


def _number(text: str) -> float:
    text = text.strip()
    if len(text) > MAX_DIGITS or not _NUMBER.fullmatch(text):
        _refuse("not_a_number", text[:80])
    number = float(text)
    if not math.isfinite(number):
        _refuse("not_a_number", text[:80])
    return number


def _refuse(reason: str, detail: str) -> NoReturn:
    raise BadPayload(f"{reason}: {detail}", reason=reason)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        _refuse("long_number", f"{len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    number = float(text) if len(text) <= 10 * MAX_DIGITS else math.inf
    if not math.isfinite(number):
        _refuse("not_finite", text[:80])
    return number


def _constant(text: str) -> NoReturn:
    _refuse("not_finite", text)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        _refuse("duplicate_key", f"{len(pairs) - len(result)} keys twice")
    return result


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_float, parse_constant=_constant, object_pairs_hook=_object
)


def _inspect(root: Json) -> None:
    """The slow look at depth and texts, for payloads that could break a limit."""
    level, depth = [root], 0
    while level:
        depth += 1
        deeper: list[Json] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str):
                _inspect_text(value)
        level = deeper
        if depth > MAX_DEPTH + 1:
            _refuse("too_deep", f"more than {MAX_DEPTH} levels")


def _inspect_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        _refuse("long_text", f"{len(text)} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadPayload(str(error), reason="lone_surrogate") from error
