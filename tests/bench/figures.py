"""The benchmark's arithmetic: percentiles, gaps, what was lost, medians and their spread; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

Reads = Mapping[str, tuple[int, Sequence[float]]]
"""Device -> the number of its first read and the times of all reads (s)."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` (0..1) of the values lie, interpolated; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Grid:
    """How a poll grid was kept: reads, gaps between reads of one device in s, share of periods missed."""

    reads: int
    gap_p50: float | None
    gap_p99: float | None
    missed: float


def grid(reads: Reads, period_s: float, window_s: float) -> Grid:
    """The grid over a window; a device that was read once too often does not make up for another's miss."""
    gaps = [b - a for _, times in reads.values() for a, b in pairwise(times)]
    expected = int(window_s / period_s)
    missed = sum(max(0, expected - len(times)) for _, times in reads.values())
    # A window that begins between two ticks holds one read less or more of each device.
    due = expected * len(reads)
    return Grid(
        sum(len(times) for _, times in reads.values()),
        percentile(gaps, 0.5),
        percentile(gaps, 0.99),
        missed / due if due else 0.0,
    )


def long_gaps(reads: Reads, period_s: float) -> float:
    """The share of periods that were left out: of a gap of n periods n - 1 are."""
    left = kept = 0
    for _, times in reads.values():
        for a, b in pairwise(times):
            kept += 1
            left += max(0, round((b - a) / period_s) - 1)
    return left / (left + kept) if kept else 0.0


@dataclass(frozen=True, slots=True)
class Passage:
    """From the wire to a sink: latencies in s, and how many reads never came of those that could have."""

    latencies: tuple[float, ...]
    lost: int
    expected: int


def passage(reads: Reads, arrivals: Iterable[tuple[str, int, float]], until: float) -> Passage:
    """Follows each read by its number; reads after `until` may still be under way and are not missed.

    Of several arrivals of one read the first counts. Numbers count modulo 65536, as registers do.
    """
    first: dict[tuple[str, int], float] = {}
    for device, number, at in arrivals:
        first.setdefault((device, number), at)
    latencies: list[float] = []
    lost = expected = 0
    for device, (start, times) in reads.items():
        for offset, at in enumerate(times):
            arrived = first.get((device, (start + offset) & 0xFFFF))
            if at <= until:
                expected += 1
                lost += arrived is None
            if arrived is not None:
                latencies.append(arrived - at)
    return Passage(tuple(latencies), lost, expected)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repetitions, with the smallest and the largest."""

    median: float
    low: float
    high: float
    runs: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """None when no repetition gave a value."""
    found = [value for value in values if value is not None]
    return Spread(median(found), min(found), max(found), len(found)) if found else None


def ratio(value: Spread | None, to: Spread | None) -> float | None:
    """How many times `to` the value is; None where either is missing or `to` is zero."""
    if value is None or to is None or not to.median:
        return None
    return value.median / to.median


def wire_limit(baudrate: int, bits: int, request: int, reply: int, turn_round_s: float) -> float:
    """Exchanges a second that a line can carry: bytes both ways at `bits` each, and the turn-round."""
    return 1 / ((request + reply) * bits / baudrate + turn_round_s)


def slope(samples: Sequence[tuple[float, float]]) -> float | None:
    """How much the second number grows for one of the first, by least squares; None of fewer than two."""
    if len(samples) < 2:
        return None
    middle = fmean(x for x, _ in samples)
    level = fmean(y for _, y in samples)
    spread_x = sum((x - middle) ** 2 for x, _ in samples)
    return sum((x - middle) * (y - level) for x, y in samples) / spread_x if spread_x else None
