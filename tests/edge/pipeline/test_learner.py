"""A month of night flow in a real store: learned, judged, found, and found again by a backtest."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from drivers.reading import Millis, Reading
from edge.agent import CORE_MIGRATIONS
from edge.cli import app
from edge.config.configuration import site_info
from edge.config.load import load
from edge.finding_desk import FindingDesk
from edge.pipeline.learner import LATE_MS, Learner, learner_of
from edge.store.alarms import AlarmStore
from edge.store.archivist import Archivist, Keeping
from edge.store.database import Database
from edge.store.findings import FindingStore
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from rules.alarm import Change, Transition
from rules.baseline import hour_ms, lesson_of, local_day
from rules.engine import Engine
from rules.rehearsal import LATENESS_MS

ZONE = ZoneInfo("Asia/Shanghai")
QUARTER = 900_000
DAY = 86_400_000
BEGIN = hour_ms(date(2026, 3, 1), 0, ZONE)
CONFIG = """\
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.5, longitude: 109.5}
spaces:
  - {id: b1, name: 教学楼一, kind: building}
lines:
  - {id: plc, url: "tcp://192.168.3.9:502"}
devices:
  - {id: water, space: b1, line: plc, protocol: modbus-tcp, profile: probe, address: 1, every: 15m}
profiles: [profiles]
rules: [rules.yaml]
"""
PROFILE = """\
id: probe
family: modbus
maker: Probe Works
model: W1
kind: water_meter
source: made for this test
points:
  volume: {address: 0, type: u32, scale: 0.001}
"""
RULES = """\
id: water-night-excess
scope: {each: water_meter, where: {level: [main, building]}}
params:
  floor: {default: 0.05, unit: m3/h}
  k: {default: 1.5}
active: {cal: any, between: ["01:00", "05:00"]}
when:
  all:
    - {p: volume, agg: min_rate, bucket: 15m, over: 3h, op: gt,
       val: "max(param:floor, baseline:mnf_p50_28d * param:k)"}
    - {p: volume, agg: count, over: 3h, op: ge, val: 10}
confirm: {occurrences: 2, within: 3 nights}
nodata: {after: 1h, then: ignore}
finding: {kind: leak, est: excess}
alarm:
  prio: 3
  owner: logistics
  title: {zh: 漏水, en: Leak}
  consequence: {zh: 浪费, en: Waste}
  guide: {zh: 查, en: Look}
  respond_within: 1d
"""
LEAK = BEGIN + 29 * DAY + 18 * 3_600_000
"""The evening of 30 March."""


def school(folder: Path) -> Path:
    """The school's files."""
    (folder / "profiles").mkdir()
    (folder / "profiles" / "probe.yaml").write_text(PROFILE, encoding="utf-8")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "school.yaml").write_text(CONFIG, encoding="utf-8")
    return folder / "school.yaml"


def course(days: int, leak: float = 0.0, first: int = 0) -> Iterator[Reading]:
    """A water meter: 0.1 m3/h at night, more by day, and from `LEAK` on a leak of so many m3/h."""
    noise, value = random.Random(3), 100.0
    for number in range(first * 96, days * 96):
        at = BEGIN + number * QUARTER
        night = (number % 96) < 6 * 4
        value += (0.1 * noise.uniform(0.95, 1.05) if night else noise.uniform(0.5, 2)) / 4
        value += leak / 4 if at >= LEAK else 0.0
        yield Reading("water", "volume", round(value, 3), "m3", at, at)


class Gateway:
    """The parts of a gateway that learn, judge and keep, over real files, with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = school(folder)
        self.configuration = load(self.config)
        self.data = folder / "data"
        self.data.mkdir()
        self.now: Millis = BEGIN
        self.exit = AsyncExitStack()
        self.said: list[Transition] = []

    async def __aenter__(self) -> Gateway:
        self.core = Database(self.data / "core.db", CORE_MIGRATIONS)
        self.telemetry = Database(self.data / "telemetry.db", MIGRATIONS)
        for database in (self.core, self.telemetry):
            await database.open()
            self.exit.push_async_callback(database.close)
        shapes = (Shape("volume", "m3", "number"),)
        self.store = ReadingStore(self.telemetry, [Source("water", "water_meter", "b1", "b1", shapes)])
        self.exit.push_async_callback(self.store.close)
        await self.store.load()
        self.alarms = AlarmStore(self.core)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exit.aclose()

    async def start(self) -> None:
        """A run begins: with what former ones left."""
        configuration = self.configuration
        self.engine = Engine(
            configuration.rules, site_info(configuration), configuration.calendar,
            await self.alarms.states(), lateness_ms=LATENESS_MS,
        )  # fmt: skip
        self.learner: Learner = await learner_of(
            self.engine, self.store, self.core, configuration, lambda: self.now
        )

    async def live(self, readings: Sequence[Reading]) -> None:
        """Readings one by one; the learner looks at the clock at each."""
        learned = None
        for reading in readings:
            self.now = reading.at
            lesson = lesson_of(local_day(reading.at, ZONE), ZONE)
            await self.store.append([reading], self.now)
            if self.now >= lesson.learned + LATE_MS and learned != lesson:
                await self.learner.step(self.now)
                learned = lesson
            said = self.engine.evaluate([reading], self.now)
            self.said += said
            await self.alarms.save(said)

    async def seal(self, now: Millis) -> None:
        """What is older goes into sealed files, with rollups."""
        keeper = Archivist(self.telemetry, Keeping(400 * DAY, 1 << 40), (), lambda: now, spare=lambda _: 1)
        await keeper.recover()
        await keeper.step()
        await keeper.close()

    def rules(self, *args: str) -> str:
        """One command over the same data; its output."""
        result = CliRunner().invoke(app, ["rules", *args, "-c", str(self.config), "--data", str(self.data)])
        assert result.exit_code == 0, result.output
        return result.output


def told(said: Sequence[Transition]) -> list[tuple[Change, Millis]]:
    return [(t.change, t.at) for t in said if t.notify]


async def test_a_leak_is_found_in_its_first_night_told_in_its_second_and_found_alike_by_a_backtest(
    tmp_path: Path,
) -> None:
    async with Gateway(tmp_path) as gateway:
        readings = list(course(33, leak=0.5))
        past, rest = readings[: 28 * 96], readings[28 * 96 :]
        await gateway.store.append(past, BEGIN + 28 * DAY)
        await gateway.seal(BEGIN + 28 * DAY)
        gateway.now = BEGIN + 28 * DAY
        await gateway.learner.step(gateway.now)
        await gateway.live(rest)
        night = hour_ms(date(2026, 3, 31), 1, ZONE)
        found = await FindingStore(gateway.core).findings(0, 1 << 62)
        assert {one.rule for one in found} == {"water-night-excess"} and len(found) == 3
        first = min(found, key=lambda one: one.began_at)
        assert first.ended_at is not None and night - 3 * 3_600_000 <= first.began_at < night
        hours = (first.ended_at - first.began_at) / 3_600_000
        assert first.amount == pytest.approx(0.5 * hours, rel=0.1) and first.spread is not None
        assert "CV(RMSE)" in first.basis and first.unit == "m3"
        raised = [at for change, at in told(gateway.said) if change is Change.RAISED]
        assert [local_day(at, ZONE) for at in raised] == [date(2026, 4, 1)]
        (baseline,) = gateway.engine.baselines()
        assert baseline.weak == "" and baseline.values == pytest.approx((0.096,), abs=0.01)
        span = ("--since", "2026-03-29", "--until", "2026-04-03")
        report: dict[str, Any] = json.loads(gateway.rules("backtest", *span, "--json"))
        assert [one["id"] for one in report["findings"]] == sorted(one.id for one in found)
        again = {one["id"]: one["amount"] for one in report["findings"]}
        assert again == {one.id: pytest.approx(one.amount) for one in found}
        assert len(report["occurrences"]) == len(raised)
        assert "est." in gateway.rules("backtest", *span) and "m3" in gateway.rules("backtest", *span)
        said = gateway.rules("explain", "water-night-excess", "water", "--at", "2026-04-01T04:00:00+08:00")
        assert "mnf_p50_28d: 28 days 2026-03-04..2026-03-31" in said
        listed = CliRunner().invoke(app, ["rules", "findings", "--data", str(gateway.data)])
        assert listed.output.count("water-night-excess") == 4 and "±" in listed.output
        desk = FindingDesk(FindingStore(gateway.core), gateway.engine, gateway.configuration.rules)
        records = await desk.list(0, 1 << 62, frozenset({"water"}), 2, 0)
        assert [record.title.zh for record in records] == ["漏水", "漏水"]
        assert await desk.list(0, 1 << 62, frozenset({"b1"}), 10, 0) == []


async def test_a_calm_school_finds_nothing(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        readings = list(course(31))
        await gateway.store.append(readings[: 29 * 96], BEGIN + 29 * DAY)
        gateway.now = BEGIN + 29 * DAY
        await gateway.learner.step(gateway.now)
        await gateway.live(readings[29 * 96 :])
        assert await FindingStore(gateway.core).findings(0, 1 << 62) == []
        assert told(gateway.said) == []
        said = gateway.rules("backtest", "--since", "2026-03-28", "--until", "2026-04-01")
        assert "0 occurrences" in said and "est." not in said


async def test_from_a_few_days_nothing_is_concluded_and_everybody_is_told_why(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        readings = list(course(32, leak=0.5, first=25))
        await gateway.live(readings)
        assert await FindingStore(gateway.core).findings(0, 1 << 62) == []
        (baseline,) = gateway.engine.baselines()
        assert baseline.weak and baseline.words.startswith("不足以下结论") and baseline.values == ()
        said = gateway.rules("explain", "water-night-excess", "water", "--at", "2026-04-01T04:00:00+08:00")
        assert "不足以下结论" in said and "unknown" in said


async def test_what_was_learned_is_in_force_after_a_restart_and_not_learned_twice(tmp_path: Path) -> None:
    async with Gateway(tmp_path) as gateway:
        await gateway.store.append(list(course(29)), BEGIN + 29 * DAY)
        gateway.now = BEGIN + 29 * DAY
        (first,) = await gateway.learner.step(gateway.now)
        await gateway.start()
        assert await gateway.learner.step(gateway.now) == []
        gateway.engine.tick(gateway.now + DAY)
        assert gateway.engine.baselines() == [first]


async def test_a_store_that_refuses_leaves_the_old_baseline_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Gateway(tmp_path) as gateway:
        await gateway.store.append(list(course(29)), BEGIN + 29 * DAY)
        gateway.now = BEGIN + 29 * DAY
        await gateway.learner.step(gateway.now)
        await gateway.seal(gateway.now)
        (gateway.data / "history").rename(gateway.data / "gone")
        gateway.now += DAY
        await gateway.learner.step(gateway.now)
        gateway.engine.tick(gateway.now)
        assert len(gateway.engine.baselines()) == 1
