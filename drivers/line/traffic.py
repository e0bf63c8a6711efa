"""The last bytes that passed over a line, with their times, for whoever looks into a fault."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from drivers.reading import Millis

KEPT = 1024
"""Pieces kept in memory at most: most of a minute of a busy 9600 baud line."""
KEPT_ANYHOW = 16
KEPT_MS = 60_000
"""Older pieces go when more than `KEPT_ANYHOW` are kept: two hundred quiet lines must not
fill the memory over hours."""

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
        self._pieces: deque[tuple[Millis, Way, bytes, str]] = deque(maxlen=KEPT)
        self._number = 0
        self.speed = ""

    def note(self, way: Way, data: bytes) -> None:
        """Adds one piece; the oldest go."""
        self._number += 1
        at = self._clock()
        pieces = self._pieces
        pieces.append((at, way, data, self.speed))
        while len(pieces) > KEPT_ANYHOW and pieces[0][0] < at - KEPT_MS:
            pieces.popleft()

    def after(self, number: int) -> list[Passed]:
        """The pieces behind that number, oldest first; all that are kept for 0."""
        first = self._number - len(self._pieces) + 1
        return [Passed(place, *piece) for place, piece in enumerate(self._pieces, first) if place > number]
