"""The files of sealed readings: each describes its own sources and can be read by itself.

    shapes    the points of sources, once for all that have the same
    sources   device, kind, space, building | shapes
    chunks    batch | source | first and last at | first id | moments, points | body

Rowid tables with a rollback journal: a file is written a few times a day by one process, and
removing it is removing its name. In rollup files `batch` is the day's key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from drivers.reading import Millis
from edge.store import catalogue
from edge.store.catalogue import Batch
from edge.store.moments import Shape, Source

_SCHEMA = (
    "CREATE TABLE shapes(id INTEGER PRIMARY KEY, points TEXT NOT NULL UNIQUE)",
    """CREATE TABLE sources(
        id INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, space TEXT NOT NULL,
        building TEXT NOT NULL, shapes INTEGER NOT NULL REFERENCES shapes(id),
        UNIQUE(device, kind, space, building, shapes))""",
    """CREATE TABLE chunks(
        id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, source INTEGER NOT NULL REFERENCES sources(id),
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, first_id INTEGER NOT NULL,
        moments INTEGER NOT NULL, points INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX chunks_source ON chunks(source)",
    "CREATE INDEX chunks_batch ON chunks(batch)",
)


class Chunk(NamedTuple):
    """One block of a source."""

    batch: int
    source: Source
    first_at: Millis
    last_at: Millis
    first_id: int
    moments: int
    points: int
    body: bytes


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """A connection to a file as it stands; `None` when it is not there (any more)."""
    connection = None
    if path.is_file():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        connection.execute("PRAGMA busy_timeout=5000")
        connection.execute("PRAGMA query_only=ON")
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection inside a transaction that is durable when the block ends."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "busy_timeout=5000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("PRAGMA user_version=1")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()  # rolls back what was not committed


def write_batch(path: Path, sealed: int, chunks: Sequence[Chunk]) -> None:
    """Adds a batch durably. What an earlier try left behind `sealed` goes."""
    with _writing(path) as connection:
        connection.execute("DELETE FROM chunks WHERE batch>?", (sealed,))
        _insert(connection, chunks)


def write_rollups(path: Path, key: int, chunks: Sequence[Chunk]) -> None:
    """Puts a day's rollups into a file in place of any that it had."""
    with _writing(path) as connection:
        connection.execute("DELETE FROM chunks WHERE batch=?", (key,))
        _insert(connection, chunks)


def _insert(connection: sqlite3.Connection, chunks: Sequence[Chunk]) -> None:
    known: dict[Source, int] = {}
    for chunk in chunks:
        if chunk.source not in known:
            known[chunk.source] = _source(connection, chunk.source)
        connection.execute(
            "INSERT INTO chunks(batch, source, first_at, last_at, first_id, moments, points, body)"
            " VALUES(?,?,?,?,?,?,?,?)",
            (chunk.batch, known[chunk.source], *chunk[2:]),
        )


def _source(connection: sqlite3.Connection, source: Source) -> int:
    points = msgspec.json.encode(source.points).decode()
    connection.execute("INSERT INTO shapes(points) VALUES(?) ON CONFLICT DO NOTHING", (points,))
    (shapes,) = connection.execute("SELECT id FROM shapes WHERE points=?", (points,)).fetchone()
    row = (source.device, source.kind, source.space, source.building, shapes)
    connection.execute(
        "INSERT INTO sources(device, kind, space, building, shapes) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
        row,
    )
    (number,) = connection.execute(
        "SELECT id FROM sources WHERE (device, kind, space, building, shapes) = (?,?,?,?,?)", row
    ).fetchone()
    return int(number)


def sources_in(connection: sqlite3.Connection, device: str | None = None) -> dict[int, Source]:
    """The sources of a file, or those of one device, by their ids in this file."""
    where, names = ("", ()) if device is None else (" WHERE s.device=?", (device,))
    return {
        row[0]: Source(
            row[1], row[2], row[3], row[4], tuple(Shape(*shape) for shape in msgspec.json.decode(row[5]))
        )
        for row in connection.execute(
            "SELECT s.id, s.device, s.kind, s.space, s.building, h.points"
            f" FROM sources s JOIN shapes h ON h.id=s.shapes{where} ORDER BY s.id",
            names,
        )
    }


def bodies(
    connection: sqlite3.Connection, source: int, since: Millis, until: Millis, sealed: int
) -> Iterator[bytes]:
    """The blocks of a source that touch [since, until), in the order of storing."""
    rows = connection.execute(
        "SELECT body FROM chunks WHERE source=? AND first_at<? AND last_at>=? AND batch<=? ORDER BY id",
        (source, until, since, sealed),
    )
    return (row[0] for row in rows)


def moments_in(
    connection: sqlite3.Connection, device: str | None, since: Millis, until: Millis, sealed: int
) -> int:
    """How many moments the blocks hold that touch [since, until)."""
    (total,) = connection.execute(
        "SELECT coalesce(sum(c.moments), 0) FROM chunks c JOIN sources s ON s.id=c.source"
        " WHERE c.first_at<?2 AND c.last_at>=?1 AND c.batch<=?3 AND (?4 IS NULL OR s.device=?4)",
        (since, until, sealed, device),
    ).fetchone()
    return int(total)


def batches_in(path: Path, key: int) -> list[Batch]:
    """What batches a raw file holds, to be named again when the telemetry file was lost.
    Raises sqlite3.DatabaseError for a broken file."""
    with reading(path) as connection:
        if connection is None or not connection.execute("PRAGMA user_version").fetchone()[0]:
            return []
        rows = connection.execute(
            "SELECT batch, min(first_id), min(first_at), max(last_at), sum(moments), sum(points)"
            " FROM chunks GROUP BY batch ORDER BY batch"
        ).fetchall()
    return [Batch(key, row[1], row[0], row[2], row[3], row[4], row[5], {}) for row in rows]


def size_of(*paths: Path) -> int:
    """Bytes of these files, of those that are there."""
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def used(data: Path) -> int:
    """Bytes of all that keeps readings in a data folder."""
    hot = data / "telemetry.db"
    files = [hot, hot.with_name("telemetry.db-wal"), hot.with_name("telemetry.db-shm")]
    return size_of(*files, *(data / catalogue.FOLDER).glob("*.db*"))
