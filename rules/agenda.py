"""All that is due later, in one heap."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from drivers.reading import Millis


class Timed(Protocol):
    """What may stand on the agenda. It is told its time, and decides whether that still matters:
    an entry is never searched for and removed."""

    def fire(self, due: Millis) -> None:
        """The time has come."""
        ...


NEVER: Millis = 2**63
"""Later than any instant."""


class Agenda:
    """Entries by time, of one time by rank, and of one rank in the order of entry. `due` is the earliest
    time, or NEVER.

    What is put off again and again has a rank of its own: where it stands then depends neither on how
    often it was put off nor on restarts.
    """

    __slots__ = ("_entries", "_order", "due")

    def __init__(self) -> None:
        self._entries: list[tuple[Millis, int, int, Timed]] = []
        self._order = count()
        self.due: Millis = NEVER

    def add(self, due: Millis, what: Timed, rank: int = 0) -> None:
        """Puts something on the agenda."""
        heappush(self._entries, (due, rank, next(self._order), what))
        self.due = self._entries[0][0]

    def take(self) -> tuple[Millis, Timed]:
        """Removes and gives the earliest entry; IndexError when empty."""
        due, _, _, what = heappop(self._entries)
        self.due = self._entries[0][0] if self._entries else NEVER
        return due, what

    def shift(self, step: Millis) -> None:
        """Moves all entries, after the clock was stepped; their order stays."""
        self._entries = [(due + step, rank, order, what) for due, rank, order, what in self._entries]
        self.due = self._entries[0][0] if self._entries else NEVER
