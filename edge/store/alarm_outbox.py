"""Alarms on their way out: one point for each transition, measurement `alarm`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from cloud_sync.outbox import Backlog, Entry, Taken
from drivers.reading import Millis, Value
from edge.store.alarms import Quarantine, state_of
from edge.store.database import Database


class AlarmOutbox:
    """`cloud_sync.outbox.Outbox` over the transitions."""

    name = "alarms"

    def __init__(self, core: Database, site_tags: Mapping[str, str]) -> None:
        self._core = core
        self._site_tags = dict(site_tags)

    async def take(self, destination: str, limit: int, since: Millis | None = None) -> Taken:
        """See `cloud_sync.outbox.Outbox`; all of it is urgent."""

        def look(connection: sqlite3.Connection) -> Taken:
            cursor = _position(connection, destination)
            rows = connection.execute(
                "SELECT id, change, at, state FROM transition WHERE id>? ORDER BY id LIMIT ?",
                (cursor, limit),
            ).fetchall()
            entries = [_entry(self._site_tags, *row) for row in rows]
            return Taken(entries, rows[-1]["id"] if rows else cursor, len(rows) == limit)

        return await self._core.read(look)

    async def accept(self, destination: str, cursor: int, sent: int, behind: int | None = None) -> None:
        """See the protocol; nothing is taken out of turn."""
        await self._core.run(
            lambda c: c.execute(
                "INSERT INTO cursors VALUES('alarms',?1,?2,?3) ON CONFLICT(stream, destination) DO UPDATE"
                " SET position=max(position, ?2), sent=sent+?3",
                (destination, cursor, sent),
            )
        )

    async def park(self, destination: str, entry: Entry, line: str, status: int, reason: str) -> None:
        """Sets one refused entry aside."""
        await Quarantine(self._core).park(self.name, destination, entry, line, status, reason)

    async def backlog(self, destination: str) -> Backlog:
        """Transitions behind the cursor."""

        def look(connection: sqlite3.Connection) -> Backlog:
            return Backlog(
                *connection.execute(
                    "SELECT count(*), min(at) FROM transition WHERE id>?",
                    (_position(connection, destination),),
                ).fetchone()
            )

        return await self._core.read(look)


def sent_between(
    connection: sqlite3.Connection, destination: str, site_tags: Mapping[str, str],
    since: Millis, until: Millis,
) -> list[Entry]:  # fmt: skip
    """Transitions of [since, until) that went to a destination and were taken, as they were sent."""
    rows = connection.execute(
        "SELECT id, change, at, state FROM transition WHERE id<=:position AND at>=:since AND at<:until"
        " AND id NOT IN (SELECT entry FROM quarantine WHERE stream='alarms' AND destination=:destination)"
        " ORDER BY id",
        {"position": _position(connection, destination), "destination": destination,
         "since": since, "until": until},
    )  # fmt: skip
    return [_entry(site_tags, *row) for row in rows]


def _entry(site_tags: Mapping[str, str], number: int, change: str, at: Millis, text: str) -> Entry:
    state = state_of(text)
    tags = {
        **site_tags,
        "rule": state.rule,
        "space": state.scope,
        "device": state.device,
        "priority": str(state.priority),
        "state": change,
    }
    values: dict[str, Value] = {
        "occurrence": state.occurrence,
        "condition": state.condition.value,
        "acked": state.acked,
        "latched": state.latched,
        "suppressed": bool(state.suppressed_by),
        "shelved": state.shelved_until is not None,
        "message": state.message,
    }
    if isinstance(state.value, float):
        values["value"] = state.value
    return Entry(number, "alarm", tags, values, at)


def _position(connection: sqlite3.Connection, destination: str) -> int:
    """Up to which transition a destination holds them; in order, for nothing leaves out of turn."""
    row = connection.execute(
        "SELECT position FROM cursors WHERE stream='alarms' AND destination=?", (destination,)
    ).fetchone()
    return int(row[0]) if row else 0
