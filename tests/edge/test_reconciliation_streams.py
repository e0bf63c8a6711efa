"""Alarms and hourly figures are compared with a real server and mended, like readings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from cloud_sync.influx import InfluxWriter
from cloud_sync.reader import Series, reader
from cloud_sync.reconcile import ALARMS, DAY, HOURLY, READINGS, DayResult, Reconciler, Stream
from cloud_sync.uploader import Uploader
from drivers.reading import Reading
from edge.agent import CORE_MIGRATIONS
from edge.store import alarm_outbox, hourly
from edge.store.alarm_outbox import AlarmOutbox
from edge.store.alarms import AlarmStore, Quarantine
from edge.store.archivist import Archivist, Keeping
from edge.store.database import Database
from edge.store.evidence import AlarmEvidence, HourlyEvidence
from edge.store.hourly import HOUR, HourlyOutbox
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from rules.alarm import AlarmState, Change, Condition, Transition
from tests.cloud_sync.memory_outbox import destination
from tests.support.influx import InfluxServer

NOW = time.time_ns() // 1_000_000
TODAY = NOW // DAY * DAY
YESTERDAY = TODAY - DAY
TAGS = {"district": "linwei", "school": "shangde"}
METER = (Shape("active_power", "kW", "number"), Shape("on", "bool", "switch"), Shape("state", "", "text"))
SOURCES = [Source(f"em-{n}", "electricity_meter", "三〇一", "b1", METER) for n in range(2)]
ALARM_FIELDS = 8
FIGURES = 5


class Gateway:
    """A store whose alarms and hourly figures go to a real server."""

    def __init__(self, folder: Path, influx: InfluxServer) -> None:
        self.core = Database(folder / "core.db", CORE_MIGRATIONS)
        self.telemetry = Database(folder / "telemetry.db", MIGRATIONS)
        self.store = ReadingStore(self.telemetry, SOURCES)
        self.alarms = AlarmStore(self.core)
        self.quarantine = Quarantine(self.core)
        self.now = NOW
        settings = destination(influx.url, query="influxql")
        of_hours = settings.hourly
        assert of_hours is not None
        self.settings = {ALARMS: settings, HOURLY: of_hours}
        self.outboxes = {
            ALARMS: AlarmOutbox(self.core, TAGS),
            HOURLY: HourlyOutbox(
                self.telemetry, TAGS, self.quarantine.park, self.store.helper, lambda: self.now, lambda: None
            ),
        }
        evidence = {
            ALARMS: AlarmEvidence(
                lambda since, until: self.core.read(
                    lambda c: alarm_outbox.sent_between(c, settings.id, TAGS, since, until)
                )
            ),
            HOURLY: HourlyEvidence(
                self.store.helper, TAGS,
                lambda: self.telemetry.read(lambda c: hourly.position(c, of_hours.id)),
                lambda: self.quarantine.entries(HOURLY, of_hours.id),
            ),
        }  # fmt: skip
        self.writers = {name: InfluxWriter(one, influx.token) for name, one in self.settings.items()}
        self.readers = {name: reader(one, influx.read_token) for name, one in self.settings.items()}
        self.streams = [
            Stream(name, evidence[name], self.readers[name], self.writers[name]) for name in self.settings
        ]

    async def open(self) -> None:
        await self.core.open()
        await self.telemetry.open()
        await self.store.load()

    async def close(self) -> None:
        for one in (*self.writers.values(), *self.readers.values()):
            await one.aclose()
        await self.store.close()
        await self.telemetry.close()
        await self.core.close()

    async def drain(self, stream: str) -> None:
        uploader = Uploader(
            self.settings[stream], [self.outboxes[stream]], self.writers[stream], lambda: self.now, Random(1)
        )
        while await uploader.step():
            pass

    async def raise_alarms(self, count: int) -> None:
        """So many come and go, an hour apart."""
        for number in range(count):
            at = YESTERDAY + number * HOUR
            raised = AlarmState(
                "hot", "三〇一", Condition.ACTIVE, at, f"o{number}", at, acked=False, device="em-0",
                point="active_power", value=30.0 + number,
            )  # fmt: skip
            ended = AlarmState("hot", "三〇一", Condition.NORMAL, at, f"o{number}", at, device="em-0")
            await self.alarms.save(
                [Transition(Change.RAISED, raised, at), Transition(Change.CLOSED, ended, at + 1000)]
            )

    async def ingest(self, device: str, start: int, count: int) -> None:
        made = []
        for number in range(count):
            at = start + number * 60_000
            made += [
                Reading(device, "active_power", number / 10, "kW", at, at),
                Reading(device, "on", number % 3 == 0, "bool", at, at),
                Reading(device, "state", "run", "", at, at),
            ]
        await self.store.append(made, self.now)

    async def keep(self, keep_raw: int) -> None:
        """Seals all, and gives up raw values that are older."""
        keeper = Archivist(self.telemetry, Keeping(keep_raw, 10**9), [], lambda: self.now)
        await keeper.step()
        await keeper.close()

    async def compare(self, stream: str, *, mend: bool = True) -> DayResult:
        """Yesterday."""
        streams = [one for one in self.streams if one.name == stream]
        found = await Reconciler("shangde", streams, lambda: NOW).run([YESTERDAY], mend=mend)
        assert found.reason == ""
        (day,) = found.days
        assert day.stream == stream
        return day


@pytest.fixture
async def influx(tmp_path: Path) -> AsyncIterator[InfluxServer]:
    async with InfluxServer(tmp_path) as server:
        yield server


@pytest.fixture
async def gateway(tmp_path: Path, influx: InfluxServer) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, influx)
    await made.open()
    yield made
    await made.close()


async def alarm_rows(influx: InfluxServer) -> list[tuple[object, ...]]:
    rows = await influx.rows("alarm")
    return [(row["time"], row["state"], row["occurrence"], row.get("value")) for row in rows]


async def test_alarms_that_were_deleted_or_altered_at_the_district_come_back(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.raise_alarms(4)
    await gateway.drain(ALARMS)
    before = await alarm_rows(influx)
    assert len(before) == 8
    clean = await gateway.compare(ALARMS)
    assert (clean.fields, clean.differing) == (ALARM_FIELDS + ALARM_FIELDS - 1, 0)
    assert clean.values == 4 * ALARM_FIELDS + 4 * (ALARM_FIELDS - 1)

    await influx.delete("alarm", f"state = 'closed' AND time < {YESTERDAY + 2 * HOUR}ms")
    looked = await gateway.compare(ALARMS, mend=False)
    assert (looked.missing, looked.resent, looked.still) == (2 * 7, 0, 7)
    mended = await gateway.compare(ALARMS)
    assert (mended.missing, mended.resent, mended.still) == (2 * 7, 4, 0)
    assert await alarm_rows(influx) == before

    line = "alarm,device=em-0,district=linwei,priority=4,rule=hot,school=shangde,space=三〇一,state=raised"
    await influx.write(f"{line} value=99 {YESTERDAY}".encode())
    altered = await gateway.compare(ALARMS)
    assert (altered.differing, altered.missing, altered.resent, altered.still) == (1, 0, 4, 0)
    assert await alarm_rows(influx) == before


async def test_alarms_that_wait_or_were_refused_are_no_difference(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.raise_alarms(1)
    assert (await gateway.compare(ALARMS)).fields == 0
    taken = await gateway.outboxes[ALARMS].take("district", 10)
    refused, sent = taken.entries
    await gateway.outboxes[ALARMS].park("district", refused, "line", 422, "of another type")
    await gateway.outboxes[ALARMS].accept("district", taken.cursor, 1)
    found = await gateway.compare(ALARMS)
    assert (found.fields, found.missing, found.resent) == (len(sent.fields), len(sent.fields), 1)
    assert (found.still, [row[1] for row in await alarm_rows(influx)]) == (0, ["closed"])


async def hour_rows(influx: InfluxServer) -> list[tuple[object, ...]]:
    series = await influx.hourly("SELECT * FROM electricity_meter")
    return [tuple(row) for one in series for row in one["values"]]


@pytest.mark.parametrize("kept", ["raw values", "rollups"])
async def test_hours_that_were_deleted_or_altered_at_the_district_come_back(
    gateway: Gateway, influx: InfluxServer, kept: str
) -> None:
    for device in ("em-0", "em-1"):
        await gateway.ingest(device, YESTERDAY, 24 * 60)
    gateway.now = TODAY + DAY
    await gateway.ingest("em-0", gateway.now - 3 * HOUR, 1)
    await gateway.drain(HOURLY)
    if kept == "rollups":
        await gateway.keep(DAY)
    before = await hour_rows(influx)
    clean = await gateway.compare(HOURLY)
    assert (clean.fields, clean.differing) == (2 * 2 * FIGURES, 0)
    assert clean.values == 24 * clean.fields

    await influx.hourly(
        f"DELETE FROM electricity_meter WHERE device = 'em-0' AND time < {YESTERDAY + 3 * HOUR}ms"
    )
    mended = await gateway.compare(HOURLY)
    assert (mended.differing, mended.missing) == (2 * FIGURES, 3 * 2 * FIGURES)
    assert (mended.resent, mended.still) == (24, 0)
    assert [row[0] for row in await hour_rows(influx)] == [row[0] for row in before]

    (tags,) = {row.tags for row in (await held(gateway)) if ("device", "em-1") in row.tags}
    line = "electricity_meter," + ",".join(f"{key}={value}" for key, value in tags)
    await gateway.writers[HOURLY].write(f"{line} active_power_mean=-5.0 {YESTERDAY}".encode())
    altered = await gateway.compare(HOURLY)
    assert (altered.differing, altered.missing, altered.resent, altered.still) == (1, 0, 24, 0)
    assert (await gateway.compare(HOURLY)).differing == 0


async def held(gateway: Gateway) -> list[Series]:
    """What the school says it sent of hourly figures."""
    stream = next(one for one in gateway.streams if one.name == HOURLY)
    return [one.series async for some in stream.evidence.sums(YESTERDAY, TODAY) for one in some]


async def test_hours_that_wait_to_be_made_anew_or_were_refused_are_no_difference(
    gateway: Gateway, influx: InfluxServer
) -> None:
    for device in ("em-0", "em-1"):
        await gateway.ingest(device, YESTERDAY, 120)
    await gateway.drain(HOURLY)
    await gateway.ingest("em-0", YESTERDAY + 30_000, 60)
    found = await gateway.compare(HOURLY)
    assert (found.fields, found.values, found.differing) == (2 * FIGURES, 2 * 2 * FIGURES, 0)
    gateway.now += HOUR
    await gateway.drain(HOURLY)
    whole = await gateway.compare(HOURLY)
    assert (whole.fields, whole.differing) == (2 * 2 * FIGURES, 0)

    await gateway.telemetry.run(lambda c: c.execute("DELETE FROM hourly"))
    fresh = HourlyOutbox(
        gateway.telemetry, TAGS, gateway.quarantine.park, gateway.store.helper, lambda: gateway.now,
        lambda: None,
    )  # fmt: skip
    taken = await fresh.take("district/hourly", 100)
    refused = next(one for one in taken.entries if (one.tags["device"], one.at) == ("em-1", YESTERDAY))
    await fresh.park("district/hourly", refused, "line", 422, "of another type")
    await fresh.accept("district/hourly", taken.cursor, 1)
    await influx.hourly(f"DELETE FROM electricity_meter WHERE time < {YESTERDAY + HOUR}ms")
    found = await gateway.compare(HOURLY)
    assert (found.missing, found.resent, found.still) == (2 * FIGURES, 2, 0)
    (one,) = await influx.hourly("SELECT active_power_mean FROM electricity_meter WHERE device = 'em-1'")
    assert [row[0] for row in one["values"]] == [YESTERDAY + HOUR], "what was refused is not sent again"


async def test_a_stream_that_cannot_be_asked_does_not_end_the_others(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.raise_alarms(1)
    await gateway.drain(ALARMS)
    await gateway.ingest("em-0", YESTERDAY, 60)
    await gateway.drain(HOURLY)
    await influx.query('DROP DATABASE "schools_hourly"')
    found = await Reconciler("shangde", gateway.streams, lambda: NOW).run([YESTERDAY])
    assert [(day.stream, day.differing) for day in found.days] == [(ALARMS, 0)]
    assert not found.same
    assert found.reason.startswith(f"{HOURLY}: ")
    assert READINGS not in found.reason
