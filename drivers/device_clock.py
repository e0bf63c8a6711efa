"""What a device's own clock is worth: how far it is from ours, and whether a time it tells is believed."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.reading import Millis

OLDEST_MS = 7 * 86_400_000
NEWEST_MS = 5 * 60_000
"""A device's own time is believed from a week ago (its buffer) to five minutes ahead."""
OFF_MS = 60_000
"""From here on a clock is worth a visit."""
JITTER_MS = 10_000
STEADY_MS = 60_000
STEADY_TIMES = 3


@dataclass(slots=True)
class DeviceClock:
    """Compares the times that a device tells with those at which they come.

    A message from a buffer is late too, but each is less late than the one before. A distance that
    stays the same, over three messages and a minute, is the clock's own error.
    """

    offset_ms: Millis | None = None
    """Device time less ours, at the least delayed of the steady messages; `None` until there were some."""
    replaced: int = 0
    """Times that were not believed, and replaced by the arrival."""
    _run: Millis = 0
    _since: Millis = 0
    _count: int = 0
    _best: Millis = 0

    @property
    def off(self) -> bool:
        """Whether the clock is to be set."""
        return self.offset_ms is not None and abs(self.offset_ms) > OFF_MS

    def judge(
        self, told: Millis | None, now: Millis, after: Millis, late_ms: Millis, *, history: bool = False
    ) -> Millis | None:
        """The told time if it is believed, else `None`, counted: none was told, it lies beyond what a
        buffer explains or not behind `after`, or the clock is wrong by more than `late_ms` for good, so
        that all that the device says would pass for old. `history` need not lie behind `after`, but is
        not believed of a clock that is wrong for good by any distance: it was set back."""
        if told is not None:
            steady = self._learn(told - now, now)
            oldest = now - OLDEST_MS if history else max(now - OLDEST_MS, after + 1)
            wrong = steady and (history or now - told > late_ms)
            if oldest <= told <= now + NEWEST_MS and not wrong:
                return told
        self.replaced += 1
        return None

    def compared(self, offset_ms: Millis) -> None:
        """The clock was read by a question; the answer is as old as an exchange is long."""
        self.offset_ms = offset_ms

    def _learn(self, offset: Millis, now: Millis) -> bool:
        """Whether the distance is steady."""
        if not self._count or abs(offset - self._run) > JITTER_MS or now < self._since:
            self._run, self._since, self._count, self._best = offset, now, 1, offset
            return False
        self._count += 1
        self._best = max(self._best, offset)
        if self._count < STEADY_TIMES or now - self._since < STEADY_MS:
            return False
        self.offset_ms = self._best
        return True
