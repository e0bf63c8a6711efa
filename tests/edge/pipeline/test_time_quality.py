"""Entries say how their time is known where that is not exactly; nothing else of them changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Entry
from drivers.reading import Reading
from edge.agent import CORE_MIGRATIONS
from edge.pipeline.clock_watch import ClockWatch, HeldOutbox
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from edge.synchronised import ClockReading

SOURCES = [Source("env-1", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),))]
BEGIN = 1_764_547_200_000
HOLD = 24 * 3_600_000


async def _no_park(destination: str, stream: str, entry: Entry, line: str, status: int, reason: str) -> None:
    raise AssertionError("nothing is refused here")


class Machine:
    """A store over several boots; the clock is what a test says."""

    def __init__(self, folder: Path) -> None:
        self.core = Database(folder / "core.db", CORE_MIGRATIONS)
        self.telemetry = Database(folder / "telemetry.db", MIGRATIONS)
        self.store = ReadingStore(self.telemetry, SOURCES)

    async def boot(self, name: str, wall: int, uptime: int, *, synchronised: bool) -> HeldOutbox:
        self.reading = ClockReading(wall, uptime, name, synchronised)
        watch = ClockWatch(
            self.core, self.telemetry, lambda: self.reading, lambda: None, doubt=True, hold_ms=HOLD
        )
        await watch.start()
        outbox = ReadingOutbox(self.telemetry, {}, _no_park, self.store.helper)
        return HeldOutbox(outbox, watch.first_held_moment, watch.moment_doubts)

    async def ingest(self, *times: int) -> None:
        await self.store.append([Reading("env-1", "co2", 1.0, "[ppm]", at, at) for at in times], BEGIN)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    await made.core.open()
    await made.telemetry.open()
    await made.store.load()
    yield made
    await made.store.close()
    await made.telemetry.close()
    await made.core.close()


async def qualities(outbox: HeldOutbox) -> list[object]:
    return [entry.fields.get("tq") for entry in (await outbox.take("d", 100)).entries]


async def test_rows_of_a_boot_that_never_learnt_the_time_are_marked_as_estimated(machine: Machine) -> None:
    outbox = await machine.boot("a", BEGIN, 1_000, synchronised=False)
    await machine.ingest(BEGIN, BEGIN + 1)
    assert await qualities(outbox) == [], "they wait for the clock"
    outbox = await machine.boot("b", BEGIN + 9_000_000, 1_000, synchronised=True)
    await machine.ingest(BEGIN + 9_000_000)
    entries = (await outbox.take("d", 100)).entries
    assert [entry.fields.get("tq") for entry in entries] == [4.0, 4.0, None]
    assert format_entry(entries[0]).startswith(
        b"classroom_env,building=b1,device=env-1,space=r1 co2=1.0,tq=4.0 "
    )


async def test_rows_that_the_same_boot_dated_anew_are_exact(machine: Machine) -> None:
    await machine.boot("a", BEGIN, 1_000, synchronised=False)
    await machine.ingest(BEGIN, BEGIN + 1)
    outbox = await machine.boot("a", BEGIN + 864_000_000 + 5_000, 6_000, synchronised=True)
    assert await qualities(outbox) == [None, None]


async def test_what_leaves_although_the_clock_is_still_doubted_says_so(machine: Machine) -> None:
    await machine.boot("a", BEGIN, 1_000, synchronised=False)
    await machine.ingest(BEGIN)
    outbox = await machine.boot("a", BEGIN + HOLD + 1, HOLD + 1_001, synchronised=False)
    assert await qualities(outbox) == [2.0]
