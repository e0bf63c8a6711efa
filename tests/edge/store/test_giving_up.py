"""A full disk and a budget that is too small: what goes, in which order, what is counted, what never goes."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.reading import Millis, Reading
from edge.bus import Overflow, ReadingBus
from edge.pipeline.recorder import Recorder
from edge.store import archive, catalogue
from edge.store.archivist import HOUR, Archivist, Keeping, spare_bytes
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.folder import TELEMETRY_FLOOR
from edge.store.moments import MIGRATIONS, values_of
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from tests.support.facilities import needs
from tests.support.faults import volume
from tests.support.stores import SOURCES, HelperHere, core, reading, telemetry

BEGIN = 20_000 * DAY_MS
QUARTER = 15 * 60_000
NOISE = random.Random(1)


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


def noisy(since: Millis, until: Millis, every: Millis = 2000) -> list[Reading]:
    """A point that cannot be compressed, beside one that grows as a counter does."""
    return [
        one
        for at in range(since, until, every)
        for one in (
            reading("env-1", "co2", 5000 * NOISE.random(), at),
            reading("env-1", "temperature", (at - BEGIN) / 1000, at),
        )
    ]


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Database, ReadingStore]]:
    """A store as the gateway opens it, leaving room for alarms."""
    database = Database(folder / "telemetry.db", MIGRATIONS, floor=TELEMETRY_FLOOR)
    await database.open()
    store = ReadingStore(database, SOURCES)
    await store.load()
    yield database, store
    await store.close()
    await database.close()


@needs("mount")
async def test_a_full_disk_is_emptied_in_the_stated_order_and_readings_are_stored_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with volume(tmp_path / "card", "size=24m") as card:
        async with opened(card) as (database, store):
            for day in range(4):
                start = BEGIN + day * DAY_MS
                await store.append(noisy(start, start + 4 * HOUR), 1)
            now = BEGIN + 4 * DAY_MS
            keeper = Archivist(database, Keeping(400 * DAY_MS, 1 << 40), ("a",), lambda: now)
            await keeper.step()
            assert keeper.occupancy.shed_points == {}
            days = await database.read(catalogue.days)
            outbox = ReadingOutbox(database, {}, _no_park, store.helper)
            await outbox.accept("a", days[1].last_id, 1)  # days 0 and 1 are sent
            filler = card / "others"
            filler.write_bytes(bytes(max(0, spare_bytes(card) + 3_500_000)))
            assert spare_bytes(card) < 0

            bus = ReadingBus()
            source = bus.subscribe("recorder", limit=1000, overflow=Overflow.WAIT)
            recorder = Recorder(source, store, 50, lambda: now)
            await bus.publish(noisy(now, now + 10_000))
            await recorder.flush()
            assert "full" in recorder.last_error
            assert recorder.held == 10, "kept in memory"

            await keeper.step()  # as after ten seconds, because the file refuses
            gone = re.findall(r"(raw-[\d-]+)\.db .* was given up", caplog.text)
            assert gone == ["raw-2024-10-04", "raw-2024-10-05", "raw-2024-10-06"], "today is still written"
            assert keeper.occupancy.shed_points == {
                "raw_held": days[0].points + days[1].points, "raw_unsent": days[2].points, "minutes": 0,
            }  # fmt: skip
            quarters = await store.history(
                "env-1", "temperature", BEGIN, BEGIN + 3 * DAY_MS, step=QUARTER, aggregate="last"
            )
            assert len(quarters) == 3 * 16, "never given up"
            await keeper.step()
            await keeper.step()  # nothing is left to give up: no harm, and nothing counted twice
            assert keeper.occupancy.shed_points["raw_unsent"] == days[2].points

            filler.unlink()
            await recorder.flush()
            assert recorder.last_error == ""
            assert recorder.held == 0
            assert len(await store.history("env-1", "co2", now, now + HOUR)) == 5
            await keeper.close()


async def test_a_file_that_refuses_is_looked_at_before_the_minute_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.store.archivist.PEEK_S", 0.01)
    rounds = 0

    class Counting(Archivist):
        async def step(self) -> None:
            nonlocal rounds
            rounds += 1

    async with telemetry(tmp_path) as (database, _):
        keeper = Counting(database, Keeping(DAY_MS, 1 << 40), (), lambda: BEGIN)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(keeper.run())
            while not rounds:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert rounds == 1
            database.error = "database or disk is full"
            while rounds < 3:
                await asyncio.sleep(0.01)
            task.cancel()


async def test_a_hot_file_that_has_grown_gives_its_room_back_before_a_day_is_lost(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(noisy(BEGIN, BEGIN + 4 * HOUR), 1)
        now = BEGIN + 2 * DAY_MS
        await store.append(noisy(now - 6 * HOUR, now, every=500), 1)
        held = True
        keeper = Archivist(
            database,
            Keeping(400 * DAY_MS, 1 << 40),
            ("a",),
            lambda: now,
            held=lambda: held,
            spare=lambda _: 1,
        )
        await keeper.step()
        held, now = False, now + 7 * HOUR
        await keeper.step()
        await database.fold()
        hot = (tmp_path / "telemetry.db").stat().st_size
        sealed = archive.used(tmp_path) - hot
        keeper._keeping = Keeping(400 * DAY_MS, sealed + hot // 2)
        await keeper.step()
        assert keeper.occupancy.shed_points == {}
        assert (tmp_path / "telemetry.db").stat().st_size < hot // 2
        await keeper.close()


def _hot(connection: sqlite3.Connection) -> tuple[int, int]:
    """Readings and moments that are still rows."""
    bodies = [row[0] for row in connection.execute("SELECT body FROM moments")]
    values = sum(value is not None for body in bodies for value in values_of(body)[0])
    return values, len(bodies)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_thirty_days_without_the_district_stay_within_the_budget_and_what_must_stay_stays(
    tmp_path: Path,
) -> None:
    """Two points every two seconds for three hours of each day, and nobody takes them."""
    cap, step = 900_000, 6 * HOUR
    async with telemetry(tmp_path) as (database, store), core(tmp_path) as precious:
        now = BEGIN
        keeper = Archivist(
            database, Keeping(400 * DAY_MS, cap), ("district",), lambda: now, spare=lambda _: 1
        )  # fmt: skip
        keeper._helper = store.helper = HelperHere(tmp_path)
        outbox = ReadingOutbox(database, {}, _no_park, store.helper)
        sizes = []
        for number in range(30 * DAY_MS // step):
            since = BEGIN + number * step
            readings = [] if number % 4 else noisy(since, since + 3 * HOUR)
            for start in range(0, len(readings), 720):
                await store.append(readings[start : start + 720], since)
            await precious.run(
                lambda c, n=number: c.execute(  # type: ignore[misc]
                    "INSERT INTO transition(change, rule, scope, occurrence, at, state) VALUES(?,?,?,?,?,?)",
                    ("raised", "r", "s", f"o{n}", n, "{}"),
                )
            )
            now = since + step
            await keeper.step()
            sizes.append(archive.used(tmp_path))
        shed = keeper.occupancy.shed_points
        assert max(sizes) <= cap * 1.05
        assert set(shed) == {"raw_unsent", "minutes"}, "nothing was sent, so nothing that was sent could go"
        days = await database.read(catalogue.days)
        hot, _ = await database.read(_hot)
        kept = sum(day.points for day in days if day.raw)
        assert shed["raw_unsent"] == store.stored - kept - hot
        assert shed["raw_unsent"] == sum(day.points for day in days if not day.raw)
        quarters = await store.history(
            "env-1", "temperature", BEGIN, BEGIN + 29 * DAY_MS, step=QUARTER, aggregate="last", limit=10_000
        )
        mornings = range(BEGIN, BEGIN + 29 * DAY_MS, DAY_MS)
        assert [s.at for s in quarters] == [
            at for day in mornings for at in range(day, day + 3 * HOUR, QUARTER)
        ]
        assert [s.value for s in quarters] == [(s.at + QUARTER - 2000 - BEGIN) / 1000 for s in quarters]
        assert (
            await precious.read(lambda c: c.execute("SELECT count(*) FROM transition").fetchone()[0]) == 120
        )
        pending = (await outbox.backlog("district")).pending
        moments = sum(day.moments for day in days if day.raw) + (await database.read(_hot))[1]
        assert pending == moments, "the district waits for nothing that is gone"
        await keeper.close()
