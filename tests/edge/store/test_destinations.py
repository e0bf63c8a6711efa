"""Several destinations over one store: none holds up another, and a configuration change costs nothing."""

from __future__ import annotations

from pathlib import Path

from cloud_sync.outbox import Entry
from drivers.reading import Reading
from edge.store import cursors
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore

SOURCES = [Source("env-1", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),))]
BEGIN = 1_764_547_200_000


async def _no_park(destination: str, stream: str, entry: Entry, line: str, status: int, reason: str) -> None:
    raise AssertionError("nothing is refused here")


class Run:
    """One run of the gateway over a folder, with the destinations that are configured now."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "telemetry.db", MIGRATIONS)
        self.store = ReadingStore(self.database, SOURCES)
        self.outbox = ReadingOutbox(self.database, {}, _no_park, self.store.helper)

    async def __aenter__(self) -> Run:
        await self.database.open()
        await self.store.load()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()
        await self.database.close()

    async def ingest(self, first: int, count: int) -> None:
        times = range(BEGIN + first, BEGIN + first + count)
        await self.store.append([Reading("env-1", "co2", 1.0, "[ppm]", at, at) for at in times], BEGIN)

    async def send(self, destination: str, limit: int = 1000, since: int | None = None) -> int:
        taken = await self.outbox.take(destination, limit, since)
        await self.outbox.accept(destination, taken.cursor, len(taken.entries), taken.behind)
        return len(taken.entries)

    async def pending(self, destination: str) -> int:
        return (await self.outbox.backlog(destination)).pending


async def test_each_destination_has_its_own_cursor_and_a_blocked_one_holds_up_nobody(tmp_path: Path) -> None:
    async with Run(tmp_path) as run:
        await run.ingest(0, 100)
        assert await run.send("free") == 100
        assert (await run.pending("free"), await run.pending("blocked")) == (0, 100)


async def test_adding_and_removing_a_destination_keeps_the_backlog_of_the_others(tmp_path: Path) -> None:
    async with Run(tmp_path) as run:
        await run.ingest(0, 50)
        assert await run.send("district", 20) == 20
    async with Run(tmp_path) as run:  # "energy" joins: it gets all that is stored
        await run.ingest(50, 50)
        assert await run.send("energy", 10) == 10
        assert await run.send("energy", since=BEGIN + 90) == 10
        assert (await run.pending("district"), await run.pending("energy")) == (80, 80)
    async with Run(tmp_path) as run:  # "energy" leaves
        assert await run.send("district", 30) == 30
    async with Run(tmp_path) as run:  # and comes back: it goes on where it stood
        assert await run.database.read(lambda c: cursors.held(c, "energy")) == (10, ((90, 100),))
        assert await run.send("energy") == 80
        assert (await run.pending("district"), await run.pending("energy")) == (50, 0)
