"""From an alarm to the field: what rules decide is stored first, sent once, verified, and survives a kill."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drivers.errors import DriverError, NoReply, Refused
from drivers.reading import Origin, Quality, Reading, Value
from edge.acting import acting_of, actuator_of
from edge.assembly import WayBack, notice_writer
from edge.bus import Overflow, ReadingBus
from edge.config.configuration import Configuration, site_info
from edge.config.load import load
from edge.pipeline.actuator import LATE_MS, Actuator
from edge.pipeline.desk_watch import DeskWatch
from edge.pipeline.dispatcher import Dispatcher
from edge.pipeline.evaluator import Evaluator
from edge.pipeline.live import Latest
from edge.pipeline.outlets import Begin
from edge.pipeline.sirens import sirens_of
from edge.store import commands
from edge.store.accounts import Accounts, Role
from edge.store.actions import ActionRecord, NoProposal, NotArmed
from edge.store.alarms import AlarmStore
from edge.store.commands import Requester
from edge.store.database import Database
from rules.engine import Engine
from rules.rehearsal import LATENESS_MS, rehearse
from tests.edge.web.school import START, Clock
from tests.support.stores import core

CONFIG = """\
version: 1
site: {id: shangde, name: 尚德中学, district: linwei, latitude: 34.5, longitude: 109.5}
spaces:
  - {id: r301, name: 三〇一教室, kind: classroom}
lines:
  - {id: plc, url: "tcp://192.168.3.9:502"}
devices:
  - {id: env, space: r301, line: plc, protocol: modbus-tcp, profile: probe, address: 1, every: 30s}
  - {id: ac, space: r301, line: plc, protocol: modbus-tcp, profile: cooler, address: 2, every: 30s}
profiles: [profiles]
rules: [rules.yaml]
actions: {shadow: SHADOW}
"""
PROBE = """\
id: probe
family: modbus
maker: Probe Works
model: P1
kind: classroom_env
source: made for this test
points: {co2: {address: 0}}
"""
COOLER = """\
id: cooler
family: modbus
maker: Probe Works
model: C1
kind: air_conditioner
source: made for this test
points:
  "on": {table: coil, address: 0, write: {function: 5, pause: 0s}}
  active_power: {address: 1, scale: 0.001}
"""
RULE = """\
id: stale-air
scope: {each: room}
when: {p: co2, op: gt, val: 1500, clear: 1350}
do:
  - {cmd: ac.off, to: room, mode: MODE, undo: UNDO, verify: VERIFY}
alarm:
  prio: 4
  owner: teacher
  title: {zh: 空气, en: Stale air}
  consequence: {zh: 后果, en: Consequence}
  guide: {zh: 处理, en: Act}
  respond_within: 15m
"""
OFF = "{p: active_power, op: lt, val: 0.06, within: 300ms}"
WANG = Requester("wang", Role.OPERATOR, "session:wang", "192.0.2.7")
LI = Requester("li", Role.ENGINEER, "session:li", "192.0.2.8")
ZHAO = Requester("zhao", Role.ENGINEER, "session:zhao", "192.0.2.9")


def school(
    folder: Path, mode: str = "auto", undo: str = "on_clear", verify: str = OFF, shadow: str = "0s"
) -> Configuration:
    """A room with a sensor and an air conditioner, and the rule between them."""
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "profiles" / "probe.yaml").write_text(PROBE, encoding="utf-8")
    (folder / "profiles" / "cooler.yaml").write_text(COOLER, encoding="utf-8")
    text = RULE.replace("MODE", mode).replace("UNDO", undo).replace("VERIFY", verify)
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    path = folder / "school.yaml"
    path.write_text(CONFIG.replace("SHADOW", shadow), encoding="utf-8")
    return load(path)


@dataclass
class Cooler:
    """The air conditioner at the end of the wire."""

    error: DriverError | None = None
    obeys: bool = True
    online: bool = True
    held: asyncio.Event | None = None
    written: list[Value] = field(default_factory=list)
    took: Callable[[Value], None] = lambda _: None

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        if self.held is not None:
            await self.held.wait()
        begin()
        self.written.append(value)
        if self.error is not None:
            raise self.error
        if self.obeys:
            self.took(value)
        return value


class Gateway:
    """The pipeline from readings to the field, without lines."""

    def __init__(
        self, configuration: Configuration, database: Database, cooler: Cooler, clock: Clock
    ) -> None:
        self.configuration, self.database, self.cooler, self.clock = configuration, database, cooler, clock
        self.tasks: list[asyncio.Task[None]] = []
        self.readings: dict[tuple[str, str], Reading] = {}
        self.fed: list[Reading] = []

    async def start(self) -> None:
        """Goes on where the data folder stands."""
        configuration, database, clock = self.configuration, self.database, self.clock
        bus, store = ReadingBus(), AlarmStore(self.database)
        latest = Latest(bus.subscribe("latest", limit=100, overflow=Overflow.WAIT))
        ways = {"ac": self.cooler}
        door = Dispatcher(configuration, ways, database, Accounts(clock), clock, latest.value)
        await door.recover()
        sirens = sirens_of(configuration, ways, door, latest, database, (), clock)
        back = WayBack(Accounts(clock), door, sirens, DeskWatch(None, ZoneInfo("Asia/Shanghai"), clock))
        armoury, acting = await acting_of(configuration, database, back.accounts, clock)
        self.engine = Engine(
            configuration.rules, site_info(configuration), None, await store.states(),
            lateness_ms=LATENESS_MS, acting=acting,
        )  # fmt: skip
        self.actuator: Actuator = await actuator_of(
            configuration, self.engine, database, back, armoury, self._newest, clock, clock
        )
        self.door = door
        self.evaluator = Evaluator(
            bus.subscribe("evaluator", limit=100, overflow=Overflow.WAIT), self.engine, store,
            notice_writer(configuration, (), ()), clock, lambda _: None, acting=self.actuator,
        )  # fmt: skip
        self.cooler.took = lambda value: self.see("active_power", 1.2 if value else 0.0, "ac", soon=1)
        self.tasks = [asyncio.create_task(door.run()), asyncio.create_task(self.actuator.run())]

    def _newest(self, device: str, point: str) -> Reading | None:
        return self.readings.get((device, point))

    async def log(self) -> list[tuple[str, str]]:
        """Who did what, by the audit log."""
        return await self.database.read(
            lambda c: [tuple(row) for row in c.execute("SELECT actor, action FROM audit ORDER BY seq")]
        )

    async def kill(self) -> None:
        """Ends as a power cut does: whatever is in memory is gone."""
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def see(self, point: str, value: Value, device: str, soon: int = 0) -> Reading:
        """What the dashboard would show next."""
        at = self.clock.at + soon
        unit = {"co2": "[ppm]", "active_power": "kW", "on": "bool"}[point]
        reading = Reading(device, point, value, unit, at, at, Quality.GOOD, "", Origin.LIVE)
        self.readings[device, point] = reading
        return reading

    async def read(self, point: str, value: Value, device: str = "env", **more: Any) -> None:
        """A reading comes off the wire."""
        reading = self.see(point, value, device)._replace(**more)
        self.fed.append(reading)
        await self.evaluator.settle(self.engine.evaluate([reading], self.clock.at))

    async def wait(self, seconds: float) -> None:
        """Time passes for the rules."""
        self.clock.move(seconds=seconds)
        await self.evaluator.settle(self.engine.tick(self.clock.at))

    async def records(self) -> list[ActionRecord]:
        """All decisions, oldest first."""
        return list(reversed(await self.actuator.newest(100, None, waiting=False)))

    async def ends(self, count: int = 1) -> list[str]:
        """The states of the decisions once that many have ended."""
        async with asyncio.timeout(10):
            while True:
                found = [one.state for one in await self.records()]
                open_ = [s for s in found if s in ("decided", "sending", "watching")]
                if len(found) >= count and not open_:
                    return found
                await asyncio.sleep(0.01)
                self.clock.move(seconds=0.02)


@contextlib.asynccontextmanager
async def gateway(configuration: Configuration, folder: Path, **cooler: Any) -> AsyncIterator[Gateway]:
    """A running one."""
    async with core(folder) as database:
        made = Gateway(configuration, database, Cooler(**cooler), Clock())
        await made.start()
        try:
            yield made
        finally:
            await made.kill()


async def test_an_alarm_moves_a_device_once_and_its_effect_is_seen(tmp_path: Path) -> None:
    async with gateway(school(tmp_path), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("active_power", 1.2, "ac")
        await run.read("co2", 1600.0)
        assert await run.ends() == ["effective"]
        assert run.cooler.written == [False]
        (record,) = await run.records()
        sent = await run.database.read(lambda c: commands.one(c, record.command or 0))
        assert sent is not None
        assert (sent.state, sent.command.who) == ("confirmed", "rule:stale-air")
        await run.read("co2", 1000.0)
        await run.ends(2)
        assert run.cooler.written == [False, True]


async def test_an_action_without_effect_is_told(tmp_path: Path) -> None:
    async with gateway(school(tmp_path), tmp_path, obeys=False) as run:
        await run.read("on", True, "ac")
        await run.read("active_power", 1.2, "ac")
        await run.read("co2", 1600.0)
        assert await run.ends() == ["without_effect"]
        assert "active_power" in (await run.records())[0].detail
        assert run.actuator.facts() == {"action_failed": True}
        assert ("rule:stale-air", "action.fail") in await run.log()
        await run.wait(3600)
        assert run.actuator.facts() == {"action_failed": False}


@pytest.mark.parametrize(
    ("cooler", "state"),
    [
        ({"error": Refused("no", code=3)}, "failed"),
        ({"error": NoReply("silence")}, "unknown"),
        ({"online": False}, "refused"),
    ],
)
async def test_what_does_not_go_out_ends_so_and_is_not_repeated(
    tmp_path: Path, cooler: dict[str, Any], state: str
) -> None:
    async with gateway(school(tmp_path), tmp_path, **cooler) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        assert await run.ends() == [state]
        await run.wait(600)
        assert len(run.cooler.written) <= 1
        assert run.actuator.facts() == {"action_failed": True}


@pytest.mark.parametrize("origin", [Origin.RETAINED, Origin.BACKFILL])
async def test_old_news_moves_nothing(tmp_path: Path, origin: Origin) -> None:
    async with gateway(school(tmp_path), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0, origin=origin)
        await run.wait(10)
        assert await run.records() == []


async def test_what_was_measured_long_ago_raises_an_alarm_and_moves_nothing(tmp_path: Path) -> None:
    async with gateway(school(tmp_path), tmp_path) as run:
        await run.read("on", True, "ac", at=START - 2 * LATE_MS)
        await run.read("co2", 1600.0, at=START - LATE_MS - 1000)
        await run.wait(10)
        assert run.engine.states()[0].is_raised
        assert await run.records() == []


async def test_a_decision_that_waited_too_long_is_not_sent(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        run = Gateway(school(tmp_path), database, Cooler(), Clock())
        await run.start()
        run.tasks[1].cancel()
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.kill()
        run.clock.move(minutes=3)
        await run.start()
        assert await run.ends() == ["expired"]
        assert run.cooler.written == []
        await run.kill()


async def test_a_kill_between_decision_and_sending_sends_once(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        run = Gateway(school(tmp_path), database, Cooler(), Clock())
        await run.start()
        run.tasks[1].cancel()  # nobody takes decisions out any more
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        assert [one.state for one in await run.records()] == ["decided"]
        await run.kill()
        for _ in range(2):
            await run.start()
            assert await run.ends() in (["effective"], ["without_effect"])
            await run.kill()
        assert run.cooler.written == [False]


async def test_a_kill_while_it_is_sent_never_sends_again(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        cooler = Cooler(held=asyncio.Event())
        run = Gateway(school(tmp_path), database, cooler, Clock())
        await run.start()
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        while [one.state for one in await run.door.newest(9, None)] != ["sent"]:
            await asyncio.sleep(0.01)
        assert [one.state for one in await run.records()] == ["sending"]
        await run.kill()
        cooler.held = None
        await run.start()
        assert await run.ends() == ["unknown"]
        await run.read("co2", 1600.0)
        assert cooler.written == []
        assert [record.state for record in await run.door.newest(9, None)] == ["unknown"]
        await run.kill()


async def test_an_alarm_that_ended_while_the_gateway_was_down_is_undone_once(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        run = Gateway(school(tmp_path), database, Cooler(), Clock())
        await run.start()
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.ends()
        await run.kill()
        run.clock.move(minutes=1)
        for _ in range(2):
            await run.start()
            await run.read("co2", 1000.0)
            await run.ends(2)
            await run.kill()
        assert run.cooler.written == [False, True]


async def test_a_person_at_the_desk_wins_for_an_hour(tmp_path: Path) -> None:
    async with gateway(school(tmp_path), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.ends()
        run.clock.move(seconds=5)
        prepared = await run.door.prepare("ac", "on", True, "cold is needed", WANG)
        await run.door.confirm(prepared.token, WANG)
        await run.read("on", True, "ac")
        await run.read("co2", 1000.0)
        await run.read("co2", 1600.0)
        await run.wait(600)
        assert run.cooler.written == [False, True]
        (lever,) = run.actuator.levers()
        assert (lever.lease_by, lever.lease_until > run.clock.at) == ("wang", True)
        for _ in range(120):
            await run.wait(30)
            await run.ends()
        assert run.cooler.written == [False, True, False]


async def test_a_disk_that_refuses_holds_decisions_back(tmp_path: Path) -> None:
    async with gateway(school(tmp_path), tmp_path) as run:
        await run.read("on", True, "ac")
        keep = run.actuator.keep

        def full(*_: Any) -> Any:
            raise sqlite3.OperationalError("database or disk is full")

        run.actuator.keep = full  # type: ignore[method-assign]
        await run.read("co2", 1600.0)
        await asyncio.sleep(0.05)
        assert run.cooler.written == []
        run.actuator.keep = keep  # type: ignore[method-assign]
        await run.wait(2)
        await run.ends()
        assert run.cooler.written == [False]


# -- confirm


async def test_a_proposal_is_sent_when_a_person_says_yes(tmp_path: Path) -> None:
    async with gateway(school(tmp_path, mode="confirm"), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        (proposal,) = await run.records()
        assert proposal.state == "proposed"
        await run.wait(30)
        assert run.cooler.written == []
        answered = await run.actuator.confirm(proposal.id, WANG)
        assert (answered.state, answered.person) == ("accepted", "wang")
        assert await run.ends(2) == ["accepted", "effective"]
        assert run.cooler.written == [False]
        with pytest.raises(NoProposal):
            await run.actuator.confirm(proposal.id, WANG)
        assert ("wang", "action.confirm") in await run.log()


async def test_a_proposal_may_be_refused_and_expires(tmp_path: Path) -> None:
    async with gateway(school(tmp_path, mode="confirm"), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        (proposal,) = await run.records()
        assert (await run.actuator.reject(proposal.id, WANG, "exam")).state == "rejected"
        await run.read("co2", 1000.0)
        run.clock.move(seconds=1)
        await run.read("co2", 1600.0)
        await run.wait(3600)
        assert [one.state for one in await run.records()] == ["rejected", "expired"]
        assert run.cooler.written == []


async def test_an_open_proposal_outlives_a_restart(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        run = Gateway(school(tmp_path, mode="confirm"), database, Cooler(), Clock())
        await run.start()
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.kill()
        await run.start()
        await run.read("co2", 1600.0)
        (proposal,) = await run.records()
        await run.actuator.confirm(proposal.id, WANG)
        await run.ends(2)
        assert run.cooler.written == [False]
        await run.kill()


# -- shadow and arming


async def test_a_rule_acts_only_after_its_time_in_shadow_and_with_two_persons(tmp_path: Path) -> None:
    async with gateway(school(tmp_path, shadow="7d"), tmp_path) as run:
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.read("co2", 1000.0)
        assert [one.state for one in await run.records()] == ["shadowed", "shadowed"]
        with pytest.raises(NotArmed, match=r"another 7\.0 days"):
            await run.actuator.arm("stale-air", LI, "looks well")
        run.clock.move(minutes=8 * 24 * 60)
        with pytest.raises(NotArmed, match="say why"):
            await run.actuator.arm("stale-air", LI, " ")
        for _ in range(2):  # the same person twice is one person
            assert (await run.actuator.arm("stale-air", LI, "looks well")).armed_at is None
        await run.read("co2", 1600.0)
        await run.read("co2", 1000.0)
        assert run.cooler.written == []
        assert (await run.actuator.arm("stale-air", ZHAO, "agreed")).armed_by == "zhao"
        await run.read("on", True, "ac")
        await run.read("co2", 1600.0)
        await run.ends(5)
        assert run.cooler.written == [False]
        await run.actuator.disarm("stale-air", LI, "too eager")
        await run.wait(1)
        await run.ends(6)
        assert run.cooler.written == [False, True]
        assert [one for one in await run.log() if one[1].startswith("rule.")] == [
            ("li", "rule.arm.ask"), ("li", "rule.arm.ask"), ("zhao", "rule.arm"), ("li", "rule.disarm"),
        ]  # fmt: skip


async def test_an_armed_rule_that_is_edited_begins_anew_in_shadow(tmp_path: Path) -> None:
    async with core(tmp_path) as database:
        run = Gateway(school(tmp_path, shadow="1d"), database, Cooler(), Clock())
        await run.start()
        run.clock.move(minutes=2 * 24 * 60)
        await run.actuator.arm("stale-air", LI, "well")
        await run.actuator.arm("stale-air", ZHAO, "well")
        await run.kill()
        await run.start()
        assert run.engine.hands.arbiter.armed == {"stale-air"}
        await run.kill()
        run.configuration = school(tmp_path, undo="never", shadow="1d")
        await run.start()
        assert run.engine.hands.arbiter.armed == frozenset()
        await run.kill()


async def test_the_rehearsal_of_what_was_read_gives_the_commands_that_were_sent(tmp_path: Path) -> None:
    configuration = school(tmp_path)
    async with gateway(configuration, tmp_path) as run:
        for value in (1600.0, 1400.0, 1200.0, 1700.0, 1000.0):
            await run.read("on", not run.cooler.written or bool(run.cooler.written[-1]), "ac")
            await run.read("co2", value)
            await run.ends()
            await run.wait(30)
        sent = [(one.act.at, one.act.value) for one in await run.records() if one.command]
        found = rehearse(configuration.rules, site_info(configuration), None, run.fed, START, run.clock.at)
    assert [(act.at, act.value) for act in found.commands] == sent
    assert len(sent) == 4
