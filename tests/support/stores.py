"""Real SQLite stores in a temporary folder, and readings to put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from drivers.reading import Millis, Quality, Reading, Value
from edge.agent import CORE_MIGRATIONS
from edge.store import readings
from edge.store.database import Database
from edge.store.readings import ReadingStore, SeriesTags

TAGS: Mapping[tuple[str, str], SeriesTags] = {
    ("env-1", "co2"): SeriesTags("classroom_env", "r1", "b1", "[ppm]", "number"),
    ("env-1", "temperature"): SeriesTags("classroom_env", "r1", "b1", "Cel", "number"),
    ("door-1", "open"): SeriesTags("contact", "r1", "b1", "bool", "switch"),
}


def reading(
    device: str,
    point: str,
    value: Value | None,
    at: Millis,
    quality: Quality = Quality.GOOD,
    reason: str = "",
) -> Reading:
    """One reading with the unit of `TAGS`."""
    return Reading(device, point, value, TAGS[device, point].unit, at, at, quality, reason)


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
    database = Database(folder / "telemetry.db", readings.MIGRATIONS)
    await database.open()
    store = ReadingStore(database, TAGS)
    await store.load()
    try:
        yield database, store
    finally:
        await database.close()
