"""Every stored reading, one by one, in the order of storing: hot rows and sealed ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from drivers.reading import Millis, Quality, Value
from edge.store import catalogue, moments
from edge.store.moments import Mark, Shape, Source


class Stored(NamedTuple):
    """One stored reading, with the id of its moment."""

    id: int
    source: Source
    point: Shape
    at: Millis
    value: Value | None
    quality: Quality
    reason: str


def walk(
    connection: sqlite3.Connection, behind: int = 0, since: Millis = -(1 << 62), until: Millis = 1 << 62
) -> Iterator[Stored]:
    """Every stored reading behind a moment's id with since <= at < until, in the order of storing;
    sealed ones too."""
    if behind < catalogue.sealed_until(connection):
        from edge.store.history import Snapshot  # with numpy: only where something is sealed

        (path,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
        with Snapshot(Path(path).parent) as snapshot:
            for row in snapshot.walk(behind, since, until):
                yield from _told(row.id, row.source, row.at, row.values, row.marks)
        return
    known = moments.sources(connection)
    for number, source_id, at, body in connection.execute(
        "SELECT id, source, at, body FROM moments WHERE id>? AND at>=? AND at<? ORDER BY id",
        (behind, since, until),
    ):
        values, marks = moments.values_of(body)
        yield from _told(number, known[source_id], at, values, marks)


def _told(
    number: int, source: Source, at: Millis, values: Sequence[Value | None], marks: Mapping[int, Mark]
) -> Iterator[Stored]:
    for index, value in enumerate(values):
        if value is not None or index in marks:
            quality, reason = marks.get(index, (Quality.GOOD, ""))
            yield Stored(number, source, source.points[index], at, value, quality, reason)
