"""Group commits: nothing is lost on a clean stop, and a disk that refuses is outlived."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from drivers.reading import Reading
from edge.bus import Overflow, ReadingBus
from edge.clock import now
from edge.pipeline.collector import Collector
from edge.pipeline.recorder import Recorder
from tests.support.stores import reading, telemetry


def sample(number: int) -> Reading:
    return reading("env-1", "co2", float(number), 1_000_000 + number)


async def test_a_clean_stop_stores_what_was_collected_a_moment_ago(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        bus = ReadingBus()
        collector = Collector(bus)
        recorder = Recorder(bus.subscribe("recorder", limit=1000, overflow=Overflow.WAIT), store, 60_000, now)
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(recorder.run())
            collecting = group.create_task(collector.run())
            collector.collect([sample(n) for n in range(10)])
            await asyncio.sleep(0.05)
            collector.collect([sample(n) for n in range(10, 20)])
            collecting.cancel()
            await asyncio.wait([collecting])
            recording.cancel()
        assert [s.value for s in await store.history("env-1", "co2", 0, 2_000_000)] == [
            float(n) for n in range(20)
        ]


async def test_readings_are_committed_in_groups(tmp_path: Path) -> None:
    async with telemetry(tmp_path) as (_, store):
        bus = ReadingBus()
        recorder = Recorder(bus.subscribe("recorder", limit=1000, overflow=Overflow.WAIT), store, 300, now)
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(recorder.run())
            await bus.publish([sample(1)])
            await asyncio.sleep(0.05)
            await bus.publish([sample(2)])
            await asyncio.sleep(0.05)
            assert store.stored == 0
            while store.stored < 2:
                await asyncio.sleep(0.01)
            recording.cancel()


async def test_a_disk_that_refuses_is_outlived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with telemetry(tmp_path) as (database, store):
        real, refusing = database.run, True

        async def run(work: object) -> object:
            if refusing:
                raise sqlite3.OperationalError("database or disk is full")
            return await real(work)  # type: ignore[arg-type]

        monkeypatch.setattr(database, "run", run)
        bus = ReadingBus()
        recorder = Recorder(bus.subscribe("recorder", limit=1000, overflow=Overflow.WAIT), store, 20, now)
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(recorder.run())
            await bus.publish([sample(1)])
            while not recorder.last_error:
                await asyncio.sleep(0.01)
            await bus.publish([sample(2)])
            refusing = False
            while store.stored < 2:
                await asyncio.sleep(0.01)
            recording.cancel()
        assert recorder.last_error == ""
        assert recorder.dropped == 0


async def test_each_commit_is_told_when_it_can_be_read_and_a_refused_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telemetry(tmp_path) as (database, store):
        real, refusing, told = database.run, True, list[int]()

        async def run(work: object) -> object:
            if refusing:
                raise sqlite3.OperationalError("database or disk is full")
            return await real(work)  # type: ignore[arg-type]

        monkeypatch.setattr(database, "run", run)
        bus = ReadingBus()
        source = bus.subscribe("recorder", limit=1000, overflow=Overflow.WAIT)
        recorder = Recorder(source, store, 60_000, now, stored=lambda: told.append(store.stored))
        await bus.publish([sample(1)])
        await recorder.flush()
        assert (told, recorder.held) == ([], 1)
        refusing = False
        await bus.publish([sample(2)])
        await recorder.flush()
        assert told == [2]
        await recorder.flush()
        assert told == [2], "nothing was stored, nothing is told"


async def test_a_slow_dashboard_loses_its_oldest_and_never_holds_up_the_store() -> None:
    bus = ReadingBus()
    slow = bus.subscribe("live", limit=5, overflow=Overflow.DROP_OLDEST)
    for number in range(10):
        async with asyncio.timeout(1):
            await bus.publish([sample(number), sample(100 + number)])
    assert slow.dropped == 16
    assert (await slow.get())[0] == sample(8)
