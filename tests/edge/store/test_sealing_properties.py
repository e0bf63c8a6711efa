"""Appending, sealing, killing, sending and retiring in any order: each reading exactly once."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.reading import Quality, Reading
from edge.store import catalogue, sealing
from edge.store.catalogue import DAY_MS, Policy
from edge.store.columns import Row, decode, encode
from edge.store.database import Database
from edge.store.history import Snapshot
from edge.store.moments import MIGRATIONS, QUALITIES, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from edge.store.series import rows_of
from tests.support.stores import SOURCES, HelperHere, reading

Key = tuple[str, str, int]
POINTS = (("env-1", "co2"), ("env-1", "temperature"), ("door-1", "open"))
NOW = 1 << 45

one_reading = st.tuples(st.sampled_from(POINTS), st.integers(0, 11), st.sampled_from([*range(6), None]))
steps = st.one_of(
    st.tuples(st.just("append"), st.lists(one_reading, min_size=1, max_size=8)),
    st.tuples(st.just("seal"), st.booleans()),
    st.tuples(st.just("delete"), st.integers(1, 5)),
    st.tuples(st.just("send"), st.integers(1, 7)),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("retire"), st.none()),
)


def made(point: tuple[str, str], place: int, value: int | None) -> Reading:
    at = place * DAY_MS // 4
    if value is None:
        return reading(*point, None, at, Quality.BAD, "timeout")
    return reading(*point, value % 2 == 0 if point[1] == "open" else value / 10, at)


class Gateway:
    """A store and the model of what it must hold and send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[Key, object] = {}
        self.owed: Counter[tuple[Key, object]] = Counter()
        self.sent: Counter[tuple[Key, object]] = Counter()

    async def open(self) -> None:
        self.database = Database(self.folder / "telemetry.db", MIGRATIONS)
        await self.database.open()
        self.store = ReadingStore(self.database, SOURCES)
        self.store.helper = HelperHere(self.folder)
        await self.store.load()
        self.outbox = ReadingOutbox(self.database, {}, _no_park, self.store.helper)

    async def append(self, group: list[tuple[tuple[str, str], int, int | None]]) -> None:
        readings = [made(*one) for one in group]
        for one in readings:
            key = (one.device, one.point, one.at)
            if key not in self.held:
                self.held[key] = one.value
                if one.value is not None:
                    self.owed[key, one.value] += 1
        await self.store.append(readings, 1)

    async def seal(self, named: bool) -> None:
        batch = sealing.seal(self.folder, NOW, Policy(0, 0))
        if batch is not None and named:
            await self.database.run(lambda c: catalogue.register(c, batch))

    async def delete(self, limit: int) -> None:
        await self.database.run(lambda c: catalogue.delete_sealed(c, limit))

    async def send(self, limit: int) -> bool:
        taken = await self.outbox.take("a", limit)
        for entry in taken.entries:
            for point, value in entry.fields.items():
                self.sent[(entry.tags["device"], point, entry.at), value] += 1
        await self.outbox.accept("a", taken.cursor, 1)
        return taken.more

    async def reopen(self, _: None) -> None:
        await self.database.close()
        await self.open()

    async def retire(self, _: None) -> None:
        """The oldest day goes if it is complete and sent."""
        days = await self.database.read(catalogue.days)
        old = next((day for day in days[:-1] if day.raw), None)
        cursor = await self.database.read(
            lambda c: c.execute("SELECT coalesce(max(position), 0) FROM cursors").fetchone()[0]
        )
        if old is None or old.last_id > cursor:
            return
        await self.delete(1000)  # as the archivist does before
        before = self.readable()
        sealing.roll_up(self.folder, old.key)
        await self.database.run(lambda c: catalogue.mark_rolled(c, old.key))
        assert self.readable() == before
        await self.database.run(lambda c: catalogue.give_up_raw(c, old.key, minutes=False))
        catalogue.raw_file(self.folder, old.key).unlink()
        gone = before.keys() - self.readable().keys()
        assert len(gone) == old.points
        for key in gone:
            del self.held[key]

    def readable(self) -> dict[Key, object]:
        """What readers see; each key once."""
        found: dict[Key, object] = {}
        with Snapshot(self.folder) as snapshot:
            for row in snapshot.walk():
                for index, shape in enumerate(row.source.points):
                    if row.values[index] is not None or index in row.marks:
                        key = (row.source.device, shape.name, row.at)
                        assert key not in found, key
                        found[key] = row.values[index]
        return found


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


@settings(max_examples=120, deadline=None)
@given(st.lists(steps, max_size=30))
def test_whatever_happens_in_whatever_order_each_reading_is_there_and_sent_once(
    history: list[tuple[str, object]],
) -> None:
    async def live(folder: Path) -> None:
        gateway = Gateway(folder)
        await gateway.open()
        for name, argument in history:
            await getattr(gateway, name)(argument)
        assert gateway.readable() == gateway.held
        for device, point in POINTS:
            samples = await gateway.store.history(device, point, 0, NOW)
            expected = {key[2]: value for key, value in gateway.held.items() if key[:2] == (device, point)}
            assert [(s.at, s.value) for s in samples] == sorted(expected.items())
        while await gateway.send(3):
            pass
        assert gateway.sent == gateway.owed
        assert (await gateway.outbox.backlog("a")).pending == 0
        await gateway.database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


values = st.one_of(
    st.none(),
    st.floats(allow_nan=False),
    st.integers(-(10**9), 10**9).map(lambda n: n / 100),
    st.integers(-(10**6), 10**6).map(lambda n: n * 0.1),
    st.booleans(),
    st.text(max_size=5),
)
tables = st.lists(
    st.tuples(
        st.integers(0, 1 << 40), st.integers(0, 1 << 45), st.integers(0, 100_000),
        st.tuples(values, values, values),
        st.dictionaries(st.integers(0, 2), st.tuples(st.sampled_from(QUALITIES[1:]), st.text(max_size=3))),
    ),
    min_size=1, max_size=30, unique_by=lambda row: row[0],
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(tables)
def test_a_block_gives_back_every_value_bit_for_bit(table: list[tuple]) -> None:
    source = Source("d", "k", "s", "b", tuple(Shape(name, "1", "number") for name in "abc"))
    rows = [Row(number, at, at + late, list(values), marks) for number, at, late, values, marks in table]
    block = decode(encode(rows, 3))
    for row, got in zip(rows, rows_of(source, block, 0, len(rows)), strict=True):
        assert (got.id, got.at, got.marks) == (row.id, row.at, row.marks)
        assert 0 <= row.received_at - got.received_at < 1000
        assert [(type(v), repr(v)) for v in got.values] == [(type(v), repr(v)) for v in row.values]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(0, 6))
def test_decimals_are_kept_as_whole_numbers(numbers: list[int], decimals: int) -> None:
    rows = [Row(n, n, n, [number / 10**decimals], {}) for n, number in enumerate(numbers)]
    block = decode(encode(rows, 1))
    assert block.columns[0].values.tolist() == [row.values[0] for row in rows]
