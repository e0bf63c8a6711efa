"""Readings on disk: group commits, latest values and history."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from drivers.reading import Millis, Quality, Reading, Value
from edge.store import moments
from edge.store.database import Database
from edge.store.moments import Moment, Source

LOOK_BACK = 64
"""Moments of a device that are searched for the newest value of each of its points."""


class Sample(NamedTuple):
    """One stored or aggregated value."""

    at: Millis
    value: Value | None
    quality: Quality


class ReadingStore:
    """The telemetry file's readings; `sources` are the configured devices with their points."""

    def __init__(self, database: Database, sources: Iterable[Source]) -> None:
        self._database = database
        self._sources = {source.device: source for source in sources}
        self._ids: dict[str, int] = {}
        self._newest: dict[str, Millis] = {}
        self.stored = 0
        self.duplicates = 0
        self.last_commit: Millis | None = None

    async def load(self) -> None:
        """Makes sure that every configured device has its source."""
        await self._database.run(self._load)

    def _load(self, connection: sqlite3.Connection) -> None:
        for device, source in self._sources.items():
            number = self._ids[device] = moments.source_of(connection, source)
            (newest,) = connection.execute("SELECT max(at) FROM moments WHERE source=?", (number,)).fetchone()
            self._newest[device] = newest or 0

    async def append(self, readings: Sequence[Reading], now: Millis) -> None:
        """Stores a group in one commit. A second value of a point in the same millisecond
        is a duplicate: the first stays, the count says so."""
        stored, duplicates, newest = await self._database.run(
            lambda connection: self._append(connection, readings)
        )
        self._newest.update(newest)
        self.stored += stored
        self.duplicates += duplicates
        self.last_commit = now

    def _append(
        self, connection: sqlite3.Connection, readings: Sequence[Reading]
    ) -> tuple[int, int, Mapping[str, Millis]]:
        group, duplicates = self._gather(readings)
        for moment in group:
            if moment.at <= self._newest[moment.source.device]:
                duplicates += self._forget_known(connection, moment)
        rows = [
            (self._ids[m.source.device], m.at, m.received_at, m.body())
            for m in group
            if m.marks or any(v is not None for v in m.values)
        ]
        connection.executemany("INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)", rows)
        newest: dict[str, Millis] = {}
        for moment in group:
            device = moment.source.device
            newest[device] = max(newest.get(device, self._newest[device]), moment.at)
        known = sum(1 for r in readings if r.device in self._sources)
        return known - duplicates, duplicates, newest

    def _gather(self, readings: Sequence[Reading]) -> tuple[list[Moment], int]:
        """The readings by device and instant; and how many said a point's instant twice."""
        found: dict[tuple[str, Millis], Moment] = {}
        duplicates = 0
        last: Moment | None = None
        for device, point, value, _unit, at, received_at, quality, reason, _origin in readings:
            if last is None or last.at != at or last.source.device != device:
                source = self._sources.get(device)
                if source is None:
                    continue
                last = found.get((device, at))
                if last is None:
                    last = Moment(source, at, received_at, [None] * len(source.points), {})
                    found[device, at] = last
            index = last.source.index[point]
            if last.holds(index):
                duplicates += 1
                continue
            last.values[index] = value
            if quality is not Quality.GOOD:
                last.marks[index] = (quality, reason)
        return list(found.values()), duplicates

    def _forget_known(self, connection: sqlite3.Connection, moment: Moment) -> int:
        """Takes out of a moment what an earlier group stored of the same instant; how many."""
        taken = 0
        for (body,) in connection.execute(
            "SELECT body FROM moments WHERE source=? AND at=?", (self._ids[moment.source.device], moment.at)
        ):
            values, marks = moments.values_of(body)
            for index, value in enumerate(values):
                if (value is not None or index in marks) and moment.holds(index):
                    moment.values[index] = None
                    moment.marks.pop(index, None)
                    taken += 1
        return taken

    async def latest(self) -> list[Reading]:
        """The newest stored reading of every configured point (after a restart)."""
        return await self._database.read(self._latest)

    def _latest(self, connection: sqlite3.Connection) -> list[Reading]:
        found = []
        for device, source in self._sources.items():
            missing = dict(source.index)
            rows = connection.execute(
                "SELECT at, received_at, body FROM moments WHERE source=? ORDER BY at DESC LIMIT ?",
                (self._ids[device], LOOK_BACK),
            )
            for at, received_at, body in rows:
                for reading in _readings(source, at, received_at, body):
                    if missing.pop(reading.point, None) is not None:
                        found.append(reading)
                if not missing:
                    break
        return found

    async def recent(self, since: Millis, limit: int = 500_000) -> list[Reading]:
        """The configured points' stored readings from `since` on, in the order of storing."""

        def look(connection: sqlite3.Connection) -> list[Reading]:
            rows: list[tuple[int, Source, Millis, Millis, bytes]] = []
            for device, source in self._sources.items():
                rows.extend(
                    (row[0], source, row[1], row[2], row[3])
                    for row in connection.execute(
                        "SELECT id, at, received_at, body FROM moments WHERE source=? AND at>=?",
                        (self._ids[device], since),
                    )
                )
            rows.sort(key=lambda row: row[0])
            found: list[Reading] = []
            for _, source, at, received_at, body in rows:
                found.extend(_readings(source, at, received_at, body))
                if len(found) >= limit:
                    break
            return found

        return await self._database.read(look)

    async def history(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        *,
        step: Millis | None = None,
        aggregate: str = "mean",
        limit: int = 10_000,
    ) -> list[Sample]:
        """Samples in [since, until), oldest first: raw, or one for each `step` (aligned to
        the epoch) of the good ones. `aggregate` is mean, min, max, sum, count or last."""

        def look(connection: sqlite3.Connection) -> list[Sample]:
            values = moments.instants(connection, device, point, since, until)
            if step is None:
                return [Sample(*one) for one, _ in zip(values, range(limit), strict=False)]
            return _aggregated(values, step, aggregate, limit)

        return await self._database.read(look)

    async def prune(self, before: Millis, destinations: Sequence[str], limit: int = 20_000) -> int:
        """Deletes old moments that every destination holds; how many. A bounded step."""

        def work(connection: sqlite3.Connection) -> int:
            held = min((position(connection, name) for name in destinations), default=1 << 62)
            deleted = 0
            for (source,) in connection.execute("SELECT id FROM sources").fetchall():
                deleted += connection.execute(
                    "DELETE FROM moments WHERE id IN (SELECT id FROM moments"
                    " WHERE source=? AND at<? AND id<=? ORDER BY at LIMIT ?)",
                    (source, before, held, limit - deleted),
                ).rowcount
                if deleted >= limit:
                    break
            connection.execute("PRAGMA incremental_vacuum(200)")
            return deleted

        return await self._database.run(work)


def position(connection: sqlite3.Connection, destination: str) -> int:
    """The moment up to which a destination holds everything; 0 for a new one."""
    row = connection.execute("SELECT position FROM cursors WHERE destination=?", (destination,)).fetchone()
    return int(row[0]) if row else 0


def _readings(source: Source, at: Millis, received_at: Millis, body: bytes) -> Iterable[Reading]:
    values, marks = moments.values_of(body)
    for index, (value, shape) in enumerate(zip(values, source.points, strict=True)):
        if value is not None or index in marks:
            quality, reason = marks.get(index, (Quality.GOOD, ""))
            yield Reading(source.device, shape.name, value, shape.unit, at, received_at, quality, reason)


def _aggregated(
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
