"""What is young leaves before an old backlog, and nothing is skipped or sent for ever."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync.outbox import Entry, Taken
from drivers.reading import Reading
from edge.store import archive, catalogue, cursors, sealing
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS, Policy
from edge.store.cursors import Run
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore

MINUTE = 60_000
NOW = 1_764_547_200_000
SOURCES = [
    Source(f"env-{n}", "classroom_env", "r1", "b1", (Shape("co2", "[ppm]", "number"),)) for n in (1, 2)
]

steps = st.one_of(
    st.tuples(st.just("ingest"), st.integers(1, 8)),
    st.tuples(st.just("minutes"), st.sampled_from([1, 4, 11, 50, 400, -20])),
    st.tuples(st.just("young"), st.integers(1, 5)),
    st.tuples(st.just("old"), st.integers(1, 5)),
    st.tuples(st.just("lost answer"), st.booleans()),
    st.tuples(st.just("seal"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
)


class Gateway:
    """A store, a clock, and a district that counts what comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.count = 0
        self.sent: Counter[int] = Counter()
        self.lost = 0

    async def open(self) -> None:
        self.database = Database(self.folder / "telemetry.db", MIGRATIONS)
        await self.database.open()
        self.store = ReadingStore(self.database, SOURCES)
        await self.store.load()
        self.outbox = ReadingOutbox(self.database, {}, _no_park, self.store.helper)

    async def close(self) -> None:
        await self.store.close()
        await self.database.close()

    async def act(self, name: str, argument: object) -> None:
        match name, argument:
            case "ingest", int(number):
                await self.ingest(number)
            case "minutes", int(number):
                self.now += number * MINUTE
            case "young", int(limit):
                await self.send(limit, self.now - 10 * MINUTE)
            case "old", int(limit):
                await self.send(limit, None)
            case "lost answer", bool(young):
                self.note(await self.outbox.take("a", 3, self.now - 10 * MINUTE if young else None))
                self.lost += 1
            case "seal", _:
                batch = sealing.seal(self.folder, self.now, Policy(60 * MINUTE, 60 * MINUTE))
                if batch is not None:
                    await self.database.run(lambda c: catalogue.register(c, batch))
            case _:
                await self.close()
                await self.open()

    async def ingest(self, number: int) -> None:
        """The value is the number of the reading; its time never comes twice."""
        made = []
        for _ in range(number):
            self.count += 1
            at = self.now + self.count
            made.append(Reading(f"env-{1 + self.count % 2}", "co2", float(self.count), "[ppm]", at, at))
        await self.store.append(made, self.now)

    def note(self, taken: Taken) -> None:
        self.sent.update(round(float(entry.fields["co2"])) for entry in taken.entries)

    async def send(self, limit: int, since: int | None) -> Taken:
        taken = await self.outbox.take("a", limit, since)
        if since is None or taken.cursor != taken.behind:
            self.note(taken)
            await self.outbox.accept("a", taken.cursor, len(taken.entries), taken.behind)
        return taken

    async def drain(self) -> None:
        for _ in range(400):
            while (await self.send(5, self.now - 10 * MINUTE)).more:
                pass
            await self.send(5, None)
            if not (await self.outbox.backlog("a")).pending:
                return
        raise AssertionError("never drains")


async def _no_park(destination: str, stream: str, entry: Entry, line: str, status: int, reason: str) -> None:
    raise AssertionError("nothing is refused here")


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_each_reading_is_sent_and_only_a_lost_answer_sends_it_again(
    history: list[tuple[str, object]],
) -> None:
    async def live(folder: Path) -> None:
        gateway = Gateway(folder)
        await gateway.open()
        for name, argument in history:
            await gateway.act(name, argument)
        await gateway.drain()
        assert set(gateway.sent) == set(range(1, gateway.count + 1))
        assert sum(gateway.sent.values()) <= gateway.count + 3 * gateway.lost
        ahead = await gateway.database.read(lambda c: cursors.held(c, "a").ahead)
        assert ahead == ()
        await gateway.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


async def test_after_an_outage_the_last_minutes_leave_first_then_the_oldest(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    await gateway.open()
    for _ in range(6):
        await gateway.ingest(4)
        gateway.now += 8 * MINUTE
    await gateway.ingest(2)
    since = gateway.now - 10 * MINUTE
    young = await gateway.send(100, since)
    assert [entry.fields["co2"] for entry in young.entries] == [21.0, 22.0, 23.0, 24.0, 25.0, 26.0]
    assert (young.behind, young.more) == (20, False)
    assert (await gateway.outbox.backlog("a")).pending == 20
    old = await gateway.send(8, None)
    assert [entry.fields["co2"] for entry in old.entries] == [float(n) for n in range(1, 9)]
    await gateway.ingest(1)
    assert [e.fields["co2"] for e in (await gateway.send(100, since)).entries] == [27.0]
    await gateway.send(100, None)
    assert await gateway.database.read(lambda c: cursors.held(c, "a")) == (27, ())
    assert (await gateway.send(100, since)).behind is None, "nothing older waits any more"
    await gateway.close()


async def test_a_day_that_every_destination_holds_makes_room_before_an_older_one_that_waits(
    tmp_path: Path,
) -> None:
    gateway = Gateway(tmp_path)
    gateway.now -= 3 * DAY_MS
    await gateway.open()
    ends = []
    for _ in range(3):
        await gateway.ingest(200)
        ends.append(gateway.count)
        gateway.now += DAY_MS
    await gateway.outbox.accept("a", ends[1], 200, ends[0])

    async def keep(budget: int) -> Archivist:
        keeping = Keeping(400 * DAY_MS, budget, hot=MINUTE, span=MINUTE)
        keeper = Archivist(gateway.database, keeping, ["a"], lambda: gateway.now)
        await keeper.step()
        await keeper.close()
        return keeper

    keeper = await keep(10**9)
    for _ in range(5):  # free pages of the hot file are given back first
        days = await gateway.database.read(catalogue.days)
        if all(day.raw for day in days):
            keeper = await keep(archive.used(tmp_path) - 1)
    days = await gateway.database.read(catalogue.days)
    assert [day.raw for day in days] == [True, False, True]
    assert keeper.occupancy.shed_points == {"raw_held": 200}
    assert await gateway.database.read(lambda c: cursors.held(c, "a").ahead) == (Run(ends[0], ends[1]),)
    await gateway.close()
