"""What a store sends to a real server: live before backlog; and what it holds: compared and mended."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from cloud_sync.errors import UploadError
from cloud_sync.influx import InfluxWriter
from cloud_sync.reader import ReadFailed, Series, reader
from cloud_sync.reconcile import ALARMS, DAY, HOURLY, READINGS, Reconciler, Stream
from cloud_sync.uploader import Uploader
from drivers.reading import Quality, Reading
from edge.reconciliation import AGAIN_S, NO_TOKEN, Nightly, days_before
from edge.store import cursors
from edge.store.alarms import SCHEMA, Quarantine
from edge.store.archivist import Archivist, Keeping
from edge.store.database import Database
from edge.store.evidence import StoreEvidence
from edge.store.hourly import HourlyOutbox
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.outbox import ReadingOutbox
from edge.store.readings import ReadingStore
from tests.cloud_sync.memory_outbox import destination
from tests.support.influx import InfluxServer

NOW = time.time_ns() // 1_000_000
TODAY = NOW // DAY * DAY
TAGS = {"district": "linwei", "school": "shangde"}
METER = (Shape("active_power", "kW", "number"), Shape("on", "bool", "switch"), Shape("state", "", "text"))
SOURCES = [
    *(Source(f"em-{n}", "electricity_meter", "三〇一", "b1", METER) for n in range(3)),
    Source("door", "contact", "g'ate", "", (Shape("open", "bool", "switch"),)),
]


class Gateway:
    """A store whose readings go to a real server."""

    def __init__(self, folder: Path, influx: InfluxServer) -> None:
        self.folder = folder
        self.core = Database(folder / "core.db", (SCHEMA,))
        self.telemetry = Database(folder / "telemetry.db", MIGRATIONS)
        self.store = ReadingStore(self.telemetry, SOURCES)
        self.settings = destination(influx.url, query="influxql")
        self.writer = InfluxWriter(self.settings, influx.token)
        self.reader = reader(self.settings, influx.read_token)
        quarantine = Quarantine(self.core)
        self.outbox = ReadingOutbox(self.telemetry, TAGS, quarantine.park, self.store.helper)
        self.hourly = HourlyOutbox(
            self.telemetry, TAGS, quarantine.park, self.store.helper, lambda: NOW, lambda: None
        )

        async def parked() -> Sequence[int]:
            return await quarantine.entries("readings", "district")

        self.evidence = StoreEvidence(
            self.store.helper, TAGS,
            lambda: self.telemetry.read(lambda c: cursors.held(c, "district")), parked,
        )  # fmt: skip
        stream = Stream(READINGS, self.evidence, self.reader, self.writer)
        self.reconciler = Reconciler("shangde", [stream], lambda: NOW)

    async def open(self) -> None:
        await self.core.open()
        await self.telemetry.open()
        await self.store.load()

    async def close(self) -> None:
        await self.writer.aclose()
        await self.reader.aclose()
        await self.store.close()
        await self.telemetry.close()
        await self.core.close()

    async def ingest(self, start: int, count: int, step: int = 60_000) -> None:
        made = []
        for number in range(count):
            at = start + number * step
            for n in range(3):
                made += [
                    Reading(f"em-{n}", "active_power", number + n / 10, "kW", at, at),
                    Reading(f"em-{n}", "on", number % 3 == 0, "bool", at, at),
                    Reading(f"em-{n}", "state", "run", "", at, at),
                ]
            made.append(Reading("door", "open", number % 2 == 0, "bool", at, at))
            made.append(Reading("em-0", "active_power", None, "kW", at + 1, at + 1, Quality.BAD, "timeout"))
        await self.store.append(made, NOW)

    async def drain(self, hourly: bool = False) -> None:
        settings = self.settings.hourly if hourly else self.settings
        assert settings is not None
        async with InfluxWriter(settings, self.writer._token) as writer:
            outbox = self.hourly if hourly else self.outbox
            uploader = Uploader(settings, [outbox], writer, lambda: NOW, Random(1))
            async with asyncio.timeout(30):
                while True:
                    try:
                        if not await uploader.step():
                            return
                    except UploadError:
                        await asyncio.sleep(uploader.delay())


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


async def counts(influx: InfluxServer) -> tuple[int, float, int]:
    return (
        await influx.count("electricity_meter", "active_power"),
        await influx.total("electricity_meter", "active_power"),
        await influx.count("contact", "open"),
    )


async def test_what_was_deleted_at_the_district_comes_back_and_nothing_else_changes(
    gateway: Gateway, influx: InfluxServer
) -> None:
    yesterday, before = TODAY - DAY, TODAY - 2 * DAY
    await gateway.ingest(before, 300)
    await gateway.ingest(yesterday, 300)
    keeper = Archivist(gateway.telemetry, Keeping(400 * DAY, 10**9), [], lambda: NOW)
    await keeper.step()
    await keeper.close()
    await gateway.drain()
    whole = await counts(influx)
    assert whole[0] == 1800
    clean = await gateway.reconciler.run(days_before(NOW, 3))
    assert clean.same
    assert [(day.fields, day.values, day.differing) for day in clean.days] == [
        (10, 3000, 0), (10, 3000, 0), (0, 0, 0),
    ]  # fmt: skip
    await influx.delete(
        "electricity_meter",
        f"\"device\" = 'em-1' AND time >= {yesterday}ms AND time < {yesterday + 3_600_000}ms",
    )
    await influx.delete("contact", f"time >= {before}ms AND time < {yesterday}ms")
    assert await counts(influx) != whole
    looked = await gateway.reconciler.run(days_before(NOW, 3), mend=False)
    assert [(day.differing, day.missing, day.resent, day.still) for day in looked.days] == [
        (3, 180, 0, 3), (1, 300, 0, 1), (0, 0, 0, 0),
    ]  # fmt: skip
    assert not looked.same
    mended = await gateway.reconciler.run(days_before(NOW, 3))
    assert [(day.missing, day.resent, day.still) for day in mended.days] == [
        (180, 300, 0),
        (300, 300, 0),
        (0, 0, 0),
    ]
    assert mended.same
    assert await counts(influx) == whole
    assert (await gateway.reconciler.run(days_before(NOW, 3))).days[0].differing == 0


async def test_what_the_destination_has_not_got_yet_is_no_difference(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 10)
    found = await gateway.reconciler.run(days_before(NOW, 1))
    assert (found.days[0].fields, found.days[0].differing) == (0, 0)


async def test_what_the_district_holds_more_is_told_and_left_alone(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 10)
    await gateway.drain()
    line = (
        "electricity_meter,building=b1,device=em-0,district=linwei,school=shangde,space=三〇一 active_power=1"
    )
    await influx.write(f"{line} {TODAY - 5000}".encode())
    found = await gateway.reconciler.run(days_before(NOW, 1))
    assert (found.days[0].surplus, found.days[0].differing, found.days[0].resent) == (1, 0, 0)


async def test_single_points_are_read_back_and_a_lost_one_is_sent_again(
    gateway: Gateway, influx: InfluxServer
) -> None:
    hour = NOW // 3_600_000 * 3_600_000 - 3_600_000
    await gateway.ingest(hour, 60)
    await gateway.drain()
    fine = (await gateway.reconciler.run([], spots=8, random=Random(1))).spot
    assert (fine.asked, fine.wrong) == (8, 0)
    await influx.delete("electricity_meter", f"time >= {hour}ms")
    lost = (await gateway.reconciler.run([], spots=8, random=Random(1))).spot
    assert lost.asked == 8
    assert lost.wrong >= 1, "sending one device's hour again mends the next spot of it"
    series = Series(
        (
            ("building", "b1"),
            ("device", "em-1"),
            ("district", "linwei"),
            ("school", "shangde"),
            ("space", "三〇一"),
        ),
        "active_power",
    )
    assert await gateway.reader.value("electricity_meter", series, hour + 60_000) in (1.1, None)


async def test_a_token_that_may_not_read_ends_the_comparison_with_the_reason(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 10)
    await gateway.drain()
    influx.read_token = "another"
    found = await gateway.reconciler.run(days_before(NOW, 1))
    assert not found.same
    assert found.reason == "401: unauthorized access"


async def test_a_server_that_is_gone_is_told(gateway: Gateway, influx: InfluxServer) -> None:
    influx.kill()
    with pytest.raises(ReadFailed):
        await gateway.reader.value("contact", Series((), "open"), NOW)


async def test_without_a_read_token_the_night_says_so_and_does_nothing() -> None:
    nightly = Nightly("district", "shangde", ZoneInfo("Asia/Shanghai"), None, lambda: NOW)
    await nightly.once()
    assert nightly.last is not None
    assert nightly.last.reason == NO_TOKEN
    assert 0 < nightly.wait_s() <= DAY / 1000


async def test_a_night_in_which_the_district_cannot_be_asked_is_made_up_for_and_told(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 10)
    await gateway.drain()
    nightly = Nightly("district", "shangde", ZoneInfo("Asia/Shanghai"), gateway.reconciler, lambda: NOW)
    whole_night_s = nightly.wait_s()
    assert nightly.trouble == ""
    token, influx.read_token = influx.read_token, "another"
    await nightly.once()
    assert nightly.trouble == "district: not compared: 401: unauthorized access"
    assert nightly.wait_s() == min(whole_night_s, AGAIN_S)
    influx.read_token = token
    await nightly.once()
    assert (nightly.trouble, nightly.wait_s()) == ("", whole_night_s)


async def test_a_store_that_cannot_be_read_at_night_is_told_and_ends_nothing(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 10)
    nightly = Nightly("district", "shangde", ZoneInfo("Asia/Shanghai"), gateway.reconciler, lambda: NOW)
    await gateway.telemetry.run(lambda c: c.execute("ALTER TABLE moments RENAME TO mislaid"))
    await nightly.once()
    assert nightly.trouble.startswith("district: not compared: the store cannot be read: ")


async def test_live_points_arrive_while_a_month_of_backlog_still_waits(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(NOW - 29 * DAY, 2_000, step=1_200_000)
    await gateway.ingest(NOW - 5 * 60_000, 5)
    live = f"time >= {NOW - 6 * 60_000}ms"
    settings = gateway.settings.model_copy(update={"max_lines": 500})
    uploader = Uploader(settings, [gateway.outbox], gateway.writer, lambda: NOW, Random(1))
    assert await uploader.step(), "the backlog waits"
    assert await influx.count("electricity_meter", "active_power", live) == 15
    before = await influx.count("electricity_meter", "active_power")
    assert before < 1_000
    await gateway.ingest(NOW - 1_000, 1)
    assert await uploader.step()
    assert await influx.count("electricity_meter", "active_power", live) == 18
    await gateway.drain()
    assert await influx.count("electricity_meter", "active_power") == 3 * 2_006
    assert (await gateway.outbox.backlog("district")).pending == 0


async def test_hourly_figures_arrive_in_their_own_bucket_and_agree_with_the_raw_series(
    gateway: Gateway, influx: InfluxServer
) -> None:
    await gateway.ingest(TODAY - DAY, 150)
    await gateway.drain()
    await gateway.drain(hourly=True)
    (series,) = await influx.hourly(
        "SELECT active_power_count, active_power_min, active_power_max, active_power_mean, active_power_last"
        " FROM electricity_meter WHERE device = 'em-2'"
    )
    (raw,) = await influx.query(
        "SELECT count(active_power), min(active_power), max(active_power), mean(active_power),"
        " last(active_power)"
        f" FROM electricity_meter WHERE device = 'em-2' AND time >= {TODAY - DAY}ms AND time < {TODAY}ms"
        " GROUP BY time(1h) fill(none)"
    )
    assert [row[0] for row in series["values"]] == [row[0] for row in raw["values"]]
    for here, there in zip(series["values"], raw["values"], strict=True):
        assert here[1:] == pytest.approx(there[1:])
    assert [row[1] for row in series["values"]] == [60.0, 60.0, 30.0]


CONFIG = """
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.5, longitude: 109.5}
sync:
  - {id: district, url: "URL", org: linwei, bucket: schools, token: {secret: write}, QUERY}
"""


def configured(folder: Path, influx: InfluxServer, query: str) -> Path:
    """A configuration file and its secrets."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, token in (("write", influx.token), ("read", influx.read_token)):
        (secrets / name).write_text(token)
        (secrets / name).chmod(0o600)
    path = folder / "school.yaml"
    path.write_text(CONFIG.replace("URL", influx.url).replace("QUERY", query), encoding="utf-8")
    return path


async def run_command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "district", "reconcile", *arguments, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_compares_mends_and_tells(
    gateway: Gateway, influx: InfluxServer, tmp_path: Path
) -> None:
    await gateway.ingest(TODAY - DAY, 60)
    await gateway.drain()
    await influx.delete("contact", f"time < {TODAY}ms")
    path = configured(tmp_path, influx, "read_token: {secret: read}, query: influxql")
    options = ("-c", str(path), "--data", str(tmp_path), "--days", "2")
    code, out, err = await run_command(*options, "--look")
    assert (code, err) == (1, ""), err
    assert "1 series differed, 60 values missing, 0 points sent again" in out
    code, out, _ = await run_command(*options)
    assert code == 0
    assert "60 points sent again" in out
    assert await influx.count("contact", "open") == 60
    code, out, _ = await run_command(*options, "--json")
    (row,) = json.loads(out)
    day = next(day for day in row["days"] if day["stream"] == READINGS)
    assert (code, row["same"], day["differing"], day["values"]) == (0, True, 0, 600)
    assert {day["stream"] for day in row["days"]} == {ALARMS, READINGS, HOURLY}


async def test_the_command_without_a_read_token_says_so(
    gateway: Gateway, influx: InfluxServer, tmp_path: Path
) -> None:
    path = configured(tmp_path, influx, "query: influxql")
    code, _, err = await run_command("-c", str(path), "--data", str(tmp_path))
    assert code == 2
    assert "no read_token is configured" in err
