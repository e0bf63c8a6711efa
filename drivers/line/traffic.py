"""The last bytes that passed over a line, with their times, for whoever looks into a fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from drivers.reading import Millis

KEPT = 1024
"""Pieces kept in memory: a minute or more of a busy 9600 baud line."""

Way = Literal["sent", "received"]


class Passed(NamedTuple):
    """Bytes that were handed to the port or came from it in one piece.

    `number` grows by one with each piece. `speed` is what the line was set to, such as
    `9600 8N1`, empty where the medium has none.
    """

    number: int
    at: Millis
    way: Way
    data: bytes
    speed: str = ""


class Traffic:
    """A ring of what passed."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock
        self._pieces: deque[Passed] = deque(maxlen=KEPT)
        self._number = 0
        self.speed = ""

    def note(self, way: Way, data: bytes) -> None:
        """Adds one piece; the oldest goes when the ring is full."""
        self._number += 1
        self._pieces.append(Passed(self._number, self._clock(), way, data, self.speed))

    def after(self, number: int) -> list[Passed]:
        """The pieces behind that number, oldest first; all that are kept for 0."""
        return [piece for piece in self._pieces if piece.number > number]
