"""`campus-edge demo --schools N`: a district of small schools against one stand-in server.

Each school is a gateway process of its own with a world, devices, stores and a cursor of
its own; at the end each one's store is compared with what the district holds of it.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from cloud_sync.stand_in import STAND_IN_ORG, StandIn
from drivers.simulated.field import Field, live
from drivers.simulated.physics import School
from drivers.simulated.scenario import Scenario
from edge.agent import CORE_MIGRATIONS
from edge.clock import now
from edge.config.fault import ConfigError
from edge.config.load import load
from edge.demo_agent import AgentProcess, DemoFailed
from edge.demo_audit import Stored, differences, held, sent_before, stored
from edge.demo_ground import data_folder, interruptible, must_be_free, play, told
from edge.demo_pushes import PushReceiver
from edge.demo_schools import LEAST, MOST, NAMES, site_id, write_school
from edge.demo_stage import BUCKET, DESTINATION, Addresses, Passwords, write_stage
from edge.store.accounts import Accounts, Role
from edge.store.cursors import Held
from edge.store.database import connect, transact

SPEED = 60.0
"""Simulated seconds in a real one."""
STARTS_AT_ONCE = 2
"""Gateways that start at the same time: each start costs some seconds of a core."""
DRAIN_S = 30.0
DRAIN_PER_SCHOOL_S = 6.0
"""How long the gateways may take to send what they hold, together."""
CALM = 3
"""So many looks in a row must find everything equal."""


def run_schools(number: int, port: int, data: Path | None, duration: float | None, seed: int) -> int:
    """Runs `number` schools for `duration` seconds (`None`: until Ctrl-C) and gives the exit code.

    Their dashboards are on `port` and the ports behind it. 2 for a number that cannot be
    played, 1 when something failed or, with a duration, when the district does not hold
    what a school's store holds.
    """
    console = Console(highlight=False, soft_wrap=True)
    if not LEAST <= number <= MOST:
        console.print(f"--schools: {LEAST} to {MOST}", markup=False)
        return 2
    with data_folder(data) as folder:
        district = _District(console, number, port, folder, duration, seed)
        try:
            return asyncio.run(interruptible(district.run))
        except* ConfigError as group:
            code = told(console, group, 2)
        except* (DemoFailed, OSError, sqlite3.Error, httpx.HTTPError) as group:
            code = told(console, group, 1)
        return code


@dataclass(slots=True)
class _Member:
    """One school of the district while it plays."""

    id: str
    name: str
    url: str
    data: Path
    before: Held
    world: School
    field: Field
    agent: AgentProcess
    token: str = ""
    pending: int = 0
    store: Stored | None = None
    there: int = 0
    left: Sequence[str] = ()


@dataclass(slots=True)
class _District:
    """The demo; `run` reads from top to bottom as it goes."""

    console: Console
    number: int
    port: int
    data: Path
    duration: float | None
    seed: int

    async def run(self) -> int:
        for offset in range(self.number):
            must_be_free(self.port + offset)
        passwords = Passwords()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(StandIn(STAND_IN_ORG, BUCKET, passwords.district))
            pushes = await stack.enter_async_context(PushReceiver(passwords.push))
            members = []
            for index in range(self.number):
                member = await self._member(index, server.url, pushes.url, passwords)
                await stack.enter_async_context(member.field)
                stack.push_async_callback(member.agent.stop)
                members.append(member)
            return await self._play(members, server)

    async def _member(self, index: int, server_url: str, push_url: str, passwords: Passwords) -> _Member:
        home = self.data / site_id(index)
        stage = home / "demo"
        source = await asyncio.to_thread(write_school, index, home / "source")
        addresses = Addresses(self.port + index, 0, server_url, push_url)
        stage.mkdir(exist_ok=True, mode=0o700)
        configuration = load(await asyncio.to_thread(write_stage, source, stage, addresses, passwords))
        world, field = play(configuration, None, self.seed * 1000 + index, Scenario.SCHOOL_DAY)
        url = f"http://127.0.0.1:{addresses.web_port}"
        before = sent_before(home, DESTINATION)
        agent = AgentProcess(configuration.path, home, stage / "agent.log", url, _unheard)
        return _Member(site_id(index), NAMES[index], url, home, before, world, field, agent)

    async def _play(self, members: Sequence[_Member], server: StandIn) -> int:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        code = 0
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            await self._start(members, group, tasks)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, ended.set)
            if await self._wait(ended):
                code = await self._settle(members, server)
            await asyncio.gather(*(member.agent.stop() for member in members))
            for task in tasks:
                task.cancel()
        return code

    async def _start(
        self, members: Sequence[_Member], group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]]
    ) -> None:
        """Starts all gateways, a few at a time; returns when the last one answers."""
        gate = asyncio.Semaphore(STARTS_AT_ONCE)

        async def one(member: _Member) -> None:
            async with gate:
                tasks.append(group.create_task(member.agent.watch(), name=f"{member.id} gateway"))
                await member.agent.ready()
            tasks.append(group.create_task(live(member.world, SPEED), name=f"{member.id} world"))
            self.console.print(f"{member.id}  {member.name}  {member.url}", markup=False)

        async with asyncio.TaskGroup() as starts:
            for member in members:
                tasks.append(group.create_task(member.field.run(), name=f"{member.id} field"))
                starts.create_task(one(member), name=f"{member.id} start")
        self.console.print(f"{len(members)} schools play", markup=False)

    async def _wait(self, ended: asyncio.Event) -> bool:
        """True when the time is over, False when somebody ended the demo."""
        try:
            async with asyncio.timeout(self.duration):
                await ended.wait()
        except TimeoutError:
            return True
        return False

    async def _settle(self, members: Sequence[_Member], server: StandIn) -> int:
        """Silences the fields, waits until all is sent, and compares school by school."""
        memory = sum(member.agent.memory() for member in members)
        for member in members:
            member.token = await asyncio.to_thread(_viewer, member.data)
            member.field.fall_silent()
        await self._drained(members, server)
        self._summary(members, server, memory)
        return 1 if any(member.left for member in members) else 0

    async def _drained(self, members: Sequence[_Member], server: StandIn) -> None:
        """Looks until nothing differs and nothing waits, or the longest wait is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_S + DRAIN_PER_SCHOOL_S * len(members)
        calm = 0
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            while calm < CALM and loop.time() < end:
                await asyncio.sleep(0.5)
                for member in members:
                    await _look(member, client, server)
                calm = 0 if any(member.left for member in members) else calm + 1

    def _summary(self, members: Sequence[_Member], server: StandIn, memory: int) -> None:
        """The demo's last words: a line for each school, and the sums."""
        held_all = stored_all = 0
        for member in members:
            assert member.store is not None  # noqa: S101 - all were looked at
            there = member.there
            held_all, stored_all = held_all + there, stored_all + member.store.points
            self.console.print(
                f"{member.id}  {there} of {member.store.points} stored points held, {member.store.bad} bad, "
                f"{member.pending} pending",
                markup=False,
            )
            for line in member.left[:3]:
                self.console.print(f"{member.id}  {line}", style="red", markup=False)
        for name, text in (
            ("district", f"{held_all} of {stored_all} stored points held, {len(server.holdings)} series"),
            ("gateways' memory", f"{memory / 1e6:.0f} MB, {memory / len(members) / 1e6:.0f} MB each"),
        ):
            self.console.print(f"{name:18} {text}", markup=False)


async def _look(member: _Member, client: httpx.AsyncClient, server: StandIn) -> None:
    """Notes what a school's store holds, what waits there and what differs."""
    answer = await client.get(
        f"{member.url}/api/v1/sync", headers={"Authorization": f"Bearer {member.token}"}
    )
    member.pending = sum(one["pending"] for one in answer.raise_for_status().json()["items"])
    member.store = await asyncio.to_thread(stored, member.data, member.before)
    left = differences(member.store, server.holdings, member.id)
    member.there = _held(member, member.store, server)
    if not member.store.points:
        left.append("no good reading was stored")
    if member.pending:
        left.append(f"{member.pending} stored facts still wait for the district")
    member.left = left


def _held(member: _Member, store: Stored, server: StandIn) -> int:
    return sum(one.number for one in held(server.holdings, list(store.good), member.id).values())


def _viewer(data: Path) -> str:
    """A token for the demo's own questions, made beside the running gateway as an administrator would."""
    connection = connect(data / "core.db", CORE_MIGRATIONS)
    name = f"demo-{secrets.token_hex(4)}"
    try:
        return transact(
            connection, lambda c: Accounts(now).create_token(c, name, Role.VIEWER, actor="console:demo")
        )
    finally:
        connection.close()


def _unheard(token: str) -> None:
    """The first-run token of a school that nobody signs in to."""
