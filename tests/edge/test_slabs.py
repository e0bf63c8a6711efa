"""Stored readings as slabs: by time over all devices, hot and sealed, and a rehearsal of them finds the
same as of single readings."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drivers.reading import Origin, Quality, Reading
from edge.replay import CsvReadings, StoredReadings
from edge.store import catalogue
from edge.store.catalogue import Policy
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from edge.store.sealing import seal
from rules.rehearsal import rehearse, rehearse_columns
from rules.site import SiteInfo, SpaceInfo
from tests.rules.school import T0, H, M, S, device, rule

ROOMS = 4
POINTS = {"co2": "[ppm]", "temperature": "Cel", "occupied": "bool"}
ROOM: dict[str, Any] = {"scope": {"each": "classroom"}}
RULES = (
    rule(id="high", for_="5m", clear_for="5m", **ROOM),
    rule(id="mean", when={"p": "co2", "agg": "avg", "over": "10m", "op": "gt", "val": 1300}, **ROOM),
    rule(id="here", when={"p": "occupied", "agg": "count_true", "over": "15m", "op": "ge", "val": 5}, **ROOM),
    rule(id="silent", scope={"each": "device"}, when={"p": "online", "op": "eq", "val": False}),
)


def site() -> SiteInfo:
    """A few rooms."""
    rooms = tuple(SpaceInfo(f"r{n}", f"室{n}", "classroom") for n in range(ROOMS))
    devices = tuple(device(f"e{n}", f"r{n}", "classroom_env", POINTS, M) for n in range(ROOMS))
    return SiteInfo("shangde", "Asia/Shanghai", rooms, devices)


def hours(seed: int, count: int) -> list[Reading]:
    """Readings in the order in which they came: most in time, some late, some bad, some out of a log."""
    chance = random.Random(seed)
    level = [700.0] * ROOMS
    found = []
    for minute in range(count * 60):
        lively = minute // 60 % 4 == 1
        for room in range(ROOMS):
            at = T0 + minute * M + room * 300
            level[room] += chance.uniform(-90, 110) if lively else 0.0
            level[room] = min(2200.0, max(400.0, round(level[room], 1)))
            if minute // 100 % 7 == 3 and room == 1:
                continue
            late = (
                chance.choice((0, 0, 0, 300, 1500))
                if chance.random() < 0.995
                else chance.choice((9, 900)) * S
            )
            bad = chance.random() < 0.003
            values: dict[str, Any] = {"co2": level[room]}
            if minute % 5 == 0:
                values |= {"temperature": 21.5, "occupied": lively and chance.random() < 0.8}
            for point, value in values.items():
                quality, reason = (Quality.BAD, "timeout") if bad else (Quality.GOOD, "")
                found.append(
                    Reading(
                        f"e{room}",
                        point,
                        None if bad else value,
                        POINTS[point],
                        at,
                        at + late,
                        quality,
                        reason,
                    )
                )
    return sorted(found, key=lambda reading: reading.received_at)


async def stored(data: Path, readings: Sequence[Reading], sealed: int) -> None:
    """The readings in a real store, those of the first `sealed` hours in blocks."""
    data.mkdir()
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    shapes = tuple(
        Shape(name, unit, "switch" if unit == "bool" else "number") for name, unit in POINTS.items()
    )
    store = ReadingStore(
        database, [Source(f"e{n}", "classroom_env", f"r{n}", "", shapes) for n in range(ROOMS)]
    )
    await store.load()
    for start in range(0, len(readings), 400):
        await store.append(readings[start : start + 400], 0)
    await store.close()
    await database.close()
    policy = Policy(60_000, 2 * H)
    with closing(sqlite3.connect(data / "telemetry.db", isolation_level=None)) as connection:
        while (batch := seal(data, T0 + sealed * H, policy)) is not None:
            catalogue.register(connection, batch)


@pytest.mark.parametrize("seed", range(3))
async def test_a_rehearsal_of_slabs_finds_what_one_of_the_same_single_readings_finds(
    tmp_path: Path, seed: int
) -> None:
    await stored(tmp_path / "data", hours(seed, 14), 9)
    source = StoredReadings(tmp_path / "data", {"e2": 300_000})
    told: tuple[list[Any], list[Any]] = ([], [])
    single = list(source.between(T0, T0 + 14 * H))
    end = T0 + 14 * H
    one = rehearse(RULES, site(), None, single, T0, end, hear=told[0].append)
    two = rehearse_columns(RULES, site(), None, source, T0, end, hear=told[1].append)
    assert told[0] == told[1] and one.occurrences == two.occurrences
    assert len({o.rule for o in one.occurrences}) >= 3


async def test_all_that_is_stored_comes_once_and_by_time(tmp_path: Path) -> None:
    readings = hours(7, 10)
    await stored(tmp_path / "data", readings, 6)
    source = StoredReadings(tmp_path / "data", {"e2": 300_000})
    came = list(source.between(T0, T0 + 11 * H))

    def key(reading: Reading) -> tuple[Any, ...]:
        return reading.device, reading.point, reading.at, reading.value, reading.quality

    assert sorted(map(key, came), key=str) == sorted(map(key, readings), key=str)
    prompt = [r.at for r in came if r.received_at == r.at]
    assert prompt == sorted(prompt)
    assert {r.device for r in came if r.origin is Origin.BACKFILL} <= {"e2"}
    some = list(source.between(T0 + 5 * H, T0 + 7 * H))
    assert {r.at // H for r in some} == {T0 // H + 5, T0 // H + 6}
    assert source.newest() == max(r.at for r in readings)


def test_a_file_that_is_not_by_time_is_sorted(tmp_path: Path) -> None:
    path = tmp_path / "past.csv"
    rows = [f"{d},co2,{T0 + n * M},{n}" for d in ("a", "b") for n in range(50)]
    path.write_text("device,point,at,value\n" + "\n".join(rows), encoding="utf-8")
    source = CsvReadings(path, {"co2": "[ppm]"})
    came = list(source.between(T0, T0 + H))
    assert [(r.at, r.device) for r in came] == sorted((r.at, r.device) for r in came) and len(came) == 100
    assert source.newest() == T0 + 49 * M and came[0] == Reading("a", "co2", 0.0, "[ppm]", T0, T0)
