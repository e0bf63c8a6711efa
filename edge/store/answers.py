"""What the helper process answers; plain enough for msgpack, without numpy."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from drivers.reading import Millis, Value
from edge.store.moments import Source


class Samples(NamedTuple):
    """Samples side by side: `at` as int64, `values` as float64 (both native bytes) or a list;
    `odd` are those that are not plainly good: index, quality code, whether there is a value."""

    at: bytes
    values: bytes | list[Value]
    odd: list[tuple[int, int, bool]]


class Outgoing(NamedTuple):
    """One sealed moment's good values; `source` is an index into the slice's sources."""

    id: int
    source: int
    at: Millis
    fields: dict[str, Value]


class Slice(NamedTuple):
    """Sealed moments in the order of storing, the cursor behind them, and how many blocks of
    their batch could not be read."""

    sources: list[Source]
    entries: list[Outgoing]
    cursor: int
    damaged: int


class SeriesSum(NamedTuple):
    """What a series holds of a time: how many good values and, of numbers, what they add up to.
    `source` is an index into the answer's sources, `point` one into its points."""

    source: int
    point: int
    number: int
    total: float | None


DeviceKey = tuple[str, str]
"""A device as one measurement: kind, device."""


class Sums(NamedTuple):
    """Sums of series of a time; `complete` when raw values of all of it are kept. `after` is the last
    device of a part, `None` when all are told."""

    sources: list[Source]
    series: list[SeriesSum]
    complete: bool
    after: DeviceKey | None = None

    def part(self, after: DeviceKey | None, limit: int) -> Sums:
        """The devices behind one, with about `limit` series at most; a device is not divided."""
        devices: dict[DeviceKey, list[SeriesSum]] = {}
        for one in self.series:
            source = self.sources[one.source]
            devices.setdefault((source.kind, source.device), []).append(one)
        waiting = [key for key in sorted(devices) if after is None or key > after]
        series: list[SeriesSum] = []
        taken = 0
        for key in waiting:
            if series and len(series) + len(devices[key]) > limit:
                break
            series += devices[key]
            taken += 1
        places = {number: place for place, number in enumerate(sorted({one.source for one in series}))}
        return Sums(
            [self.sources[number] for number in places],
            [one._replace(source=places[one.source]) for one in series],
            self.complete,
            waiting[taken - 1] if taken < len(waiting) else None,
        )


FIGURES = ("count", "min", "max", "mean", "last")
"""What follows a point's name at the district, in the order of `Figures`."""
HOUR: Millis = 3_600_000


class Figures(NamedTuple):
    """What a point's values of an hour come to."""

    number: int
    least: float
    most: float
    mean: float
    last: float


class Hour(NamedTuple):
    """One hour of a device, by point; `source` is an index into the answer's sources."""

    source: int
    at: Millis
    points: dict[str, Figures]


SeriesKey = tuple[str, str, str, str]
"""A series without its points: device, kind, space, building."""


class Part(NamedTuple):
    """How far a step of work is told: the cursor at its end, and the series that was told last."""

    cursor: int
    after: SeriesKey


class Hours(NamedTuple):
    """Hours that something was stored of behind a cursor, made anew from all that is stored of them.
    The sources are without their points. `after` is the last series of a part, `None` when the step
    up to the cursor is complete."""

    sources: list[Source]
    hours: list[Hour]
    cursor: int
    more: bool
    after: SeriesKey | None = None


def hour_id(source: Source, at: Millis) -> int:
    """A number for one hour of a series, always the same."""
    series = "\0".join((source.device, source.kind, source.space, source.building))
    return at // HOUR << 32 | zlib.crc32(series.encode())
