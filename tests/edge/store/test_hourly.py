"""Hourly figures are made from all that is stored of an hour, and again when something comes late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from cloud_sync.outbox import Entry
from drivers.reading import Quality, Reading
from edge.store import catalogue, sealing
from edge.store.archivist import Archivist, Keeping
from edge.store.catalogue import DAY_MS
from edge.store.database import Database
from edge.store.hourly import HOUR, HourlyOutbox
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore

BEGIN = 1_764_547_200_000  # a full hour
MINUTE = 60_000
SHAPES = (
    Shape("co2", "[ppm]", "number"), Shape("on", "bool", "switch"), Shape("state", "", "text"),
)  # fmt: skip
SOURCES = [Source(f"env-{n}", "classroom_env", "r1", "b1", SHAPES) for n in (1, 2)]


class Gateway:
    """A store, a clock, and what its hourly outbox gave."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "telemetry.db", MIGRATIONS)
        self.store = ReadingStore(self.database, SOURCES)
        self.now = BEGIN
        self.first_held: int | None = None
        self.restart()

    def restart(self) -> None:
        self.outbox = HourlyOutbox(
            self.database, {"school": "s"}, _no_park, self.store.helper,
            lambda: self.now, lambda: self.first_held,
        )  # fmt: skip

    async def ingest(self, device: str, start: int, values: Sequence[float], step: int = MINUTE) -> None:
        made = []
        for number, value in enumerate(values):
            at = start + number * step
            made += [
                Reading(device, "co2", value, "[ppm]", at, at),
                Reading(device, "on", number % 2 == 0, "bool", at, at),
                Reading(device, "state", "idle", "", at, at),
            ]
        await self.store.append(made, self.now)

    async def send(self) -> dict[tuple[str, int], Entry]:
        found: dict[tuple[str, int], Entry] = {}
        more = True
        while more:
            taken = await self.outbox.take("d/hourly", 5000)
            found |= {(one.tags["device"], (one.at - BEGIN) // HOUR): one for one in taken.entries}
            await self.outbox.accept("d/hourly", taken.cursor, len(taken.entries))
            more = taken.more
        return found

    async def keep(self, keep_raw: int = 400 * DAY_MS) -> None:
        keeper = Archivist(self.database, Keeping(keep_raw, 10**9, HOUR, HOUR), [], lambda: self.now)
        await keeper.step()
        await keeper.close()


async def _no_park(*_: object) -> None:
    raise AssertionError("nothing is refused here")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path)
    await made.database.open()
    await made.store.load()
    yield made
    await made.store.close()
    await made.database.close()


async def test_an_hour_is_made_when_it_is_over_and_only_once(gateway: Gateway) -> None:
    await gateway.ingest("env-1", BEGIN, [600.0, 500.0, 800.0, 700.0])
    gateway.now = BEGIN + HOUR + MINUTE
    assert await gateway.send() == {}, "the last groups may still be on their way"
    gateway.now = BEGIN + HOUR + 2 * MINUTE
    assert (await gateway.outbox.backlog("d/hourly")).pending == 1
    entry = (await gateway.send())["env-1", 0]
    assert entry.measurement == "classroom_env"
    assert entry.at == BEGIN
    assert entry.tags == {"school": "s", "building": "b1", "space": "r1", "device": "env-1"}
    assert entry.fields == {
        "co2_count": 4.0, "co2_min": 500.0, "co2_max": 800.0, "co2_mean": 650.0, "co2_last": 700.0,
        "on_count": 4.0, "on_min": 0.0, "on_max": 1.0, "on_mean": 0.5, "on_last": 0.0,
    }  # fmt: skip
    gateway.now += HOUR
    assert await gateway.send() == {}
    assert (await gateway.outbox.backlog("d/hourly")).pending == 0


async def test_what_comes_late_makes_its_hour_anew_from_all_of_it(gateway: Gateway) -> None:
    await gateway.ingest("env-1", BEGIN, [600.0, 500.0])
    await gateway.ingest("env-2", BEGIN, [400.0])
    gateway.now = BEGIN + HOUR + 2 * MINUTE
    assert set(await gateway.send()) == {("env-1", 0), ("env-2", 0)}
    at = BEGIN + 30 * MINUTE
    late = Reading("env-1", "co2", 100.0, "[ppm]", at, gateway.now)
    bad = Reading("env-1", "co2", None, "[ppm]", at + 1, gateway.now, Quality.BAD, "timeout")
    await gateway.store.append([late, bad], gateway.now)
    gateway.now += HOUR
    found = await gateway.send()
    assert set(found) == {("env-1", 0)}
    assert found["env-1", 0].fields["co2_count"] == 3.0
    assert found["env-1", 0].fields["co2_mean"] == 400.0


async def test_sealed_days_and_days_of_which_only_rollups_are_left_come_too(gateway: Gateway) -> None:
    values = [float(500 + n % 7) for n in range(26 * 60)]
    await gateway.ingest("env-1", BEGIN, values)
    gateway.now = BEGIN + 3 * DAY_MS
    await gateway.ingest("env-2", gateway.now, [1.0])
    gateway.now += 2 * HOUR
    await gateway.keep()
    days = await gateway.database.read(catalogue.days)
    assert len(days) >= 2
    whole = await gateway.send()
    assert [whole["env-1", n].fields["co2_count"] for n in range(26)] == [60.0] * 26
    await gateway.database.run(lambda c: c.execute("DELETE FROM hourly"))
    await gateway.keep(keep_raw=2 * DAY_MS)
    assert not (await gateway.database.read(catalogue.days))[0].raw
    gateway.restart()
    again = await gateway.send()
    assert set(again) == set(whole)
    for key, entry in whole.items():
        assert again[key].fields == pytest.approx(entry.fields)
    late = Reading("env-1", "co2", 506.0, "[ppm]", BEGIN + 1, gateway.now)
    await gateway.store.append([late], gateway.now)
    gateway.now += 2 * HOUR
    anew = (await gateway.send())["env-1", 0]
    assert anew.fields["co2_count"] == 61.0, "the rollups count beside what came late"
    assert sealing.QUARTER * 4 == HOUR


async def test_what_may_be_dated_anew_is_not_made_yet(gateway: Gateway) -> None:
    await gateway.ingest("env-1", BEGIN, [600.0, 500.0])
    gateway.first_held = 2
    gateway.now = BEGIN + HOUR + 2 * MINUTE
    assert (await gateway.send())["env-1", 0].fields["co2_count"] == 1.0
    assert await gateway.database.read(lambda c: c.execute("SELECT position FROM hourly").fetchone()[0]) == 1
