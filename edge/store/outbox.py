"""Stored readings on their way out: one entry for what a device measured in one instant."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping

from cloud_sync.outbox import Backlog, Entry, Taken
from edge.store import catalogue, moments
from edge.store.answers import Slice
from edge.store.database import Database
from edge.store.helper import Helper
from edge.store.moments import Source
from edge.store.readings import position

_LOG = logging.getLogger(__name__)

Park = Callable[[str, str, Entry, str, int, str], Awaitable[None]]
"""Sets an entry aside: stream, destination, entry, line, status, reason."""


class ReadingOutbox:
    """`cloud_sync.outbox.Outbox` over the moments; only good values leave."""

    name = "readings"

    def __init__(
        self, telemetry: Database, site_tags: Mapping[str, str], park: Park, helper: Helper | None = None
    ) -> None:
        self._database = telemetry
        self._helper = helper or Helper(telemetry.path.parent)
        self.damaged = 0
        """Sealed blocks that could not be read and were passed over."""
        self._site_tags = dict(site_tags)
        self._park = park
        self._sources: dict[int, tuple[Source, Mapping[str, str]]] = {}

    async def take(self, destination: str, limit: int) -> Taken:
        """See the protocol."""
        taken = await self._database.read(lambda connection: self._take(connection, destination, limit))
        return await self._take_sealed(taken, limit) if isinstance(taken, int) else taken

    async def _take_sealed(self, cursor: int, limit: int) -> Taken:
        """What is sealed behind the cursor; moments that retention took are passed over."""
        found = await self._helper.call("outgoing", Slice, cursor, limit)
        if found.damaged:
            _LOG.error("%d sealed blocks cannot be read: their readings are not sent", found.damaged)
            self.damaged += found.damaged
        tags = [self._tags(source) for source in found.sources]
        entries = [
            Entry(one.id, found.sources[one.source].kind, tags[one.source], one.fields, one.at)
            for one in found.entries
            if one.fields
        ]
        return Taken(entries, found.cursor, True)

    def _take(self, connection: sqlite3.Connection, destination: str, limit: int) -> Taken | int:
        """Hot entries; or the cursor when what is behind it is sealed."""
        cursor = position(connection, destination)
        if cursor < catalogue.sealed_until(connection):
            return cursor
        rows = connection.execute(
            "SELECT id, source, at, body FROM moments WHERE id > ? ORDER BY id LIMIT ?", (cursor, limit)
        ).fetchall()
        entries = []
        for number, source_id, at, body in rows:
            source, tags = self._source(connection, source_id)
            values, marks = moments.values_of(body)
            fields = {
                shape.name: value
                for index, (shape, value) in enumerate(zip(source.points, values, strict=True))
                if value is not None and index not in marks
            }
            if fields:
                entries.append(Entry(number, source.kind, tags, fields, at))
        return Taken(entries, rows[-1][0] if rows else cursor, len(rows) == limit)

    def _source(self, connection: sqlite3.Connection, number: int) -> tuple[Source, Mapping[str, str]]:
        """A source and its tags; they never change, so they are read once."""
        if number not in self._sources:
            for key, source in moments.sources(connection).items():
                self._sources[key] = (source, self._tags(source))
        return self._sources[number]

    def _tags(self, source: Source) -> Mapping[str, str]:
        tags = {"building": source.building, "space": source.space, "device": source.device}
        return {**self._site_tags, **tags}

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
        """Moments behind the cursor; the oldest one's time."""

        def look(connection: sqlite3.Connection) -> Backlog:
            cursor = position(connection, destination)
            (last,) = connection.execute(
                f"SELECT max(coalesce((SELECT max(id) FROM moments), 0), {catalogue.SEALED})"
            ).fetchone()
            if last <= cursor:
                return Backlog(0, None)
            # of a sealed run its first instant is known: the true one is at most a run later
            (oldest,) = (
                connection.execute(
                    "SELECT first_at FROM batches WHERE last_id > ? ORDER BY last_id LIMIT 1", (cursor,)
                ).fetchone()
                or connection.execute(
                    "SELECT at FROM moments WHERE id > ? ORDER BY id LIMIT 1", (cursor,)
                ).fetchone()
            )
            # Ids grow by one; what retention took from behind the cursor was counted as lost then.
            return Backlog(last - cursor, oldest)

        return await self._database.read(look)
