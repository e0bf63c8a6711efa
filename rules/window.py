"""Bounded recent history of a point: one window for each (point, aggregate, length).

A window holds the good samples of the half-open stretch (at - over, at], in event
order. Aggregates of numbers; `count_true` of switches. Sums are exact, so an aggregate depends on
the samples in the window alone, never on what was there before: after a restart, and in a rehearsal,
it is the same to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Any

from drivers.reading import Millis, Value
from rules.run import Run

MAX_SAMPLES = 20_000
"""A window never holds more; the oldest go first (a week of one sample in 30 s fits)."""

BITS = 100
_SCALE = 2.0**BITS
_WHOLE = 1 << BITS


def exact(value: Value) -> int:
    """A number in units of 2^-100: exact from 7e-15 up, and sums of such do not round."""
    number = float(value)
    try:
        return int(number * _SCALE)
    except OverflowError:
        return int(number) << BITS


class Window(ABC):
    """The samples of the last `over` milliseconds. `started` is the first sample ever seen."""

    fades = False
    """Whether the aggregate changes when samples leave though none come."""

    __slots__ = ("_samples", "over", "started")

    def __init__(self, over: Millis) -> None:
        self.over = over
        self.started: Millis | None = None
        self._samples: deque[tuple[Millis, Any]] = deque()

    def push(self, at: Millis, value: Value) -> None:
        """Takes one sample, not older than the last one."""
        if self.started is None:
            self.started = at
        if len(self._samples) >= MAX_SAMPLES:
            self._drop_oldest()
        self._add(at, value)
        self.expire(at)

    def expire(self, at: Millis) -> None:
        """Lets go of what lies outside the window that ends at `at`."""
        start = at - self.over
        while self._samples and self._samples[0][0] <= start:
            self._drop_oldest()

    def covered(self, at: Millis) -> bool:
        """Whether samples have been coming since the window's beginning."""
        return self.started is not None and self.started <= at - self.over

    def next_loss(self) -> Millis | None:
        """When the oldest sample leaves; None for an empty window."""
        return self._samples[0][0] + self.over if self._samples else None

    def shift(self, step: Millis) -> None:
        """Moves all remembered times, after the clock was stepped."""
        self._samples = deque((at + step, value) for at, value in self._samples)
        if self.started is not None:
            self.started += step

    def reach(self, run: Run) -> Sequence[Value] | None:
        """Two numbers between which the aggregate lies while a run of samples comes in; None where
        that cannot be told. Only windows that can tell may `extend`."""
        return None

    def extend(self, run: Run, start: int, stop: int) -> None:
        """Takes the samples [start, stop) of a run, of which only the last ones matter."""
        kept = bisect_right(run.times, run.times[stop - 1] - self.over, start, stop)
        if kept > start:
            self._clear()
        self._load(run.times[kept:stop], run.values[kept:stop])

    def _load(self, times: Sequence[Millis], values: Sequence[Value]) -> None:
        for at, value in zip(times, values, strict=True):
            self.push(at, value)

    def _clear(self) -> None:
        self._samples.clear()

    def _add(self, at: Millis, value: Value) -> None:
        self._samples.append((at, float(value)))

    def _drop_oldest(self) -> None:
        self._samples.popleft()

    @abstractmethod
    def value(self) -> float | None:
        """The aggregate; None when the samples do not give one."""


class _Summed(Window):
    """Keeps a running sum."""

    __slots__ = ("_sum",)

    def __init__(self, over: Millis) -> None:
        super().__init__(over)
        self._sum = 0

    def _add(self, at: Millis, value: Value) -> None:
        number = exact(value)
        self._samples.append((at, number))
        self._sum += number

    def _drop_oldest(self) -> None:
        self._sum -= self._samples.popleft()[1]

    def _load(self, times: Sequence[Millis], values: Sequence[Value]) -> None:
        numbers = [exact(value) for value in values]
        self._samples.extend(zip(times, numbers, strict=True))
        self._sum += sum(numbers)
        self.started = times[0] if self.started is None else self.started
        while len(self._samples) > MAX_SAMPLES:
            self._drop_oldest()
        self.expire(times[-1])

    def _clear(self) -> None:
        super()._clear()
        self._sum = 0


class Average(_Summed):
    """Mean of the samples."""

    __slots__ = ()

    def value(self) -> float | None:
        """The mean, None without samples."""
        return self._sum / (len(self._samples) << BITS) if self._samples else None

    def reach(self, run: Run) -> Sequence[Value] | None:
        """A mean lies between the least and the greatest sample."""
        numbers = [number for _, number in self._samples]
        low, high = float(run.low), float(run.high)
        if not numbers:
            return low, high
        return min(low, min(numbers) / _WHOLE), max(high, max(numbers) / _WHOLE)


class Sum(_Summed):
    """Sum of the samples; 0 for an empty window. Also counts what is true."""

    fades = True
    __slots__ = ()

    def value(self) -> float | None:
        """The sum."""
        return self._sum / _WHOLE


class Count(Window):
    """How many good samples came, of any type."""

    fades = True
    __slots__ = ()

    def _add(self, at: Millis, value: Value) -> None:
        self._samples.append((at, 1.0))

    def value(self) -> float | None:
        """The number of samples."""
        return float(len(self._samples))


class Extreme(Window):
    """Least (`sign` 1) or greatest (`sign` -1) sample: a queue of candidates in rising order."""

    __slots__ = ("_sign",)

    def __init__(self, over: Millis, sign: int) -> None:
        super().__init__(over)
        self._sign = sign

    def _add(self, at: Millis, value: Value) -> None:
        signed = float(value) * self._sign
        while self._samples and self._samples[-1][1] >= signed:
            self._samples.pop()
        self._samples.append((at, signed))

    def value(self) -> float | None:
        """The extreme, None without samples."""
        return self._samples[0][1] * self._sign if self._samples else None

    def reach(self, run: Run) -> Sequence[Value] | None:
        """Beyond neither what is there nor what comes; what comes is in the window at once."""
        ends = [float(run.low), float(run.high)]
        present = self.value()
        return ends if present is None else (*ends, present)


class Growth(Window):
    """How much a counter grew, reset-aware: after a fall it is taken to have restarted from 0.

    Keeps one sample from before the window as its base. With `per` (milliseconds) the
    growth is a rate, given once samples span half of the window.
    """

    __slots__ = ("_last", "_per", "_total")

    def __init__(self, over: Millis, per: Millis | None = None) -> None:
        super().__init__(over)
        self._per = per
        self._last: int | None = None
        self._total = 0

    def _add(self, at: Millis, value: Value) -> None:
        number = exact(value)
        if self._last is not None:
            self._total += number - self._last if number >= self._last else number
        self._last = number
        self._samples.append((at, self._total))

    def expire(self, at: Millis) -> None:
        """As for any window, but the newest sample at or before its beginning stays."""
        start = at - self.over
        while len(self._samples) > 1 and self._samples[1][0] <= start:
            self._samples.popleft()

    def value(self) -> float | None:
        """The growth, or the rate in the point's unit per `per`; None while it cannot be told."""
        if len(self._samples) < 2:
            return None if self._per is not None or not self._samples else 0.0
        (first, base), (last, total) = self._samples[0], self._samples[-1]
        grown: int = total - base
        if self._per is None:
            return grown / _WHOLE
        span = last - first
        return grown * self._per / (span << BITS) if span >= self.over / 2 else None


class Slope(Window):
    """Least-squares slope in the point's unit per `per`, once samples span half of the window.

    Keeps the sums of t, v, t t and t v, with t counted from the first sample ever seen.
    """

    __slots__ = ("_per", "_t", "_tt", "_tv", "_v")

    def __init__(self, over: Millis, per: Millis) -> None:
        super().__init__(over)
        self._per = per
        self._t = self._v = self._tt = self._tv = 0

    def _add(self, at: Millis, value: Value) -> None:
        number = exact(value)
        self._samples.append((at, number))
        self._count(at, number, 1)

    def _drop_oldest(self) -> None:
        self._count(*self._samples.popleft(), -1)

    def _count(self, at: Millis, number: int, sign: int) -> None:
        t = at - (self.started or 0)
        self._t += sign * t
        self._v += sign * number
        self._tt += sign * t * t
        self._tv += sign * t * number

    def value(self) -> float | None:
        """The slope; None while the samples span less than half of the window."""
        samples = self._samples
        if len(samples) < 2 or samples[-1][0] - samples[0][0] < self.over / 2:
            return None
        count = len(samples)
        variance = count * self._tt - self._t * self._t
        covariance = count * self._tv - self._t * self._v
        return covariance * self._per / (variance << BITS) if variance else None


PER_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
"""The UCUM time units that a rate may be given in."""


def per_of(unit: str | None) -> Millis | None:
    """`Cel/min` -> 60000; None when the unit does not end in a time."""
    return PER_MS.get(unit.rpartition("/")[2]) if unit and "/" in unit else None


def build_window(agg: str, over: Millis, unit: str | None) -> Window:
    """The window for a windowed aggregation; `rate` and `slope` take their time from `unit`."""
    match agg:
        case "avg":
            return Average(over)
        case "min":
            return Extreme(over, 1)
        case "max":
            return Extreme(over, -1)
        case "sum" | "count_true":
            return Sum(over)
        case "count":
            return Count(over)
        case "delta":
            return Growth(over)
    per = per_of(unit) or PER_MS["h"]
    return Growth(over, per) if agg == "rate" else Slope(over, per)
