"""The mean of a point over a time that began somewhere in the past: a sum that only grows."""

from __future__ import annotations

from typing import NamedTuple

from drivers.reading import Millis, Value
from rules.run import Run
from rules.window import Window


class Tallied(NamedTuple):
    """The area below a point's values so far (unit x ms), and the time that it covers (ms)."""

    area: float
    span: Millis


class Tally(Window):
    """Each value holds until the next, but for `gap` at most."""

    __slots__ = ("_area", "_gap", "_last", "_span")

    def __init__(self, gap: Millis) -> None:
        super().__init__(1)
        self._gap = gap
        self._area = 0.0
        self._span: Millis = 0
        self._last: tuple[Millis, float] | None = None

    def _add(self, at: Millis, value: Value) -> None:
        if self._last is not None:
            held = min(self._gap, at - self._last[0])
            self._area += self._last[1] * held
            self._span += held
        self._last = (at, float(value))

    def extend(self, run: Run, start: int, stop: int) -> None:
        """Takes every sample: all of them count."""
        for place in range(start, stop):
            self.push(run.times[place], run.values[place])

    def expire(self, at: Millis) -> None:
        """Nothing leaves."""

    def so_far(self, at: Millis) -> Tallied:
        """Up to an instant that is not before the last sample."""
        if self._last is None:
            return Tallied(0.0, 0)
        held = max(0, min(self._gap, at - self._last[0]))
        return Tallied(self._area + self._last[1] * held, self._span + held)

    def value(self) -> float | None:
        """The mean of all."""
        return self._area / self._span if self._span else None

    def shift(self, step: Millis) -> None:
        """After the clock was stepped."""
        super().shift(step)
        if self._last is not None:
            self._last = (self._last[0] + step, self._last[1])
