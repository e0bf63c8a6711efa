"""SQLite files of the gateway: one writer thread and one reader thread each, migrations.

Pragmas as measured for power cuts: WAL with `synchronous=FULL` loses no acknowledged
commit; NORMAL does (DECISIONS.md "Store"). A file that cannot be written (full, read-only
or broken disk) keeps the gateway running: what is to be written raises
`sqlite3.OperationalError`, and opening is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edge.store.ballast import Ballast
from edge.store.damage import NewerSchema, is_corruption, is_full

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

READ_LIMIT_S = 5.0
"""A read that takes longer is interrupted: long readers would keep the log from being folded."""
OPEN_AGAIN_S = 5.0
"""A file that could not be opened is tried again this often, when something is to be written."""
WAL_LIMIT = 16 << 20


class Unusable(sqlite3.OperationalError):
    """The file is damaged: nothing is written to it any more, and it will be replaced."""


class Database:
    """One file. `run` gives a function the writing connection inside a transaction,
    `read` gives it the reading one; both on threads of their own, in order.

    `ballast` is given up when the disk is full, so that this file can still be written;
    with `floor` (bytes) a file leaves that much of the disk to others. `error` says why
    the file cannot be written, empty when it can; `damaged` is called, in the event
    loop, once when the file turns out to be damaged.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        *,
        ballast: Ballast | None = None,
        floor: int = 0,
        damaged: Callable[[Path, str], None] | None = None,
    ) -> None:
        self.path = path
        self.error = ""
        self._migrations = migrations
        self._ballast = ballast
        self._floor = floor
        self._damaged = damaged
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-reader")
        self._write_connection: sqlite3.Connection | None = None
        self._read_connection: sqlite3.Connection | None = None
        self._stale_reader = False
        self._condemned = ""
        self._open_again = 0.0
        self._noting = threading.Lock()

    async def open(self) -> None:
        """Opens and migrates; sqlite3.DatabaseError for a broken file, NewerSchema for a foreign one."""
        self._loop = loop = asyncio.get_running_loop()
        self._write_connection = await loop.run_in_executor(
            self._writer, connect, self.path, self._migrations
        )
        self._read_connection = await loop.run_in_executor(self._reader, connect, self.path, self._migrations)

    async def open_or_wait(self) -> bool:
        """Opens, or where the disk refuses, serves reads from what the file shows and writes nothing
        until it opens; whether it is open. Raises as `open` for a broken or foreign file."""
        try:
            await self.open()
        except sqlite3.OperationalError as error:
            self.error = str(error)
            self._open_again = time.monotonic() + OPEN_AGAIN_S
            loop = asyncio.get_running_loop()
            self._read_connection = await loop.run_in_executor(self._reader, self._peek)
            self._stale_reader = True
            _LOG.error("%s cannot be opened: %s; going on from memory", self.path, error)
            return False
        return True

    def _peek(self) -> sqlite3.Connection:
        """A reading connection without the disk's help: the file as it lies there, else an empty one."""
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version == len(self._migrations):
                connection.row_factory = sqlite3.Row
                return connection
            connection.close()
        except sqlite3.DatabaseError as error:
            _LOG.info("%s cannot be read either: %s", self.path, error)
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        migrate(connection, self.path, self._migrations)
        return connection

    async def run(self, work: Callable[[sqlite3.Connection], T], *, leave_room: bool = True) -> T:
        """Runs `work` in one transaction; durable when it returns, undone when it raises.
        Raises sqlite3.OperationalError while the disk refuses. Without `leave_room` a file with a
        floor may write below it: what notes that room was made."""
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._transact, work, leave_room
        )

    async def read(self, work: Callable[[sqlite3.Connection], T], *, patient: bool = False) -> T:
        """Runs `work` on the reading connection; it sees the last commit. What takes longer than
        READ_LIMIT_S is interrupted (sqlite3.OperationalError), unless it is `patient`: a start waits
        for what it needs, however slow the card is."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._look, work, patient)

    async def fold(self) -> None:
        """Folds the log into the file and empties it, when no reader is in the way."""

        def checkpoint() -> None:
            if self._write_connection is not None and not self._condemned:
                with contextlib.suppress(sqlite3.OperationalError):  # tried again in an hour
                    self._write_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        await asyncio.get_running_loop().run_in_executor(self._writer, checkpoint)

    async def close(self) -> None:
        """Folds the log and closes both connections."""
        loop = asyncio.get_running_loop()
        for executor, connection in (
            (self._reader, self._read_connection),
            (self._writer, self._write_connection),
        ):
            if connection is not None:
                with contextlib.suppress(sqlite3.DatabaseError):  # full or damaged: the log stays as it is
                    await loop.run_in_executor(executor, connection.close)
        self._reader.shutdown()
        self._writer.shutdown()

    def condemn(self, reason: str) -> None:
        """The file is damaged: `damaged` is told, once, and nothing is written any more."""
        with self._noting:
            if self._condemned:
                return
            self._condemned = reason
        _LOG.error("%s is damaged: %s", self.path, reason)
        self.error = f"{self.path.name} is damaged: {reason}"
        if self._damaged is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._damaged, self.path, reason)

    def _transact(self, work: Callable[[sqlite3.Connection], T], leave_room: bool) -> T:
        if self._condemned:
            raise Unusable(self.error)
        connection = self._writing()
        try:
            if leave_room:
                self._leave_room()
            result = self._with_ballast(connection, work)
        except sqlite3.IntegrityError:  # the work's own fault, not the file's
            raise
        except sqlite3.DatabaseError as error:
            if is_corruption(error):
                self.condemn(str(error))
                raise Unusable(str(error)) from error
            if isinstance(error, sqlite3.OperationalError):
                self._refused(error)
            raise
        if self.error:
            _LOG.info("%s is written again", self.path)
            self.error = ""
        return result

    def _with_ballast(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return transact(connection, work)
        except sqlite3.OperationalError as error:
            if not is_full(error) or self._ballast is None or not self._ballast.release():
                raise
            return transact(connection, work)

    def _refused(self, error: sqlite3.OperationalError) -> None:
        if str(error) != self.error:
            _LOG.error("%s cannot be written: %s", self.path, error)
        self.error = str(error)

    def _leave_room(self) -> None:
        if self._floor and free_bytes(self.path.parent) < self._floor:
            raise sqlite3.OperationalError("database or disk is full: what is left is kept for alarms")

    def _writing(self) -> sqlite3.Connection:
        """The writing connection, opened when that failed before."""
        if self._write_connection is not None:
            return self._write_connection
        if not self.error:
            raise sqlite3.ProgrammingError(f"{self.path} is not open")
        if time.monotonic() < self._open_again:
            raise sqlite3.OperationalError(self.error)
        self._open_again = time.monotonic() + OPEN_AGAIN_S
        self._write_connection = connect(self.path, self._migrations)
        return self._write_connection

    def _look(self, work: Callable[[sqlite3.Connection], T], patient: bool = False) -> T:
        if self._stale_reader and self._write_connection is not None:
            self._read_connection = connect(self.path, self._migrations)
            self._stale_reader = False
        connection = self._read_connection
        if connection is None:
            raise sqlite3.ProgrammingError(f"{self.path} is not open")
        end = time.monotonic() + (math.inf if patient else READ_LIMIT_S)
        connection.set_progress_handler(lambda: time.monotonic() > end, 20_000)
        try:
            return work(connection)
        except sqlite3.DatabaseError as error:
            if is_corruption(error):
                self.condemn(str(error))
                raise Unusable(str(error)) from error
            raise


def transact(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Runs `work` in one transaction: durable when it returns, undone when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it itself after some errors of the disk
            connection.execute("ROLLBACK")
        raise
    return result


def connect(path: Path, migrations: Sequence[Sequence[str]]) -> sqlite3.Connection:
    """Opens a file, making or migrating it.

    Raises sqlite3.DatabaseError for a broken file, NewerSchema for one of a newer version,
    sqlite3.OperationalError where the disk refuses.
    """
    if not path.exists():
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise sqlite3.OperationalError(f"cannot make {path.name}: {error.strerror}") from error
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _tune(connection)
        migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]]) -> None:
    """Brings a connection's file to the newest schema; NewerSchema when it is beyond."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise NewerSchema(f"{path} has schema {version}, this version knows {len(migrations)}")
    for number, statements in enumerate(migrations[version:], start=version + 1):

        def step(
            connection: sqlite3.Connection, number: int = number, statements: Sequence[str] = statements
        ) -> None:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")  # with them: a power cut undoes both

        transact(connection, step)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write on the volume of a folder."""
    volume = os.statvfs(folder)
    return volume.f_bavail * volume.f_frsize


def _tune(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.row_factory = sqlite3.Row
    for pragma in (
        "auto_vacuum=INCREMENTAL",  # takes effect only before the first table
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "wal_autocheckpoint=1000",
        f"journal_size_limit={WAL_LIMIT}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "mmap_size=0",
        "cache_size=-512",  # kB a connection; the end of the file is what is needed, and it grows all day
        "trusted_schema=OFF",
        "secure_delete=FAST",  # zeros over what was deleted, but no page written for them alone
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
