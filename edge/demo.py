"""`campus-edge demo`: a virtual school on real protocols, with the unchanged gateway on top.

physics -> simulators (ptys, TCP, broker) -> gateway (a process) -> stand-in district
                                                                 -> push receiver
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.console import Console

from cloud_sync.stand_in import STAND_IN_ORG, StandIn
from drivers.simulated.broker import Broker, BrokerError, Login, choose
from drivers.simulated.field import Field, live
from drivers.simulated.physics import School
from drivers.simulated.scenario import Scenario
from edge.config.configuration import Configuration
from edge.config.fault import ConfigError
from edge.config.load import load
from edge.config.resources import builtin_configs
from edge.demo_agent import AgentProcess, DemoFailed
from edge.demo_audit import Stored, differences, held, sent_before, stored
from edge.demo_ground import data_folder, interruptible, must_be_free, play, told
from edge.demo_pushes import PushReceiver
from edge.demo_stage import BROKER_USER, BUCKET, DESTINATION, Addresses, Passwords, write_stage
from edge.store.cursors import Held

SPEED = 60.0
"""Simulated seconds in a real one: a lesson takes 40 s."""
CUT_AT_S, CUT_FOR_S = 15.0, 30.0
DOWN_AT_S, DOWN_FOR_S = 10.0, 20.0
POWER_CUT = (0.3, 0.6)
"""The power fails somewhere in this part of the demo, and of its first minute."""
DRAIN_S = 45.0
"""How long the gateway may take to send what it holds, once the field is silent."""


def run_demo(
    port: int,
    data: Path | None,
    duration: float | None,
    seed: int,
    scenario: str | None = None,
    config: Path | None = None,
) -> int:
    """Runs the demo for `duration` seconds (`None`: until Ctrl-C) and gives the exit code.

    `data` keeps the databases; without it they live in a temporary folder. 2 for a
    wrong scenario or configuration, 1 when something failed or, with a duration, when
    the district does not hold what the store holds.
    """
    console = Console(highlight=False, soft_wrap=True)
    try:
        chosen = Scenario(scenario) if scenario else Scenario.SCHOOL_DAY
    except ValueError:
        console.print(f"unknown scenario {scenario}; known: {', '.join(Scenario)}", markup=False)
        return 2
    with data_folder(data) as folder:
        demo = _Demo(console, port, folder, duration, seed, chosen, config or builtin_configs() / "demo.yaml")
        try:
            return asyncio.run(interruptible(demo.run))
        except* ConfigError as group:
            code = told(console, group, 2)
        except* (DemoFailed, BrokerError, OSError, sqlite3.Error, httpx.HTTPError) as group:
            code = told(console, group, 1)
        return code


class _Look(NamedTuple):
    """What the store and the district hold and what the gateway tells of its destinations, at one time;
    `left` says what differs or waits."""

    store: Stored
    there: int
    syncs: Sequence[dict[str, Any]]
    left: Sequence[str]


@dataclass(slots=True)
class _Demo:
    """One demo; `run` reads from top to bottom as the demo goes."""

    console: Console
    port: int
    data: Path
    duration: float | None
    seed: int
    scenario: Scenario
    config: Path

    async def run(self) -> int:
        must_be_free(self.port)
        stage = self.data / "demo"
        stage.mkdir(exist_ok=True, mode=0o700)
        passwords = Passwords()
        login = Login(BROKER_USER, passwords.mqtt)
        broker = choose(stage / "broker", login)
        async with AsyncExitStack() as stack:
            district = await stack.enter_async_context(StandIn(STAND_IN_ORG, BUCKET, passwords.district))
            pushes = await stack.enter_async_context(PushReceiver(passwords.push))
            stack.push_async_callback(broker.stop)
            await broker.start()
            addresses = Addresses(self.port, broker.port, district.url, pushes.url)
            configuration = load(
                await asyncio.to_thread(write_stage, self.config, stage, addresses, passwords)
            )
            school, field = play(configuration, login, self.seed, self.scenario)
            await stack.enter_async_context(field)
            before = sent_before(self.data, DESTINATION)
            agent = AgentProcess(
                configuration.path, self.data, stage / "agent.log", self._url, self._tell_token
            )
            stack.push_async_callback(agent.stop)
            self._welcome(configuration, broker)
            return await self._play(school, field, agent, district, pushes, before)

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _play(
        self,
        school: School,
        field: Field,
        agent: AgentProcess,
        district: StandIn,
        pushes: PushReceiver,
        before: Held,
    ) -> int:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(field.run()), group.create_task(agent.watch())]
            await agent.ready()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, ended.set)
            self.console.print(f"Dashboard: {self._url}", markup=False)
            tasks.append(group.create_task(live(school, SPEED)))
            tasks.append(group.create_task(self._happen(field, agent, district)))
            by_itself = await self._wait(ended)
            code = 0
            if by_itself and self.duration is not None:
                code = await self._settle(field, agent, district, pushes, before)
            await agent.stop()
            for task in tasks:
                task.cancel()
        return code

    async def _wait(self, ended: asyncio.Event) -> bool:
        """True when the time is over, False when somebody ended the demo."""
        try:
            async with asyncio.timeout(self.duration):
                await ended.wait()
        except TimeoutError:
            return True
        return False

    async def _happen(self, field: Field, agent: AgentProcess, district: StandIn) -> None:
        """What the scenario does to lines, uplink and power."""
        if self.scenario is Scenario.BUS_CUT:
            buses = field.buses()
            for name in list(buses)[:1]:
                await asyncio.sleep(CUT_AT_S)
                buses[name].silent = True
                self.console.print(f"{name}: the cable is cut for {CUT_FOR_S:.0f} s", markup=False)
                await asyncio.sleep(CUT_FOR_S)
                buses[name].silent = False
        elif self.scenario is Scenario.UPLINK_DOWN:
            await asyncio.sleep(DOWN_AT_S)
            district.down()
            self.console.print(f"the district refuses everything for {DOWN_FOR_S:.0f} s", markup=False)
            await asyncio.sleep(DOWN_FOR_S)
            district.up()
        elif self.scenario is Scenario.POWER_CUT:
            rng = random.Random(f"power-{self.seed}")  # noqa: S311 - a repeatable mishap
            await asyncio.sleep(rng.uniform(*POWER_CUT) * min(60.0, self.duration or 60.0))
            self.console.print("power cut: kill -9 of the gateway", markup=False)
            agent.cut_power()

    async def _settle(
        self, field: Field, agent: AgentProcess, district: StandIn, pushes: PushReceiver, before: Held
    ) -> int:
        """Silences the field, waits until all is sent, and compares."""
        token = await agent.token(f"demo-{secrets.token_hex(4)}")
        district.up()
        field.fall_silent()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self._url, headers=headers, trust_env=False) as client:
            last = await self._drained(field, client, district, before)
            alarms = (await client.get("/api/v1/alarms", params={"state": "all"})).json()["items"]
        self._summary(last, pushes, alarms)
        for line in last.left[:10]:
            self.console.print(line, style="red", markup=False)
        return 1 if last.left else 0

    async def _drained(
        self, field: Field, client: httpx.AsyncClient, district: StandIn, before: Held
    ) -> _Look:
        """The last look, in which nothing differs, or the one after the longest wait."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_S
        calm = 0
        while True:
            await asyncio.sleep(0.5)
            syncs = (await client.get("/api/v1/sync")).json()["items"]
            pending = sum(one["pending"] for one in syncs)
            store = await asyncio.to_thread(stored, self.data, before)
            left = differences(store, district.holdings)
            there = sum(one.number for one in held(district.holdings, list(store.good)).values())
            if pending:
                left.append(f"{pending} stored facts still wait for the district")
            calm = 0 if left or field.waiting else calm + 1
            if calm > 2 or loop.time() > end:
                return _Look(store, there, syncs, left)

    def _welcome(self, configuration: Configuration, broker: Broker) -> None:
        settings = configuration.settings
        self.console.print(
            f"{settings.site.name}: {len(settings.spaces)} spaces, {len(configuration.devices)} devices on "
            f"{len(settings.lines)} lines, broker {broker.name}, scenario {self.scenario}, seed {self.seed}",
            markup=False,
        )

    def _tell_token(self, token: str) -> None:
        self.console.print(f"First-run token: {token}", markup=False)

    def _summary(self, last: _Look, pushes: PushReceiver, alarms: Sequence[dict[str, Any]]) -> None:
        """The demo's last words."""
        raised = [alarm for alarm in alarms if alarm["raised_at"]]
        cleared = [alarm for alarm in raised if alarm["cleared_at"]]
        store, syncs = last.store, last.syncs
        rows = (
            ("readings stored", f"{store.points + store.bad} ({store.points} good, {store.bad} bad)"),
            ("alarms", f"{len(raised)} raised, {len(cleared)} cleared"),
            ("pushes delivered", f"{pushes.taken} ({pushes.raised} raised, {pushes.cleared} cleared)"),
            ("sync pending", str(sum(one["pending"] for one in syncs))),
            ("quarantined", str(sum(one["quarantined"] for one in syncs))),
            ("district", f"{last.there} of {store.points} stored points held"),
        )
        for name, text in rows:
            self.console.print(f"{name:18} {text}", markup=False)
