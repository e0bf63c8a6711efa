"""What the protocols of a simulated RS-485 line have in common: who heard a request, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from drivers.reading import Value
from drivers.simulated.device import VirtualDevice


class Answered(NamedTuple):
    """A frame, and the values that stand in it as a master will read them."""

    frame: bytes
    values: Mapping[str, Value | None]


class Station(NamedTuple):
    """A device that a request is addressed to; `answer` gives None where it stays silent."""

    device: VirtualDevice
    answer: Callable[[], Answered | None]


class Request(NamedTuple):
    """A whole request as it came, and those who heard it (often one, none for an echo)."""

    raw: bytes
    stations: Sequence[Station]


def take_frame(buffer: bytearray, start: int, end_of: Callable[[bytes, int], int]) -> bytes | None:
    """Takes the first frame that `end_of` finds sound, and what is before it, out of the buffer."""
    data = bytes(buffer)
    at = data.find(start)
    while at >= 0:
        end = end_of(data, at)
        if end > 0:
            del buffer[:end]
            return data[at:end]
        at = data.find(start, at + 1)
    return None


class Ear(Protocol):
    """All devices of one protocol on a line."""

    def take(self, buffer: bytearray) -> Request | None:
        """Takes the first whole request, and the noise before it, out of the buffer.

        None when there is none; the buffer is then untouched.
        """
        ...
