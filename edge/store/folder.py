"""The data folder: opens its two files, replaces those that are damaged, and says what it found.

A damaged file never keeps the gateway from starting. It is set aside as
`NAME.corrupt-TIME` with its log, a new file takes its place, what the start needs is
copied over at once, and the rest while the gateway runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from drivers.reading import Millis
from edge.store import identity
from edge.store.backup import nightlies
from edge.store.ballast import SIZE, Ballast
from edge.store.damage import NewerSchema, broken_log, glance, is_empty, quick_check
from edge.store.database import Database, connect, free_bytes, transact
from edge.store.salvage import TODO, Order, Salvage

_LOG = logging.getLogger(__name__)

KEEP_DAMAGED = 3
"""Set-aside copies of a file that are kept; older ones are removed."""
TELEMETRY_FLOOR = SIZE // 2
"""Bytes of the disk that readings leave to alarms and audit."""
SUSPECT = ".suspect"
"""Beside a file: the last run found it damaged, and this says why."""

FindingKind = Literal["damaged", "empty", "foreign_pair", "log_damaged"]
Migrations = Sequence[Sequence[str]]


class Finding(NamedTuple):
    """Something wrong that a start found: which file, what, and where the old one is now."""

    file: str
    kind: FindingKind
    detail: str
    kept_as: str
    at: Millis


@dataclass(frozen=True, slots=True)
class FileKind:
    """One of the two files: its name, schema and what of it is saved first."""

    name: str
    migrations: Migrations
    order: Order


@dataclass(slots=True)
class DataFolder:
    """The open files and what was wrong with them."""

    core: Database
    telemetry: Database
    ballast: Ballast
    findings: list[Finding] = field(default_factory=list)
    salvages: list[tuple[Salvage, str]] = field(default_factory=list)
    """What is still to be copied, and into which file."""

    @classmethod
    async def open(
        cls,
        data: Path,
        core: FileKind,
        telemetry: FileKind,
        now: Callable[[], Millis],
        damaged: Callable[[], None],
        exit_stack: AsyncExitStack,
    ) -> DataFolder:
        """Opens both files; they are closed with the stack. `damaged` is called when one turns out to
        be damaged while it is in use: the folder must then be closed and opened again."""
        await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True, mode=0o700)
        ballast = Ballast(data)

        def suspect(path: Path, reason: str) -> None:
            _mark_suspect(path, reason)
            damaged()

        folder = cls(
            Database(data / core.name, core.migrations, ballast=ballast, damaged=suspect),
            Database(data / telemetry.name, telemetry.migrations, floor=TELEMETRY_FLOOR, damaged=suspect),
            ballast,
        )
        empty = {kind.name: await asyncio.to_thread(is_empty, data / kind.name) for kind in (core, telemetry)}
        for kind, database in ((core, folder.core), (telemetry, folder.telemetry)):
            exit_stack.push_async_callback(database.close)
            await folder._open_one(kind, database, now, thorough=kind is core)
            await asyncio.to_thread(folder._resume, kind, data / kind.name)
        await folder._pair(data, {"core": core, "telemetry": telemetry}, empty, now)
        await asyncio.to_thread(ballast.take)
        return folder

    async def _open_one(
        self, kind: FileKind, database: Database, now: Callable[[], Millis], *, thorough: bool
    ) -> None:
        path = database.path
        try:
            log = await asyncio.to_thread(broken_log, path)  # before SQLite opens it, and drops it
            if log:
                kept = await asyncio.to_thread(_set_log_aside, path, now())
                self._found(Finding(kind.name, "log_damaged", log, kept, now()))
            reason = await asyncio.to_thread(_judge, path, kind.migrations, thorough)
            if reason:
                await self._replace(kind, path, reason, now())
        except (OSError, sqlite3.OperationalError) as error:
            _LOG.error("%s cannot be looked at: %s", path, error)
        try:
            await database.open_or_wait()
        except (sqlite3.DatabaseError, NewerSchema) as error:
            # a short look found nothing, opening did: the same cure
            await self._replace(kind, path, str(error), now())
            await database.open_or_wait()

    async def _replace(self, kind: FileKind, path: Path, reason: str, at: Millis) -> None:
        kept = await asyncio.to_thread(set_aside, path, at)
        self._found(Finding(kind.name, "damaged", reason, kept.name, at))
        salvage = Salvage(kept, kind.migrations, kind.order)
        try:
            await asyncio.to_thread(_begin, salvage, path, kind.migrations)
        except sqlite3.DatabaseError as error:
            salvage.progress.error = str(error)
            salvage.end()
        else:
            if not kind.order.later:
                salvage.end()
        if salvage.progress.rows == 0:
            await self._from_backup(kind, path)

    async def _from_backup(self, kind: FileKind, path: Path) -> None:
        """Fills a new file from the newest nightly copy, where there is one for it."""
        if kind.order.later:
            return
        for copy in await asyncio.to_thread(nightlies, path):
            try:
                await asyncio.to_thread(
                    _begin, Salvage(copy, kind.migrations, kind.order), path, kind.migrations
                )
            except sqlite3.DatabaseError as error:
                _LOG.error("%s: the copy cannot be used: %s", copy.name, error)
            else:
                _LOG.warning("%s: filled from the nightly copy %s", path.name, copy.name)
                return

    def _resume(self, kind: FileKind, path: Path) -> None:
        """Old files that were not copied to their end, those of earlier starts too."""
        for todo in sorted(path.parent.glob(f"{path.name}.corrupt-*{TODO}")):
            kept = todo.with_name(todo.name.removesuffix(TODO))
            self.salvages.append((Salvage(kept, kind.migrations, kind.order), kind.name))

    def _found(self, finding: Finding) -> None:
        _LOG.error(
            "%s: %s; kept as %s, going on with a new one",
            finding.file,
            finding.detail,
            finding.kept_as or "-",
        )
        self.findings.append(finding)

    async def _pair(
        self, data: Path, kinds: dict[str, FileKind], empty: dict[str, bool], now: Callable[[], Millis]
    ) -> None:
        """Makes the files know each other, and notices where they should but do not."""
        core, telemetry = self.core, self.telemetry
        replaced = {finding.file for finding in self.findings if finding.kind == "damaged"}
        try:
            ids = {"core": await core.run(identity.known), "telemetry": await telemetry.run(identity.known)}
            started = await asyncio.to_thread(identity.was_started, data)
            for database, role, other in ((core, "core", "telemetry"), (telemetry, "telemetry", "core")):
                name = database.path.name
                expected = started or role in ids[other]
                if empty[name] and expected and name not in replaced:
                    detail = "the file is empty although this is not the first start: its data is lost"
                    self._found(Finding(name, "empty", detail, "", now()))
                    await self._from_backup(kinds[role], database.path)
                elif not empty[name] and name not in replaced and _strangers(ids, role, other):
                    detail = f"the file does not belong to this {other} file: one was exchanged"
                    self._found(Finding(name, "foreign_pair", detail, "", now()))
            pair = {role: ids[role].get(role) or identity.new_id() for role in ids}
            if ids["core"] != pair or ids["telemetry"] != pair:
                await core.run(lambda connection: identity.learn(connection, pair))
                await telemetry.run(lambda connection: identity.learn(connection, pair))
            await asyncio.to_thread(identity.mark_started, data)
        except (sqlite3.OperationalError, OSError) as error:
            _LOG.error("the data folder cannot be written: %s", error)

    async def salvage(self) -> None:
        """Copies what is left of damaged files while the gateway runs; a task that ends."""
        for salvage, name in self.salvages:
            await salvage.run(self.core if name == self.core.path.name else self.telemetry)

    async def check(self, database: Database, pause: Callable[[], bool] | None = None) -> None:
        """Checks a whole file beside its use; a damaged one is condemned."""
        reason = await asyncio.to_thread(quick_check, database.path, pause)
        if reason:
            database.condemn(reason)

    @property
    def free(self) -> int:
        """Bytes that may still be written on the volume."""
        return free_bytes(self.core.path.parent)


def _strangers(ids: dict[str, dict[str, str]], role: str, other: str) -> bool:
    believed, real = ids[other].get(role), ids[role].get(role)
    return role == "telemetry" and believed is not None and real is not None and believed != real


def _judge(path: Path, migrations: Migrations, thorough: bool) -> str:
    """Why a file cannot be used, empty when it can."""
    note = path.with_name(path.name + SUSPECT)
    if note.exists():
        reason = note.read_text(encoding="utf-8", errors="replace") or "the last run found it damaged"
        if not is_empty(path):
            return reason
        note.unlink()
    reason = glance(path, migrations)
    if not reason and thorough and not is_empty(path):
        reason = quick_check(path)
    return reason


def _mark_suspect(path: Path, reason: str) -> None:
    with contextlib.suppress(OSError):  # a full disk: the next start finds it again by itself
        path.with_name(path.name + SUSPECT).write_text(reason, encoding="utf-8")


def _begin(salvage: Salvage, path: Path, migrations: Migrations) -> None:
    target = connect(path, migrations)
    try:
        target.execute("PRAGMA foreign_keys=OFF")  # the order of tables is the old file's
        transact(target, salvage.begin)
    finally:
        target.close()


def set_aside(path: Path, at: Millis) -> Path:
    """Renames a file and its log so that a new one can take its place; the name it has now."""
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    kept.with_name(kept.name + TODO).touch(mode=0o600)
    path.with_name(path.name + SUSPECT).unlink(missing_ok=True)
    identity.sync_folder(path.parent)
    _forget_old(path)
    return kept


def _set_log_aside(path: Path, at: Millis) -> str:
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    log = path.with_name(f"{path.name}-wal")
    kept = path.with_name(f"{path.name}-wal.corrupt-{stamp}")
    log.rename(kept)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    identity.sync_folder(path.parent)
    return kept.name


def _forget_old(path: Path) -> None:
    """Only the newest copies stay: a card that breaks again and again must not fill up with them."""
    copies = sorted(
        (
            p
            for p in path.parent.glob(f"{path.name}.corrupt-*")
            if not p.name.endswith(("-wal", "-shm", "-page1", TODO))
        ),
        key=lambda p: p.stat().st_mtime_ns,
    )
    for old in copies[:-KEEP_DAMAGED]:
        for part in path.parent.glob(f"{old.name}*"):
            part.unlink(missing_ok=True)
