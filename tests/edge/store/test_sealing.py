"""Sealed history: nothing lost, nothing doubled, whatever stops in between."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.reading import Millis, Quality, Reading
from edge.store import archive, catalogue, sealing
from edge.store.archivist import HOUR, Archivist, Keeping
from edge.store.catalogue import DAY_MS, Policy
from edge.store.database import Database
from edge.store.history import Snapshot
from edge.store.moments import MIGRATIONS
from edge.store.outbox import ReadingOutbox
from tests.support.stores import reading, telemetry

T = TypeVar("T")

BEGIN = 20_000 * DAY_MS
MINUTE = 60_000
ALL = Policy(0, 0)
ENOUGH = 1 << 40


async def no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


def day_of(number: int, *, every: Millis = MINUTE) -> list[Reading]:
    """A day of `env-1`, with a gap and a fault in it, and a door that opens now and then."""
    start = BEGIN + number * DAY_MS
    found = []
    for n, at in enumerate(range(start, start + DAY_MS, every)):
        bad = n % 97 == 5
        found.append(
            reading("env-1", "co2", None, at, Quality.BAD, "timeout") if bad
            else reading("env-1", "co2", 400.0 + n % 300, at)
        )  # fmt: skip
        if n % 10:
            found.append(reading("env-1", "temperature", round(20 + (n % 50) / 10, 1), at))
        if n % 200 == 0:
            found.append(reading("door-1", "open", n % 400 == 0, at + 7))
    return found


def busy_day(number: int) -> list[Reading]:
    """Six hours of one restless point every two seconds."""
    start, noise = BEGIN + number * DAY_MS, random.Random(number)
    return [
        reading("env-1", "co2", noise.randrange(4000, 8000) / 10, at)
        for at in range(start, start + 6 * HOUR, 2000)
    ]


@asynccontextmanager
async def archivist(
    database: Database, now: Millis, *, keep_raw: Millis = 400 * DAY_MS, max_bytes: int = ENOUGH,
    destinations: tuple[str, ...] = ("a",),
) -> AsyncIterator[Archivist]:  # fmt: skip
    made = Archivist(
        database, Keeping(keep_raw, max_bytes), destinations, lambda: now, spare=lambda _: 1
    )  # fmt: skip
    try:
        await made.recover()
        yield made
    finally:
        await made.close()


async def hot_rows(database: Database) -> int:
    return await database.read(lambda c: c.execute("SELECT count(*) FROM moments").fetchone()[0])


async def least(database: Database) -> int:
    """Bytes of the store without its log and the hot file's free pages, which go before anything is lost."""

    def vacuum(connection: sqlite3.Connection) -> None:
        while connection.execute("PRAGMA freelist_count").fetchone()[0]:
            connection.execute("PRAGMA incremental_vacuum(1)").fetchall()

    await database.run(vacuum)
    await database.fold()
    return archive.used(database.path.parent)


Fact = tuple[str, str, int, object]


async def drain(outbox: ReadingOutbox, destination: str, limit: int = 500) -> list[Fact]:
    """All that a destination has not got yet, accepted piece by piece."""
    seen: list[Fact] = []
    more = True
    while more:
        taken = await outbox.take(destination, limit)
        assert len(taken.entries) <= limit
        for entry in taken.entries:
            seen += [(entry.tags["device"], point, entry.at, value) for point, value in entry.fields.items()]
        await outbox.accept(destination, taken.cursor, len(taken.entries))
        more = taken.more
    return seen


def told(readings: list[Reading]) -> list[Fact]:
    return sorted((r.device, r.point, r.at, r.value) for r in readings if r.quality is Quality.GOOD)


async def test_sealed_and_hot_readings_are_one_history(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        readings = day_of(0)
        await store.append(readings, 1)
        async with archivist(database, BEGIN + 20 * HOUR) as keeper:
            before = await store.history("env-1", "co2", 0, 1 << 60)
            await keeper.step()
            assert 0 < await hot_rows(database) < 400
            assert await store.history("env-1", "co2", 0, 1 << 60) == before
            door = await store.history("door-1", "open", 0, 1 << 60)
        assert [s.value for s in door] == [r.value for r in readings if r.device == "door-1"]
        assert all(isinstance(s.value, bool) for s in door)
        assert sum(1 for s in before if s.quality is Quality.BAD) == 15
        middle = BEGIN + 10 * HOUR
        few = await store.history("env-1", "co2", middle, middle + HOUR, limit=7)
        assert [s.at for s in few] == [middle + n * MINUTE for n in range(7)]


async def test_a_young_store_is_left_alone_and_its_helper_is_not_asked(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0)[:600], 1)
        async with archivist(database, BEGIN + 6 * HOUR) as keeper:
            await keeper.step()
        assert not (tmp_path / "history").exists() or not list((tmp_path / "history").iterdir())
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) > 0
        assert not store.helper.running
        assert keeper.helper_starts == 0


async def test_a_destination_that_was_away_for_days_gets_every_reading_once_and_in_order(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, store):
        outbox = ReadingOutbox(database, {"district": "d"}, no_park, store.helper)
        readings = [r for n in range(3) for r in day_of(n, every=5 * MINUTE)]
        await store.append(readings, 1)
        await outbox.accept("a", 100, 100)
        async with archivist(database, BEGIN + 3 * DAY_MS) as keeper:
            await keeper.step()
        assert (await outbox.backlog("a")).pending == len({(r.device, r.at) for r in readings}) - 100
        assert (await outbox.backlog("new")).oldest == BEGIN
        seen = await drain(outbox, "new")
        assert sorted(seen) == told(readings)
        ids = [row.id for row in Snapshot(tmp_path).walk()]
        assert ids == sorted(ids)
        rest = await drain(outbox, "a")
        assert set(rest) < set(seen)
        assert (await outbox.backlog("a")).pending == 0


async def test_a_kill_between_writing_and_naming_a_batch_loses_and_doubles_nothing(tmp_path: Path) -> None:
    readings = day_of(0)
    async with telemetry(tmp_path) as (database, store):
        await store.append(readings, 1)
        batch = sealing.seal(tmp_path, BEGIN + DAY_MS, ALL)  # written, and never registered
        assert batch is not None
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) == 1440
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(1)[:50], 1)
        async with archivist(database, BEGIN + DAY_MS + HOUR) as keeper:
            await keeper.step()
        assert len(await store.history("env-1", "co2", 0, BEGIN + DAY_MS)) == 1440
        outbox = ReadingOutbox(database, {}, no_park, store.helper)
        assert sorted(await drain(outbox, "a")) == told(readings + day_of(1)[:50])


async def test_a_kill_between_naming_and_deleting_shows_each_row_once(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0), 1)
        batch = sealing.seal(tmp_path, BEGIN + DAY_MS, ALL)
        assert batch is not None
        await database.run(lambda c: catalogue.register(c, batch))
        assert await hot_rows(database) > 1000
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) == 1440
        assert sorted(await drain(ReadingOutbox(database, {}, no_park, store.helper), "a")) == told(day_of(0))
        with Snapshot(tmp_path) as snapshot:
            assert len(list(snapshot.walk())) == len({(r.device, r.at) for r in day_of(0)})


async def test_steps_that_rollups_fit_are_answered_alike_from_raw_values_and_from_them(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append([r for n in range(2) for r in day_of(n)], 1)
        end = BEGIN + 2 * DAY_MS
        queries = [
            (since, until, step, aggregate)
            for since, until in ((BEGIN, end), (BEGIN + 7 * MINUTE, end - 3 * HOUR - 11))
            for step in (5 * MINUTE, 15 * MINUTE, HOUR, DAY_MS)
            for aggregate in ("mean", "min", "max", "sum", "count", "last")
        ]

        async def ask(
            point: str, since: int, until: int, step: int, aggregate: str
        ) -> list[tuple[int, float]]:
            device = "door-1" if point == "open" else "env-1"
            found = await store.history(device, point, since, until, step=step, aggregate=aggregate)
            return [(s.at, s.value) for s in found]  # type: ignore[misc]

        points = ("co2", "temperature", "open")
        before = {(p, *q): await ask(p, *q) for p in points for q in queries}
        async with archivist(database, end + HOUR) as keeper:
            await keeper.step()
        days = await database.read(catalogue.days)
        assert [day.rolled for day in days] == [True, False]
        for (point, *query), expected in before.items():
            got = await ask(point, *query)  # type: ignore[arg-type]
            assert [at for at, _ in got] == [at for at, _ in expected], (point, query)
            assert [v for _, v in got] == pytest.approx([v for _, v in expected], rel=1e-12), (point, query)


async def test_old_days_go_by_unlinking_when_every_destination_holds_them_and_rollups_stay(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, store):
        readings = [r for n in range(3) for r in day_of(n)]
        await store.append(readings, 1)
        outbox = ReadingOutbox(database, {}, no_park, store.helper)
        async with archivist(database, BEGIN + 3 * DAY_MS, keep_raw=DAY_MS) as keeper:
            await keeper.step()
            assert len(list((tmp_path / "history").glob("raw-*"))) == 3, "the destination has nothing yet"
            await drain(outbox, "a")
            await keeper.step()
            assert [p.name for p in (tmp_path / "history").glob("raw-*")] == ["raw-2024-10-06.db"]
            assert keeper.occupancy.shed_points == {}
        raw = await store.history("env-1", "co2", 0, 1 << 60)
        assert raw[0].at == BEGIN + 2 * DAY_MS
        hours = await store.history("env-1", "co2", 0, 1 << 60, step=HOUR, aggregate="count")
        assert sum(s.value for s in hours) == sum(1 for r in readings if r.point == "co2" and r.value)


async def test_a_full_budget_gives_up_what_was_sent_first_then_the_oldest_and_counts_it(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, store):
        days = [busy_day(n) for n in range(4)]
        for day in days:
            await store.append(day, 1)
        outbox = ReadingOutbox(database, {}, no_park, store.helper)
        async with archivist(database, BEGIN + 4 * DAY_MS) as keeper:
            await keeper.step()
            known = await database.read(catalogue.days)
            await outbox.accept("a", known[0].last_id, 1)
            used = await least(database)
        async with archivist(database, BEGIN + 4 * DAY_MS, max_bytes=used - 1) as keeper:
            await keeper.step()
            assert keeper.occupancy.shed_points == {"raw_held": len(days[0])}
            assert keeper.occupancy.days_left == 0.0
            pending = (await outbox.backlog("a")).pending
            used = await least(database)
        async with archivist(database, BEGIN + 4 * DAY_MS, max_bytes=used - 1) as keeper:
            await keeper.step()
            assert keeper.occupancy.shed_points == {
                "raw_held": len(days[0]), "raw_unsent": len(days[1]),
            }  # fmt: skip
            assert (await outbox.backlog("a")).pending == pending - known[1].moments
        assert sorted(p.name for p in (tmp_path / "history").iterdir()) == [
            "minutes-2024-10-05.db", "raw-2024-10-06.db", "raw-2024-10-07.db", "rollups-2024-10.db",
        ]  # fmt: skip
        minutes = await store.history(
            "env-1", "co2", BEGIN + DAY_MS, BEGIN + 2 * DAY_MS, step=MINUTE, aggregate="count"
        )
        assert sum(s.value for s in minutes) == sum(1 for r in days[1])
        assert len(minutes) == 360
        seen = await drain(outbox, "a")
        assert sorted(seen) == told(days[2] + days[3])


async def test_what_is_never_given_up_stays_when_the_budget_cannot_be_met(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        for n in range(3):
            await store.append(busy_day(n), 1)
        async with archivist(database, BEGIN + 3 * DAY_MS, max_bytes=1) as keeper:
            await keeper.step()
            assert set(keeper.occupancy.shed_points) == {"raw_unsent", "minutes"}
        quarters = await store.history(
            "env-1", "co2", BEGIN, BEGIN + 2 * DAY_MS, step=15 * MINUTE, aggregate="last"
        )
        assert len(quarters) == 48
        assert quarters[0].value == busy_day(0)[449].value


async def test_a_disk_on_which_nothing_can_be_noted_any_more_gets_room_first(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        for n in range(3):
            await store.append(day_of(n), 1)
        outbox = ReadingOutbox(database, {}, no_park, store.helper)
        async with archivist(database, BEGIN + 3 * DAY_MS) as keeper:
            await keeper.step()
        await drain(outbox, "a")

    def full(folder: Path) -> int:
        return 1 if len(list((folder / "history").glob("raw-*"))) < 3 else -1

    database = Refusing(tmp_path / "telemetry.db", MIGRATIONS)
    await database.open()
    keeper = Archivist(
        database, Keeping(400 * DAY_MS, ENOUGH), ("a",), lambda: BEGIN + 3 * DAY_MS, spare=full
    )
    await keeper.step()
    assert database.refused == 1
    assert keeper.occupancy.shed_points == {"raw_held": len(day_of(0))}
    await keeper.close()
    await database.close()


class Refusing(Database):
    """A file that refuses while there are three raw files beside it, as on a full disk."""

    refused = 0

    async def run(self, work: Callable[[sqlite3.Connection], T], *, leave_room: bool = True) -> T:
        """As on a disk of that size."""
        if work.__name__ == "note" and len(list((self.path.parent / "history").glob("raw-*"))) == 3:
            self.refused += 1
            raise sqlite3.OperationalError("database or disk is full")
        return await super().run(work, leave_room=leave_room)


async def test_the_newest_value_of_a_device_that_fell_silent_is_known_after_a_restart(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0), 1)
        async with archivist(database, BEGIN + 2 * DAY_MS) as keeper:
            await keeper.step()
        assert await hot_rows(database) == 0
        await store.append([reading("env-1", "co2", 999.0, BEGIN + 2 * DAY_MS)], 1)
    async with telemetry(tmp_path) as (_, store):
        latest = {(r.device, r.point): r for r in await store.latest()}
        assert not store.helper.running
    assert latest["door-1", "open"].value is False
    assert latest["env-1", "co2"].value == 999.0
    assert latest["env-1", "temperature"].at == BEGIN + DAY_MS - MINUTE


async def test_a_reading_that_comes_again_after_it_was_sealed_is_a_duplicate(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0), 1)
        async with archivist(database, BEGIN + 2 * DAY_MS) as keeper:
            await keeper.step()
        at = BEGIN + 600 * MINUTE  # the temperature is missing in this one
        await store.append([reading("env-1", "co2", 1.0, at), reading("env-1", "temperature", 2.0, at)], 1)
        assert store.duplicates == 1
        same = await store.history("env-1", "co2", at, at + 1)
        assert [s.value for s in same] == [400.0]
        late = await store.history("env-1", "temperature", at, at + 1)
        assert [s.value for s in late] == [2.0]


async def test_damage_is_confined_to_its_day_and_to_its_block(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        for n in range(3):
            await store.append(day_of(n), 1)
        async with archivist(database, BEGIN + 3 * DAY_MS) as keeper:
            await keeper.step()
        first, second, _ = sorted((tmp_path / "history").glob("raw-*"))
        first.write_bytes(bytes(first.stat().st_size))
        with sqlite3.connect(second) as connection:
            connection.execute("UPDATE chunks SET body=zeroblob(length(body)) WHERE id=1")
        connection.close()
        with Snapshot(tmp_path) as snapshot:
            found = snapshot.series("env-1", "co2", 0, 1 << 60)
            assert snapshot.damaged == 2
        assert 0 < len(found.at) < 2 * 1440
        assert found.at[-1] == BEGIN + 3 * DAY_MS - MINUTE
        outbox = ReadingOutbox(database, {}, no_park, store.helper)
        assert set(await drain(outbox, "a")) < set(told(day_of(1) + day_of(2)))
        assert outbox.damaged == 2


async def test_sealed_files_outlive_a_lost_telemetry_file(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0), 1)
        async with archivist(database, BEGIN + 2 * DAY_MS) as keeper:
            await keeper.step()
    for path in tmp_path.glob("telemetry.db*"):
        path.unlink()
    async with telemetry(tmp_path) as (database, store):
        async with archivist(database, BEGIN + 2 * DAY_MS):
            pass
        await store.append([reading("env-1", "co2", 5.0, BEGIN + 2 * DAY_MS)], 1)
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) == 1441
        seen = await drain(ReadingOutbox(database, {}, no_park, store.helper), "a")
        assert len(seen) == len(told(day_of(0))) + 1


async def test_rows_received_in_a_wrong_future_do_not_hold_up_sealing(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append([reading("env-1", "co2", 1.0, BEGIN + 4000 * DAY_MS)], 1)
        await store.append(day_of(0), 1)
        await store.append([reading("env-1", "co2", 2.0, BEGIN + 4000 * DAY_MS + 1)], 1)
        await store.append(day_of(1)[:20], 1)
        async with archivist(database, BEGIN + 3 * DAY_MS) as keeper:
            await keeper.step()
        assert await hot_rows(database) == 0
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) == 1440 + 2 + 10


async def test_a_query_that_is_given_up_ends_its_helper_and_the_next_one_works(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(day_of(0), 1)
        async with archivist(database, BEGIN + 2 * DAY_MS) as keeper:
            await keeper.step()
        query = asyncio.ensure_future(store.history("env-1", "co2", 0, 1 << 60))
        await asyncio.sleep(0.01)
        query.cancel()
        with pytest.raises(asyncio.CancelledError):
            await query
        assert not store.helper.running
        assert len(await store.history("env-1", "co2", 0, 1 << 60)) == 1440
        with pytest.raises(sqlite3.OperationalError, match="longer"):
            await store.helper.call("series", list, "env-1", "co2", 0, 1, 1, timeout_s=0.0)


async def test_the_gateways_own_code_loads_no_numpy() -> None:
    code = "import sys, edge.agent, edge.store.archivist; print('numpy' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.strip() == b"False"
