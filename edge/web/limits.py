"""How often one client may ask."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_CLIENTS = 4096
"""Remembered clients; when more come, those that have been quiet are forgotten."""


class Buckets:
    """Token buckets, one for each client key: `burst` at once, then `per_s` each second."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> float:
        """Takes one token: 0 when there was one, else the seconds until there is."""
        now = self._clock()
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_s
        # Put back at the end: the dict's order is the order of last use.
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > MOST_CLIENTS:
            del self._left[next(iter(self._left))]
        return wait
