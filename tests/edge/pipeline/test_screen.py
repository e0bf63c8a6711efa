"""The screen between lines and bus: leaps, stuck values and counters, on a loaded configuration."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from drivers.reading import Millis, Origin, Quality, Reading, Value
from edge.bus import Overflow, ReadingBus
from edge.config.load import load
from edge.pipeline.collector import Collector
from edge.pipeline.screen import SAVE_EVERY_MS, Screening, screen_of
from edge.store.registers import RegisterStore, Remembered
from tests.support.stores import core

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
NOTHING = Remembered({}, {})
PROFILE = {
    "id": "box", "family": "modbus", "maker": "test", "model": "box", "kind": "electricity_meter",
    "source": "made for this test",
    "points": {
        "temperature": {"address": 0, "type": "s16"},
        "energy_import": {"address": 1, "type": "u32", "scale": 0.01, "max_rate": 5},
        "rainfall": {"address": 3, "scale": 0.1},
        "serial_number": {"address": 4, "type": "u32"},
        "ct_ratio": {"address": 6},
        "on": {"address": 7},
        "setpoint": {"address": 8},
    },
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "box.yaml").write_text(json.dumps(PROFILE))
    school: dict[str, Any] = {
        "version": 1,
        "site": {"id": "s", "name": "S", "district": "d", "latitude": 34.5, "longitude": 109.5},
        "spaces": [{"id": "b1", "name": "B", "kind": "building"}],
        "lines": [{"id": "bus", "url": "tcp://127.0.0.1:502"}],
        "profiles": ["profiles"],
        "devices": [
            {"id": name, "space": "b1", "line": "bus", "protocol": "modbus-rtu", "profile": "box",
             "address": number}
            for number, name in enumerate(("one", "two"), start=1)
        ],
    }  # fmt: skip
    (tmp_path / "school.yaml").write_text(json.dumps(school))
    return tmp_path / "school.yaml"


def read(
    point: str, value: Value | None, at: Millis, device: str = "one", origin: Origin = Origin.LIVE
) -> Reading:
    quality, reason = (Quality.BAD, "timeout") if value is None else (Quality.GOOD, "")
    return Reading(device, point, value, "unit", at, at, quality, reason, origin)


def told(readings: list[Reading]) -> list[tuple[Value | None, str]]:
    return [(r.value, r.reason) for r in readings]


def test_what_is_bad_already_passes_untouched(config: Path) -> None:
    batch = [read("temperature", None, 0), read("energy_import", None, 0), read("nobody", 1.0, 0)]
    assert screen_of(load(config), NOTHING).look(batch) == batch


def test_a_leap_is_bad_and_a_stuck_value_stale(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    readings = screen.look([read("temperature", v, n * MINUTE) for n, v in enumerate([21.0, 60.0, 21.0])])
    assert told(readings) == [(21.0, ""), (None, "rate"), (21.0, "")]
    assert readings[1].quality is Quality.BAD
    (late,) = screen.look([read("temperature", 21.0, 4 * DAY)])
    assert (late.value, late.quality, late.reason) == (21.0, Quality.STALE, "stuck")


def test_switches_setpoints_and_counters_may_rest(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    resting: list[tuple[str, Value]] = [("on", True), ("setpoint", 26.0), ("energy_import", 5.0)]
    for at in (0, 100 * DAY):
        readings = screen.look([read(point, value, at) for point, value in resting])
        assert all(r.quality is Quality.GOOD for r in readings)


def test_old_readings_are_not_judged_by_what_came_later(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    screen.look([read("temperature", 21.0, 9 * MINUTE), read("energy_import", 90.0, 9 * MINUTE)])
    older = [
        read("temperature", 60.0, MINUTE, origin=Origin.BACKFILL),
        read("energy_import", 80.0, MINUTE, origin=Origin.BACKFILL),
    ]
    assert told(screen.look(older)) == [(60.0, ""), (80.0, "")]


def test_a_counter_knows_its_width_and_its_models_rate(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    end = 2**32 / 100
    readings = screen.look(
        [read("energy_import", v, n * MINUTE) for n, v in enumerate([end - 1.0, 0.5, 30.0, 1.0])]
    )
    assert told(readings) == [(end - 1.0, ""), (end + 0.5, ""), (None, "rate"), (end + 1.0, "")]
    assert [c.correction.change for c in screen.corrections()] == ["rollover"]
    assert screen.corrections() == []


def test_rain_of_the_day_is_left_as_the_station_says(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    readings = screen.look([read("rainfall", v, n * MINUTE) for n, v in enumerate([12.4, 0.0, 0.2])])
    assert told(readings) == [(12.4, ""), (0.0, ""), (0.2, "")]


def test_a_new_serial_number_concerns_its_own_device_only(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    for at, serial, energy in ((0, 111.0, 50.0), (MINUTE, 222.0, 51.0)):
        screen.look([read("serial_number", serial, at), read("energy_import", 50.0 + at / MINUTE, at, "two")])
        (reading,) = screen.look([read("energy_import", energy, at)])
    assert reading.value == 50.0, "the new meter's 51 kWh were not consumed here"
    assert [(c.device, c.correction.change) for c in screen.corrections()] == [("one", "replaced")]


def test_new_ratios_are_told(config: Path) -> None:
    screen = screen_of(load(config), NOTHING)
    screen.look([read("ct_ratio", 1.0, 0), read("energy_import", 50.0, 0)])
    (_, reading) = screen.look([read("ct_ratio", 30.0, MINUTE), read("energy_import", 1500.0, MINUTE)])
    assert reading.value == 50.0
    assert [c.correction.change for c in screen.corrections()] == ["ratio"]


async def test_offsets_and_serial_numbers_outlive_a_restart(config: Path, tmp_path: Path) -> None:
    configuration = load(config)
    async with core(tmp_path) as database:
        store = RegisterStore(database)
        screening = Screening(screen_of(configuration, await store.load()), store, lambda: 5)
        await screening.look([read("serial_number", 111.0, 0), read("energy_import", 90.0, 0)])
        await screening.look([read("serial_number", 222.0, MINUTE), read("energy_import", 1.0, MINUTE)])

        again = Screening(screen_of(configuration, await store.load()), store, lambda: 5)
        passed = await again.look([read("serial_number", 222.0, 2 * MINUTE),
                                   read("energy_import", 1.5, 2 * MINUTE)])  # fmt: skip
        assert told(list(passed)) == [(222.0, ""), (90.5, "")]
        rows = await database.read(lambda c: [tuple(row) for row in c.execute("SELECT * FROM audit")])
    ((_, at, actor, source, action, thing, before, after, result, _),) = rows
    assert (at, actor, source, action) == (5, "gateway", "collector", "register.replaced")
    assert (thing, before, after, result) == ("one/energy_import", "90", "1", "offset 89")


async def test_faces_are_kept_now_and_then_and_at_the_end(config: Path, tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        store = RegisterStore(database)
        at = 0
        screening = Screening(screen_of(load(config), NOTHING), store, lambda: at)
        bus = ReadingBus()
        source = bus.subscribe("test", limit=100, overflow=Overflow.WAIT)
        collector = Collector(bus, screening)

        async def face() -> float | None:
            state = (await store.load()).registers.get(("one", "energy_import"))
            return state.face if state else None

        collector.collect([read("energy_import", 90.0, 0)])
        await collector.flush()
        assert await face() is None
        at = SAVE_EVERY_MS
        collector.collect([read("energy_import", 90.5, at)])
        await collector.flush()
        assert await face() == 90.5
        collector.collect([read("energy_import", 91.0, at + MINUTE)])
        await collector.flush()
        await screening.save()
        assert await face() == 91.0
        assert [r.value for r in [*await source.get(), *await source.get()]] == [90.0, 90.5]


async def test_a_disk_that_refuses_holds_no_reading_back_and_loses_no_correction(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with core(tmp_path) as database:
        real, refusing = database.run, True

        async def run(work: Any) -> Any:
            if refusing:
                raise sqlite3.OperationalError("database or disk is full")
            return await real(work)

        monkeypatch.setattr(database, "run", run)
        screening = Screening(screen_of(load(config), NOTHING), RegisterStore(database), lambda: 5)
        await screening.look([read("serial_number", 111.0, 0), read("energy_import", 90.0, 0)])
        with caplog.at_level(logging.ERROR):
            batch = [read("serial_number", 222.0, MINUTE), read("energy_import", 1.0, MINUTE)]
            assert told(list(await screening.look(batch))) == [(222.0, ""), (90.0, "")]
            await screening.save()
        assert caplog.text.count("disk is full") == 1
        refusing = False
        await screening.save()
        (count,) = await database.read(lambda c: c.execute("SELECT count(*) FROM audit").fetchone())
    assert count == 1
