"""Hourly figures on their way to a long-lived bucket: one entry for each hour of a device.

    electricity_meter,device=em-1,...  active_power_min=...,active_power_max=...,active_power_mean=...,
                                       active_power_last=...,active_power_count=...   start of the hour

An hour is made when it is over, and again when something of it was stored later: the same series
and time, so that it overwrites itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

from cloud_sync.outbox import Backlog, Entry, Taken
from drivers.reading import Millis, Value
from edge.store.answers import FIGURES, HOUR, Hour, Hours, Part, hour_id
from edge.store.database import Database
from edge.store.helper import Helper
from edge.store.moments import Source
from edge.store.outbox import Park

LATE: Millis = 120_000
"""So long after its end an hour is made: the last groups are stored by then."""
MOST = 1_000
"""Points' hours that are taken at once: with their five figures as lines some 1 MB."""


class HourlyOutbox:
    """`cloud_sync.outbox.Outbox` over the hours behind a cursor over the moments.

    `first_held` is the first moment that may be dated anew; nothing is made before `not_before`.
    """

    name = "hourly"

    def __init__(
        self, telemetry: Database, site_tags: Mapping[str, str], park: Park, helper: Helper,
        clock: Callable[[], Millis], first_held: Callable[[], int | None], not_before: Millis = 0,
    ) -> None:  # fmt: skip
        self._database = telemetry
        self._helper = helper
        self._site_tags = dict(site_tags)
        self._park = park
        self._clock = clock
        self._first_held = first_held
        self._not_before = not_before
        self._looked: dict[str, Millis] = {}
        self._given: dict[str, Part | None] = {}
        self._told: dict[str, Part | None] = {}

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        """See the protocol; nothing of it is urgent. Where a step of work has more hours than are taken
        at once, the cursor stays until its last part: what a restart breaks off is made again."""
        cursor = await self._database.read(lambda c: position(c, destination))
        now = self._clock()
        before = (now - LATE) // HOUR * HOUR
        if since is not None or now < self._not_before or self._looked.get(destination) == before:
            return Taken([], cursor, False, cursor)
        part = self._told.get(destination)
        while True:
            found = await self._helper.call(
                "hours", Hours, cursor, before, self._first_held(), min(limit, MOST), part, timeout_s=120.0
            )
            part = None if found.after is None else Part(found.cursor, found.after)
            if found.hours or part is None:
                break
        if not found.more:
            self._looked[destination] = before
        self._given[destination] = part
        return Taken(entries_of(found, self._site_tags), found.cursor if part is None else cursor, found.more)

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        """See the protocol."""
        self._told[destination] = self._given.pop(destination, None)
        await self._database.run(
            lambda c: c.execute(
                "INSERT INTO hourly VALUES(?1,?2,?3) ON CONFLICT(destination) DO UPDATE"
                " SET position=?2, sent=sent+?3",
                (destination, cursor, sent),
            )
        )

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets one refused entry aside."""
        await self._park(self.name, destination, entry, line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        """How many hours are over since the oldest moment that none was made of."""
        over = (self._clock() - LATE) // HOUR * HOUR

        def look(connection: sqlite3.Connection) -> Backlog:
            cursor = position(connection, destination)
            row = (
                connection.execute(
                    "SELECT first_at FROM batches WHERE last_id>? ORDER BY last_id LIMIT 1", (cursor,)
                ).fetchone()
                or connection.execute(
                    "SELECT at FROM moments WHERE id>? ORDER BY id LIMIT 1", (cursor,)
                ).fetchone()
            )
            if row is None or row[0] >= over:
                return Backlog(0, None)
            return Backlog(over // HOUR - row[0] // HOUR, row[0] // HOUR * HOUR)

        return await self._database.read(look)


def entries_of(found: Hours, site_tags: Mapping[str, str]) -> list[Entry]:
    """Hours as the long-lived bucket holds them."""
    return [_entry(found.sources[hour.source], hour, site_tags) for hour in found.hours]


def _entry(source: Source, hour: Hour, site_tags: Mapping[str, str]) -> Entry:
    tags = {**site_tags, "building": source.building, "space": source.space, "device": source.device}
    fields: dict[str, Value] = {
        f"{point}_{name}": float(value)
        for point, figures in hour.points.items()
        for name, value in zip(FIGURES, figures, strict=True)
    }
    return Entry(hour_id(source, hour.at), source.kind, tags, fields, hour.at)


def position(connection: sqlite3.Connection, destination: str) -> int:
    """Up to which moment a destination's hours are made of."""
    row = connection.execute("SELECT position FROM hourly WHERE destination=?", (destination,)).fetchone()
    return int(row[0]) if row else 0
