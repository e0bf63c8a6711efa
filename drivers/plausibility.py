"""Whether a point's value can follow the one before: not too fast, and not stuck; pure."""

from __future__ import annotations

from drivers.reading import Millis, Value

TIGHTEST_MS = 60_000
"""Shorter times count as this long: a fast poll must not call a sensor's own steps a leap."""

TOO_FAST = "rate"
STUCK = "stuck"


class PointWatch:
    """One point. `max_rate` in its unit per minute and `stuck_ms`; None leaves that check out.

    A leap is a bad reading; the next reading decides whether it was one (it is back) or the
    truth (it agrees with the leap), so that a real fire or draught costs one reading.
    """

    __slots__ = ("_at", "_leap", "_leap_at", "_per_ms", "_since", "_stuck_ms", "_value")

    def __init__(self, max_rate: float | None, stuck_ms: Millis | None) -> None:
        self._per_ms = None if max_rate is None else max_rate / 60_000
        self._stuck_ms = stuck_ms
        self._value: Value | None = None
        self._at: Millis = 0
        self._since: Millis = 0
        self._leap: float | None = None
        self._leap_at: Millis = 0

    def judge(self, value: Value, at: Millis) -> str:
        """Empty for a value that can follow, else `rate` or `stuck`."""
        if value == self._value:
            self._at, self._leap = at, None
            return STUCK if self._stuck_ms is not None and at - self._since > self._stuck_ms else ""
        if self._per_ms is not None and self._leaps(value, at):
            return TOO_FAST
        self._value, self._at, self._since, self._leap = value, at, at, None
        return ""

    def _leaps(self, value: Value, at: Millis) -> bool:
        before = self._value
        if before is None or isinstance(value, str) or isinstance(before, str):
            return False
        if self._reaches(before, self._at, value, at):
            return False
        if self._leap is not None and self._reaches(self._leap, self._leap_at, value, at):
            return False
        self._leap, self._leap_at = float(value), at
        return True

    def _reaches(self, before: float, since: Millis, value: float, at: Millis) -> bool:
        return abs(value - before) <= max(at - since, TIGHTEST_MS) * (self._per_ms or 0.0)
