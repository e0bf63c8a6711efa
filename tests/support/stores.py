"""Real SQLite stores in a temporary folder, and readings to put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from drivers.reading import Millis, Quality, Reading, Value
from edge.agent import CORE_MIGRATIONS
from edge.store.database import Database
from edge.store.helper import LIMIT_S, Helper
from edge.store.helper_process import Server
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore

T = TypeVar("T")

SOURCES = (
    Source(
        "env-1", "classroom_env", "r1", "b1",
        (Shape("co2", "[ppm]", "number"), Shape("temperature", "Cel", "number")),
    ),
    Source("door-1", "contact", "r1", "b1", (Shape("open", "bool", "switch"),)),
)  # fmt: skip
UNITS = {(source.device, shape.name): shape.unit for source in SOURCES for shape in source.points}


def reading(
    device: str,
    point: str,
    value: Value | None,
    at: Millis,
    quality: Quality = Quality.GOOD,
    reason: str = "",
) -> Reading:
    """One reading of `SOURCES`."""
    return Reading(device, point, value, UNITS[device, point], at, at, quality, reason)


class HelperHere(Helper):
    """The helper's work without its process: for tests that ask it thousands of times."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._server = Server(data)

    async def call(self, name: str, result: type[T], *arguments: object, timeout_s: float = LIMIT_S) -> T:
        """The answer, through the same encoding."""
        answer = msgspec.msgpack.encode(self._server.calls[name](*arguments))
        return msgspec.msgpack.decode(answer, type=result)


@asynccontextmanager
async def core(folder: Path) -> AsyncIterator[Database]:
    """The core file."""
    database = Database(folder / "core.db", CORE_MIGRATIONS)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def telemetry(folder: Path) -> AsyncIterator[tuple[Database, ReadingStore]]:
    """The telemetry file with its store."""
    database = Database(folder / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(database, SOURCES)
    await store.load()
    try:
        yield database, store
    finally:
        await store.close()
        await database.close()
