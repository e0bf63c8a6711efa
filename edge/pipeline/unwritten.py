"""Commands that the disk refused and that went out all the same: kept in memory until it takes them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from drivers.reading import Millis, Value
from edge.store.commands import CommandState, Requester
from edge.store.database import Database
from rules.command import Command

_LOG = logging.getLogger(__name__)

AGAIN_S = 5.0
"""What stands in memory is offered to the disk this often."""
LIMIT = 1_000
"""A siren with a timer is told every five seconds, for its `max_on` at most: enough for several alarms."""


class Gone(NamedTuple):
    """One command that went out at `at`, and how it ended."""

    command: Command
    who: Requester
    at: Millis
    ended_at: Millis
    state: CommandState
    detail: str
    found: Value | None


class Unwritten:
    """Holds such commands, the oldest first; `write` puts one into the caller's transaction. `run` must be
    running for that. Of more than LIMIT the oldest go, counted in `lost`."""

    def __init__(self, core: Database, write: Callable[[sqlite3.Connection, Gone], None]) -> None:
        self._core = core
        self._write = write
        self._held: deque[Gone] = deque()
        self._came = asyncio.Event()
        self.total = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, gone: Gone, refusal: str) -> None:
        """Takes one that `refusal` kept from being written down."""
        if not self._held:
            _LOG.error("%s: sent without a record: %s", gone.command.who, refusal)
        self.total += 1
        self._held.append(gone)
        if len(self._held) > LIMIT:
            self._held.popleft()
            self.lost += 1
        self._came.set()

    async def run(self) -> None:
        """Offers what is held to the disk, until cancelled, and once more then."""
        try:
            while True:
                await self._came.wait()
                if not await self.offer():
                    await asyncio.sleep(AGAIN_S)
        finally:
            await asyncio.shield(self.offer())

    async def offer(self) -> bool:
        """Writes all of it down at once; False while the disk refuses."""
        whole = tuple(self._held)

        def work(c: sqlite3.Connection) -> None:
            for gone in whole:
                self._write(c, gone)

        if whole:
            try:
                await self._core.run(work)
            except sqlite3.OperationalError:
                return False
            _LOG.warning("%d commands written down that went out while the disk refused", len(whole))
        written = set(map(id, whole))
        self._held = deque(one for one in self._held if id(one) not in written)
        if not self._held:
            self._came.clear()
        return True
