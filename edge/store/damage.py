"""What may be wrong with a database file, and finding it out.

A file may be no database (zeroed header, another program's), cut off, filled with
garbage in places, of a newer version, or beside a log that is none.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_MAGIC = b"SQLite format 3\x00"
_WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_WAL_HEADER = 32


class NewerSchema(Exception):
    """The file was written by a newer version of the software."""


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether an error means that the file's content is wrong (and not that the disk refuses)."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error means that the disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_FULL


def is_empty(path: Path) -> bool:
    """Whether there is no file, or one without a byte: SQLite takes both for a new database."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def glance(path: Path, migrations: Sequence[Sequence[str]]) -> str:
    """What is wrong with a file as far as a short look shows it, empty for nothing.

    Raises sqlite3.OperationalError where the disk refuses.
    """
    if is_empty(path):
        return ""
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(_MAGIC):
        return "its header is not that of a database"
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            return _foreign(connection, migrations)
        finally:
            connection.close()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)


def _foreign(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> str:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        return f"it is of a newer version: schema {version}, this one knows {len(migrations)}"
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    missing = tables_of(migrations[:version]) - found
    if missing:
        return f"it lacks the tables {', '.join(sorted(missing)[:5])}"
    if version == 0 and found:
        return f"it is another program's: it holds {', '.join(sorted(found)[:5])}"
    return ""


def tables_of(migrations: Sequence[Sequence[str]]) -> set[str]:
    """The tables that a file of this schema has."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statements in migrations:
            for statement in statements:
                connection.execute(statement)
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        return {row[0] for row in rows if not row[0].startswith("sqlite_")}
    finally:
        connection.close()


def broken_log(path: Path) -> str:
    """What is wrong with the log beside a file, empty for nothing. SQLite drops such a log silently."""
    log = path.with_name(f"{path.name}-wal")
    try:
        with log.open("rb") as file:
            head = file.read(_WAL_HEADER)
    except FileNotFoundError:
        return ""
    if not head or (head[:4] in _WAL_MAGIC and len(head) == _WAL_HEADER):
        return ""
    if not head.strip(b"\x00"):
        return ""  # an unwritten one, as a power cut leaves it: nothing was acknowledged in it
    return "its log is no log of a database"


def quick_check(path: Path, pause: Callable[[], bool] | None = None) -> str:
    """SQLite's `quick_check`, table by table so that no read lasts long; what it found, empty for nothing.

    `pause` is called often and ends the check when it answers true.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA busy_timeout=5000")
        if pause is not None:
            connection.set_progress_handler(pause, 50_000)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            (word,) = connection.execute(f'PRAGMA quick_check("{quoted}")').fetchone()
            if word != "ok":
                return str(word).splitlines()[0]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and not is_corruption(error):
            raise
        return str(error)
    finally:
        connection.close()
    return ""


def gently() -> bool:
    """A `pause` that leaves the processor and the card to others most of the time."""
    time.sleep(0.005)
    return False
