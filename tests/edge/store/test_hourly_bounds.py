"""Hours of a long time offline are made in portions: memory and answers stay small, nothing is left out."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_sync.outbox import Entry
from drivers.reading import Reading
from edge.store import catalogue, figures, hourly, hourly_figures
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.history import Snapshot
from edge.store.hourly import HOUR
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from tests.edge.store.test_hourly import BEGIN, MINUTE, Gateway

AT_ONCE = 10


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(hourly, "MOST", AT_ONCE)
    made = Gateway(tmp_path)
    await made.database.open()
    await made.store.load()
    for device in ("env-1", "env-2"):
        await made.ingest(device, BEGIN, [float(500 + n % 7) for n in range(30 * 60)])
    made.now = BEGIN + 31 * HOUR
    yield made
    await made.store.close()
    await made.database.close()


async def portions(gateway: Gateway, most: int = 100) -> list[list[Entry]]:
    """What is taken and accepted, until nothing more waits."""
    found, more = [], True
    while more and len(found) < most:
        taken = await gateway.outbox.take("d/hourly", 5000)
        found.append(list(taken.entries))
        await gateway.outbox.accept("d/hourly", taken.cursor, len(taken.entries))
        more = taken.more
    return found


def hours_of(found: list[list[Entry]]) -> list[tuple[str, int]]:
    return sorted((one.tags["device"], (one.at - BEGIN) // HOUR) for some in found for one in some)


ALL = [(device, hour) for device in ("env-1", "env-2") for hour in range(30)]


@pytest.mark.parametrize("state", ["hot", "sealed", "rollups"])
async def test_a_step_is_told_in_portions_and_each_hour_once(gateway: Gateway, state: str) -> None:
    if state != "hot":
        await gateway.ingest("env-2", BEGIN + 3 * DAY_MS, [1.0])
        gateway.now = BEGIN + 3 * DAY_MS + 2 * HOUR
        await gateway.keep(keep_raw=2 * DAY_MS if state == "rollups" else 400 * DAY_MS)
        days = await gateway.database.read(catalogue.days)
        assert days[0].raw is (state == "sealed")
    found = await portions(gateway)
    # a device is not divided: with all its hours of a step it may be more than what is taken at once
    assert max(map(len, found)) <= 30
    assert len(found) >= 2
    once = sorted(set(hours_of(found)))
    assert [one for one in once if one in set(ALL)] == ALL
    if state == "hot":
        assert hours_of(found) == ALL
    assert await gateway.database.read(lambda c: hourly.position(c, "d/hourly")) == await last_id(gateway)


async def last_id(gateway: Gateway) -> int:
    query = "SELECT seq FROM sqlite_sequence WHERE name='moments'"
    return int(await gateway.database.read(lambda c: c.execute(query).fetchone()[0]))


async def test_what_a_restart_breaks_off_is_made_again_as_a_whole(gateway: Gateway) -> None:
    first = await portions(gateway, most=1)
    assert 0 < len(first[0]) < len(ALL)
    assert await gateway.database.read(lambda c: hourly.position(c, "d/hourly")) == 0
    gateway.restart()
    assert hours_of(await portions(gateway)) == ALL


async def test_what_was_not_accepted_is_given_again(gateway: Gateway) -> None:
    taken = await gateway.outbox.take("d/hourly", 5000)
    again = await gateway.outbox.take("d/hourly", 5000)
    assert again == taken
    assert hours_of(await portions(gateway)) == ALL


async def test_what_comes_in_and_is_sealed_between_two_portions_is_made_too(gateway: Gateway) -> None:
    first = await portions(gateway, most=1)
    late = Reading("env-1", "co2", 9_000.0, "[ppm]", BEGIN + MINUTE + 7, gateway.now)
    await gateway.store.append([late], gateway.now)
    gateway.now += 8 * HOUR
    await gateway.keep()
    found = [*first, *await portions(gateway)]
    assert sorted(set(hours_of(found))) == ALL
    newest = {(one.tags["device"], one.at): one.fields for some in found for one in some}
    assert newest["env-1", BEGIN]["co2_max"] == 9_000.0
    assert newest["env-1", BEGIN]["co2_count"] == 61.0


async def filled(folder: Path, devices: int, *, seal: bool) -> Path:
    """Three hours, every half minute, of four points of each device."""
    shapes = tuple(Shape(f"p{n}", "1", "number") for n in range(4))
    sources = [Source(f"d{n:02d}", "electricity_meter", "r1", "b1", shapes) for n in range(devices)]
    folder.mkdir()
    database = Database(folder / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(database, sources)
    await store.load()
    for hour in range(3):
        times = [BEGIN + hour * HOUR + n * 30_000 for n in range(120)]
        await store.append(
            [
                Reading(one.device, f"p{p}", float(at % 977 + p), "1", at, at)
                for at in times for one in sources for p in range(4)
            ],
            times[-1],
        )  # fmt: skip
    if seal:
        keeper = Archivist(database, Keeping(400 * DAY_MS, 10**9, HOUR, HOUR), [], lambda: BEGIN + 9 * HOUR)
        await keeper.step()
        await keeper.close()
    await store.close()
    await database.close()
    return folder


async def test_what_was_made_together_is_told_in_portions_and_each_device_once(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data", 6, seal=False)
    begun = hourly_figures.Begun(0, BEGIN + DAY_MS, None)
    with Snapshot(data) as snapshot:
        made = hourly_figures.make(snapshot, begun, None)
    part, told = None, []
    for _ in range(3):
        assert part is None or made.holds(begun, part)
        found = made.portion(part, 30)  # of three hours of four points two devices fit
        assert sum(len(hour.points) for hour in found.hours) == 24
        assert found == made.portion(part, 30)
        told += [(found.sources[hour.source].device, hour.at) for hour in found.hours]
        part = None if found.after is None else hourly_figures.Part(found.cursor, found.after)
    assert part is None
    assert sorted(told) == [(f"d{n:02d}", BEGIN + hour * HOUR) for n in range(6) for hour in range(3)]


async def test_behind_the_last_device_or_for_another_question_it_is_made_again(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data", 3, seal=False)
    begun = hourly_figures.Begun(0, BEGIN + DAY_MS, None)
    with Snapshot(data) as snapshot:
        made = hourly_figures.make(snapshot, begun, None)
    first = made.portion(None, 1).after
    assert first is not None
    part = hourly_figures.Part(made.cursor, first)
    assert made.holds(begun, part)
    assert not made.holds(begun._replace(first_held=7), part)
    assert not made.holds(begun, part._replace(cursor=made.cursor + 1))
    assert not made.holds(begun, part._replace(after=("d02", *first[1:])))


def peak_of_all(data: Path) -> tuple[int, int]:
    """Bytes that making all hours takes at most, and how many were made."""
    number, cursor, part, more = 0, 0, None, True
    tracemalloc.start()
    while more:
        with Snapshot(data) as snapshot:
            begun = hourly_figures.Begun(cursor, BEGIN + DAY_MS, None)
            found = hourly_figures.make(snapshot, begun, part).portion(part, 10_000)
        number += len(found.hours)
        part = None if found.after is None else hourly_figures.Part(found.cursor, found.after)
        cursor = cursor if part else found.cursor
        more = found.more
    (_, peak) = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, number


@pytest.mark.parametrize("seal", [False, True], ids=["hot", "sealed"])
async def test_a_school_of_four_times_the_devices_takes_hardly_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seal: bool
) -> None:
    monkeypatch.setattr(figures, "ROWS", 300)
    # what bounds hot rows is how many are read at once, not how many hours are made together
    monkeypatch.setattr(hourly_figures, "AT_ONCE", 12 if seal else 1000)
    peaks = []
    for devices in (4, 16):
        data = await filled(tmp_path / str(devices), devices, seal=seal)
        peak_of_all(data)  # what is imported and cached with the first use is no growth
        peak, number = peak_of_all(data)
        assert number == devices * 3
        peaks.append(peak)
    assert peaks[1] < 2 * peaks[0], peaks
