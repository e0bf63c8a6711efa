"""Gets rows out of a damaged database file, into the new one that took its place.

The old file is walked by rowid ranges: where a page cannot be read the walk goes on
behind it. A file whose first page is gone gets the first page of a new file of the same
schema (the old one is kept beside it), and a file that was cut off is read as far as it
goes. Nothing is judged twice: a row that is in the new file already stays as it is.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.store.damage import is_corruption
from edge.store.database import Database, connect

_LOG = logging.getLogger(__name__)

ROWS = 2_000
"""Rows that are copied in one transaction."""
GAP = 1 << 20
"""Room between the ids of the old file and those that the new one gives."""
UNKNOWN_IDS = 1 << 40
"""Where new ids begin when the old ones cannot be read."""
PAGE = 4096
NEVER = frozenset({"sqlite_sequence", "file_identity", "salvage", "setup_token", "spans"})
TODO = "-todo"
"""Beside a file that was set aside: not everything of it is copied yet."""
NOTES = """CREATE TABLE IF NOT EXISTS salvage(
    file TEXT NOT NULL, part TEXT NOT NULL, upto INTEGER NOT NULL, PRIMARY KEY(file, part)) WITHOUT ROWID"""
"""In the new file: how far each table of an old one is copied, so that a restart goes on there."""
_HIGHEST = (1 << 63) - 1

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What of a file matters in which order.

    All tables are copied before the gateway starts, but those in `later`, the large ones,
    while it runs. The rows of a table in `renumbered` keep their id only when every destination holds
    them, as the query beside it says; the others get new ids, so that cursors come by again.
    """

    later: tuple[str, ...] = ()
    renumbered: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """How far a salvage is: rows copied, places that could not be read, and whether it is over."""

    rows: int = 0
    gaps: int = 0
    lost: int = 0
    """Rows that cannot be there any more, as far as gaps between ids tell."""
    done: bool = False
    error: str = ""


class Salvage:
    """One old file and what is still in it."""

    def __init__(self, source: Path, migrations: Sequence[Sequence[str]], order: Order) -> None:
        self.source = source
        self.progress = Progress()
        self._migrations = migrations
        self._order = order
        self._kept_until: dict[str, int] = {}

    def begin(self, target: sqlite3.Connection) -> None:
        """Copies what the gateway needs to start, and makes sure that new ids lie beyond the old ones.
        The target is a connection to the new file, outside a transaction."""
        with contextlib.closing(self._open()) as source:
            tables = self._tables(source)
            for table in (name for name in tables if name not in self._order.later):
                for rows in self._rows(source, table):
                    _insert(target, table, rows, self.progress)
            self._seed(source, target)
            target.execute(NOTES)
            for table, query in self._order.renumbered.items():
                kept = _number(source, query) or 0
                target.execute(
                    "INSERT OR IGNORE INTO salvage VALUES(?,?,?)", (self.source.name, f"kept {table}", kept)
                )

    async def run(self, target: Database) -> None:
        """Copies the rest while the gateway runs, from where an earlier run was ended; a task of its own."""
        if self.progress.done:
            return
        known = await target.run(self._recall)
        self._kept_until = {table: known.get(f"kept {table}", 0) for table in self._order.renumbered}
        try:
            with contextlib.closing(self._open()) as source:
                for table in self._tables(source):
                    if table in self._order.later:
                        for rows in self._rows(source, table, known.get(table)):
                            await target.run(self._work(table, rows))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not is_corruption(error):
                raise  # the new file's disk refuses: the supervisor tries again
            self.progress.error = str(error)
        self.end()

    def end(self) -> None:
        """Nothing more can be got out of the file."""
        self.progress.done = True
        self.source.with_name(self.source.name + TODO).unlink(missing_ok=True)
        _LOG.warning(
            "%s: %d rows salvaged, %d places could not be read%s", self.source.name, self.progress.rows,
            self.progress.gaps, f": {self.progress.error}" if self.progress.error else "",
        )  # fmt: skip

    def _recall(self, connection: sqlite3.Connection) -> dict[str, int]:
        connection.execute(NOTES)
        rows = connection.execute("SELECT part, upto FROM salvage WHERE file=?", (self.source.name,))
        return {row[0]: row[1] for row in rows}

    def _work(self, table: str, rows: _Rows) -> Callable[[sqlite3.Connection], None]:
        def work(connection: sqlite3.Connection) -> None:
            _insert(connection, table, self._renumbered(table, rows), self.progress)
            if rows.upto is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO salvage VALUES(?,?,?)", (self.source.name, table, rows.upto)
                )

        return work

    def _renumbered(self, table: str, rows: _Rows) -> _Rows:
        """Rows that some destination lacks lose their id, so that the new file gives them one."""
        if table not in self._order.renumbered or rows.id is None:
            return rows
        kept = self._kept_until[table]
        place = rows.columns.index(rows.id)
        values = [
            row if row[place] <= kept else (*row[:place], None, *row[place + 1 :]) for row in rows.values
        ]
        return _Rows(rows.columns, values, rows.id, rows.upto)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.source, isolation_level=None, check_same_thread=False)
        try:
            _lenient(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            _LOG.info("%s: its first page is replaced: %s", self.source.name, error)
            _new_first_page(self.source, self._migrations)
            connection = sqlite3.connect(self.source, isolation_level=None, check_same_thread=False)
            _lenient(connection)
        return connection

    def _tables(self, source: sqlite3.Connection) -> list[str]:
        """The tables of both, those that others refer to first."""
        known = connect_empty(self._migrations)
        try:
            wanted = [row[0] for row in known.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            found = {row[0] for row in source.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        finally:
            known.close()
        extra = sorted(found - set(wanted))  # made outside the migrations
        return [name for name in (*wanted, *extra) if name in found and name not in NEVER]

    def _rows(self, source: sqlite3.Connection, table: str, behind: int | None = None) -> Iterator[_Rows]:
        columns, key = _columns(source, table)
        if not columns:
            return
        if _has_rowid(source, table):
            for rows in _by_rowid(source, table, columns, behind, self.progress):
                yield _Rows(columns, [row[1:] for row in rows], key, rows[-1][0])
        else:
            for rows in _from_both_ends(source, table, columns, self.progress):
                yield _Rows(columns, rows, key, None)

    def _seed(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        """New ids of the tables that count them lie beyond all old ones."""
        if not target.execute("SELECT 1 FROM sqlite_master WHERE name='sqlite_sequence'").fetchone():
            return
        counted = target.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'").fetchall()
        for (table,) in counted:
            highest = max(
                _number(source, f"SELECT seq FROM sqlite_sequence WHERE name='{table}'") or 0,
                _number(source, f'SELECT max(rowid) FROM "{table}"') or 0,
            )
            start = highest + GAP if highest else UNKNOWN_IDS
            target.execute("DELETE FROM sqlite_sequence WHERE name=?", (table,))
            target.execute("INSERT INTO sqlite_sequence(name, seq) VALUES(?,?)", (table, start))


@dataclass(frozen=True, slots=True)
class _Rows:
    columns: tuple[str, ...]
    values: Sequence[Row]
    id: str | None
    """The column that is the rowid, if any."""
    upto: int | None
    """The rowid up to which the table is read with these rows."""


def connect_empty(migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
    """A new database of this schema in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statements in migrations:
        for statement in statements:
            connection.execute(statement)
    return connection


def _lenient(connection: sqlite3.Connection) -> None:
    """Reads a file also where its header and its length differ, and decodes what can be decoded."""
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("PRAGMA cell_size_check=ON")
    connection.execute("PRAGMA busy_timeout=1000")
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _columns(source: sqlite3.Connection, table: str) -> tuple[tuple[str, ...], str | None]:
    rows = source.execute(f'PRAGMA table_info("{table}")').fetchall()
    keys = [row for row in rows if row[5]]
    alone = len(keys) == 1 and keys[0][2].upper() == "INTEGER"
    return tuple(row[1] for row in rows), keys[0][1] if alone else None


def _has_rowid(source: sqlite3.Connection, table: str) -> bool:
    row = source.execute("SELECT sql FROM sqlite_master WHERE name=?", (table,)).fetchone()
    return row is not None and "WITHOUT ROWID" not in row[0].upper()


def _number(source: sqlite3.Connection, query: str) -> int | None:
    try:
        row = source.execute(query).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row[0] if row and isinstance(row[0], int) else None


def _by_rowid(
    source: sqlite3.Connection, table: str, columns: Sequence[str], behind: int | None, progress: Progress
) -> Iterator[list[Row]]:
    """All rows that can be read behind a rowid, in their order; each row begins with its rowid."""
    names = ", ".join(f'"{name}"' for name in columns)
    query = f'SELECT rowid, {names} FROM "{table}" WHERE rowid>=? ORDER BY rowid LIMIT {ROWS}'
    low = _number(source, f'SELECT min(rowid) FROM "{table}"') if behind is None else behind + 1
    at: int | None = 1 if low is None else low
    while at is not None:
        rows, failed = _read(source, query, at)
        good = _ascending(rows, at)
        if good < len(rows):  # what is made of a torn page may look like rows
            rows, failed = rows[:good], True
        if rows:
            yield rows
            at = rows[-1][0] + 1
        if failed:
            at = _behind_damage(source, table, at)
            progress.gaps += 1
        elif len(rows) < ROWS:
            return


def _ascending(rows: Sequence[Row], at: int) -> int:
    """How many rows from the first on have growing rowids, none below `at`."""
    for number, row in enumerate(rows):
        if row[0] < at:
            return number
        at = row[0] + 1
    return len(rows)


def _read(source: sqlite3.Connection, query: str, *values: int) -> tuple[list[Row], bool]:
    """The rows up to the first that cannot be read; whether there was one."""
    rows: list[Row] = []
    try:
        for row in source.execute(query, values):
            rows.append(row)
    except (sqlite3.DatabaseError, UnicodeError):
        return rows, True
    return rows, False


def _behind_damage(source: sqlite3.Connection, table: str, at: int) -> int | None:
    """The smallest rowid from which on rows can be read again, `None` when there is none."""
    query = f'SELECT rowid FROM "{table}" WHERE rowid>=? ORDER BY rowid LIMIT 1'
    bad, step = at, 1
    highest = _number(source, f'SELECT max(rowid) FROM "{table}"') or 0
    if highest <= at:  # the damage is at the end, and the number may be anything
        highest = at + UNKNOWN_IDS
    while True:
        probe = min(bad + step, highest)
        rows, failed = _read(source, query, probe)
        if not failed:
            if not rows:
                return None
            break
        if probe >= highest:
            return None
        bad, step = probe, step * 2
    good = probe
    while good - bad > 1:
        middle = (good + bad) // 2
        if _read(source, query, middle)[1]:
            bad = middle
        else:
            good = middle
    return good


def _from_both_ends(
    source: sqlite3.Connection, table: str, columns: Sequence[str], progress: Progress
) -> Iterator[list[Row]]:
    """The rows of a table without rowids: up to the damage from the front, and from the back."""
    names = ", ".join(f'"{name}"' for name in columns)
    key = ", ".join(
        f'"{row[1]}"'
        for row in sorted(source.execute(f'PRAGMA table_info("{table}")'), key=lambda row: row[5])
        if row[5]
    )
    rows, failed = _read(source, f'SELECT {names} FROM "{table}" ORDER BY {key}')
    if failed:
        progress.gaps += 1
        descending = key.replace(",", " DESC,") + " DESC"
        back, _ = _read(source, f'SELECT {names} FROM "{table}" ORDER BY {descending}')
        rows += back
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]


def _insert(target: sqlite3.Connection, table: str, rows: _Rows, progress: Progress) -> None:
    """Copies rows into the columns that both have; what the new schema refuses is counted as lost."""
    there = _columns(target, table)[0]
    shared = [name for name in rows.columns if name in there]
    if not shared:
        return
    places = [rows.columns.index(name) for name in shared]
    names = ", ".join(f'"{name}"' for name in shared)
    marks = ", ".join("?" * len(shared))
    statement = f'INSERT OR IGNORE INTO "{table}"({names}) VALUES({marks})'
    for row in rows.values:
        try:
            target.execute(statement, tuple(row[place] for place in places))
        except (sqlite3.IntegrityError, UnicodeError):
            progress.lost += 1
        else:
            progress.rows += 1


def _new_first_page(path: Path, migrations: Sequence[Sequence[str]]) -> None:
    """Gives a file whose first page is unreadable that of a new file of the same schema."""
    with tempfile.TemporaryDirectory(prefix="campus-edge-") as folder:
        model = Path(folder) / "model.db"
        connect(model, migrations).close()
        page = bytearray(model.read_bytes()[:PAGE])
    size = path.stat().st_size
    page[28:32] = (size // PAGE).to_bytes(4)  # pages in the file, big-endian (file format, 1.3)
    page[92:96] = page[24:28]  # the change counter for which that number is valid
    with path.open("r+b") as file:
        original = file.read(PAGE)
        path.with_name(f"{path.name}-page1").write_bytes(original)
        if original[100:105] != bytes(5) and original[100] in (0x05, 0x0D):
            page[100:] = original[100:].ljust(PAGE - 100, b"\x00")  # only the header is gone
        file.seek(0)
        file.write(page)
