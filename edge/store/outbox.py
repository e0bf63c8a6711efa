"""Stored readings on their way out: one entry for what a device measured in one instant."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from cloud_sync.outbox import Backlog, Entry, Taken
from drivers.reading import Millis
from edge.store import catalogue, cursors, moments
from edge.store.answers import Slice
from edge.store.cursors import Run
from edge.store.database import Database
from edge.store.helper import Helper
from edge.store.moments import Source

_LOG = logging.getLogger(__name__)

_PATIENCE_MS = 600_000
_FEW = 500
"""So many moments are looked into for what waits; more are only counted."""
_FOLLOWING = "SELECT id, received_at FROM moments WHERE id > ? ORDER BY id LIMIT 1"

Park = Callable[[str, str, Entry, str, int, str], Awaitable[None]]
"""Sets an entry aside: stream, destination, entry, line, status, reason."""


class _Last(NamedTuple):
    """The last row that was looked at; `full` when there may be more behind it."""

    id: int
    full: bool


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

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        """See the protocol; urgent is what was received from `since` on."""
        if since is not None:
            return await self._database.read(lambda c: self._young(c, destination, limit, since))
        taken = await self._database.read(lambda connection: self._old(connection, destination, limit))
        return await self._take_sealed(taken, limit) if isinstance(taken, Run) else taken

    async def _take_sealed(self, gap: Run, limit: int) -> Taken:
        """What is sealed in a gap; moments that retention took are passed over."""
        found = await self._helper.call("outgoing", Slice, gap.behind, limit)
        if found.damaged:
            _LOG.error("%d sealed blocks cannot be read: their readings are not sent", found.damaged)
            self.damaged += found.damaged
        tags = [self._tags(source) for source in found.sources]
        entries = [
            Entry(one.id, found.sources[one.source].kind, tags[one.source], one.fields, one.at)
            for one in found.entries
            if one.fields and one.id <= gap.upto
        ]
        return Taken(entries, min(found.cursor, gap.upto), True)

    def _old(self, connection: sqlite3.Connection, destination: str, limit: int) -> Taken | Run:
        """Hot entries of the oldest gap, or of what is behind all that is held; or the gap when it
        begins with what is sealed."""
        held = cursors.held(connection, destination)
        gap = held.gap or Run(held.position, cursors.EVERYTHING)
        if gap.behind < catalogue.sealed_until(connection):
            return gap
        entries, last = self._rows(connection, gap, limit)
        full = last is not None and last.full
        if held.gap is not None and not full:
            return Taken(entries, gap.upto, len(held.ahead) > 1)
        return Taken(entries, gap.behind if last is None else last.id, full)

    def _young(self, connection: sqlite3.Connection, destination: str, limit: int, since: Millis) -> Taken:
        """Hot entries that came in from `since` on, behind all that is held. A destination that lags
        goes on where it stands for a while, lest the gaps become many."""
        held, sealed = cursors.held(connection, destination), catalogue.sealed_until(connection)
        front = max(held.top, sealed)
        older = front if front > held.position else None
        following = connection.execute(_FOLLOWING, (front,)).fetchone()
        if following is None:
            return Taken([], front, False, older)
        patience = since - _PATIENCE_MS if held.ahead else since
        if following[1] < patience:
            older = front = _behind_first(connection, front, since)
        entries, last = self._rows(connection, Run(front, cursors.EVERYTHING), limit)
        return Taken(entries, front if last is None else last.id, last is not None and last.full, older)

    def _rows(self, connection: sqlite3.Connection, run: Run, limit: int) -> tuple[list[Entry], _Last | None]:
        """Hot entries of a run of ids, and the last row that was looked at."""
        rows = connection.execute(
            "SELECT id, source, at, body FROM moments WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (*run, limit),
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
        return entries, _Last(rows[-1][0], len(rows) == limit) if rows else None

    def _source(self, connection: sqlite3.Connection, number: int) -> tuple[Source, Mapping[str, str]]:
        """A source and its tags; they never change, so they are read once."""
        if number not in self._sources:
            for key, source in moments.sources(connection).items():
                self._sources[key] = (source, self._tags(source))
        return self._sources[number]

    def _tags(self, source: Source) -> Mapping[str, str]:
        tags = {"building": source.building, "space": source.space, "device": source.device}
        return {**self._site_tags, **tags}

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        """See the protocol."""
        await self._database.run(lambda c: cursors.accept(c, destination, behind, cursor, sent))

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets one refused entry aside."""
        await self._park(self.name, destination, entry, line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        """Moments that are not held; the oldest one's time. Those without a good value do not wait,
        and count only among many."""

        def look(connection: sqlite3.Connection) -> Backlog:
            held = cursors.held(connection, destination)
            (last,) = connection.execute(
                f"SELECT max(coalesce((SELECT max(id) FROM moments), 0), {catalogue.SEALED})"
            ).fetchone()
            lacking = held.lacking(last)
            if lacking <= _FEW and held.position >= catalogue.sealed_until(connection):
                waiting = [one for gap in held.gaps(last) for one in self._rows(connection, gap, _FEW)[0]]
                return Backlog(len(waiting), waiting[0].at if waiting else None)
            # of a sealed run its first instant is known: the true one is at most a run later
            (oldest,) = (
                connection.execute(
                    "SELECT first_at FROM batches WHERE last_id > ? ORDER BY last_id LIMIT 1",
                    (held.position,),
                ).fetchone()
                or connection.execute(
                    "SELECT at FROM moments WHERE id > ? ORDER BY id LIMIT 1", (held.position,)
                ).fetchone()
            )
            # Ids grow by one; what retention took from behind the cursor was counted as lost then.
            return Backlog(lacking, oldest)

        return await self._database.read(look)


def _behind_first(connection: sqlite3.Connection, front: int, since: Millis) -> int:
    """The id before the first one behind `front` that came in from `since` on; ids grow with the
    time of receiving, but where the clock was set."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM moments").fetchone()
    low, high = front, max(front, last)
    while low < high:
        middle = (low + high) // 2
        number, received = connection.execute(_FOLLOWING, (middle,)).fetchone()
        if received < since:
            low = number
        else:
            high = middle
    return low
