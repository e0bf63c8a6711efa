"""The newest reading of each point of one device, gathered while walking back through what is stored."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.reading import Millis, Reading
from edge.store.moments import Source

LOOK_BACK = 64
"""Moments of a device that are searched for the newest value of each of its points."""


class Newest:
    """`found` holds the newest readings so far, by point; it begins with those that are sealed."""

    def __init__(self, source: Source, sealed: dict[str, Reading]) -> None:
        self.source = source
        self.found = sealed
        self._hot: set[str] = set()
        self._searched = 0

    def wants(self, at: Millis) -> bool:
        """Whether a moment of that time may hold something newer, or something of a point that is
        still missing."""
        if self._searched >= LOOK_BACK:
            return False
        missing = len(self._hot) < len(self.source.points)
        return missing or at > min(reading.at for reading in self.found.values())

    def learn(self, readings: Iterable[Reading]) -> None:
        """Takes the readings of one moment."""
        self._searched += 1
        for reading in readings:
            self._hot.add(reading.point)
            before = self.found.get(reading.point)
            if before is None or before.at < reading.at:
                self.found[reading.point] = reading

    def complete(self, later: Millis | None) -> bool:
        """Whether nothing measured at `later` or before (`None`: nothing more at all) can matter."""
        if later is None or self._searched >= LOOK_BACK:
            return True
        enough = len(self._hot) == len(self.source.points)
        return enough and later < min(reading.at for reading in self.found.values())
