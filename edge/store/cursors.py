"""Which moments a destination holds: all up to a position, and runs of ids ahead of it.

    cursors   destination | position | values sent
    ahead     destination | behind | upto
    hourly    destination | position | values sent: up to where hourly figures are made of moments

What is young leaves before an old backlog does, so the ids that are held need not be one run.
A run (behind, upto] ahead of the position joins it when what lies between has been sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCHEMA = (
    """CREATE TABLE ahead(
        destination TEXT NOT NULL, behind INTEGER NOT NULL, upto INTEGER NOT NULL,
        PRIMARY KEY(destination, behind)) WITHOUT ROWID""",
    """CREATE TABLE hourly(
        destination TEXT PRIMARY KEY, position INTEGER NOT NULL, sent INTEGER NOT NULL) WITHOUT ROWID""",
)
EVERYTHING = 1 << 62


class Run(NamedTuple):
    """The ids in (behind, upto]."""

    behind: int
    upto: int


class Held(NamedTuple):
    """All ids up to `position` and those of the runs, which are in order and touch neither it nor
    each other."""

    position: int
    ahead: tuple[Run, ...] = ()

    @property
    def top(self) -> int:
        """The last id that is held."""
        return self.ahead[-1].upto if self.ahead else self.position

    @property
    def gap(self) -> Run | None:
        """The first run of ids that is lacking although later ones are held."""
        return Run(self.position, self.ahead[0].behind) if self.ahead else None

    def gaps(self, last: int) -> tuple[Run, ...]:
        """The ids up to `last` (which no held id exceeds) that are not held, in order."""
        begins = (self.position, *(run.upto for run in self.ahead))
        ends = (*(run.behind for run in self.ahead), last)
        return tuple(Run(*one) for one in zip(begins, ends, strict=True) if one[0] < one[1])

    def lacking(self, last: int) -> int:
        """How many those are."""
        return sum(run.upto - run.behind for run in self.gaps(last))

    def covers(self, behind: int, upto: int) -> bool:
        """Whether all ids in (behind, upto] are held."""
        return upto <= self.position or any(
            run.behind <= max(behind, self.position) and upto <= run.upto for run in self.ahead
        )

    def joined(self, behind: int, upto: int) -> Held:
        """With the ids in (behind, upto] too."""
        return _normal([Run(0, self.position), *self.ahead, Run(behind, max(behind, upto))])


def _normal(runs: Iterable[Run]) -> Held:
    merged: list[Run] = []
    for run in sorted(runs):
        if merged and run.behind <= merged[-1].upto:
            merged[-1] = Run(merged[-1].behind, max(merged[-1].upto, run.upto))
        elif run.upto > run.behind or not merged:
            merged.append(run)
    first = merged[0]
    return Held(first.upto, tuple(merged[1:]))


def common(several: Sequence[Held]) -> Held:
    """What all of them hold; everything when there are none."""
    found = Held(EVERYTHING)
    for one in several:
        found = _normal(
            Run(max(a.behind, b.behind), min(a.upto, b.upto))
            for a in (Run(0, found.position), *found.ahead)
            for b in (Run(0, one.position), *one.ahead)
            if min(a.upto, b.upto) > max(a.behind, b.behind) or a.behind == b.behind == 0
        )
    return found


def held(connection: sqlite3.Connection, destination: str) -> Held:
    """What a destination holds; nothing for a new one."""
    row = connection.execute("SELECT position FROM cursors WHERE destination=?", (destination,)).fetchone()
    if row is None:
        return Held(0)
    ahead = connection.execute(
        "SELECT behind, upto FROM ahead WHERE destination=? ORDER BY behind", (destination,)
    )
    return Held(int(row[0]), tuple(Run(*one) for one in ahead))


def accept(
    connection: sqlite3.Connection, destination: str, behind: int | None, upto: int, sent: int
) -> None:
    """The destination holds the ids in (behind, upto], or all up to `upto`; `sent` values went."""
    before = held(connection, destination)
    after = before.joined(behind or 0, upto)
    connection.execute(
        "INSERT INTO cursors VALUES(?1,?2,?3) ON CONFLICT(destination) DO UPDATE"
        " SET position=?2, sent=sent+?3",
        (destination, after.position, sent),
    )
    _write(connection, destination, before, after)


def give_up(connection: sqlite3.Connection, upto: int) -> None:
    """No destination waits any more for ids up to `upto`."""
    names = [row[0] for row in connection.execute("SELECT destination FROM cursors")]
    for name in names:
        accept(connection, name, None, upto, 0)


def _write(connection: sqlite3.Connection, destination: str, before: Held, after: Held) -> None:
    old, new = set(before.ahead), set(after.ahead)
    connection.executemany(
        "DELETE FROM ahead WHERE destination=? AND behind=?", [(destination, run.behind) for run in old - new]
    )
    connection.executemany("INSERT INTO ahead VALUES(?,?,?)", [(destination, *run) for run in new - old])
