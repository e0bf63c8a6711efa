"""A small school for the web tests: real configuration, accounts, database and rule engine; the
pipeline behind `Services` is a few lists that a test fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drivers.line.arbiter import Arbiter
from drivers.reading import Millis, Reading, Value
from edge.commissioning.shelf import library_of
from edge.commissioning.workbench import Workbench
from edge.config.configuration import Configuration, site_info
from edge.config.load import load
from edge.pipeline.actuator import Actuator
from edge.pipeline.armoury import Armoury
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.outlets import Begin
from edge.pipeline.sirens import SirenState
from edge.store import actions, commands
from edge.store.accounts import SCHEMA, Accounts, Role
from edge.store.database import Database
from edge.store.passwords import hash_password
from edge.web.services.alarms import AlarmRecord, NotAllowed, UnknownAlarm
from edge.web.services.devices import DeviceHealth
from edge.web.services.gateway import About, Services
from edge.web.services.health import Check, HealthReport
from edge.web.services.history import Aggregate, Sample
from edge.web.services.lines import LineStatus
from edge.web.services.metrics import Metric
from edge.web.services.sync import Quarantined, SyncStatus
from edge.web.services.texts import Text
from rules.alarm import AlarmState, Condition
from rules.aside import Outage
from rules.engine import Engine
from rules.report import AlarmReport, report

START: Millis = 1_790_000_000_123
PASSWORD = "Long-Enough-7"

CONFIG = """\
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.5, longitude: 109.5}
spaces:
  - {id: b1, name: 教学楼一, kind: building}
  - {id: r301, name: 三〇一教室, kind: classroom, in: b1, area_m2: 64, seats: 50}
  - {id: yard, name: 操场, kind: outdoor}
lines:
  - {id: plc, url: "tcp://192.168.3.9:502"}
devices:
  - {id: env-301, space: r301, line: plc, protocol: modbus-tcp, profile: probe, address: 1, every: 30s}
  - {id: env-yard, space: yard, line: plc, protocol: modbus-tcp, profile: probe, address: 2, every: 60s}
profiles: [profiles]
rules: [rules.yaml]
"""
PROFILE = """\
id: probe
family: modbus
maker: Probe Works
model: P1
kind: classroom_env
source: made for this test
points:
  temperature: {address: 0, type: s16, scale: 0.1, equivalent: true}
  co2: {address: 1}
  open: {address: 2, write: {function: 6}}
"""
RULES = """\
id: co2-high
scope: {each: room}
when: {p: co2, op: gt, val: 1500, clear: 1350}
for: 5m
alarm:
  prio: 3
  owner: teacher
  title: {zh: 二氧化碳过高, en: CO2 too high}
  consequence: {zh: 注意力下降, en: Attention drops}
  guide: {zh: 开窗, en: Open a window}
  respond_within: 15m
"""


def write_configuration(folder: Path) -> Configuration:
    """The school's files in `folder`, loaded."""
    (folder / "profiles").mkdir()
    (folder / "profiles" / "probe.yaml").write_text(PROFILE, encoding="utf-8")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    path = folder / "school.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return load(path)


class Clock:
    """Wall and monotonic time that stand still until moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> Millis:
        return self.at

    def seconds(self) -> float:
        """The same as monotonic seconds."""
        return self.at / 1000

    def move(self, *, seconds: float = 0, minutes: float = 0) -> None:
        """Lets time pass."""
        self.at += round((seconds + 60 * minutes) * 1000)


@dataclass
class Pipeline:
    """What stands behind the web side."""

    readings: list[Reading] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    records: dict[str, AlarmRecord] = field(default_factory=dict)
    out: dict[str, Outage] = field(default_factory=dict)
    written: list[tuple[str, Value]] = field(default_factory=list)
    online: bool = True
    pings: list[bool] = field(default_factory=list)
    silences: int = 0
    arbiters: list[Arbiter] = field(default_factory=list)

    async def query(
        self,
        device: str,
        point: str,
        since: Millis,
        until: Millis,
        step: Millis | None,
        agg: Aggregate | None,
        limit: int,
    ) -> Sequence[Sample]:
        self.asked.append((device, point, since, until, step, agg, limit))
        return [s for s in self.samples if since <= s.at < until][:limit]

    async def list(
        self, state: str, priority: int | None, scopes: frozenset[str] | None, limit: int, offset: int
    ) -> Sequence[AlarmRecord]:
        found = [
            record
            for record in self.records.values()
            if (
                state == "all"
                or (record.state.isa != "normal" if state == "open" else record.state.isa == state)
            )
            and priority in (None, record.state.priority)
            and (scopes is None or record.state.scope in scopes)
        ]
        return found[offset : offset + limit]

    async def acknowledge(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        record = self.records.get(occurrence)
        if record is None:
            raise UnknownAlarm(occurrence)
        if record.state.acked:
            raise NotAllowed("this alarm is acknowledged already")
        state = replace(record.state, acked=True, acked_by=user, note=note)
        self.records[occurrence] = replace(record, state=state)
        return self.records[occurrence]

    def heard(self, audible: bool) -> None:
        self.pings.append(audible)

    def mute(self) -> bool:
        return not any(self.pings)

    async def silence(self) -> int:
        self.silences += 1
        return 2

    def states(self) -> Sequence[SirenState]:
        return [SirenState("security.0.relay", True, "")]

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        """The field's side of a command: every device takes everything."""
        begin()
        self.written.append((point, value))
        return value

    async def reset(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        raise NotAllowed("this alarm has no latch to reset")

    async def shelve(self, occurrence: str, user: str, reason: str, until: Millis) -> AlarmRecord:
        record = self.records.get(occurrence)
        if record is None:
            raise UnknownAlarm(occurrence)
        state = replace(record.state, shelved_until=until, shelved_by=user, shelved_reason=reason)
        self.records[occurrence] = replace(record, state=state)
        return self.records[occurrence]

    async def unshelve(self, occurrence: str, user: str, note: str) -> AlarmRecord:
        record = self.records[occurrence]
        self.records[occurrence] = replace(record, state=replace(record.state, shelved_until=None))
        return self.records[occurrence]

    async def out_of_service(self, device: str, user: str, order: str, until: Millis) -> None:
        self.out[device] = Outage(device, order, user, until)

    async def into_service(self, device: str) -> None:
        if self.out.pop(device, None) is None:
            raise NotAllowed(f"{device} is in service")

    def outages(self) -> Sequence[Outage]:
        return list(self.out.values())

    async def report(self, since: Millis, until: Millis) -> AlarmReport:
        return report([replace(record.state, told=True) for record in self.records.values()], since, until)


def alarm(
    occurrence: str = "o-1", scope: str = "r301", acked: bool = False, priority: int = 3
) -> AlarmRecord:
    """An active alarm."""
    state = AlarmState(
        "co2-high", scope, Condition.ACTIVE, START, occurrence, START, None, acked,
        priority=priority, device="env-301", point="co2", value=1612.0, unit="[ppm]",
    )  # fmt: skip
    return AlarmRecord(state, Text("二氧化碳过高", "CO2 too high"), owner="teacher", respond_within=900_000)


def services(pipeline: Pipeline, configuration: Configuration, database: Database, clock: Clock) -> Services:
    """The services over a pipeline."""
    engine = Engine(configuration.rules, site_info(configuration), configuration.calendar)
    engine.tick(clock())
    health = {
        "env-301": DeviceHealth("env-301", "ok", START, 12, {"timeout": 1}, 31.5, 44.0),
        "env-yard": DeviceHealth("env-yard", "silent", None, 0, {"timeout": 9}, cause="power_or_wiring"),
    }

    line = LineStatus(
        "plc", "tcp://192.168.3.9:502", "tcp", True, START, 0.25, devices=tuple(health.values())
    )

    async def sync() -> Sequence[SyncStatus]:
        refused = (Quarantined(START, "x y=1", 400, "no"),)
        return [
            SyncStatus("district", "https://u:p@influx.example/?token=abc", pending=3, quarantine=refused)
        ]

    door = dispatcher(pipeline, configuration, database, clock)
    return Services(
        about=About("1.2.3", START, demo=True),
        clock=clock,
        configuration=lambda: configuration,
        database=database,
        accounts=Accounts(clock),
        latest=lambda: pipeline.readings,
        history=pipeline,
        alarms=pipeline,
        commands=door,
        actions=actuator(engine, configuration, database, door, clock),
        desk=pipeline,
        sirens=pipeline,
        commissioning=Workbench(configuration, pipeline.arbiters, library_of(configuration)),
        rules=engine,
        lines=lambda: [line],
        device_health=health.__getitem__,
        sync=sync,
        health=lambda: HealthReport("ok", (Check("data", "ok"),)),
        metrics=lambda: [
            Metric("campus_readings_total", "Readings.", "counter", (({"device": 'a"b\\'}, 3.0),))
        ],
    )


def dispatcher(
    pipeline: Pipeline, configuration: Configuration, database: Database, clock: Clock
) -> Dispatcher:
    """The real door, with the pipeline for a field."""

    def latest(device: str, point: str) -> Value | None:
        found = (r.value for r in pipeline.readings if (r.device, r.point) == (device, point))
        return next(found, None)

    outlets = dict.fromkeys(configuration.devices, pipeline)
    return Dispatcher(configuration, outlets, database, Accounts(clock), clock, latest)


def actuator(
    engine: Engine, configuration: Configuration, database: Database, door: Dispatcher, clock: Clock
) -> Actuator:
    """The real one; its rules need no arming by a second person."""
    armoury = Armoury(
        configuration.rules, (), database, Accounts(clock), clock, shadow_ms=86_400_000, two_persons=False
    )
    site, accounts = site_info(configuration), Accounts(clock)
    return Actuator(
        engine, configuration.rules, site, database, accounts, door, armoury, lambda *_: None, clock, clock
    )


async def open_database(path: Path) -> Database:
    """An empty core database with the accounts' tables."""
    database = Database(path, (SCHEMA, commands.SCHEMA, actions.SCHEMA))
    await database.open()
    return database


async def add_user(services: Services, name: str, role: Role, password: str = PASSWORD) -> None:
    """An account, made as the console makes it."""
    accounts, hashed = services.accounts, hash_password(password)
    await services.database.run(
        lambda c: accounts.add_user(c, name, role, hashed, actor="console", source="console")
    )


async def token(services: Services, role: Role) -> dict[str, str]:
    """The headers of a machine with this role."""
    accounts = services.accounts
    secret = await services.database.run(lambda c: accounts.create_token(c, f"test-{role}", role))
    return {"Authorization": f"Bearer {secret}"}
