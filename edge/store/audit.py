"""The audit log: append-only rows, each chained to the one before by its hash.

    hash(n) = SHA-256(hash(n-1) || canonical(n)),   hash(0) = 32 zero bytes
    canonical = the JSON array [seq, at, actor, source, action, object, before, after, result], UTF-8

A changed, inserted or removed row breaks the chain at a known place. Cutting off the
tail does not; for that the last hash must be kept somewhere else.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import NamedTuple

from drivers.reading import Millis

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE audit (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, source TEXT NOT NULL,
        action TEXT NOT NULL, object TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
        result TEXT NOT NULL, hash BLOB NOT NULL
    ) STRICT""",
    """CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)

_GENESIS = bytes(32)


class AuditRow(NamedTuple):
    """Who (`actor`, from `source`) did what to which object, and how that ended.

    `before` and `after` show a changed value as text, empty where nothing changed.
    Secrets never stand here.
    """

    seq: int
    at: Millis
    actor: str
    source: str
    action: str
    object: str
    before: str
    after: str
    result: str


def append(connection: sqlite3.Connection, row: AuditRow) -> int:
    """Writes the row behind the last one and returns its number; `row.seq` is ignored."""
    last = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, _GENESIS)
    row = row._replace(seq=seq)
    connection.execute("INSERT INTO audit VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, _chain(previous, row)))
    return seq


def verify(connection: sqlite3.Connection) -> int | None:
    """The number of the first row that does not fit the chain, `None` when all fit."""
    previous, expected = _GENESIS, 1
    rows = connection.execute(
        "SELECT seq, at, actor, source, action, object, before, after, result, hash FROM audit ORDER BY seq"
    )
    for *words, stored in rows:
        row = AuditRow(*words)
        previous = _chain(previous, row)
        if row.seq != expected or previous != stored:
            return expected
        expected += 1
    return None


def _chain(previous: bytes, row: AuditRow) -> bytes:
    canonical = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(previous + canonical.encode()).digest()
