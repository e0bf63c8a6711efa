"""The newest reading of every point: what a device tells from its log does not replace what is newer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from drivers.reading import Batch, Origin, Reading
from edge.bus import Overflow, ReadingBus
from edge.pipeline.live import Latest

LOG = Origin.BACKFILL


def reading(value: float, at: int, origin: Origin = Origin.LIVE, point: str = "co2") -> Reading:
    return Reading("log-1", point, value, "", at, 1_000, origin=origin)


async def followed(*batches: Sequence[Reading]) -> tuple[Latest, list[Batch]]:
    """What is known and was told after these batches."""
    bus, told = ReadingBus(), list[Batch]()
    latest = Latest(bus.subscribe("latest", limit=1_000, overflow=Overflow.WAIT))
    running = asyncio.create_task(latest.run(told.append))
    for batch in batches:
        await bus.publish(batch)
    await asyncio.sleep(0.05)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return latest, told


async def test_a_log_behind_what_is_new_is_counted_and_not_shown() -> None:
    for batches in ([[reading(1, 100)], [reading(2, 50, LOG)]], [[reading(1, 100), reading(2, 50, LOG)]]):
        latest, told = await followed(*batches)
        assert latest.value("log-1", "co2") == 1
        assert [one.value for batch in told for one in batch] == [1]
        assert (latest.good, latest.last_at) == (2, 1_000)


async def test_a_log_shows_while_nothing_newer_is_known() -> None:
    log = [reading(n, n, LOG) for n in range(1, 4)]
    latest, told = await followed(log, [reading(9, 100, point="humidity"), *log])
    assert (latest.value("log-1", "co2"), latest.value("log-1", "humidity")) == (3, 9)
    assert [one.value for one in told[-1]] == [9]
