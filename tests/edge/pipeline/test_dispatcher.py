"""The one door: how a command ends in every case, and what a restart makes of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drivers.errors import BadFrame, DriverError, LineBusy, LineDown, NoReply, NotTaken, Refused
from drivers.reading import Value
from edge.config.configuration import Configuration
from edge.pipeline.dispatcher import PER_USER, Dispatcher, OutcomeLost
from edge.pipeline.outlets import Begin
from edge.store.accounts import Accounts, Role
from edge.store.commands import CommandRecord, CommandRefused, Requester
from edge.store.database import Database
from rules.command import Command
from tests.edge.web.school import Clock, write_configuration
from tests.support.stores import core

ANNA = Requester("anna", Role.OPERATOR, "session:anna", "192.0.2.7")


@dataclass
class Field:
    """A device that ends a write as it is told."""

    before: Callable[[], Awaitable[None]] | None = None
    after: Callable[[], Awaitable[None]] | None = None
    error: DriverError | None = None
    early: DriverError | None = None
    online: bool = True
    written: list[Value] = field(default_factory=list)

    async def write(self, point: str, value: Value, begin: Begin) -> Value | None:
        if self.before is not None:
            await self.before()
        if self.early is not None:
            raise self.early
        begin()
        self.written.append(value)
        if self.after is not None:
            await self.after()
        if self.error is not None:
            raise self.error
        return value


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return write_configuration(tmp_path_factory.mktemp("school"))


@contextlib.asynccontextmanager
async def door(
    configuration: Configuration, database: Database, device: Field, clock: Clock
) -> AsyncIterator[Dispatcher]:
    made = Dispatcher(
        configuration, {"env-301": device}, database, Accounts(clock), clock, lambda _d, _p: None
    )
    await made.recover()
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def command(made: Dispatcher) -> CommandRecord:
    prepared = await made.prepare("env-301", "open", True, "test", ANNA)
    return await made.confirm(prepared.token, ANNA)


@pytest.mark.parametrize(
    ("device", "state", "said"),
    [
        (Field(), "confirmed", ""),
        (Field(error=Refused("no", code=3)), "failed", "exception:3"),
        (Field(error=NotTaken("holds false", found=False)), "failed", "readback"),
        (Field(error=NoReply("silence")), "unknown", "timeout"),
        (Field(error=BadFrame("noise", frame=b"x")), "unknown", "crc"),
        (Field(error=LineDown("unplugged")), "unknown", "line_down"),
        (Field(early=LineDown("not open")), "failed", "nothing was sent"),
        (Field(early=LineBusy("16 others")), "failed", "nothing was sent"),
    ],
)
async def test_a_command_ends_as_the_field_lets_it(
    configuration: Configuration, tmp_path: Path, device: Field, state: str, said: str
) -> None:
    async with core(tmp_path) as database, door(configuration, database, device, Clock()) as made:
        ended = await command(made)
        assert ended.state == state
        assert said in ended.detail
        assert (await made.newest(5, None))[0].state == state
        assert len(device.written) == (0 if device.early else 1)


async def test_a_command_that_waited_too_long_for_its_line_is_not_sent(
    configuration: Configuration, tmp_path: Path
) -> None:
    clock = Clock()

    async def wait() -> None:
        clock.move(seconds=31)

    device = Field(before=wait)
    async with core(tmp_path) as database, door(configuration, database, device, clock) as made:
        assert (await command(made)).state == "expired"
    assert device.written == []


async def test_a_stop_between_sending_and_read_back_is_unknown_and_never_repeated(
    configuration: Configuration, tmp_path: Path
) -> None:
    sent, never = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        sent.set()
        await never.wait()

    device, clock = Field(after=hang), Clock()
    async with core(tmp_path) as database:
        async with door(configuration, database, device, clock) as made:
            waiting = asyncio.create_task(command(made))
            await sent.wait()
            (record,) = await made.newest(5, None)
            assert record.state == "sent"
        with pytest.raises(OutcomeLost):
            await waiting
    async with core(tmp_path) as database, door(configuration, database, device, clock) as again:
        await asyncio.sleep(0.05)
        (record,) = await again.newest(5, None)
        assert (record.state, record.detail) == (
            "unknown", "the gateway stopped between sending and read-back",
        )  # fmt: skip
        assert device.written == [True]
        rows = await database.read(
            lambda c: c.execute("SELECT action, result FROM audit ORDER BY seq").fetchall()
        )
        assert tuple(rows[-1]) == (
            "command.end", "unknown the gateway stopped between sending and read-back",
        )  # fmt: skip


async def test_a_token_does_not_outlive_the_gateway(configuration: Configuration, tmp_path: Path) -> None:
    clock, device = Clock(), Field()
    async with core(tmp_path) as database:
        async with door(configuration, database, device, clock) as made:
            prepared = await made.prepare("env-301", "open", True, "test", ANNA)
        async with door(configuration, database, device, clock) as again:
            with pytest.raises(CommandRefused, match="no prepared command"):
                await again.confirm(prepared.token, ANNA)
            assert (await again.newest(5, None))[0].state == "expired"
    assert device.written == []


async def test_whoever_asked_may_go_away_and_the_command_goes_on(
    configuration: Configuration, tmp_path: Path
) -> None:
    sent, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        sent.set()
        await go.wait()

    device = Field(after=hold)
    async with core(tmp_path) as database, door(configuration, database, device, Clock()) as made:
        asking = asyncio.create_task(command(made))
        await sent.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        go.set()
        async with asyncio.timeout(5):
            while (await made.newest(1, None))[0].state != "confirmed":
                await asyncio.sleep(0.01)
    assert device.written == [True]


async def test_one_user_is_held_to_a_rate(configuration: Configuration, tmp_path: Path) -> None:
    clock, device = Clock(), Field()
    async with core(tmp_path) as database, door(configuration, database, device, clock) as made:
        for _ in range(PER_USER):
            clock.move(seconds=0.5)
            made._sent_at.clear()  # the point itself would rest longer
            await command(made)
        with pytest.raises(CommandRefused) as refused:
            await command(made)
        assert refused.value.code == "rate_limited"


async def test_a_point_may_ask_for_a_higher_role(configuration: Configuration, tmp_path: Path) -> None:
    device, clock = Field(), Clock()
    async with core(tmp_path) as database, door(configuration, database, device, clock) as made:
        for role in (Role.VIEWER, Role.AUDITOR):
            with pytest.raises(CommandRefused) as refused:
                who = Requester("x", role, "session:x", "")
                await made.prepare("env-301", "open", True, "test", who)
            assert refused.value.code == "forbidden"


async def test_a_rule_goes_through_the_same_door(configuration: Configuration, tmp_path: Path) -> None:
    device, clock = Field(), Clock()
    rule = Requester("rule:co2-high", Role.OPERATOR, "rule:co2-high", "rules")
    async with core(tmp_path) as database, door(configuration, database, device, clock) as made:
        wish = Command("env-301", "open", True, "CO2 high", rule.name, clock(), clock() + 30_000)
        assert (await made.submit(wish, rule)).state == "confirmed"
        with pytest.raises(CommandRefused):
            await made.submit(Command("env-301", "co2", 5.0, "x", rule.name, clock(), clock() + 1), rule)
        assert [record.state for record in await made.newest(5, None)] == ["refused", "confirmed"]
    assert device.written == [True]
