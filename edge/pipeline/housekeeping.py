"""Looks after the data folder: salvage, checks, nightly copies, ballast, folding the logs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from drivers.reading import Millis
from edge.store.backup import nightlies, nightly
from edge.store.damage import gently
from edge.store.folder import DataFolder

_LOG = logging.getLogger(__name__)

SETTLE_S = 10.0
"""After a start the field comes first; then the files are looked at."""
CHECK_EVERY_S = 86_400.0
BALLAST_EVERY_S = 30.0
FOLD_EVERY_S = 3600.0
BACKUP_LOOK_S = 1800.0


class Housekeeping:
    """Its tasks; `backup_error` says why the last nightly copy failed, empty when it did not."""

    def __init__(self, folder: DataFolder, clock: Callable[[], Millis]) -> None:
        self._folder = folder
        self._clock = clock
        self.backup_error = ""
        self.last_backup: Path | None = None

    async def salvage(self) -> None:
        """Copies the rest of damaged files; ends."""
        await self._folder.salvage()

    async def check(self) -> None:
        """Looks at every page of the large file after the start, and of both once a day."""
        await asyncio.sleep(SETTLE_S)
        while True:
            for database in (self._folder.telemetry, self._folder.core):
                try:
                    await self._folder.check(database, gently)
                except sqlite3.OperationalError as error:
                    _LOG.warning("%s could not be checked: %s", database.path.name, error)
            await asyncio.sleep(CHECK_EVERY_S)

    async def ballast(self) -> None:
        """Takes the ballast again when there is room, and tries failed files again."""
        while True:
            await asyncio.sleep(BALLAST_EVERY_S)
            await asyncio.to_thread(self._folder.ballast.take)

    async def fold(self) -> None:
        """Empties the logs once an hour."""
        while True:
            await asyncio.sleep(FOLD_EVERY_S)
            for database in (self._folder.core, self._folder.telemetry):
                await database.fold()

    async def backup(self) -> None:
        """Copies the core file once a day (UTC), the first time soon after the first start."""
        await asyncio.sleep(SETTLE_S)
        core = self._folder.core.path
        while True:
            today = datetime.fromtimestamp(self._clock() / 1000, UTC).strftime("%Y%m%d")
            copies = await asyncio.to_thread(nightlies, core)
            if not copies or copies[0].stem.removeprefix("core-") < today:
                started = time.monotonic()
                try:
                    self.last_backup = await asyncio.to_thread(nightly, core, self._clock())
                except (OSError, sqlite3.DatabaseError) as error:
                    if str(error) != self.backup_error:
                        _LOG.error("the nightly copy failed: %s", error)
                    self.backup_error = str(error)
                else:
                    self.backup_error = ""
                    _LOG.info("%s made in %.1f s", self.last_backup.name, time.monotonic() - started)
            await asyncio.sleep(BACKUP_LOOK_S)
