"""SQLite files of the gateway: one writer thread and one reader thread each, migrations.

Pragmas as measured for power cuts: WAL with `synchronous=FULL` loses no acknowledged
commit; NORMAL does (DECISIONS.md "Store").
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

READ_LIMIT_S = 5.0
"""A read that takes longer is interrupted: long readers would keep the log from being folded."""


class NewerSchema(Exception):
    """The file was written by a newer version of the software."""


class Database:
    """One file. `run` gives a function the writing connection inside a transaction,
    `read` gives it the reading one; both on threads of their own, in order."""

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]]) -> None:
        self.path = path
        self._migrations = migrations
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-reader")
        self._write_connection: sqlite3.Connection | None = None
        self._read_connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Opens and migrates; sqlite3.DatabaseError for a broken file, NewerSchema for a foreign one."""
        loop = asyncio.get_running_loop()
        self._write_connection = await loop.run_in_executor(
            self._writer, connect, self.path, self._migrations
        )
        self._read_connection = await loop.run_in_executor(self._reader, connect, self.path, self._migrations)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in one transaction; durable when it returns, undone when it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on the reading connection; it sees the last commit."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._look, work)

    async def close(self) -> None:
        """Folds the log and closes both connections."""
        loop = asyncio.get_running_loop()
        if self._read_connection is not None:
            await loop.run_in_executor(self._reader, self._read_connection.close)
        if self._write_connection is not None:
            await loop.run_in_executor(self._writer, self._write_connection.close)
        self._reader.shutdown()
        self._writer.shutdown()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._write_connection
        if connection is None:
            raise sqlite3.ProgrammingError(f"{self.path} is not open")
        return transact(connection, work)

    def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._read_connection
        if connection is None:
            raise sqlite3.ProgrammingError(f"{self.path} is not open")
        end = time.monotonic() + READ_LIMIT_S
        connection.set_progress_handler(lambda: time.monotonic() > end, 20_000)
        return work(connection)


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Runs `work` in one transaction: durable when it returns, undone when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result


def connect(path: Path, migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
    """Opens a file, making or migrating it.

    Raises sqlite3.DatabaseError for a broken file, NewerSchema for one of a newer version.
    """
    if not path.exists():
        path.touch(mode=0o600)
    connection = _tune(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        connection.close()
        raise NewerSchema(f"{path} has schema {version}, this version knows {len(migrations)}")
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
    return connection


def _tune(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    for pragma in (
        "auto_vacuum=INCREMENTAL",  # takes effect only before the first table
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "wal_autocheckpoint=1000",
        f"journal_size_limit={16 << 20}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "mmap_size=0",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
