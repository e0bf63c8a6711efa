"""Makes blocks of moments and rollups of blocks; run by `edge.store.helper`'s process.

Every function may be killed and run again: it writes files that count only when the telemetry
file names them (`edge.store.catalogue`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from drivers.reading import Millis
from edge.store import archive, catalogue, moments
from edge.store.archive import Chunk
from edge.store.buckets import Buckets, encode_rollup, folded, joined, of_values
from edge.store.catalogue import Batch, Newest, Policy
from edge.store.columns import Block, DamagedBlock, Row, decode, encode
from edge.store.moments import QUALITIES, Source

QUARTER = 15 * 60_000
MINUTE = 60_000
CHUNK_ROWS = 8_640
"""A day at 10 s; more would make a query for an hour decode too much."""
MINUTES_WORTH = 2
"""Minute rollups replace a source's raw blocks when they are smaller by this factor."""


def telemetry(data: Path) -> sqlite3.Connection:
    """A reading connection to the hot file, with one view of it until it is closed."""
    connection = sqlite3.connect(
        f"{(data / 'telemetry.db').absolute().as_uri()}?mode=rw", uri=True, isolation_level=None
    )
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA query_only=ON")
    connection.execute("BEGIN")
    return connection


_RawRow = tuple[int, Millis, Millis, bytes]


class Orphaned(Exception):
    """The gateway that asked for work has ended."""


@contextmanager
def _alone(data: Path, parent: int | None) -> Iterator[None]:
    """One process at a time writes history files; one whose gateway was killed writes none any more."""
    folder = data / catalogue.FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if parent is not None and os.getppid() != parent:
            raise Orphaned
        yield
    finally:
        os.close(descriptor)


def seal(data: Path, now: Millis, policy: Policy, parent: int | None = None) -> Batch | None:
    """Writes the next batch into its day's file, when one is due; it counts when it is registered.

    `parent` is the process that will register it, where that is another one.
    """
    with _alone(data, parent), closing(telemetry(data)) as connection:
        run = catalogue.due(connection, now, policy)
        if run is None:
            return None
        first_id, last_id, day = run
        key = catalogue.key_for(connection, day)
        sealed = catalogue.sealed_until(connection)
        chunks: list[Chunk] = []
        newest = {}
        known = moments.sources(connection)
        for number, raw in _by_source(connection, first_id, last_id).items():
            rows = [Row(id_, at, received, *moments.values_of(body)) for id_, at, received, body in raw]
            newest[number] = _newest(rows, len(known[number].points))
            chunks += _chunks(known[number], rows, last_id)
        archive.write_batch(catalogue.raw_file(data, key), sealed, chunks)
    return Batch(
        key, first_id, last_id,
        min(chunk.first_at for chunk in chunks), max(chunk.last_at for chunk in chunks),
        sum(chunk.moments for chunk in chunks), sum(chunk.points for chunk in chunks), newest,
    )  # fmt: skip


def _by_source(connection: sqlite3.Connection, first: int, last: int) -> dict[int, list[_RawRow]]:
    """The batch's rows as stored, in one walk, for each source in the order of storing."""
    found: dict[int, list[_RawRow]] = {}
    for source, *row in connection.execute(
        "SELECT source, id, at, received_at, body FROM moments WHERE id BETWEEN ? AND ? ORDER BY id",
        (first, last),
    ):
        found.setdefault(source, []).append((row[0], row[1], row[2], row[3]))
    return found


def _chunks(source: Source, rows: Sequence[Row], batch: int) -> Iterator[Chunk]:
    width = len(source.points)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = rows[start : start + CHUNK_ROWS]
        at = [row.at for row in part]
        points = sum(
            value is not None or index in row.marks for row in part for index, value in enumerate(row.values)
        )
        yield Chunk(batch, source, min(at), max(at), part[0].id, len(part), points, encode(part, width))


def _newest(rows: Sequence[Row], width: int) -> list[Newest | None]:
    found: list[Newest | None] = [None] * width
    missing = set(range(width))
    for row in sorted(rows, key=lambda row: row.at, reverse=True):
        for index in [i for i in missing if row.values[i] is not None or i in row.marks]:
            quality, reason = row.marks.get(index, (QUALITIES[0], ""))
            found[index] = (row.at, row.received_at, row.values[index], QUALITIES.index(quality), reason)
            missing.discard(index)
        if not missing:
            break
    return found


def roll_up(data: Path, key: int, parent: int | None = None) -> int:
    """Writes a closed day's quarter-hour rollups; they count when the day is marked. How many."""
    with _alone(data, parent):
        chunks = [chunk for chunk, _ in _rollups(data, key, QUARTER)]
        archive.write_rollups(catalogue.rollups_file(data, key), key, chunks)
    return sum(chunk.points for chunk in chunks)


def keep_minutes(data: Path, key: int, parent: int | None = None) -> int:
    """Writes minute rollups of a day whose raw values will go; how many, 0 where they are not worth it."""
    with _alone(data, parent):
        chunks = [
            chunk for chunk, raw in _rollups(data, key, MINUTE) if len(chunk.body) * MINUTES_WORTH <= raw
        ]
        if chunks:
            archive.write_rollups(catalogue.minutes_file(data, key), key, chunks)
    return sum(chunk.points for chunk in chunks)


def _rollups(data: Path, key: int, step: Millis) -> Iterator[tuple[Chunk, int]]:
    """A chunk for each source that has numbers, and the bytes of its raw blocks."""
    with archive.reading(catalogue.raw_file(data, key)) as connection:
        if connection is None:
            return
        for number, source in archive.sources_in(connection).items():
            rows = connection.execute("SELECT body FROM chunks WHERE source=? ORDER BY id", (number,))
            bodies = [row[0] for row in rows]
            points = _fold(bodies, source, step)
            if points:
                starts = [int(one.at[0]) for _, one in points]
                ends = [int(one.at[-1]) for _, one in points]
                values = sum(int(one.number.sum()) for _, one in points)
                number_of = sum(len(one.at) for _, one in points)
                body = encode_rollup(points, step)
                chunk = Chunk(key, source, min(starts), max(ends), 0, values, number_of, body)
                yield chunk, sum(map(len, bodies))


def _fold(bodies: Sequence[bytes], source: Source, step: Millis) -> list[tuple[int, Buckets]]:
    """The points that have numbers, with their buckets."""
    wanted = {i for i, shape in enumerate(source.points) if shape.type != "text"}
    parts: dict[int, list[Buckets]] = {}
    for body in bodies:
        try:
            block = decode(body, wanted)
        except DamagedBlock:
            continue
        for index in wanted:
            if (values := good_values(block, index)) is not None:
                parts.setdefault(index, []).append(values)
    return [(index, folded(joined(some), step)) for index, some in sorted(parts.items())]


def good_values(block: Block, index: int) -> Buckets | None:
    """A point's good numbers in a block, each as a bucket of its own; `None` where there are none."""
    good, values = block.columns[index].good(len(block))
    if len(values) == 0 or values.dtype == object:
        return None
    return of_values(block.at[good], values.astype(float))
