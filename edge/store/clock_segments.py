"""Which stored rows were dated by which setting of the clock, and dating them anew.

While nobody sets the clock, wall time minus time since boot stays the same. So no row carries
a second time: a segment says from which row on which offset held, and rows of a doubtful
segment are moved by the difference to the offset that proved right. The moment and
transition ids of a segment end where the next one begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from drivers.reading import Millis

SCHEMA = """CREATE TABLE IF NOT EXISTS clock_segments(
    id INTEGER PRIMARY KEY, boot TEXT NOT NULL, "offset" INTEGER NOT NULL, doubtful INTEGER NOT NULL,
    moment INTEGER NOT NULL, transition INTEGER NOT NULL, began INTEGER NOT NULL, ended INTEGER,
    repaired INTEGER NOT NULL DEFAULT 0)"""
REPAIRS = "CREATE TABLE IF NOT EXISTS clock_repairs(segment INTEGER PRIMARY KEY)"
"""In the telemetry file: segments whose moments are dated anew, so that a kill repeats none."""
EXACT, UNSYNCED, ESTIMATED = 0, 2, 4
"""Qualities of a time, as the district is told them: 1 and 3 are not told apart from 0."""
_REPAIRED, _ESTIMATED = 1, 2
_LAST = 1 << 62
KEPT = 200
NEAR_MS = 1_500
"""Between two looks at the clock."""


class Segment(NamedTuple):
    """Rows from `moment` and `transition` on were dated with `offset` (ms); `ended` is the last wall
    time seen before the clock was set, `None` when the run ended otherwise. `estimated`: dated anew,
    but by what lies around."""

    id: int
    boot: str
    offset: Millis
    doubtful: bool
    moment: int
    transition: int
    began: Millis
    ended: Millis | None
    repaired: bool
    estimated: bool = False

    @property
    def time_quality(self) -> int:
        """How its times are known: `EXACT`, `UNSYNCED` or `ESTIMATED`."""
        if not self.doubtful:
            return EXACT
        return (ESTIMATED if self.estimated else EXACT) if self.repaired else UNSYNCED


class Doubt(NamedTuple):
    """Rows with ids in [first, behind) whose times are not exact, and how they are known."""

    first: int
    behind: int
    quality: int


class Span(NamedTuple):
    """A segment's rows: ids in [first, behind)."""

    first: int
    behind: int


def segments(connection: sqlite3.Connection) -> list[Segment]:
    """All that are kept, the oldest first."""
    connection.execute(SCHEMA)
    rows = connection.execute(
        'SELECT id, boot, "offset", doubtful, moment, transition, began, ended, repaired'
        " FROM clock_segments ORDER BY id"
    )
    return [
        Segment(
            one[0],
            one[1],
            one[2],
            bool(one[3]),
            one[4],
            one[5],
            one[6],
            one[7],
            bool(one[8]),
            one[8] == _ESTIMATED,
        )
        for one in rows
    ]


def begin(
    connection: sqlite3.Connection, boot: str, offset: Millis, doubtful: bool, moment: int, began: Millis
) -> None:
    """A new segment from here on; the oldest repaired ones are forgotten."""
    connection.execute(SCHEMA)
    connection.execute(
        'INSERT INTO clock_segments(boot, "offset", doubtful, moment, transition, began) VALUES(?,?,?,?,?,?)',
        (boot, offset, doubtful, moment, next_id(connection, "transition"), began),
    )
    connection.execute(
        "DELETE FROM clock_segments WHERE id < (SELECT max(id) FROM clock_segments) - ?"
        " AND (repaired OR NOT doubtful)",
        (KEPT,),
    )


def end(connection: sqlite3.Connection, segment: int, ended: Millis) -> None:
    """The clock is being set: this was the last wall time before."""
    connection.execute("UPDATE clock_segments SET ended=? WHERE id=?", (ended, segment))


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """The id that the next row of a table with AUTOINCREMENT gets."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name=?", (table,)).fetchone()
    return (row[0] if row else 0) + 1


def last_received(connection: sqlite3.Connection, span: Span) -> tuple[Millis, Millis] | None:
    """When the first and the last moment of a span came in; `None` for an empty span."""
    first, last = connection.execute(
        "SELECT min(received_at), max(received_at) FROM moments WHERE id>=? AND id<?", span
    ).fetchone()
    return None if first is None else (first, last)


def move_moments(connection: sqlite3.Connection, segment: Segment, span: Span, by: Millis) -> int:
    """Dates the moments of a segment anew, once; how many. Those that came in when the clock was
    already set, before it was noticed, are right as they are."""
    connection.execute(REPAIRS)
    try:
        connection.execute("INSERT INTO clock_repairs VALUES(?)", (segment.id,))
    except sqlite3.IntegrityError:
        return 0
    behind = _behind_last_old(connection, segment, span, by)
    return connection.execute(
        "UPDATE moments SET at=at+?1, received_at=received_at+?1 WHERE id>=?2 AND id<?3"
        " AND (?4 IS NULL OR received_at<=?4)",
        (by, span.first, behind, None if segment.ended is None or by <= 0 else segment.ended + NEAR_MS),
    ).rowcount


def _behind_last_old(connection: sqlite3.Connection, segment: Segment, span: Span, by: Millis) -> int:
    """Behind the last row of the old time, where the clock went back."""
    if segment.ended is None or by >= 0:
        return span.behind
    least = max(segment.began - NEAR_MS, segment.ended + by + 2 * NEAR_MS)
    (last,) = connection.execute(
        "SELECT max(id) FROM moments WHERE id>=? AND id<? AND received_at>=?", (*span, least)
    ).fetchone()
    return span.first if last is None else last + 1


def move_transitions(
    connection: sqlite3.Connection, segment: Segment, span: Span, by: Millis, *, estimated: bool
) -> int:
    """Dates the alarm transitions of a segment anew and marks it repaired; how many."""
    moved = connection.execute(
        "UPDATE transition SET at=at+?1 WHERE id>=?2 AND id<?3 AND (?4 IS NULL OR at<=?4)",
        (by, *span, None if segment.ended is None or by <= 0 else segment.ended + NEAR_MS),
    ).rowcount
    mark = _ESTIMATED if estimated else _REPAIRED
    connection.execute("UPDATE clock_segments SET repaired=? WHERE id=?", (mark, segment.id))
    return moved


def spans(found: Sequence[Segment], moment: int, transition: int) -> dict[int, tuple[Span, Span]]:
    """Segment id -> its moments and its transitions; the last one ends before the given next ids."""
    ends = [*((s.moment, s.transition) for s in found[1:]), (moment, transition)]
    return {
        s.id: (Span(s.moment, behind), Span(s.transition, behind_transition))
        for s, (behind, behind_transition) in zip(found, ends, strict=True)
    }


def doubts(found: Sequence[Segment], firsts: Sequence[int]) -> list[Doubt]:
    """The rows whose times are not exact, given the first row of each segment."""
    return [
        Doubt(first, behind, segment.time_quality)
        for segment, first, behind in zip(found, firsts, [*firsts, _LAST][1:], strict=True)
        if segment.time_quality != EXACT and behind > first
    ]
