"""What counters must remember across restarts: faces, offsets, serial numbers; corrections are audited.

They stand in the small file of precious things: an offset that is lost makes a counter leap.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from drivers.reading import Millis, Value
from drivers.register import Correction, RegisterState
from edge.store import audit
from edge.store.database import Database

SCHEMA: tuple[str, ...] = (
    """CREATE TABLE registers(
        device TEXT NOT NULL, point TEXT NOT NULL, face REAL NOT NULL, at INTEGER NOT NULL,
        "offset" REAL NOT NULL, PRIMARY KEY(device, point)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE identities(
        device TEXT NOT NULL, point TEXT NOT NULL, value ANY NOT NULL,
        PRIMARY KEY(device, point)) STRICT, WITHOUT ROWID""",
)

PointKey = tuple[str, str]
"""Device and point."""


class Corrected(NamedTuple):
    """One counter's correction."""

    device: str
    point: str
    correction: Correction


class Remembered(NamedTuple):
    """All that is kept: the counters' states, and what meters said of themselves."""

    registers: Mapping[PointKey, RegisterState]
    identities: Mapping[PointKey, Value]


class RegisterStore:
    """The tables `registers` and `identities` of the core file."""

    def __init__(self, core: Database) -> None:
        self._core = core

    async def load(self) -> Remembered:
        """What the last run knew."""

        def look(connection: sqlite3.Connection) -> Remembered:
            registers = {
                (device, point): RegisterState(face, at, offset)
                for device, point, face, at, offset in connection.execute(
                    'SELECT device, point, face, at, "offset" FROM registers'
                )
            }
            rows = connection.execute("SELECT device, point, value FROM identities")
            return Remembered(registers, {(device, point): value for device, point, value in rows})

        return await self._core.read(look)

    async def save(self, known: Remembered, corrected: Sequence[Corrected], now: Millis) -> None:
        """Keeps states and writes each correction into the audit log, in one transaction."""
        registers = [(*key, *state) for key, state in known.registers.items()]
        identities = [(*key, value) for key, value in known.identities.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO registers VALUES(?,?,?,?,?)", registers)
            connection.executemany("INSERT OR REPLACE INTO identities VALUES(?,?,?)", identities)
            for one in corrected:
                audit.append(connection, _row(one, now))

        await self._core.run(work)


def _row(one: Corrected, now: Millis) -> audit.AuditRow:
    change = one.correction
    return audit.AuditRow(
        0, now, "gateway", "collector", f"register.{change.change}", f"{one.device}/{one.point}",
        f"{change.before:.10g}", f"{change.after:.10g}", f"offset {change.offset:.10g}",
    )  # fmt: skip
