"""Which files belong together, and whether this is really the first start.

SQLite takes a missing or empty file for a new database. So each file carries an id and
knows that of the other, and `first-start` beside them says that there was one: an empty
file that the others have known is lost data.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

SCHEMA = "CREATE TABLE IF NOT EXISTS file_identity(role TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID"
MARKER = "first-start"


def known(connection: sqlite3.Connection) -> dict[str, str]:
    """Role of a file (`core`, `telemetry`) -> its id, as this file knows them."""
    connection.execute(SCHEMA)
    return {row[0]: row[1] for row in connection.execute("SELECT role, id FROM file_identity")}


def learn(connection: sqlite3.Connection, ids: dict[str, str]) -> None:
    """Makes this file know these ids."""
    connection.executemany("INSERT OR REPLACE INTO file_identity VALUES(?,?)", ids.items())


def new_id() -> str:
    """A fresh id."""
    return secrets.token_hex(16)


def was_started(folder: Path) -> bool:
    """Whether a gateway has run on this folder before."""
    return (folder / MARKER).exists()


def mark_started(folder: Path) -> None:
    """Leaves the mark of the first start, durably; OSError where the disk refuses."""
    path = folder / MARKER
    if path.exists():
        return
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, b"A gateway keeps its data in this folder. Do not remove this file.\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes renames and new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
