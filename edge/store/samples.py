"""Samples as the dashboard gets them: unpacked from the helper's answer, or folded from hot rows."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple

from drivers.reading import Millis, Quality, Value
from edge.store.answers import Samples
from edge.store.moments import QUALITIES


class Sample(NamedTuple):
    """One stored or aggregated value."""

    at: Millis
    value: Value | None
    quality: Quality


_SAMPLE: Callable[[tuple[Millis, Value, Quality]], Sample] = partial(tuple.__new__, Sample)
"""Makes a sample of what it consists of, in a third of the time of its constructor."""


def unpacked(samples: Samples) -> list[Sample]:
    """Samples side by side as one by one."""
    at = array("q", samples.at)
    values: Sequence[Value]
    values = array("d", samples.values) if isinstance(samples.values, bytes) else samples.values
    good = repeat(Quality.GOOD, len(at))
    found = list(map(_SAMPLE, zip(at, values, good, strict=True)))
    for index, code, there in samples.odd:
        found[index] = Sample(at[index], values[index] if there else None, QUALITIES[code])
    return found


def aggregated(
    values: Iterable[tuple[Millis, Value | None, Quality]], step: Millis, aggregate: str, limit: int
) -> list[Sample]:
    """One sample for each bucket that has a good value."""
    buckets: dict[Millis, list[Value]] = {}
    for at, value, quality in values:
        if quality is Quality.GOOD and value is not None:
            start = at // step * step
            if start not in buckets and len(buckets) >= limit:
                break
            buckets.setdefault(start, []).append(value)
    return [Sample(start, _fold(aggregate, group), Quality.GOOD) for start, group in buckets.items()]


def _fold(aggregate: str, group: Sequence[Value]) -> Value:
    """One aggregate of a bucket; texts only have `last` and `count`."""
    if aggregate == "last":
        return group[-1]
    if aggregate == "count":
        return float(len(group))
    numbers = [float(value) for value in group if not isinstance(value, str)]
    if not numbers:
        return group[-1]
    match aggregate:
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case "sum":
            return sum(numbers)
    return sum(numbers) / len(numbers)
