"""Readings on disk: group commits, latest values, history, and their way to the cloud.

series    one row for a point under the tags it had when stored: they never change
readings  one row for a reading; `id` is the cursor of the outbox
cursors   how far each destination has come
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_sync.outbox import Backlog, Entry, Taken
from drivers.reading import Millis, Quality, Reading, Value
from edge.store.database import Database

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE series(
            id INTEGER PRIMARY KEY, device TEXT NOT NULL, point TEXT NOT NULL, kind TEXT NOT NULL,
            space TEXT NOT NULL, building TEXT NOT NULL, unit TEXT NOT NULL, type TEXT NOT NULL,
            UNIQUE(device, point, kind, space, building, unit, type))""",
        """CREATE TABLE readings(
            id INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL REFERENCES series(id),
            at INTEGER NOT NULL, received_at INTEGER NOT NULL, value, quality INTEGER NOT NULL,
            reason TEXT)""",
        "CREATE UNIQUE INDEX readings_series_at ON readings(series, at)",
        "CREATE INDEX readings_at ON readings(at)",
        """CREATE TABLE cursors(
            destination TEXT PRIMARY KEY, position INTEGER NOT NULL, sent INTEGER NOT NULL)
            WITHOUT ROWID""",
    ),
)

ROWS_PER_ENTRY = 8

_QUALITIES = (Quality.GOOD, Quality.STALE, Quality.BAD)
_QUALITY_CODE = {quality: code for code, quality in enumerate(_QUALITIES)}
AGGREGATES = {
    "mean": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "count": "count(value)",
}


@dataclass(frozen=True, slots=True)
class SeriesTags:
    """What a series is stored under, from the configuration of the moment."""

    kind: str
    space: str
    building: str
    unit: str
    type: str


class Sample(NamedTuple):
    """One stored or aggregated value."""

    at: Millis
    value: Value | None
    quality: Quality


Park = Callable[[str, str, Entry, str, int, str], Awaitable[None]]
"""Sets an entry aside: stream, destination, entry, line, status, reason."""


class ReadingStore:
    """The telemetry file's readings; `tags` gives each configured point's series tags."""

    def __init__(self, database: Database, tags: Mapping[tuple[str, str], SeriesTags]) -> None:
        self._database = database
        self._tags = tags
        self._series: dict[tuple[str, str], int] = {}
        self.stored = 0
        self.duplicates = 0
        self.last_commit: Millis | None = None

    async def load(self) -> None:
        """Makes sure that every configured point has its series."""
        await self._database.run(self._load)

    def _load(self, connection: sqlite3.Connection) -> None:
        for (device, point), tags in self._tags.items():
            row = (device, point, tags.kind, tags.space, tags.building, tags.unit, tags.type)
            connection.execute(
                "INSERT INTO series(device, point, kind, space, building, unit, type)"
                " VALUES(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                row,
            )
            (self._series[device, point],) = connection.execute(
                "SELECT id FROM series WHERE (device, point, kind, space, building, unit, type)"
                " = (?,?,?,?,?,?,?)",
                row,
            ).fetchone()

    async def append(self, readings: Sequence[Reading], now: Millis) -> None:
        """Stores a group in one commit. A second value of a point in the same millisecond
        is a duplicate: the first stays, the count says so."""
        series = self._series
        rows = [
            (
                series[r.device, r.point], r.at, r.received_at, r.value,
                _QUALITY_CODE[r.quality], r.reason or None,
            )
            for r in readings
            if (r.device, r.point) in series
        ]  # fmt: skip
        stored = await self._database.run(lambda connection: _insert(connection, rows))
        self.stored += stored
        self.duplicates += len(rows) - stored
        self.last_commit = now

    async def latest(self) -> list[Reading]:
        """The newest stored reading of every configured point (after a restart)."""
        return await self._database.read(self._latest)

    def _latest(self, connection: sqlite3.Connection) -> list[Reading]:
        found = []
        for (device, point), number in self._series.items():
            row = connection.execute(
                "SELECT at, received_at, value, quality, reason FROM readings"
                " WHERE series=? ORDER BY at DESC LIMIT 1",
                (number,),
            ).fetchone()
            if row is not None:
                tags = self._tags[device, point]
                value = _typed(row["value"], tags.type)
                quality = _QUALITIES[row["quality"]]
                found.append(
                    Reading(
                        device, point, value, tags.unit, row["at"], row["received_at"], quality,
                        row["reason"] or "",
                    )
                )  # fmt: skip
        return found

    async def recent(self, since: Millis, limit: int = 500_000) -> list[Reading]:
        """The configured points' stored readings from `since` on, in the order they were stored."""
        names = {number: key for key, number in self._series.items()}

        def look(connection: sqlite3.Connection) -> list[Reading]:
            found = []
            for row in connection.execute(
                "SELECT series, at, received_at, value, quality, reason FROM readings INDEXED BY readings_at"
                " WHERE at>=? ORDER BY at LIMIT ?",
                (since, limit),
            ):
                key = names.get(row[0])
                if key is not None:
                    tags = self._tags[key]
                    found.append(
                        Reading(
                            *key, _typed(row[3], tags.type), tags.unit, row[1], row[2], _QUALITIES[row[4]],
                            row[5] or "",
                        )
                    )  # fmt: skip
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
        kind = self._tags[device, point].type

        def look(connection: sqlite3.Connection) -> list[Sample]:
            where = (
                "FROM readings WHERE series IN (SELECT id FROM series WHERE device=? AND point=?)"
                " AND at>=? AND at<?"
            )
            span = (device, point, since, until)
            if step is None:
                rows = connection.execute(
                    f"SELECT at, value, quality {where} ORDER BY at LIMIT ?", (*span, limit)
                )
                return [Sample(at, _typed(value, kind), _QUALITIES[code]) for at, value, code in rows]
            if aggregate == "last":
                # SQLite gives the bare column of the row that max() picked.
                query = (
                    f"SELECT at/?*? AS bucket, value, max(at) {where} AND quality=0 GROUP BY bucket LIMIT ?"
                )
            else:
                query = (
                    f"SELECT at/?*? AS bucket, {AGGREGATES[aggregate]} {where} AND quality=0"
                    " GROUP BY bucket LIMIT ?"
                )
            rows = connection.execute(query, (step, step, *span, limit))
            number = "number" if aggregate != "last" else kind
            return [Sample(row[0], _typed(row[1], number), Quality.GOOD) for row in rows]

        return await self._database.read(look)

    async def prune(self, before: Millis, destinations: Sequence[str], limit: int = 20_000) -> int:
        """Deletes old readings that every destination holds; how many. A bounded step."""

        def work(connection: sqlite3.Connection) -> int:
            sent = [row[0] if (row := _cursor_row(connection, name)) else 0 for name in destinations] or [
                1 << 62
            ]
            cursor = connection.execute(
                "DELETE FROM readings WHERE id IN"
                " (SELECT id FROM readings WHERE at<? AND id<=? ORDER BY at LIMIT ?)",
                (before, min(sent), limit),
            )
            connection.execute("PRAGMA incremental_vacuum(200)")
            return cursor.rowcount

        return await self._database.run(work)


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    before = connection.total_changes
    connection.executemany(
        "INSERT INTO readings(series, at, received_at, value, quality, reason) VALUES(?,?,?,?,?,?)"
        " ON CONFLICT DO NOTHING",
        rows,
    )
    return connection.total_changes - before


def _typed(value: object, kind: str) -> Value | None:
    """A stored value in the vocabulary's type."""
    if value is None or isinstance(value, bytes):
        return None
    if kind == "switch":
        return bool(value)
    return str(value) if kind == "text" else float(value)  # type: ignore[arg-type]  # numbers only


def _cursor_row(connection: sqlite3.Connection, destination: str) -> tuple[int, int] | None:
    row = connection.execute(
        "SELECT position, sent FROM cursors WHERE destination=?", (destination,)
    ).fetchone()
    return (row[0], row[1]) if row else None


class ReadingOutbox:
    """The readings on their way out: good ones only, points of one device and instant together."""

    name = "readings"

    def __init__(self, telemetry: Database, site_tags: Mapping[str, str], park: Park) -> None:
        self._database = telemetry
        self._site_tags = dict(site_tags)
        self._park = park
        self._tags: dict[tuple[str, str, str], Mapping[str, str]] = {}

    async def take(self, destination: str, limit: int) -> Taken:
        """See `cloud_sync.outbox.Outbox`."""
        return await self._database.read(lambda connection: self._take(connection, destination, limit))

    def _take(self, connection: sqlite3.Connection, destination: str, limit: int) -> Taken:
        row = _cursor_row(connection, destination)
        cursor = row[0] if row else 0
        # Points of one instant become one entry: more rows than entries are read.
        most = limit * ROWS_PER_ENTRY
        rows = connection.execute(
            "SELECT r.id, s.kind, s.space, s.building, s.device, s.point, s.type, r.at, r.value, r.quality"
            " FROM readings r JOIN series s ON s.id = r.series WHERE r.id > ? ORDER BY r.id LIMIT ?",
            (cursor, most),
        ).fetchall()
        entries: list[Entry] = []
        fields: dict[str, Value] = {}
        last: tuple[object, ...] = ()
        for number, kind, space, building, device, point, type_, at, value, quality in rows:
            typed = None if quality else _typed(value, type_)
            if typed is None:
                cursor = number
                continue
            key = (device, at, kind, space, building)
            if key != last:
                if len(entries) == limit:
                    return Taken(entries, cursor, True)
                last, fields = key, {}
                entries.append(Entry(number, kind, self._tags_of(device, space, building), fields, at))
            fields[point] = typed
            cursor = number
        return Taken(entries, cursor, len(rows) == most)

    def _tags_of(self, device: str, space: str, building: str) -> Mapping[str, str]:
        tags = self._tags.get((device, space, building))
        if tags is None:
            tags = {**self._site_tags, "building": building, "space": space, "device": device}
            self._tags[device, space, building] = tags
        return tags

    async def accept(self, destination: str, cursor: int, sent: int) -> None:
        """Moves the cursor, durably."""
        await self._database.run(
            lambda connection: connection.execute(
                "INSERT INTO cursors VALUES(?1,?2,?3) ON CONFLICT(destination) DO UPDATE"
                " SET position=?2, sent=sent+?3",
                (destination, cursor, sent),
            )
        )

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets one refused entry aside."""
        await self._park(self.name, destination, entry, line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        """Good readings behind the cursor; the oldest one's time."""

        def look(connection: sqlite3.Connection) -> Backlog:
            row = _cursor_row(connection, destination)
            pending, oldest = connection.execute(
                "SELECT count(*), min(at) FROM readings WHERE id > ? AND quality=0", (row[0] if row else 0,)
            ).fetchone()
            return Backlog(pending, oldest)

        return await self._database.read(look)
