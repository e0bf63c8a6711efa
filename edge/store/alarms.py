"""Alarms on disk: the state of every rule instance, each occurrence, each transition, and
the pushes that follow from it, all in the transaction of the transition."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

import msgspec

from cloud_sync.outbox import Entry
from drivers.reading import Millis
from edge.store.database import Database
from edge.store.findings import keep_findings
from rules.alarm import AlarmState, Change, Condition, Transition

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE alarm_state(
        rule TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY(rule, scope)) WITHOUT ROWID""",
    """CREATE TABLE occurrence(
        id TEXT PRIMARY KEY, rule TEXT NOT NULL, scope TEXT NOT NULL, raised_at INTEGER NOT NULL,
        priority INTEGER NOT NULL, open INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX occurrence_raised ON occurrence(raised_at)",
    "CREATE INDEX occurrence_open ON occurrence(open) WHERE open",
    """CREATE TABLE transition(
        id INTEGER PRIMARY KEY AUTOINCREMENT, change TEXT NOT NULL, rule TEXT NOT NULL, scope TEXT NOT NULL,
        occurrence TEXT NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL)""",
    """CREATE TABLE push(
        id TEXT PRIMARY KEY, occurrence TEXT NOT NULL, channel TEXT NOT NULL, priority INTEGER NOT NULL,
        body TEXT NOT NULL, created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, attempts INTEGER NOT NULL,
        state TEXT NOT NULL, settled_at INTEGER, detail TEXT NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX push_due ON push(due_at) WHERE state='pending'",
    "CREATE INDEX push_occurrence ON push(occurrence)",
    """CREATE TABLE cursors(
        stream TEXT NOT NULL, destination TEXT NOT NULL, position INTEGER NOT NULL, sent INTEGER NOT NULL,
        PRIMARY KEY(stream, destination)) WITHOUT ROWID""",
    """CREATE TABLE quarantine(
        id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, destination TEXT NOT NULL,
        entry INTEGER NOT NULL, line TEXT NOT NULL, status INTEGER NOT NULL, reason TEXT NOT NULL,
        at INTEGER NOT NULL, UNIQUE(stream, destination, entry))""",
)


PushState = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Push:
    """One message to one channel, about one occurrence. `id` is its idempotency key."""

    id: str
    occurrence: str
    channel: str
    priority: int
    body: str  # JSON of the notice
    created_at: Millis
    due_at: Millis
    attempts: int = 0
    state: PushState = "pending"
    settled_at: Millis | None = None
    detail: str = ""


class Parked(NamedTuple):
    """One entry that a destination refused for good."""

    stream: str
    destination: str
    at: Millis
    line: str
    status: int
    reason: str


def _dump(state: AlarmState) -> str:
    return msgspec.json.encode(asdict(state)).decode()


def state_of(text: str) -> AlarmState:
    """A stored state; fields unknown to this version are left out, new ones take their default."""
    known = {field.name for field in fields(AlarmState)}
    raw: dict[str, Any] = {k: v for k, v in msgspec.json.decode(text).items() if k in known}
    raw["condition"] = Condition(raw["condition"])
    for name in ("raises", "sightings", "timers", "interlocks"):
        raw[name] = tuple(raw.get(name, ()))
    # Before this was kept, every raise was told.
    raw.setdefault("told", raw["condition"] in (Condition.ACTIVE, Condition.CLEARING))
    return AlarmState(**raw)


class AlarmStore:
    """The core file's alarms."""

    def __init__(self, core: Database) -> None:
        self._core = core
        self._new: Callable[[Sequence[Push]], None] = lambda pushes: None

    def tell_of_pushes(self, new: Callable[[Sequence[Push]], None]) -> None:
        """From now on `new` gets pushes that were stored for the first time, once they are durable."""
        self._new = new

    async def states(self) -> list[AlarmState]:
        """The persisted state of every rule instance, for the engine's start."""
        return await self._core.read(
            lambda c: [state_of(row[0]) for row in c.execute("SELECT state FROM alarm_state")], patient=True
        )

    async def save(
        self,
        transitions: Sequence[Transition],
        pushes: Sequence[Push] = (),
        also: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """Stores transitions, their states and their pushes in one durable commit, and what `also` stores
        with them."""

        def work(connection: sqlite3.Connection) -> list[Push]:
            for transition in transitions:
                _save(connection, transition)
            new = [push for push in pushes if _is_new(connection, push)]
            if also is not None:
                also(connection)
            return new

        if new := await self._core.run(work):
            self._new(new)

    async def occurrences(self, *, only_open: bool, limit: int = 1000) -> list[AlarmState]:
        """Occurrences, newest first."""
        where = "WHERE open" if only_open else ""
        return await self._core.read(
            lambda c: [
                state_of(row[0])
                for row in c.execute(
                    f"SELECT state FROM occurrence {where} ORDER BY raised_at DESC LIMIT ?", (limit,)
                )
            ]
        )

    async def raised_between(self, since: Millis, until: Millis) -> list[AlarmState]:
        """Occurrences that were raised in [since, until), oldest first."""
        return await self._core.read(
            lambda c: [
                state_of(row[0])
                for row in c.execute(
                    "SELECT state FROM occurrence WHERE raised_at>=? AND raised_at<? ORDER BY raised_at",
                    (since, until),
                )
            ]
        )

    async def occurrence(self, occurrence: str) -> AlarmState | None:
        """One occurrence by id."""

        def look(connection: sqlite3.Connection) -> AlarmState | None:
            row = connection.execute("SELECT state FROM occurrence WHERE id=?", (occurrence,)).fetchone()
            return state_of(row[0]) if row else None

        return await self._core.read(look)

    async def pushes(self, occurrences: Sequence[str]) -> dict[str, list[Push]]:
        """The pushes of the named occurrences."""

        def look(connection: sqlite3.Connection) -> dict[str, list[Push]]:
            found: dict[str, list[Push]] = {}
            for start in range(0, len(occurrences), 500):
                some = occurrences[start : start + 500]
                marks = ",".join("?" * len(some))
                for row in connection.execute(
                    f"SELECT * FROM push WHERE occurrence IN ({marks}) ORDER BY created_at", tuple(some)
                ):
                    found.setdefault(row["occurrence"], []).append(Push(*row))
            return found

        return await self._core.read(look)

    async def due_pushes(self, now: Millis, limit: int = 50, but: Collection[str] = ()) -> list[Push]:
        """Pending pushes whose time has come, the most urgent first; none of the channels `but`."""
        names, marks = tuple(but), ",".join("?" * len(but))
        return await self._core.read(
            lambda c: [
                Push(*row)
                for row in c.execute(
                    f"SELECT * FROM push WHERE state='pending' AND due_at<=? AND channel NOT IN ({marks})"
                    " ORDER BY priority, created_at LIMIT ?",
                    (now, *names, limit),
                )
            ]
        )

    async def next_push_due(self, but: Collection[str] = ()) -> Millis | None:
        """When the next pending push is due, those of the channels `but` left out."""
        names, marks = tuple(but), ",".join("?" * len(but))
        return await self._core.read(
            lambda c: c.execute(
                f"SELECT min(due_at) FROM push WHERE state='pending' AND channel NOT IN ({marks})", names
            ).fetchone()[0]
        )

    async def failing_channels(self) -> dict[str, Millis]:
        """Channels that have refused for good and taken nothing since: when the first of it was."""
        return await self._core.read(
            lambda c: dict(
                c.execute(
                    "SELECT channel, min(settled_at) FROM push WHERE state='failed' AND settled_at >"
                    " coalesce((SELECT max(settled_at) FROM push AS d WHERE d.channel=push.channel"
                    " AND d.state='delivered'), 0) GROUP BY channel"
                ).fetchall()
            )
        )

    async def keep_push(self, push: Push) -> None:
        """Stores a push as it stands, whether or not it was stored before."""
        await self._core.run(
            lambda c: c.execute(
                "INSERT OR REPLACE INTO push VALUES(?,?,?,?,?,?,?,?,?,?,?)",
                (push.id, push.occurrence, push.channel, push.priority, push.body, push.created_at,
                 push.due_at, push.attempts, push.state, push.settled_at, push.detail),
            )
        )  # fmt: skip

    async def settle_pushes(self, pushes: Sequence[Push]) -> None:
        """Stores the outcome of an attempt (state, attempts, due_at, detail), of all in one commit."""
        await self._core.run(
            lambda c: c.executemany(
                "UPDATE push SET due_at=?, attempts=?, state=?, settled_at=?, detail=? WHERE id=?",
                [(p.due_at, p.attempts, p.state, p.settled_at, p.detail, p.id) for p in pushes],
            )
        )


def _is_new(connection: sqlite3.Connection, p: Push) -> bool:
    """Stores a push; False when it stands there already, and then it stays as it is."""
    row = (p.id, p.occurrence, p.channel, p.priority, p.body, p.created_at, p.due_at, p.attempts, p.state,
           p.settled_at, p.detail)  # fmt: skip
    insert = "INSERT INTO push VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
    return connection.execute(insert, row).rowcount > 0


def _save(connection: sqlite3.Connection, transition: Transition) -> None:
    state, text = transition.state, _dump(transition.state)
    keep_findings(connection, transition)
    if transition.change is Change.CLOSED and state.condition is Condition.NORMAL:
        connection.execute("DELETE FROM alarm_state WHERE rule=? AND scope=?", (state.rule, state.scope))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO alarm_state VALUES(?,?,?)", (state.rule, state.scope, text)
        )
    if state.silent:
        return
    if state.occurrence and state.raised_at is not None:
        connection.execute(
            "INSERT OR REPLACE INTO occurrence VALUES(?,?,?,?,?,?,?)",
            (
                state.occurrence,
                state.rule,
                state.scope,
                state.raised_at,
                state.priority,
                int(state.is_open),
                text,
            ),
        )
    if transition.change in SENT:
        connection.execute(
            "INSERT INTO transition(change, rule, scope, occurrence, at, state) VALUES(?,?,?,?,?,?)",
            (transition.change, state.rule, state.scope, state.occurrence, transition.at, text),
        )


SENT = frozenset(
    {
        Change.RAISED, Change.REASSERTED, Change.CLEARED, Change.ACKED, Change.RESET, Change.CLOSED,
        Change.ANNOUNCED, Change.SUPPRESSED, Change.RELEASED, Change.SHELVED, Change.UNSHELVED,
        Change.REALARMED, Change.DIGEST,
    }
)  # fmt: skip
"""Transitions that belong to an occurrence's history and go to the district."""


class Quarantine:
    """Entries that a destination refuses for good, kept with its reason."""

    def __init__(self, core: Database) -> None:
        self._core = core

    async def park(
        self, stream: str, destination: str, entry: Entry, line: str, status: int, reason: str
    ) -> None:
        """Keeps one entry; a second time is no second row."""
        await self._core.run(
            lambda c: c.execute(
                "INSERT INTO quarantine(stream, destination, entry, line, status, reason, at)"
                " VALUES(?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                (stream, destination, entry.id, line[:4000], status, reason[:1000], entry.at),
            )
        )

    async def list(self, destination: str, limit: int = 50) -> list[Parked]:
        """The newest parked entries of a destination."""
        return await self._core.read(
            lambda c: [
                Parked(*row)
                for row in c.execute(
                    "SELECT stream, destination, at, line, status, reason FROM quarantine"
                    " WHERE destination=? ORDER BY id DESC LIMIT ?",
                    (destination, limit),
                )
            ]
        )

    async def entries(self, stream: str, destination: str) -> Sequence[int]:
        """The ids of all parked entries of a stream."""
        query = "SELECT entry FROM quarantine WHERE stream=? AND destination=?"
        return await self._core.read(lambda c: [row[0] for row in c.execute(query, (stream, destination))])

    async def count(self, destination: str) -> int:
        """How many are parked."""
        return await self._core.read(
            lambda c: c.execute(
                "SELECT count(*) FROM quarantine WHERE destination=?", (destination,)
            ).fetchone()[0]
        )
