"""Stores what the bus carries, in group commits."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from drivers.reading import Millis, Reading
from edge.bus import Subscription
from edge.store.readings import ReadingStore

_LOG = logging.getLogger(__name__)

GROUP_ROWS = 10_000
"""A group is committed early when it has grown to this."""
HELD_ROWS = 100_000
"""Readings held in memory while the disk refuses; beyond it the oldest are dropped, counted."""

EAGER_S = 10.0
EAGER_GROUP_S = 0.5
"""For so long after a start groups are this short: a broker hands over at once all that it kept while the
gateway was away, and forgets it; a second kill must not cost more than what was measured in a group."""


class Recorder:
    """Holds readings for at most `group_ms`, then commits them together.

    `loaded` is false when the store could not be loaded at the start, the disk refusing:
    it is then loaded before the first commit.
    """

    def __init__(
        self,
        source: Subscription,
        store: ReadingStore,
        group_ms: Millis,
        clock: Callable[[], Millis],
        *,
        loaded: bool = True,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._store = store
        self._group_s = group_ms / 1000
        self._clock = clock
        self._loaded = loaded
        self._stored = stored
        self._held: list[Reading] = []
        self.dropped = 0
        self.last_error = ""

    @property
    def held(self) -> int:
        """Readings not yet committed."""
        return len(self._held)

    async def run(self) -> None:
        """Stores until cancelled; the last group is committed before it ends."""
        loop = asyncio.get_running_loop()
        eager_until = loop.time() + EAGER_S
        deadline = loop.time() + min(self._group_s, EAGER_GROUP_S)
        try:
            while True:
                try:
                    async with asyncio.timeout_at(deadline if self._held else None):
                        self._held.extend(await self._source.get())
                except TimeoutError:
                    await self._commit()
                if len(self._held) >= GROUP_ROWS and not self.last_error:
                    await self._commit()
                if not self._held or loop.time() >= deadline:
                    await self._commit()
                    eager = loop.time() < eager_until
                    deadline = loop.time() + (min(self._group_s, EAGER_GROUP_S) if eager else self._group_s)
        finally:
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Commits what is held and what still waits on the bus."""
        while self._source.size:
            self._held.extend(await self._source.get())
        await self._commit()

    async def _commit(self) -> None:
        """Commits all that is held, in groups; what the disk refuses stays held."""
        while self._held:
            group, self._held = self._held[:GROUP_ROWS], self._held[GROUP_ROWS:]
            try:
                if not self._loaded:
                    await self._store.load()
                    self._loaded = True
                await self._store.append(group, self._clock())
            except sqlite3.OperationalError as error:  # full, read-only, I/O: keep and try again
                self._keep(group, error)
                return
            if self.last_error:
                _LOG.info("readings are stored again")
            self.last_error = ""
            self._stored()

    def _keep(self, group: list[Reading], error: sqlite3.OperationalError) -> None:
        self._held = group + self._held
        over = len(self._held) - HELD_ROWS
        if over > 0:
            self.dropped += over
            del self._held[:over]
        if str(error) != self.last_error:
            _LOG.error("readings cannot be stored: %s; holding %d in memory", error, len(self._held))
        self.last_error = str(error)
