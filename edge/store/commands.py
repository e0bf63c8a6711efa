"""Commands on disk: what was asked of the field and how it ended. A state, once final, stays.

    requested -> sent -> confirmed   the device took it, and reads back so where it is asked
        |         |----> failed      it refused or holds something else
        |         `----> unknown     nobody can tell: no reply, or the gateway stopped in between
        |-> refused                  by the gateway: limits, rights, token, device offline
        `-> expired                  nobody confirmed it, or the line was not free in time

`sent` is committed before a byte goes out, so what a crash leaves there may have been
carried out: it becomes `unknown` at the next start and is never repeated. Every function
runs inside the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.reading import Millis, Value
from edge.store.accounts import Role
from rules.command import Command

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE command(
        id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, point TEXT NOT NULL,
        value TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL,
        created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
        state TEXT NOT NULL, updated_at INTEGER NOT NULL,
        detail TEXT NOT NULL, found TEXT NOT NULL) STRICT""",
    "CREATE INDEX command_open ON command(state) WHERE state IN ('requested', 'sent')",
)

CommandState = Literal["requested", "sent", "confirmed", "refused", "failed", "unknown", "expired"]


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One command and how it stands. `detail` says why it ended so; `found` is what the device
    read back, `None` where nothing was."""

    id: int
    command: Command
    state: CommandState
    updated_at: Millis
    detail: str = ""
    found: Value | None = None


class CommandRefused(Exception):
    """The gateway will not do it. `code` is stable: unknown_device unknown_point not_writable
    wrong_type out_of_range resolution forbidden device_offline rate_limited reason_missing
    invalid_token token_used token_expired other_user changed_value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: the name for the books, `key` tells users of one name apart, `source` is the address."""

    name: str
    role: Role
    key: str
    source: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command that waits for its confirmation; `before` is the point's value as last read."""

    id: int
    token: str
    command: Command
    before: Value | None


def add(c: sqlite3.Connection, command: Command, state: CommandState, at: Millis, detail: str = "") -> int:
    """A new command; its id."""
    row = c.execute(
        """INSERT INTO command(device, point, value, reason, who, created_at, expires_at, state, updated_at,
           detail, found) VALUES (?,?,?,?,?,?,?,?,?,?,?) RETURNING id""",
        (
            command.device, command.point, json.dumps(command.value), command.reason, command.who,
            command.created_at, command.expires_at, state, at, detail, "null",
        ),
    ).fetchone()  # fmt: skip
    number: int = row[0]
    return number


def settle(
    c: sqlite3.Connection,
    number: int,
    state: CommandState,
    at: Millis,
    detail: str = "",
    found: Value | None = None,
) -> bool:
    """Moves a command on; False when it had ended already, and stays as it is."""
    changed = c.execute(
        """UPDATE command SET state = ?, updated_at = ?, detail = ?, found = ?
           WHERE id = ? AND state IN ('requested', 'sent')""",
        (state, at, detail, json.dumps(found), number),
    )
    return changed.rowcount == 1


def one(c: sqlite3.Connection, number: int) -> CommandRecord | None:
    """One command."""
    row = c.execute("SELECT * FROM command WHERE id = ?", (number,)).fetchone()
    return _record(row) if row else None


def newest(c: sqlite3.Connection, limit: int, before: int | None = None) -> Sequence[CommandRecord]:
    """At most `limit` commands, newest first, with ids below `before`."""
    rows = c.execute(
        "SELECT * FROM command WHERE id < ? ORDER BY id DESC LIMIT ?", (before or 2**62, limit)
    ).fetchall()
    return [_record(row) for row in rows]


def unfinished(c: sqlite3.Connection) -> Sequence[CommandRecord]:
    """The commands that have not ended, oldest first."""
    rows = c.execute("SELECT * FROM command WHERE state IN ('requested', 'sent') ORDER BY id").fetchall()
    return [_record(row) for row in rows]


def _record(row: sqlite3.Row) -> CommandRecord:
    command = Command(
        row["device"], row["point"], json.loads(row["value"]), row["reason"], row["who"],
        row["created_at"], row["expires_at"],
    )  # fmt: skip
    return CommandRecord(
        row["id"], command, row["state"], row["updated_at"], row["detail"], json.loads(row["found"])
    )
