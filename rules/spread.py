"""Windows over how values scatter: standard deviation, 95th percentile, the least rate of a counter."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from itertools import pairwise

from drivers.reading import Millis, Value
from rules.window import BITS, PER_MS, Window, exact, per_of

_WHOLE = 1 << BITS


class Deviation(Window):
    """Standard deviation of the samples (with n - 1), by exact sums of them and of their squares."""

    __slots__ = ("_squares", "_sum")

    def __init__(self, over: Millis) -> None:
        super().__init__(over)
        self._sum = self._squares = 0

    def _add(self, at: Millis, value: Value) -> None:
        number = exact(value)
        self._samples.append((at, number))
        self._sum += number
        self._squares += number * number

    def _drop_oldest(self) -> None:
        _, number = self._samples.popleft()
        self._sum -= number
        self._squares -= number * number

    def value(self) -> float | None:
        """The deviation; None for fewer than two samples."""
        count = len(self._samples)
        if count < 2:
            return None
        spread = count * self._squares - self._sum * self._sum
        return math.isqrt(spread // (count * (count - 1))) / _WHOLE


class Percentile(Window):
    """The 95th percentile of the samples, between the two nearest (as numpy does it)."""

    __slots__ = ("_sorted",)

    def __init__(self, over: Millis) -> None:
        super().__init__(over)
        self._sorted: list[float] = []

    def _add(self, at: Millis, value: Value) -> None:
        number = float(value)
        self._samples.append((at, number))
        insort(self._sorted, number)

    def _drop_oldest(self) -> None:
        _, number = self._samples.popleft()
        del self._sorted[bisect_left(self._sorted, number)]

    def value(self) -> float | None:
        """The percentile; None without samples."""
        return quantile(self._sorted, 0.95) if self._sorted else None


def quantile(ordered: list[float], part: float) -> float:
    """The value below which a part (0 to 1) of sorted numbers lies, between the two nearest."""
    place = part * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class LeastRate(Window):
    """The least growth of a counter in any whole bucket of the window, in its unit per `per`.

    Buckets are multiples of their length since the epoch. A bucket's growth is that between the last
    samples before its two ends. Where a bucket has no sample, nothing is known: then it counts anew.
    """

    __slots__ = ("_bucket", "_ends", "_last", "_per", "_total")

    def __init__(self, over: Millis, bucket: Millis, per: Millis) -> None:
        super().__init__(over)
        self._bucket = bucket
        self._per = per
        self._last: int | None = None
        self._total = 0
        self._ends: deque[tuple[Millis, int]] = deque()
        """The end of each whole bucket, and what had been counted then."""

    def _add(self, at: Millis, value: Value) -> None:
        number, start = exact(value), at // self._bucket * self._bucket
        if self._samples:
            before = self._samples[-1][0] // self._bucket * self._bucket
            if start > before + self._bucket:
                self._ends.clear()
            elif start > before:
                self._ends.append((start, self._total))
        if self._last is not None:
            self._total += number - self._last if number >= self._last else number
        self._last = number
        self._samples.append((at, self._total))

    def expire(self, at: Millis) -> None:
        """Lets go of what lies outside; the newest sample stays, to count on from."""
        while len(self._samples) > 1:
            self._samples.popleft()
        first = at // self._bucket * self._bucket - self.over
        while self._ends and self._ends[0][0] < first:
            self._ends.popleft()

    def value(self) -> float | None:
        """The least rate; None while the whole buckets do not fill the window."""
        if len(self._ends) < self.over // self._bucket + 1:
            return None
        totals = [total for _, total in self._ends]
        least = min(late - early for early, late in pairwise(totals))
        return least * self._per / (self._bucket << BITS)

    def shift(self, step: Millis) -> None:
        """After the clock was stepped buckets lie elsewhere: it counts anew."""
        super().shift(step)
        self._ends.clear()


def build_spread(agg: str, over: Millis, bucket: Millis, unit: str | None) -> Window:
    """The window for `stddev`, `p95` or `min_rate`; the last takes its time from `unit`, else an hour."""
    if agg == "stddev":
        return Deviation(over)
    return Percentile(over) if agg == "p95" else LeastRate(over, bucket, per_of(unit) or PER_MS["h"])
