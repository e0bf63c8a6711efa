"""From when to when each run of 1024 hot rows reaches: finds rows by time at a thousandth of an index's cost.

    spans   block = id >> 10 | first and last `at` of its rows (or wider)

An index entry for each row was half of what was written to the card. Rows are stored about in the
order of their times, so a span of time touches few blocks, and these are read as a whole. Triggers
keep the table true, whoever writes rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from drivers.reading import Millis
from edge.store.catalogue import SEALED

_BITS = 10
_WIDEN = (
    f"INSERT INTO spans VALUES(new.id >> {_BITS}, new.at, new.at) ON CONFLICT(block) DO UPDATE"
    " SET first_at=min(first_at, new.at), last_at=max(last_at, new.at)"
    " WHERE new.at < first_at OR new.at > last_at"
)
SCHEMA = (
    # without a foreign key, which would keep SQLite from emptying the table at once
    """CREATE TABLE hot(
        id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL,
        at INTEGER NOT NULL, received_at INTEGER NOT NULL, body BLOB NOT NULL)""",
    "INSERT INTO hot SELECT id, source, at, received_at, body FROM moments",
    "DELETE FROM sqlite_sequence WHERE name='hot'",
    "INSERT INTO sqlite_sequence SELECT 'hot', seq FROM sqlite_sequence WHERE name='moments'",
    "DROP TABLE moments",
    "ALTER TABLE hot RENAME TO moments",
    """CREATE TABLE spans(
        block INTEGER PRIMARY KEY, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL)""",
    f"INSERT INTO spans SELECT id >> {_BITS}, min(at), max(at) FROM moments GROUP BY 1",
    f"CREATE TRIGGER moments_span AFTER INSERT ON moments BEGIN {_WIDEN}; END",
    f"CREATE TRIGGER moments_moved AFTER UPDATE OF at ON moments BEGIN {_WIDEN}; END",
    """CREATE TRIGGER moments_known BEFORE INSERT ON moments
        WHEN NOT EXISTS(SELECT 1 FROM sources WHERE id=new.source)
        BEGIN SELECT RAISE(ABORT, 'a moment without its source'); END""",
)
WITHIN = (
    "spans s CROSS JOIN moments m"
    f" ON m.id BETWEEN s.block << {_BITS} AND (s.block << {_BITS}) + {(1 << _BITS) - 1}"
    " WHERE s.first_at<:until AND s.last_at>=:since AND m.at>=:since AND m.at<:until"
)
"""The hot rows `m` with since <= at < until, to be put behind FROM."""
SMALL = 200_000
"""So many rows may be written again to empty a table at once."""


class Place(NamedTuple):
    """Where a row is, and when it was measured."""

    id: int
    source: int
    at: Millis


def bounds(connection: sqlite3.Connection) -> tuple[Millis, Millis] | None:
    """Between which instants all hot rows lie; `None` when there are none."""
    first, last = connection.execute("SELECT min(first_at), max(last_at) FROM spans").fetchone()
    return None if first is None else (first, last)


def newest_first(connection: sqlite3.Connection) -> Iterator[tuple[list[Place], Millis | None]]:
    """The hot rows block by block, those that reach furthest first, each block's newest first; and
    with them the newest instant that a later block may hold, `None` at the end."""
    blocks = connection.execute("SELECT block, last_at FROM spans ORDER BY last_at DESC").fetchall()
    for number, (block, _) in enumerate(blocks):
        rows = connection.execute(
            "SELECT id, source, at FROM moments WHERE id BETWEEN ? AND ? ORDER BY at DESC, id DESC",
            (block << _BITS, (block << _BITS) + (1 << _BITS) - 1),
        )
        yield [Place(*row) for row in rows], blocks[number + 1][1] if number + 1 < len(blocks) else None


def drop_sealed(connection: sqlite3.Connection) -> bool:
    """Removes all hot rows that are sealed by emptying the table and writing the others again, where
    they are few: emptying writes none of the table's pages. Whether it did."""
    rows = connection.execute(f"SELECT id FROM moments WHERE id>{SEALED} LIMIT {SMALL + 1}").fetchall()
    if len(rows) > SMALL:
        return False
    connection.execute(f"CREATE TEMP TABLE rest AS SELECT * FROM moments WHERE id>{SEALED}")
    connection.execute("DELETE FROM moments")
    connection.execute("DELETE FROM spans")
    connection.execute("INSERT INTO moments SELECT * FROM temp.rest")
    connection.execute("DROP TABLE temp.rest")
    return True


def forget_sealed(connection: sqlite3.Connection) -> None:
    """Removes the blocks of which all rows are sealed and gone."""
    connection.execute(
        f"DELETE FROM spans WHERE block < (SELECT coalesce(min(id), {SEALED}) FROM moments) >> {_BITS}"
    )
