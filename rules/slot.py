"""Windows around the slots of a plan, such as the rounds of a patrol, as rules write them."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from drivers.reading import Millis
from drivers.settings import millis, parse_duration

_EDGE = re.compile(r"slot\.(start|end)(?:([+-])([0-9].*))?")
_FARTHEST: Millis = 12 * 3_600_000


class Span(NamedTuple):
    """How far a window reaches beyond a slot's start and its end, in ms; negative is earlier."""

    start: Millis
    end: Millis


def span_of(text: str) -> Span:
    """`slot.start-5m..slot.end+10m` -> Span(-300000, 600000); ValueError for anything else."""
    first, dots, last = text.replace(" ", "").partition("..")
    if not dots:
        raise ValueError(f"{text!r}: a window looks like slot.start..slot.end+10m")
    return Span(_offset(first, "start"), _offset(last, "end"))


def _offset(text: str, name: str) -> Millis:
    match = _EDGE.fullmatch(text)
    if match is None or match[1] != name:
        raise ValueError(f"{text!r}: expected slot.{name}, with + or - and a duration where it needs one")
    offset = 0 if match[3] is None else millis(parse_duration(match[3]))
    if offset > _FARTHEST:
        raise ValueError(f"{text!r}: a window reaches at most 12h beyond its slot")
    return -offset if match[2] == "-" else offset


def _readable(text: str) -> str:
    span_of(text)
    return text


SlotWindow = Annotated[
    str, AfterValidator(_readable), Field(description="around a slot: slot.start..slot.end+10m")
]
