"""Fills a data folder of this gateway with history, as if it had collected it while offline."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from drivers.reading import Millis, Reading
from edge.config.load import load
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.history import Snapshot
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore

GROUP = 20_000
"""Readings in one commit."""
KEEP = Keeping(400 * DAY_MS, 1 << 50)
SPAN_TRIES = 5
Span = tuple[Millis, Millis]
Tick = tuple[Millis, Sequence[tuple[str, str, float]]]
"""One instant: (device, point, value) of what was read then."""


def school_day(devices: int, points: int, start: Millis, seconds: int, seed: int = 1) -> Iterator[Tick]:
    """A reading a second of each point `r00` ... of the devices `d0` ...: half of the points rest and step
    now and then, half wander in steps of 0.1; two decimals never come."""
    chance = random.Random(seed)
    values = {(f"d{d}", f"r{p:02d}"): 200.0 + 10 * p for d in range(devices) for p in range(points)}
    keys = list(values)
    restless = {key for number, key in enumerate(keys) if number % 2}
    for second in range(seconds):
        tick = []
        for key in keys:
            if key in restless:
                values[key] = round(values[key] + chance.choice((-0.1, 0.0, 0.0, 0.1)), 1)
            elif chance.random() < 0.001:
                values[key] = round(values[key] + chance.choice((-1.0, 1.0)), 1)
            tick.append((*key, values[key]))
        yield start + second * 1000, tick


@asynccontextmanager
async def _store(config: Path, data: Path) -> AsyncIterator[ReadingStore]:
    """The store of a configuration's devices, as a running gateway opens it."""
    data.mkdir(mode=0o700, exist_ok=True)
    sources = [
        Source(
            device, model.kind, model.space, model.building,
            tuple(Shape(point, spec.unit, spec.type) for point, spec in model.points.items()),
        )
        for device, model in load(config).devices.items()
    ]  # fmt: skip
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    try:
        store = ReadingStore(database, sources)
        await store.load()
        yield store
        await store.close()
    finally:
        await database.close()


async def fill(config: Path, data: Path, ticks: Iterator[Tick]) -> int:
    """Stores the ticks through the gateway's own store; how many readings."""
    stored = 0
    group: list[Reading] = []
    async with _store(config, data) as store:
        for at, tick in ticks:
            group.extend(Reading(device, point, value, "1", at, at) for device, point, value in tick)
            if len(group) >= GROUP:
                await store.append(group, at)
                stored, group = stored + len(group), []
        await store.append(group, 0)
        return stored + len(group)


async def seal_all(data: Path, now: Millis) -> None:
    """Lets the gateway's archivist work two days later, when nothing of the past is hot any more."""
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    keeper = Archivist(database, KEEP, (), lambda: now + 2 * DAY_MS, spare=lambda _: 1)
    try:
        await keeper.step()
    finally:
        await keeper.close()
        await database.close()


async def span_of(config: Path, data: Path, device: str, point: str, span: Span) -> tuple[int, float]:
    """Reads one point's span through the gateway's own store: samples, and seconds it took: the median,
    the start of the helper process that reads sealed files left out."""
    took = []
    async with _store(config, data) as store:
        await store.history(device, point, *span, limit=1)
        for _ in range(SPAN_TRIES):
            began = time.monotonic()
            samples = await store.history(device, point, *span, limit=1_000_000)
            took.append(time.monotonic() - began)
    return len(samples), median(took)


def columns_of(data: Path, device: str, point: str, span: Span) -> float:
    """Seconds that the same span takes as columns out of the sealed files, in this process: the median."""
    took = []
    for _ in range(SPAN_TRIES):
        began = time.monotonic()
        with Snapshot(data) as snapshot:
            snapshot.series(device, point, *span)
        took.append(time.monotonic() - began)
    return median(took)
