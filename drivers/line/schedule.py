"""Who is due next on a line: earliest deadline first within priorities; pure.

Due times lie on the grid of each device's period, so that devices of one period share
one tick. A missed period is skipped and counted, never queued.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import IntEnum


class Rank(IntEnum):
    """Who goes first."""

    COMMAND = 0
    EMERGENCY = 1
    NORMAL = 2
    PROBE = 3


@dataclass(slots=True)
class _Slot:
    period: float
    rank: Rank
    due: float
    serial: int


class Schedule:
    """Due times in seconds of one monotonic clock; keys are device ids."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot] = {}
        self._waiting: list[tuple[float, int, str]] = []
        self._ready: list[tuple[Rank, float, int, str]] = []
        self._serial = 0

    def add(self, key: str, period: float, rank: Rank, now: float) -> None:
        """A device that is first due at once, then on the grid of its period."""
        self._serial += 1
        self._slots[key] = _Slot(period, rank, now, self._serial)
        heapq.heappush(self._waiting, (now, self._serial, key))

    def pop(self, now: float) -> tuple[str, Rank] | None:
        """The device to serve now, `None` when nobody is due; it must be `done` later."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            due, serial, key = heapq.heappop(waiting)
            slot = self._slots[key]
            if not self._ready and not (waiting and waiting[0][0] <= now):
                return key, slot.rank  # nobody else is due
            heapq.heappush(self._ready, (slot.rank, due + slot.period, serial, key))
        if not self._ready:
            return None
        rank, _, _, key = heapq.heappop(self._ready)
        return key, rank

    def urgent(self, now: float, than: Rank) -> bool:
        """Whether somebody of a higher rank than `than` is due."""
        if any(rank < than for rank, _, _, _ in self._ready[:1]):
            return True
        return any(due <= now and self._slots[key].rank < than for due, _, key in self._waiting)

    def done(self, key: str, now: float, *, rank: Rank | None = None, pause: float = 0.0) -> int:
        """Puts a served device on its next grid time, at least `pause` away.

        Returns how many periods passed unserved meanwhile.
        """
        slot = self._slots[key]
        if rank is not None:
            slot.rank = rank
        earliest = max(now, slot.due) + pause
        following = (earliest // slot.period + 1) * slot.period
        missed = 0 if pause else max(0, round((following - slot.due) / slot.period) - 1)
        slot.due = following
        heapq.heappush(self._waiting, (following, slot.serial, key))
        return missed

    def next_due(self) -> float | None:
        """When somebody is due next; a past time when somebody already is."""
        if self._ready:
            return self._ready[0][1] - self._slots[self._ready[0][3]].period
        return self._waiting[0][0] if self._waiting else None
