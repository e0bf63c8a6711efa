"""At night the running gateway finds what the district lost, and the district is equal to the store again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx
import pytest

from cloud_sync.influx import InfluxWriter
from cloud_sync.reconcile import DAY
from cloud_sync.uploader import Uploader
from drivers.reading import Millis, Reading
from edge.agent import CORE_MIGRATIONS
from edge.reconciliation import Nightly
from edge.store.alarms import AlarmStore, Quarantine
from edge.store.database import Database
from edge.store.hourly import HourlyOutbox
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from rules.alarm import AlarmState, Change, Condition, Transition
from tests.cloud_sync.memory_outbox import destination
from tests.support.facilities import needs
from tests.support.gateway import Gateway
from tests.support.influx import InfluxServer, Swallow
from tests.support.lying_clock import LyingClock
from tests.support.ports import free_port

PROFILE = {
    "maker": "test", "model": "numbered", "kind": "contact", "source": "made for this test",
    "family": "modbus",
    "adds": {"number": {"unit": "1", "zh": "序号", "en": "number", "decimals": 0}},
    "points": {"number": {"address": 0, "type": "u32"}},
}  # fmt: skip
METERS = ("meter-1", "meter-2")
SOURCES = [Source(name, "contact", "room", "", (Shape("number", "1", "number"),)) for name in METERS]
TAGS = {"district": "linwei", "school": "test"}
HOUR = 3_600_000
MINUTES = 600
ALARMS, ALARM_FIELDS, FIGURES = 9, 8, 5
ZONE = "Asia/Shanghai"
EARLY_S = 300
SOON_S = 6


class Held(NamedTuple):
    """By device; (time, state, occurrence); rows of the long-lived bucket."""

    readings: Mapping[str, list[float]]
    alarms: list[tuple[int, str, str]]
    hours: list[tuple[Any, ...]]


class School:
    """A gateway whose line leads nowhere, and what it has of the day before: readings, alarms, hours."""

    def __init__(self, gateway: Gateway, influx: InfluxServer, clock: LyingClock) -> None:
        self.gateway = gateway
        self.influx = influx
        self.clock = clock
        nightly = Nightly("district", "test", ZoneInfo(ZONE), None, lambda: time.time_ns() // 1_000_000)
        self._night_s = round(nightly.wait_s())
        self.night = time.time_ns() // 1_000_000 + self._night_s * 1000
        """When the gateway compares, by its own clock."""
        self.day = self.night // DAY * DAY - DAY
        """The last complete day then."""

    async def fill(self) -> None:
        """As a run of the day before left the folder: hours were sent, the rest was not."""
        self.gateway.data.mkdir(mode=0o700)
        core = Database(self.gateway.data / "core.db", CORE_MIGRATIONS)
        telemetry = Database(self.gateway.data / "telemetry.db", MIGRATIONS)
        await core.open()
        await telemetry.open()
        store = ReadingStore(telemetry, SOURCES)
        await store.load()
        times = [self.day + minute * 60_000 for minute in range(MINUTES)]
        await store.append(
            [Reading(name, "number", float(n), "1", at, at) for n, at in enumerate(times) for name in METERS],
            times[-1],
        )
        await AlarmStore(core).save(list(_occurrences(self.day)))
        outbox = HourlyOutbox(
            telemetry, TAGS, Quarantine(core).park, store.helper, lambda: self.night, lambda: None
        )
        settings = destination(self.influx.url).hourly
        assert settings is not None
        async with InfluxWriter(settings, self.influx.token) as writer:
            uploader = Uploader(settings, [outbox], writer, lambda: self.night, Random(1))
            while await uploader.step():
                pass
        await store.close()
        await telemetry.close()
        await core.close()

    def begin(self) -> None:
        """Starts the gateway a while before the comparison."""
        self.clock.synchronise()
        self.clock.set(self._night_s - EARLY_S)
        self.gateway.environment.update(self.clock.environment)
        self.gateway.start()

    async def compare(self) -> Any:
        """The gateway's clock is set to a moment before the comparison; what that came to. A gateway that
        is too slow to begin anew with it gets another night."""
        for _ in range(3):
            self.clock.set(self.night // 1000 - int(time.time()) - SOON_S)
            try:
                async with asyncio.timeout(SOON_S + 15):
                    while (found := (await self.sync())["compared"]) is None:
                        await asyncio.sleep(0.2)
                    return found
            except TimeoutError:
                self.night += DAY
        raise AssertionError("it was night three times, and nothing was compared")

    async def get(self, path: str) -> Any:
        """A resource; a gateway that begins anew with its clock is asked again."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await asyncio.to_thread(self.gateway.get, path)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def sync(self) -> Any:
        """The only destination."""
        (found,) = (await self.get("/sync"))["items"]
        return found

    async def check(self, name: str) -> Any:
        checks = (await self.get("/health"))["checks"]
        return next(check for check in checks if check["name"] == name)

    async def held(self) -> Held:
        """What the district holds."""
        readings = {
            name: [row["number"] for row in await self.influx.rows("contact", f"device = '{name}'")]
            for name in METERS
        }
        rows = await self.influx.rows("alarm", f"time < {self.day + DAY}ms")
        alarms = sorted((row["time"], row["state"], row["occurrence"]) for row in rows)
        hours = [
            tuple(row) for one in await self.influx.hourly("SELECT * FROM contact") for row in one["values"]
        ]
        return Held(readings, alarms, hours)

    def stored(self) -> tuple[Mapping[str, list[float]], list[tuple[int, str, str]]]:
        """The readings and alarms of the gateway's own files."""
        with closing(sqlite3.connect(self.gateway.data / "core.db")) as connection:
            alarms = connection.execute("SELECT at, change, occurrence FROM transition").fetchall()
        readings = {device: values for (device, _), values in self.gateway.stored().items()}
        return readings, sorted(alarms)

    async def settled(self, alarms: int) -> Held:
        """What the district holds once all that the gateway sends has arrived there."""
        async with asyncio.timeout(60):
            while True:
                held = await self.held()
                if {len(held.readings[name]) for name in METERS} == {MINUTES} and len(held.alarms) == alarms:
                    return held
                await asyncio.sleep(0.1)


def _occurrences(day: Millis) -> Iterator[Transition]:
    """Three alarms that came and went, each in a minute."""
    for number in range(3):
        at = day + number * HOUR
        raised = AlarmState(
            "hot", "room", Condition.ACTIVE, at, f"o{number}", at, acked=False, priority=2,
            device="meter-1", point="number", value=30.0 + number,
        )  # fmt: skip
        cleared = replace(raised, condition=Condition.NORMAL, cleared_at=at + 60_000)
        yield Transition(Change.RAISED, raised, at)
        yield Transition(Change.CLEARED, cleared, at + 60_000)
        yield Transition(Change.CLOSED, replace(cleared, acked=True), at + 60_000)


@asynccontextmanager
async def a_school(folder: Path) -> AsyncIterator[School]:
    clock = LyingClock(folder)
    async with InfluxServer(folder) as influx:
        config = {
            "site": {"id": "test", "name": "试验学校", "district": "linwei", "timezone": ZONE,
                     "latitude": 34.5, "longitude": 109.5},
            "spaces": [{"id": "room", "name": "一〇一", "kind": "classroom"}],
            "lines": [{"id": "plc", "url": f"tcp://127.0.0.1:{free_port()}"}],
            "devices": [
                {"id": name, "line": "plc", "protocol": "modbus-tcp", "profile": "numbered",
                 "address": n + 1, "space": "room", "every": "5s"}
                for n, name in enumerate(METERS)
            ],
            "clock": {"require_sync": "never"},
            "sync": [
                {"id": "district", "url": influx.url, "org": influx.org, "bucket": influx.bucket,
                 "token": {"secret": "write"}, "read_token": {"secret": "read"}, "query": "influxql",
                 "interval": "500ms", "drain": 1.0}
            ],
        }  # fmt: skip
        gateway = Gateway(
            folder / "gateway", config, profiles={"numbered": PROFILE},
            secrets={"write": influx.token, "read": influx.read_token},
        )  # fmt: skip
        school = School(gateway, influx, clock)
        await school.fill()
        try:
            yield school
        finally:
            await asyncio.to_thread(gateway.close)


@pytest.mark.timeout(120)
@needs("compiler")
async def test_what_the_district_lost_of_a_day_is_there_again_after_the_night(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.influx.faults.append(Swallow())  # alarms leave first: the server acknowledges and drops them
        await asyncio.to_thread(school.begin)
        before = await school.settled(alarms=0)
        assert len(before.hours) == 2 * MINUTES // 60
        assert (await school.sync())["compared"] is None

        lost = f"time >= {school.day}ms AND time < {school.day + 2 * HOUR}ms"
        await school.influx.delete("contact", f"device = 'meter-1' AND {lost}")
        tags = "contact,device=meter-2,district=linwei,school=test,space=room"
        await school.influx.write(f"{tags} number=99 {school.day}".encode())
        await school.influx.hourly(f"DELETE FROM contact WHERE device = 'meter-2' AND {lost}")
        spoilt = await school.held()
        assert spoilt.readings["meter-1"] != before.readings["meter-1"]
        assert spoilt.readings["meter-2"] != before.readings["meter-2"]
        assert spoilt.hours != before.hours

        found = await school.compare()
        after = await school.held()
        assert (after.readings, after.alarms) == await asyncio.to_thread(school.stored)
        assert after.hours == before.hours
        assert (found["same"], found["still"], found["reason"]) == (True, 0, "")
        assert found["missing"] == 2 * 60 + ALARMS * ALARM_FIELDS + 2 * FIGURES
        assert found["resent"] == 2 * MINUTES + ALARMS + MINUTES // 60
        assert (await school.check("sync"))["status"] == "ok"
        log = school.gateway.log.read_text()
        for stream, differed in (("alarms", 3 * ALARM_FIELDS), ("readings", 2), ("hourly", FIGURES)):
            assert f"{stream} of {_date(school.day)}: {differed} fields differed" in log


@pytest.mark.slow
@pytest.mark.timeout(240)
@needs("compiler")
async def test_what_a_district_does_not_keep_though_sent_again_is_told(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        await asyncio.to_thread(school.begin)
        await school.settled(alarms=ALARMS)
        await school.influx.delete("contact", f"device = 'meter-1' AND time = {school.day}ms")
        school.influx.faults.extend([Swallow()] * 1000)
        found = await school.compare()
        assert (found["same"], found["missing"], found["still"]) == (False, 1, 1)
        check = await school.check("sync")
        assert check["status"] == "degraded"
        assert check["detail"] == "district: 1 fields differ though sent again"

        school.influx.faults.clear()
        async with asyncio.timeout(90):
            while not any(row["sync_differs"] for row in await school.influx.rows("gateway")):
                await asyncio.sleep(0.5)


def _date(at: Millis) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()
