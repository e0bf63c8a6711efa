"""What sirens must remember: since when they sound, for what no more, and how their last test went.

It stands in the file of precious things: a siren that forgets is one that sounds again at night.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from drivers.reading import Millis
from edge.store.database import Database

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE siren(
        name TEXT PRIMARY KEY, on_since INTEGER, hushed TEXT NOT NULL, tested TEXT NOT NULL,
        fault TEXT NOT NULL) STRICT, WITHOUT ROWID""",
)


@dataclass(frozen=True, slots=True)
class SirenMemory:
    """What outlives the process. `hushed` are occurrences that were silenced or had their time."""

    on_since: Millis | None = None
    hushed: frozenset[str] = frozenset()
    tested: str = ""
    """The local date (ISO) of the last test."""
    fault: str = ""
    """What the last test found, empty when all was well."""


class SirenStore:
    """The table `siren` of the core file."""

    def __init__(self, core: Database) -> None:
        self._core = core

    async def load(self, name: str) -> SirenMemory:
        """What the last run knew of one siren."""

        def look(c: sqlite3.Connection) -> SirenMemory:
            row = c.execute(
                "SELECT on_since, hushed, tested, fault FROM siren WHERE name=?", (name,)
            ).fetchone()
            if row is None:
                return SirenMemory()
            return SirenMemory(row[0], frozenset(json.loads(row[1])), row[2], row[3])

        return await self._core.read(look)

    async def save(self, name: str, memory: SirenMemory) -> None:
        """Durable when it returns; sqlite3.OperationalError while the disk refuses."""
        await self._core.run(
            lambda c: c.execute(
                "INSERT OR REPLACE INTO siren VALUES(?,?,?,?,?)",
                (name, memory.on_since, json.dumps(sorted(memory.hushed)), memory.tested, memory.fault),
            )
        )
