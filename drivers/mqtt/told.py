"""What the messages on one topic tell of their time: which of them are from the device's log."""

from __future__ import annotations

from drivers.device_clock import OLDEST_MS, STEADY_MS, STEADY_TIMES
from drivers.mqtt import codec
from drivers.reading import Millis

DISORDER_MS = 2_000
"""Messages of now may tell times so far out of order, or so old; what lies further back is history."""


class ToldTimes:
    """Compares each told time with those before it: a device's clock with itself, never with ours."""

    def __init__(self) -> None:
        self._newest: Millis | None = None
        self._words: codec.Json = None
        self._same: Millis | None = None
        self._since: Millis = 0
        self._count = 0

    def is_history(self, told: Millis, words: codec.Json, now: Millis) -> bool:
        """Whether a message received at `now` is older than one before it, or says that one again.

        A time that stays the same over three messages and a minute is no log: the clock stands.
        """
        if self._stands(told, now) or self._newest is None:
            return False
        if not DISORDER_MS < now - told <= OLDEST_MS:
            return False
        return self._newest - told > DISORDER_MS or (told == self._newest and words == self._words)

    def took(self, told: Millis, words: codec.Json, now: Millis, *, anew: bool = False) -> None:
        """A message of now; `anew` where the clock was set back. A clock that is ahead counts as ours,
        and what no buffer explains says nothing."""
        if now - told > OLDEST_MS:
            return
        if anew or self._newest is None or told >= self._newest:
            self._newest, self._words = min(told, now), words

    def _stands(self, told: Millis, now: Millis) -> bool:
        if told != self._same or now < self._since:
            self._same, self._since, self._count = told, now, 0
        self._count += 1
        return self._count >= STEADY_TIMES and now - self._since >= STEADY_MS
