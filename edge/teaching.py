"""Baselines for a rehearsal: learned from the same store or file, as the simulated days pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Quality
from edge.config.configuration import Configuration, site_info
from rules.baseline import HOUR_MS, Baseline, BaselineKey, lesson_of
from rules.learning import QUARTER_MS, History, Quarter, daily_means, learn, since
from rules.rehearsal import Readings
from rules.site import SiteInfo
from rules.timetable import Calendar

Series = Sequence[tuple[Millis, float]]


class Buckets(Protocol):
    """Where a point's past comes from, by buckets of time that have a good value."""

    def last(self, device: str, point: str, step: Millis) -> Series:
        """The last value of each bucket."""
        ...

    def mean(self, device: str, point: str, step: Millis) -> Series:
        """The mean of each bucket."""
        ...


class StoredBuckets:
    """A data folder; needs numpy."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def last(self, device: str, point: str, step: Millis) -> Series:
        """See the protocol."""
        return self._buckets(device, point, step, "last")

    def mean(self, device: str, point: str, step: Millis) -> Series:
        """See the protocol."""
        return self._buckets(device, point, step, "mean")

    def _buckets(self, device: str, point: str, step: Millis, aggregate: str) -> Series:
        from edge.store.history import FAR_OFF, LONG_AGO, Snapshot

        with Snapshot(self._data) as snapshot:
            found, _ = snapshot.buckets(device, point, LONG_AGO, FAR_OFF, step)
        return list(zip(found.at.tolist(), found.aggregate(aggregate).tolist(), strict=True))


class ReadBuckets:
    """Any source of readings, gone through once for each point asked for."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def last(self, device: str, point: str, step: Millis) -> Series:
        """See the protocol."""
        return [(at, values[-1]) for at, values in self._gathered(device, point, step).items()]

    def mean(self, device: str, point: str, step: Millis) -> Series:
        """See the protocol."""
        gathered = self._gathered(device, point, step).items()
        return [(at, sum(values) / len(values)) for at, values in gathered]

    def _gathered(self, device: str, point: str, step: Millis) -> Mapping[Millis, list[float]]:
        found: dict[Millis, list[tuple[Millis, float]]] = {}
        for one in self._readings.between(-(1 << 62), 1 << 62):
            mine = (one.device, one.point) == (device, point) and one.quality is Quality.GOOD
            if mine and isinstance(one.value, float):
                found.setdefault(one.at // step * step, []).append((one.at, one.value))
        return {at: [value for _, value in sorted(found[at])] for at in sorted(found)}


def teacher_of(configuration: Configuration, data: Path, readings: Readings) -> Teacher:
    """Who teaches a rehearsal over a data folder, or over other readings."""
    from edge.replay import StoredReadings

    buckets: Buckets = StoredBuckets(data) if isinstance(readings, StoredReadings) else ReadBuckets(readings)
    return Teacher(buckets, site_info(configuration), configuration.calendar)


class Teacher:
    """`rules.rehearsal.Teacher` over buckets: each counter is read once, each lesson sees only what lies
    before it."""

    def __init__(self, buckets: Buckets, site: SiteInfo, calendar: Calendar | None) -> None:
        self._buckets = buckets
        self._site = site
        self._calendar = calendar or Calendar()
        self._zone = ZoneInfo(site.timezone)
        self._units = {(one.id, point): unit for one in site.devices for point, unit in one.points.items()}
        self._quarters: dict[tuple[str, str], list[Quarter]] = {}
        self._outdoor: list[tuple[Millis, float]] | None = None

    def lesson(self, day: date, wanted: Sequence[BaselineKey]) -> list[Baseline]:
        """See the protocol."""
        return [learn(key, day, self._history(key, day), self._calendar, self._zone) for key in wanted]

    def _history(self, key: BaselineKey, day: date) -> History:
        point = (key.device, key.point)
        if point not in self._quarters:
            self._quarters[point] = [Quarter(*one) for one in self._buckets.last(*point, QUARTER_MS)]
        quarters, times = self._quarters[point], lesson_of(day, self._zone)
        first = bisect_left(quarters, (since(key.name, day, self._zone),))
        last = bisect_left(quarters, (times.learned,))
        outdoor = self._weather(times.learned) if key.name.startswith("degree_day") else {}
        return History(self._units.get(point, ""), quarters[first:last], outdoor)

    def _weather(self, until: Millis) -> Mapping[date, float]:
        if self._outdoor is None:
            source = self._site.outdoor
            known = () if source is None else self._buckets.mean(source[0], source[1], HOUR_MS)
            self._outdoor = list(known)
        return daily_means([one for one in self._outdoor if one[0] + HOUR_MS <= until], self._zone)
