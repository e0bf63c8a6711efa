"""What the stand-in holds: per series and field its type, and which times it has seen; pure.

Memory is bounded: of each series only the newest times are kept one by one, older ones as
a number. A copy of something older than these counts as held already.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud_sync.line_parser import FieldValue, Point

_KEPT = 20_000
_SLACK = 2_000

_Key = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Series:
    """One field of one series. `total` sums numbers and true bools; texts count as 0."""

    type: type[FieldValue]
    count: int = 0
    total: float = 0.0
    last: FieldValue = 0.0
    last_at: int = 0
    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    forgotten_until: int | None = None


class Part(NamedTuple):
    """What a series holds of a time; `total` sums numbers and true bools."""

    type: type[FieldValue]
    number: int
    total: float
    last: FieldValue


class Holdings:
    """Points keyed by measurement, tags, field and time; writing one again overwrites it."""

    def __init__(self) -> None:
        self._series: dict[_Key, Series] = {}
        self._types: dict[tuple[str, str], type[FieldValue]] = {}
        self.points = 0

    def conflict(self, point: Point) -> str:
        """Why this point cannot be stored beside what is held; empty when it can."""
        for name, value in point.fields.items():
            known = self._types.get((point.measurement, name), type(value))
            if known is not type(value):
                return (
                    f'field type conflict: input field "{name}" on measurement "{point.measurement}"'
                    f" is type {type(value).__name__}, already exists as type {known.__name__}"
                )
        return ""

    def store(self, point: Point, at: int) -> None:
        """Keeps one point without conflict; `at` in a unit that all points share."""
        tags = tuple(sorted(point.tags.items()))
        for name, value in point.fields.items():
            self._types.setdefault((point.measurement, name), type(value))
            key = (point.measurement, name, tags)
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(type(value))
            self.points += _insert(series, at, value)

    def select(self, measurement: str, name: str, tag: tuple[str, str] | None = None) -> Sequence[Series]:
        """The series that hold this field, one for each set of tags; only those with `tag`, if given."""
        return [
            series
            for key, series in self._series.items()
            if key[:2] == (measurement, name) and (tag is None or tag in key[2])
        ]

    def within(
        self, measurement: str, tags: Mapping[str, str], since: int, until: int
    ) -> Iterator[tuple[Mapping[str, str], str, Part]]:
        """(tags, field, what it holds) of each series that has these tags and something in [since, until)."""
        for (kind, name, own), series in self._series.items():
            if kind == measurement and tags.items() <= dict(own).items():
                low, high = bisect_left(series.times, since), bisect_left(series.times, until)
                if high > low:
                    last = series.last if high == len(series.times) else series.values[high - 1]
                    total = sum(series.values[low:high])
                    yield dict(own), name, Part(series.type, high - low, total, last)

    def __len__(self) -> int:
        return len(self._series)


def _insert(series: Series, at: int, value: FieldValue) -> int:
    """1 when this time is new to the series, else 0."""
    number = 0.0 if isinstance(value, str) else float(value)
    if series.forgotten_until is not None and at <= series.forgotten_until:
        return 0
    if not series.count or at >= series.last_at:
        series.last, series.last_at = value, at
    index = bisect_left(series.times, at)
    if index < len(series.times) and series.times[index] == at:
        series.total += number - series.values[index]
        series.values[index] = number
        return 0
    series.times.insert(index, at)
    series.values.insert(index, number)
    series.count += 1
    series.total += number
    if len(series.times) > _KEPT + _SLACK:
        series.forgotten_until = series.times[_SLACK - 1]
        del series.times[:_SLACK]
        del series.values[:_SLACK]
    return 1
