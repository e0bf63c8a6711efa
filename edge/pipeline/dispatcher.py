"""The one door to the field: every command goes through here, whoever wants it.

    prepare: checked, written down (requested) -> a token bound to user, device, point, value, 30 s
    confirm: token spent, checked again -> written down (sent) -> on the wire, once -> written down

What is refused is written down too. Each step stands in the audit log in the same
transaction. Nothing is repeated: not after a lost reply, not after a restart. What cannot be
written down is not sent; only the sound of an emergency is (`sound`), and written down later.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from drivers.errors import DriverError, NotTaken, NotWritable, Refused
from drivers.reading import Millis, Value
from drivers.settings import millis
from drivers.writing import permitted
from edge.config.configuration import Configuration, DeviceModel
from edge.pipeline.outlets import Outlet
from edge.pipeline.tickets import VALID_MS, Ticket, Tickets, check
from edge.pipeline.unwritten import Gone, Unwritten
from edge.store import commands
from edge.store.accounts import Accounts, Role
from edge.store.commands import CommandRecord, CommandRefused, CommandState, Prepared, Requester
from edge.store.database import Database
from rules.command import Command

PER_USER = 30
PER_USER_MS = 60_000
"""One user sends at most so many commands in a minute, whatever the points."""
LONGEST_S = 60.0
"""A write that takes longer than any device may is given up as unknown."""
LONGEST_REASON = 500

_RANK = {Role.OPERATOR: 1, Role.ENGINEER: 2, Role.ADMIN: 3}


class OutcomeLost(Exception):
    """A command was sent, and the gateway could not follow it to its end."""


class _Late(DriverError):
    """The command expired while it waited for its line."""


class Dispatcher:
    """Prepares, confirms and carries out commands; `run` must be running for the latter."""

    def __init__(
        self,
        configuration: Configuration,
        outlets: Mapping[str, Outlet],
        core: Database,
        accounts: Accounts,
        clock: Callable[[], Millis],
        latest: Callable[[str, str], Value | None],
    ) -> None:
        self._configuration = configuration
        self._outlets = outlets
        self._core = core
        self._accounts = accounts
        self._clock = clock
        self._latest = latest
        self._tickets = Tickets()
        self.unwritten = Unwritten(core, self._write_late)
        """What went out without a record; to be looked at only."""
        self._listeners: list[Callable[[Command], None]] = []
        self._sent_at: dict[tuple[str, str], Millis] = {}
        self._by_user: dict[str, list[Millis]] = {}
        self._jobs: asyncio.Queue[tuple[CommandRecord, Requester, asyncio.Future[CommandRecord]]]
        self._jobs = asyncio.Queue(100)

    async def recover(self) -> None:
        """At the start: what a former run left open ends, and is not repeated."""

        def close(c: sqlite3.Connection) -> None:
            for record in commands.unfinished(c):
                if record.state == "sent":
                    detail = "the gateway stopped between sending and read-back"
                    self._settle(c, record, "unknown", detail, None, "gateway", "restart")
                else:
                    self._settle(c, record, "expired", "not confirmed", None, "gateway", "restart")

        await self._core.run(close)

    async def run(self) -> None:
        """Carries commands out, several at a time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.unwritten.run(), name="unwritten commands")
            while True:
                record, who, done = await self._jobs.get()
                name = f"command {record.id}"
                group.create_task(self._finish(record, who, done), name=name)

    async def prepare(self, device: str, point: str, value: Value, reason: str, who: Requester) -> Prepared:
        """Checks a command and gives the token that carries it out; raises CommandRefused."""
        now = self._clock()
        command = Command(device, point, value, reason[:LONGEST_REASON], who.name, now, now + VALID_MS)
        try:
            command = replace(command, value=self._check(command, who.role, now))
        except CommandRefused as refused:
            await self._refuse(command, who, refused)
            raise
        await self._forget(now)
        before = self._latest(device, point)

        def write_down(c: sqlite3.Connection) -> int:
            number = commands.add(c, command, "requested", now)
            self._audit(c, who.name, who.source, "command.prepare", command, _text(before), "ok")
            return number

        number = await self._core.run(write_down)
        return Prepared(number, self._tickets.issue(number, command, who.key), command, before)

    async def confirm(
        self,
        token: str,
        who: Requester,
        device: str | None = None,
        point: str | None = None,
        value: Value | None = None,
    ) -> CommandRecord:
        """Spends a token and carries its command out; the command as it ended.

        `device`, `point` and `value`, where given, are what the user saw: they must be those
        of the token. Raises CommandRefused, and then nothing was sent.
        """
        now = self._clock()
        ticket = self._tickets.find(token)
        ends: CommandState | None = None
        try:
            if ticket is None:
                raise CommandRefused("invalid_token", "there is no prepared command with this token")
            check(ticket, who.key, now, (device, point, value))
            ticket.spent = "used"  # before the first await: a second confirmation comes too late
            ends = "refused"
            self._check(ticket.command, who.role, now)
        except CommandRefused as refused:
            await self._refuse(None if ticket is None else ticket.command, who, refused, ticket, ends)
            raise
        for heard in self._listeners:
            heard(ticket.command)
        return await self._send(ticket.id, ticket.command, who, now)

    def listen(self, heard: Callable[[Command], None]) -> None:
        """From now on `heard` is told of each command that a person has confirmed, before it is sent."""
        self._listeners.append(heard)

    async def submit(self, command: Command, who: Requester) -> CommandRecord:
        """A command of a rule or of the console, which needs no second step; raises CommandRefused."""
        now = self._clock()
        try:
            command = replace(command, value=self._check(command, who.role, now))
        except CommandRefused as refused:
            await self._refuse(command, who, refused)
            raise
        number = await self._core.run(lambda c: commands.add(c, command, "requested", now))
        return await self._send(number, command, who, now)

    async def sound(self, command: Command, who: Requester) -> CommandRecord:
        """As `submit`, for the sound of an emergency: a disk that refuses does not silence it. Then the
        record has the number 0, and is written down when the disk takes it. Raises CommandRefused."""
        try:
            return await self.submit(command, who)
        except sqlite3.OperationalError as error:
            refusal = str(error)
        at = self._clock()
        command = replace(command, value=self._check(command, who.role, at))
        self._count(command, at)
        state: CommandState = "unknown"
        detail, found = "the gateway stopped between sending and read-back", None
        try:
            state, detail, found = await self._carry_out(command)
        finally:
            self.unwritten.hold(Gone(command, who, at, self._clock(), state, detail, found), refusal)
        return CommandRecord(0, command, state, self._clock(), detail, found)

    async def newest(self, limit: int, before: int | None) -> Sequence[CommandRecord]:
        """Commands, newest first."""
        await self._forget(self._clock())
        return await self._core.read(lambda c: commands.newest(c, limit, before))

    def unit(self, device: str, point: str) -> str:
        """A point's unit, empty for one that is not there any more."""
        model = self._configuration.devices.get(device)
        return model.points[point].unit if model is not None and point in model.points else ""

    def _check(self, command: Command, role: Role, now: Millis) -> Value:
        """The value in its point's type; raises CommandRefused."""
        model = self._configuration.devices.get(command.device)
        if model is None:
            raise CommandRefused("unknown_device", f"there is no device {command.device[:80]!r}")
        if command.point not in model.points:
            raise CommandRefused("unknown_point", f"{command.device} has no point {command.point[:80]!r}")
        if not command.reason.strip():
            raise CommandRefused("reason_missing", "say why: a command needs a reason")
        value = self._check_limits(command, model, role, now)
        outlet = self._outlets.get(command.device)
        if outlet is None or not outlet.online:
            raise CommandRefused("device_offline", f"{command.device} does not answer now")
        recent = [at for at in self._by_user.get(command.who, ()) if 0 <= now - at < PER_USER_MS]
        if len(recent) >= PER_USER:
            raise CommandRefused("rate_limited", f"{PER_USER} commands in a minute are enough")
        return value

    def _check_limits(self, command: Command, model: DeviceModel, role: Role, now: Millis) -> Value:
        limits = model.profile.write_limits(command.point)
        spec = model.points[command.point]
        try:
            value = permitted(command.point, command.value, limits, spec)
        except NotWritable as error:
            raise CommandRefused(error.reason, str(error)) from error
        assert limits is not None  # noqa: S101  # `permitted` refuses read-only points
        if _RANK.get(role, 0) < _RANK[Role(limits.role)]:
            raise CommandRefused(
                "forbidden", f"{command.point} of {command.device} needs the role {limits.role}"
            )
        last = self._sent_at.get((command.device, command.point))
        if last is not None and 0 <= now - last < millis(limits.pause):
            raise CommandRefused("rate_limited", f"{command.point} was written a moment ago")
        return value

    async def _send(self, number: int, command: Command, who: Requester, now: Millis) -> CommandRecord:
        self._count(command, now)

        def write_down(c: sqlite3.Connection) -> bool:
            self._audit(c, who.name, who.source, "command.send", command, "", f"sent: {command.reason}")
            return commands.settle(c, number, "sent", now)

        if not await self._core.run(write_down):
            raise CommandRefused("token_used", "this command has ended already")
        done: asyncio.Future[CommandRecord] = asyncio.get_running_loop().create_future()
        record = CommandRecord(number, command, "sent", now)
        await self._jobs.put((record, who, done))
        return await asyncio.shield(done)  # whoever asked may go away; the command goes on

    def _count(self, command: Command, now: Millis) -> None:
        """One more of its point and its user, for the limits of both."""
        self._sent_at[command.device, command.point] = now
        recent = [at for at in self._by_user.get(command.who, ()) if 0 <= now - at < PER_USER_MS]
        self._by_user[command.who] = [*recent, now]

    def _write_late(self, c: sqlite3.Connection, gone: Gone) -> None:
        """Writes down what went out while the disk refused, as it went."""
        when = datetime.fromtimestamp(gone.at / 1000, UTC).isoformat(timespec="seconds")
        late = f"the disk refused it at {when} {gone.detail}".strip()
        command, who = gone.command, gone.who
        number = commands.add(c, command, "requested", gone.at)
        commands.settle(c, number, gone.state, gone.ended_at, late, gone.found)
        self._audit(c, who.name, who.source, "command.send", command, "", f"sent: {command.reason}; {late}")
        self._audit(
            c, who.name, who.source, "command.end", command, _text(gone.found), f"{gone.state} {late}"
        )

    async def _finish(
        self, record: CommandRecord, who: Requester, done: asyncio.Future[CommandRecord]
    ) -> None:
        try:
            state, detail, found = await self._carry_out(record.command)
            await self._core.run(
                lambda c: self._settle(c, record, state, detail, found, who.name, who.source)
            )
            done.set_result(CommandRecord(record.id, record.command, state, self._clock(), detail, found))
        finally:
            if not done.done():  # stopped, or the disk is full: the next start calls it unknown
                done.set_exception(OutcomeLost(f"command {record.id} is sent; how it ended is not known"))
                done.exception()  # whoever asked may have gone: then nobody is to be told

    async def _carry_out(self, command: Command) -> tuple[CommandState, str, Value | None]:
        """How the device took it; the only place from which a value goes out."""
        begun = False

        def begin() -> None:
            nonlocal begun
            if self._clock() >= command.expires_at:
                raise _Late("the line was not free in time; nothing was sent")
            begun = True

        try:
            async with asyncio.timeout(LONGEST_S):
                found = await self._outlets[command.device].write(command.point, command.value, begin)
        except _Late as error:
            return "expired", str(error), None
        except NotWritable as error:
            return "refused", str(error), None
        except Refused as error:
            return "failed", f"{error.reason}: {error}", None
        except NotTaken as error:
            held = error.found if isinstance(error.found, bool | float | str) else None
            return "failed", f"{error.reason}: {error}", held
        except DriverError as error:
            if not begun:
                return "failed", f"{error.reason}: {error}; nothing was sent", None
            return "unknown", f"{error.reason}: {error}", None
        except TimeoutError:
            return "unknown" if begun else "expired", "no end within a minute", None
        return "confirmed", "", found

    async def _refuse(
        self,
        command: Command | None,
        who: Requester,
        refused: CommandRefused,
        ticket: Ticket | None = None,
        ends: CommandState | None = None,
    ) -> None:
        """Writes a refusal down; `ends` is the state that it gives to the ticket's command."""
        now, text = self._clock(), f"{refused.code}: {refused}"

        def write_down(c: sqlite3.Connection) -> None:
            action = "command.prepare" if ticket is None and command is not None else "command.confirm"
            self._audit(c, who.name, who.source, action, command, "", f"refused:{refused.code}")
            if ticket is not None and ends is not None:
                commands.settle(c, ticket.id, ends, now, text)
            elif ticket is None and command is not None:
                shown = replace(command, device=command.device[:80], point=command.point[:80])
                commands.add(c, shown, "refused", now, text)

        await self._core.run(write_down)

    async def _forget(self, now: Millis) -> None:
        """Ends what nobody confirmed."""
        over = self._tickets.overdue(now)

        def end(c: sqlite3.Connection) -> None:
            for ticket in over:
                commands.settle(c, ticket.id, "expired", now, "not confirmed")

        if over:
            await self._core.run(end)

    def _settle(
        self,
        c: sqlite3.Connection,
        record: CommandRecord,
        state: CommandState,
        detail: str,
        found: Value | None,
        actor: str,
        source: str,
    ) -> None:
        commands.settle(c, record.id, state, self._clock(), detail, found)
        self._audit(
            c, actor, source, "command.end", record.command, _text(found), f"{state} {detail}".strip()
        )

    def _audit(
        self,
        c: sqlite3.Connection,
        actor: str,
        source: str,
        action: str,
        command: Command | None,
        before: str,
        result: str,
    ) -> None:
        target = "command:none" if command is None else f"{command.device[:80]}/{command.point[:80]}"
        after = "" if command is None else _text(command.value)
        self._accounts.audit(c, actor, source, action, target, before, after, result)


def _text(value: Value | None) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)[:300]
