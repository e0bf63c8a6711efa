"""What a search on a line looks for and what it sees."""

from __future__ import annotations

from typing import NamedTuple

from drivers.line.settings import Framing


class Wire(NamedTuple):
    """Speed and framing of a serial line."""

    baudrate: int
    framing: Framing

    def __str__(self) -> str:
        return f"{self.baudrate} {self.framing}"


def wire_of(text: str) -> Wire:
    """`9600 8N1` as a wire; ValueError for anything else."""
    baudrate, _, framing = text.partition(" ")
    return Wire(int(baudrate), Framing(framing))


class Suggestion(NamedTuple):
    """A profile that fits what a device answers; `score` is 1 when all its points are plausible."""

    profile: str
    score: float


class Sighting(NamedTuple):
    """A device that answered. `wire` is None where the medium has none to choose.

    `conflict`: more than one device answers to this address, so that none can be read.
    `meter_type` is the CJ/T 188 type byte, empty for other protocols. `known` is the
    configured device with this address, empty when there is none.
    """

    protocol: str
    address: str
    wire: Wire | None
    frame: bytes
    conflict: bool = False
    meter_type: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    known: str = ""
