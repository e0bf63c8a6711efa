"""What of the readings is sealed, and into which files; tables of the telemetry file.

    history/raw-2026-09-01.db       compressed blocks of what was stored on one day (UTC)
    history/minutes-2026-09-01.db   its minute rollups, made when its raw blocks are given up unsent
    history/rollups-2026-09.db      quarter-hour rollups of a month's days; hours and days come from them

A batch is a run of moment ids; its blocks count from the moment when `batches` names it, and the
rows of the hot table with these ids count no more, in one transaction: what a kill leaves of
either is passed over and removed later. No numpy here: the agent's process imports this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from drivers.reading import Millis, Value

SCHEMA = (
    """CREATE TABLE days(
        key INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL, moments INTEGER NOT NULL, points INTEGER NOT NULL,
        raw INTEGER NOT NULL, minutes INTEGER NOT NULL, rolled INTEGER NOT NULL)""",
    """CREATE TABLE batches(
        last_id INTEGER PRIMARY KEY, key INTEGER NOT NULL, first_id INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL)""",
    "CREATE TABLE newest(source INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL)",
    """CREATE TABLE shed(
        what TEXT PRIMARY KEY, days INTEGER NOT NULL, points INTEGER NOT NULL, bytes INTEGER NOT NULL)
        WITHOUT ROWID""",
    # a commit of many sources touched a page of this index for each of them
    "DROP INDEX moments_source_at",
    "CREATE INDEX moments_at ON moments(at, source)",
)
FOLDER = "history"
DAY_MS = 86_400_000
BATCH_ROWS = 120_000
FUTURE_MS = 60_000
PARTS = 1000
"""Files that one day may have: a day that is closed is never opened again."""

SEALED = "(SELECT coalesce(max(last_id), 0) FROM batches)"
"""The id up to which moments are sealed; hot rows up to it do not count."""

Newest = tuple[Millis, Millis, Value | None, int, str]
"""The newest sealed value of a point: at, received_at, value, quality code, reason."""
NewestRow = list[Newest | None]


class Policy(NamedTuple):
    """Rows stay hot for `keep` ms; a batch is made when there are `span` ms more, or a day ended."""

    keep: Millis
    span: Millis


class Batch(NamedTuple):
    """Blocks that were written and now wait to be named; `newest` by source id."""

    key: int
    first_id: int
    last_id: int
    first_at: Millis
    last_at: Millis
    moments: int
    points: int
    newest: dict[int, NewestRow]


class Day(NamedTuple):
    """The files of one day: whether its raw and minute files are there, and whether it is rolled up."""

    key: int
    last_id: int
    first_at: Millis
    last_at: Millis
    moments: int
    points: int
    raw: bool
    minutes: bool
    rolled: bool


def raw_file(data: Path, key: int) -> Path:
    """The file of a day's raw blocks."""
    return data / FOLDER / f"raw-{_name(key)}.db"


def minutes_file(data: Path, key: int) -> Path:
    """The file of a day's minute rollups."""
    return data / FOLDER / f"minutes-{_name(key)}.db"


def rollups_file(data: Path, key: int) -> Path:
    """The file of the quarter-hour rollups of a day's month."""
    return data / FOLDER / f"rollups-{_name(key)[:7]}.db"


def key_of(name: str) -> int | None:
    """The key of a raw file's name, `None` for another name."""
    date, _, part = name.removeprefix("raw-").removesuffix(".db").partition("_")
    try:
        day = datetime.fromisoformat(date).replace(tzinfo=UTC)
        return round(day.timestamp() * 1000) // DAY_MS * PARTS + int(part or 0)
    except ValueError:
        return None


def _name(key: int) -> str:
    day, part = divmod(key, PARTS)
    date = datetime.fromtimestamp(day * DAY_MS / 1000, UTC).date().isoformat()
    return f"{date}_{part}" if part else date


def sealed_until(connection: sqlite3.Connection) -> int:
    """The id up to which moments are sealed."""
    return int(connection.execute(f"SELECT {SEALED}").fetchone()[0])


def days(connection: sqlite3.Connection) -> list[Day]:
    """All days, in the order of storing."""
    rows = connection.execute(
        "SELECT key, last_id, first_at, last_at, moments, points, raw, minutes, rolled"
        " FROM days ORDER BY last_id"
    )
    return [
        Day(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), bool(row[7]), bool(row[8]))
        for row in rows
    ]


def due(connection: sqlite3.Connection, now: Millis, policy: Policy) -> tuple[int, int, int] | None:
    """First id, last id and day (number since the epoch) of the next batch; `None` while it may wait.

    Rows received later than now, by a clock that was wrong, are as good as old.
    """
    young, future = now - policy.keep, now + FUTURE_MS
    rows = connection.execute(
        f"SELECT id, received_at FROM moments WHERE id>{SEALED} ORDER BY id LIMIT {BATCH_ROWS + 1}"
    )
    first = rows.fetchone()
    if first is None or young <= first[1] <= future:
        return None
    waits = young - policy.span < first[1] <= future
    day = first[1] // DAY_MS
    if waits and day == young // DAY_MS:
        return None
    last, count, ended = first[0], 1, False
    for number, received in rows:
        if received // DAY_MS != day or count == BATCH_ROWS:
            ended = True
            break
        if young <= received <= future:
            break
        last, count = number, count + 1
    return None if waits and not ended else (first[0], last, day)


def key_for(connection: sqlite3.Connection, day: int) -> int:
    """Where the next batch of a day (number since the epoch) belongs: the newest file if it is
    that day's and open, else a new one."""
    known = days(connection)
    if known and known[-1].key // PARTS == day and known[-1].raw and not known[-1].rolled:
        return known[-1].key
    parts = [one.key % PARTS for one in known if one.key // PARTS == day]
    return day * PARTS + min(max(parts, default=-1) + 1, PARTS - 1)


def register(connection: sqlite3.Connection, batch: Batch) -> None:
    """From now on the batch's blocks count, and its hot rows do not."""
    connection.execute(
        "INSERT INTO batches VALUES(?,?,?,?,?)",
        (batch.last_id, batch.key, batch.first_id, batch.first_at, batch.last_at),
    )
    connection.execute(
        """INSERT INTO days VALUES(?1,?2,?3,?4,?5,?6,1,0,0) ON CONFLICT(key) DO UPDATE SET last_id=?2,
        first_at=min(first_at,?3), last_at=max(last_at,?4), moments=moments+?5, points=points+?6""",
        (batch.key, batch.last_id, batch.first_at, batch.last_at, batch.moments, batch.points),
    )
    known = newest(connection)
    for source, row in batch.newest.items():
        merged = [_later(a, b) for a, b in zip(known.get(source, [None] * len(row)), row, strict=True)]
        at = max(one[0] for one in merged if one is not None)
        connection.execute(
            "INSERT OR REPLACE INTO newest VALUES(?,?,?)", (source, at, msgspec.msgpack.encode(merged))
        )


def newest(connection: sqlite3.Connection) -> Mapping[int, NewestRow]:
    """The newest sealed values by source id."""
    rows = connection.execute("SELECT source, body FROM newest")
    return {source: _NEWEST.decode(body) for source, body in rows}


_NEWEST = msgspec.msgpack.Decoder(list[tuple[int, int, float | bool | str | None, int, str] | None])


def _later(a: Newest | None, b: Newest | None) -> Newest | None:
    if a is None or b is None:
        return a or b
    return b if b[0] >= a[0] else a


def has_sealed_rows(connection: sqlite3.Connection) -> bool:
    """Whether hot rows are there that are sealed."""
    (found,) = connection.execute(f"SELECT coalesce(min(id), 1 << 62) <= {SEALED} FROM moments").fetchone()
    return bool(found)


def delete_sealed(connection: sqlite3.Connection, limit: int) -> int:
    """Removes hot rows that are sealed, a bounded number; how many."""
    return connection.execute(
        f"DELETE FROM moments WHERE id IN (SELECT id FROM moments WHERE id<={SEALED} ORDER BY id LIMIT ?)",
        (limit,),
    ).rowcount


def count_shed(connection: sqlite3.Connection, what: str, points: int, size: int) -> None:
    """Adds one day that was given up to the counters."""
    connection.execute(
        "INSERT INTO shed VALUES(?1,1,?2,?3) ON CONFLICT(what) DO UPDATE"
        " SET days=days+1, points=points+?2, bytes=bytes+?3",
        (what, points, size),
    )


def adopt(connection: sqlite3.Connection, found: Sequence[Batch]) -> None:
    """Names the batches of files that a lost telemetry file had named; new ids lie beyond them."""
    for batch in sorted(found, key=lambda one: one.last_id):
        register(connection, batch)
    if found:
        top = max(batch.last_id for batch in found)
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name='moments'").fetchone()
        connection.execute("DELETE FROM sqlite_sequence WHERE name='moments'")
        connection.execute(
            "INSERT INTO sqlite_sequence VALUES('moments', ?)", (max(top, row[0] if row else 0),)
        )


def mark_rolled(connection: sqlite3.Connection, key: int) -> None:
    """From now on a day's rollups count."""
    connection.execute("UPDATE days SET rolled=1 WHERE key=?", (key,))


def give_up_raw(connection: sqlite3.Connection, key: int, *, minutes: bool) -> None:
    """From now on a day has no raw blocks, and minute rollups where they were made."""
    connection.execute("UPDATE days SET raw=0, minutes=? WHERE key=?", (minutes, key))


def give_up_minutes(connection: sqlite3.Connection, key: int) -> None:
    """From now on a day has no minute rollups."""
    connection.execute("UPDATE days SET minutes=0 WHERE key=?", (key,))
