"""Hot rows: short bodies, found by time without an index, emptied at once; older files go on."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.reading import Quality, Value
from edge.store import catalogue, sealing, spans
from edge.store.archivist import HOUR, Archivist, Keeping
from edge.store.catalogue import DAY_MS, Policy
from edge.store.database import Database, connect
from edge.store.history import Snapshot
from edge.store.moments import MIGRATIONS, Moment, source_of, values_of
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from edge.store.walk import walk
from tests.support.stores import SOURCES, reading, telemetry

BEGIN = 20_000 * DAY_MS
BEFORE_SPANS = MIGRATIONS[: MIGRATIONS.index(spans.SCHEMA)]


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


def _bits(value: Value | None) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else value


@given(
    st.lists(
        st.one_of(
            st.none(), st.booleans(), st.text(max_size=4), st.floats(),
            st.integers(-(10**12), 10**12).map(lambda n: n / 100), st.just(-0.0),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_a_body_gives_back_every_value_bit_for_bit(values: list[Value | None]) -> None:
    body = Moment(SOURCES[0], 1, 1, list(values), {0: (Quality.BAD, "timeout")}).body()
    got, marks = values_of(body)
    assert [_bits(value) for value in got] == [_bits(value) for value in values]
    assert [type(value) for value in got] == [type(value) for value in values]
    assert marks == {0: (Quality.BAD, "timeout")}


async def test_a_file_of_an_earlier_version_keeps_its_rows_their_ids_and_what_is_sent_of_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "telemetry.db"
    old = connect(path, BEFORE_SPANS)
    number = source_of(old, SOURCES[0])
    rows = [
        (number, 1000 * n, 1000 * n, msgspec.msgpack.encode([400.0 + n, 20.5] if n % 7 else [None, 20.5]))
        for n in range(3000)
    ]
    old.execute("BEGIN")
    old.executemany("INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)", rows)
    old.execute("DELETE FROM moments WHERE id>2990")
    old.execute("INSERT INTO cursors VALUES('a', 10, 10)")
    old.execute("COMMIT")
    old.close()
    async with telemetry(tmp_path) as (database, store):
        samples = await store.history("env-1", "co2", 1_500_000, 1 << 60)
        assert [s.at for s in samples] == [1000 * n for n in range(1500, 2990) if n % 7]
        assert samples[0].value == 400.0 + samples[0].at / 1000
        outbox = ReadingOutbox(database, {}, _no_park, store.helper)
        assert (await outbox.take("a", 1)).entries[0].id == 11
        await store.append([reading("env-1", "co2", 1.0, 9_000_000), reading("env-1", "co2", 2.0, 6000)], 1)
        assert store.duplicates == 1, "an old body is compared with a new one"
        (newest,) = await database.read(lambda c: c.execute("SELECT max(id) FROM moments").fetchone())
        assert newest == 3001, "ids that were given once are not given again"


async def test_rows_are_found_by_time_whoever_wrote_or_moved_them(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        group = [reading("env-1", "co2", float(n), BEGIN + n * 1000) for n in range(2500)]
        await store.append(group, 1)
        await store.append([reading("env-1", "co2", -1.0, BEGIN - DAY_MS)], 1)  # a device's own log
        assert [s.value for s in await store.history("env-1", "co2", 0, BEGIN + 1500)] == [-1.0, 0.0, 1.0]
        latest = {r.point: r.value for r in await store.latest()}
        assert latest["co2"] == 2499.0, "not what was stored last, but what was measured last"
        await database.run(lambda c: c.execute("UPDATE moments SET at=at+? WHERE id=2500", (DAY_MS,)))
        late = await store.history("env-1", "co2", BEGIN + DAY_MS, 1 << 60)
        assert [s.at for s in late] == [BEGIN + DAY_MS + 2_499_000]
        assert len(await store.recent(BEGIN + 2_000_000)) == 500


async def test_a_point_that_is_told_seldom_is_known_after_a_restart(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        await store.append([reading("env-1", "temperature", 19.5, BEGIN)], 1)
        await store.append([reading("env-1", "co2", float(n), BEGIN + 1000 * n) for n in range(1, 40)], 1)
        await store.append([reading("door-1", "open", n % 2 == 0, BEGIN + n) for n in range(3000)], 1)
        latest = {(r.device, r.point): r.value for r in await store.latest()}
    assert latest == {("env-1", "temperature"): 19.5, ("env-1", "co2"): 39.0, ("door-1", "open"): False}


async def test_a_moment_whose_source_is_unknown_is_refused(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, _):
        with pytest.raises(sqlite3.IntegrityError, match="without its source"):
            await database.run(
                lambda c: c.execute(
                    "INSERT OR IGNORE INTO moments(source, at, received_at, body) VALUES(99, 1, 1, x'90')"
                )
            )


async def test_sealed_rows_go_at_once_and_the_young_ones_stay_as_they_are(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(
            [reading("env-1", "co2", n / 10, BEGIN + n * 10_000) for n in range(8 * 360)], 1
        )  # fmt: skip
        before = await store.history("env-1", "co2", 0, 1 << 60)
        keeper = Archivist(
            database, Keeping(400 * DAY_MS, 1 << 40), (), lambda: BEGIN + 8 * HOUR, spare=lambda _: 1
        )
        await keeper.step()
        await keeper.close()
        ids = await database.read(lambda c: [row[0] for row in c.execute("SELECT id FROM moments")])
        assert ids == list(range(7 * 360 + 1, 8 * 360 + 1))
        assert await database.read(spans.bounds) == (BEGIN + 7 * HOUR, BEGIN + 8 * HOUR - 10_000)
        assert await store.history("env-1", "co2", 0, 1 << 60) == before
        await store.append([reading("env-1", "co2", 9.0, BEGIN + 8 * HOUR)], 1)
        (newest,) = await database.read(lambda c: c.execute("SELECT max(id) FROM moments").fetchone())
        assert newest == 8 * 360 + 1


async def test_an_empty_table_goes_on_with_the_next_id(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(
            [reading("env-1", "co2", float(n), BEGIN + n) for n in range(10)], 1
        )  # fmt: skip
        batch = sealing.seal(tmp_path, BEGIN + DAY_MS, Policy(0, 0))
        assert batch is not None
        await database.run(lambda c: catalogue.register(c, batch))
        assert await database.run(spans.drop_sealed)
        assert await database.read(spans.bounds) is None
        assert not await database.read(catalogue.has_sealed_rows)
    database = Database(tmp_path / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(database, SOURCES)
    await store.load()
    await store.append([reading("env-1", "co2", 11.0, BEGIN + 11)], 1)
    with Snapshot(tmp_path) as snapshot:
        assert [row.id for row in snapshot.walk()] == list(range(1, 12))
    assert [one.value for one in await database.read(lambda c: list(walk(c)))][-1] == 11.0
    await store.close()
    await database.close()
