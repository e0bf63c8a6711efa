"""Readings on disk and on their way out."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_sync.outbox import Entry
from drivers.reading import Quality
from edge.store.database import Database, NewerSchema
from edge.store.moments import MIGRATIONS
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from tests.support.stores import SOURCES, reading, telemetry

MINUTE = 60_000


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


async def test_what_was_appended_is_there_after_reopening(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        await store.append([reading("env-1", "co2", 612.0, 1000), reading("door-1", "open", True, 1000)], 1)
    async with telemetry(tmp_path) as (_, store):
        latest = {(r.device, r.point): r for r in await store.latest()}
    assert latest["env-1", "co2"].value == 612.0
    assert latest["door-1", "open"].value is True
    assert latest["door-1", "open"].at == 1000


async def test_a_second_value_in_the_same_millisecond_is_counted_and_the_first_stays(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        await store.append([reading("env-1", "co2", 600.0, 5), reading("env-1", "co2", 700.0, 5)], 1)
        samples = await store.history("env-1", "co2", 0, 10)
        assert [s.value for s in samples] == [600.0]
        assert (store.stored, store.duplicates) == (1, 1)


async def test_bad_readings_are_kept_as_facts_and_left_out_of_aggregates(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        group = [reading("env-1", "co2", 100.0 * n, n * 1000) for n in range(1, 60)]
        group.append(reading("env-1", "co2", None, 60_500, Quality.BAD, "timeout"))
        await store.append(group, 1)
        raw = await store.history("env-1", "co2", 0, 10 * MINUTE)
        assert raw[-1].value is None
        assert raw[-1].quality is Quality.BAD
        for aggregate, expected in (
            ("mean", 3000.0), ("min", 100.0), ("max", 5900.0), ("sum", 177_000.0), ("count", 59.0),
            ("last", 5900.0),
        ):  # fmt: skip
            got = await store.history("env-1", "co2", 0, 10 * MINUTE, step=MINUTE, aggregate=aggregate)
            assert [(s.at, s.value) for s in got] == [(0, expected)], aggregate


async def test_points_of_one_device_and_instant_leave_as_one_entry_without_bad_ones(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append(
            [
                reading("env-1", "co2", 612.0, 1000),
                reading("env-1", "temperature", None, 1000, Quality.BAD, "out_of_range"),
                reading("env-1", "co2", 613.0, 2000),
                reading("env-1", "temperature", 21.5, 2000),
                reading("door-1", "open", False, 2000),
            ],
            1,
        )
        outbox = ReadingOutbox(database, {"district": "d", "school": "s"}, _no_park)
        taken = await outbox.take("a", 100)
        tags = {"district": "d", "school": "s", "building": "b1", "space": "r1"}
        assert list(taken.entries) == [
            Entry(1, "classroom_env", {**tags, "device": "env-1"}, {"co2": 612.0}, 1000),
            Entry(2, "classroom_env", {**tags, "device": "env-1"}, {"co2": 613.0, "temperature": 21.5}, 2000),
            Entry(3, "contact", {**tags, "device": "door-1"}, {"open": False}, 2000),
        ]
        assert not taken.more
        assert (await outbox.backlog("a")).pending == 3
        await outbox.accept("a", taken.cursor, 4)
        assert (await outbox.backlog("a")).pending == 0
        assert (await outbox.backlog("b")).pending == 3, "each destination has its own cursor"
        again = await outbox.take("a", 100)
        assert (list(again.entries), again.cursor) == ([], taken.cursor)


async def test_a_large_backlog_is_taken_in_pieces_that_miss_nothing(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):
        group = [
            reading("env-1", point, float(n), n)
            for n in range(1000)
            for point in ("co2", "temperature")
        ]  # fmt: skip
        await store.append(group, 1)
        outbox = ReadingOutbox(database, {}, _no_park)
        seen: list[tuple[str, int]] = []
        more = True
        while more:
            taken = await outbox.take("a", 7)
            assert len(taken.entries) <= 7
            seen += [(point, entry.at) for entry in taken.entries for point in entry.fields]
            await outbox.accept("a", taken.cursor, 1)
            more = taken.more
        assert sorted(seen) == sorted((p, n) for n in range(1000) for p in ("co2", "temperature"))


async def test_a_device_that_moved_keeps_its_old_tags_on_what_was_stored_before(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        await store.append([reading("env-1", "co2", 1.0, 1)], 1)
    database = Database(tmp_path / "telemetry.db", MIGRATIONS)
    await database.open()
    moved = [replace(SOURCES[0], space="r9", building="b2"), SOURCES[1]]
    store = ReadingStore(database, moved)
    await store.load()
    await store.append([reading("env-1", "co2", 2.0, 2)], 1)
    taken = await ReadingOutbox(database, {}, _no_park).take("a", 10)
    assert [(e.tags["space"], e.fields["co2"]) for e in taken.entries] == [("r1", 1.0), ("r9", 2.0)]
    assert [s.value for s in await store.history("env-1", "co2", 0, 10)] == [1.0, 2.0]
    await database.close()


async def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, store):

        def half(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO moments(source, at, received_at, body) VALUES(1, 1, 1, x'90')")
            raise ValueError("half way")

        with pytest.raises(ValueError, match="half way"):
            await database.run(half)
        assert await store.history("env-1", "co2", 0, 10) == []


async def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (database, _):
        await database.run(lambda c: c.execute("CREATE TABLE of_tomorrow(x)"))
    with sqlite3.connect(tmp_path / "telemetry.db") as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(NewerSchema, match="99"):
        await Database(tmp_path / "telemetry.db", MIGRATIONS).open()


async def test_the_files_are_for_their_owner_and_survive_a_power_cut_by_their_settings(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, _):
        assert (tmp_path / "telemetry.db").stat().st_mode & 0o077 == 0
        pragmas = await database.run(
            lambda c: [c.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "auto_vacuum")]
        )
        assert pragmas == ["wal", 2]
        assert await database.read(lambda c: c.execute("PRAGMA synchronous").fetchone()[0]) == 2


async def test_points_of_one_instant_that_come_in_two_groups_are_both_kept_and_told_once(
    tmp_path: Path,
) -> None:
    async with telemetry(tmp_path) as (database, store):
        await store.append([reading("env-1", "co2", 600.0, 5)], 1)
        await store.append([reading("env-1", "co2", 999.0, 5), reading("env-1", "temperature", 20.5, 5)], 1)
        assert [s.value for s in await store.history("env-1", "co2", 0, 10)] == [600.0]
        assert [s.value for s in await store.history("env-1", "temperature", 0, 10)] == [20.5]
        assert (store.stored, store.duplicates) == (2, 1)
        taken = await ReadingOutbox(database, {}, _no_park).take("a", 10)
        assert [dict(e.fields) for e in taken.entries] == [{"co2": 600.0}, {"temperature": 20.5}]
