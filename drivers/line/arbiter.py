"""The one owner of a line: lends it exchange by exchange, resynchronises, never queues.

    schedule -> poll generator -> exchange -> transport
                     ^------- reply or DriverError ------'

Between any two exchanges the most urgent device goes first, so an emergency contact
waits at most one exchange. A dead device is probed with growing pauses and costs the
live ones one timeout a probe. Whoever else needs the line (a command, a scan) is lent it
for one exchange at a time, see `Arbiter.lend`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from drivers.contract import Exchange, Found, Poll, Polled, Reply
from drivers.errors import BadFrame, DriverError, LineDown, NoReply
from drivers.line.counters import DeviceCounters, DeviceState, LineCounters
from drivers.line.debts import Debts
from drivers.line.loans import Loan, Loans
from drivers.line.pump import Pump, Waits
from drivers.line.schedule import Rank, Schedule
from drivers.line.settings import FieldLine, Framing, SerialLine
from drivers.line.traffic import Traffic
from drivers.line.transport import Transport
from drivers.reading import Millis, Quality, Reading

_LOG = logging.getLogger(__name__)
_BAD = Quality.BAD
T = TypeVar("T")

BUFFER_LIMIT = 1024
"""Bytes kept while waiting for a reply; the longest frame of any protocol here is 300."""
INTER_BYTE_S = 0.2
"""A reply that is coming in may take this much longer at each chunk (serial servers
and USB adapters cut frames), at most `STRETCH_S` in all."""
STRETCH_S = 1.5
PROBE_MIN_S = 1.0
PROBE_MAX_S = 60.0
REOPEN_AFTER_S = 15.0
TIMER_SLACK_S = 0.002
"""The event loop may wake us this much before the time we asked for."""


@dataclass(slots=True)
class Attached:
    """A device on the line."""

    id: str
    driver: Polled
    period_s: float
    rank: Rank
    counters: DeviceCounters = field(default_factory=DeviceCounters)


@dataclass(slots=True)
class _Round:
    """One poll under way: its generator and the exchange it waits for."""

    device: Attached
    rank: Rank
    poll: Poll
    exchange: Exchange
    began: float


class Arbiter:
    """Runs one line; `publish` gets each finished round's readings, `clock` gives epoch ms."""

    def __init__(
        self,
        line: FieldLine,
        transport: Transport,
        devices: Sequence[Attached],
        publish: Callable[[Sequence[Reading]], None],
        clock: Callable[[], Millis],
    ) -> None:
        self.line = line
        self.counters = LineCounters()
        self._transport = transport
        self._devices = {device.id: device for device in devices}
        self._publish = publish
        self._clock = clock
        self._buffer = bytearray()
        self._loans = Loans()
        self._debts = Debts()
        self._idle = False
        self.traffic = Traffic(clock)
        self.opened = asyncio.Event()
        self._lost = ""
        self._pump = Pump()
        self._quiet_since = 0.0
        self._speed: tuple[int, Framing] | None = None
        if isinstance(line, SerialLine):
            self._speed = (line.baudrate, line.framing)

    @property
    def devices(self) -> Mapping[str, Attached]:
        """The attached devices by id."""
        return self._devices

    async def lend(
        self, work: Generator[Exchange, Reply, T], *, rank: Rank = Rank.COMMAND, device: str = ""
    ) -> T:
        """Runs a conversation on the line between two exchanges of the regular traffic.

        With `Rank.COMMAND` it begins behind the exchange under way and is not interrupted;
        with another rank devices of higher rank go first. Exchanges are never repeated.
        Returns what the generator returns, raises the DriverError that it lets through:
        LineBusy when too many wait and LineDown when the line is not open, both before
        the generator is started. `device` books its replies on that device's counters.
        """
        known = self._devices.get(device)
        loan = Loan(work, rank, device or "loan", known.counters if known else DeviceCounters())
        try:
            if self.counters.connected_since is None:
                raise LineDown(f"{self.line.id}: the line is not open: {self.counters.last_error}")
            self._loans.add(loan)
            if self._idle:
                asyncio.get_running_loop().call_soon(self._pump.wake)
            return await loan.done
        finally:
            loan.done.cancel()
            work.close()

    async def run(self) -> None:
        """Opens the line and serves it until cancelled; raises LineDown when it is gone."""
        loop = asyncio.get_running_loop()
        self._lost = ""
        try:
            try:
                await self._transport.open(self._received, self._gone)
                self.counters.opened += 1
                self.counters.connected_since = self._clock()
                self.counters.last_error = ""
                self.opened.set()
                await self._pump.run(self._serve(loop))
            except LineDown as error:
                self.counters.last_error = str(error)
                self._all_bad(error)
                raise
        finally:
            self.counters.connected_since = None
            self.opened.clear()
            self._transport.close()
            self._loans.fail_all(LineDown(f"{self.line.id}: {self.counters.last_error or 'closed'}"))

    def _serve(self, loop: asyncio.AbstractEventLoop) -> Waits[NoReturn]:
        schedule = Schedule()
        for device in self._devices.values():
            schedule.add(device.id, device.period_s, device.rank, loop.time())
        suspended: list[_Round] = []
        opened = now = loop.time()
        while True:
            if self._loans.waiting:
                loan = self._loans.pick(
                    lambda rank: schedule.urgent(loop.time(), rank) or any(r.rank < rank for r in suspended)
                )
                if loan is not None:
                    yield from self._oblige(loan, loop)
                    opened = loop.time()  # a line that somebody works on is not reopened under their hands
                    self.counters.worked(opened - now, opened - now)
                    now = opened
                    continue
            current = self._next(schedule, suspended, now)
            before = now
            if current is None:
                yield from self._sleep(self._next_time(schedule, suspended, now), loop)
                now = loop.time()
                self.counters.worked(0.0, now - before)
                continue
            finished = yield from self._advance(current, loop)
            self._loans.passed(current.rank)
            now = loop.time()
            self.counters.worked(now - before, now - before)
            if finished is None:
                suspended.append(current)
            else:
                self._finish(schedule, current, finished, now)
                if current.device.counters.failures:
                    self._check_all_silent(now - opened)

    def _next(self, schedule: Schedule, suspended: list[_Round], now: float) -> _Round | None:
        """The round to advance: a suspended one, unless somebody more urgent is due."""
        if suspended and (
            ready := [r for r in suspended if not self._debts.wait_s(r.device.id, r.exchange, now)]
        ):
            best = min(ready, key=lambda r: (r.rank, r.began))
            if not schedule.urgent(now, best.rank):
                suspended.remove(best)
                return best
        picked = schedule.pop(now + TIMER_SLACK_S)
        while picked is not None:
            device = self._devices[picked[0]]
            poll = device.driver.poll(self._clock())
            try:
                started = _Round(device, picked[1], poll, next(poll), now)
                if not self._debts.wait_s(device.id, started.exchange, now):
                    return started
                suspended.append(started)
            except StopIteration as stop:  # nothing to ask this time
                self._publish(stop.value)
                schedule.done(device.id, now)
            picked = schedule.pop(now + TIMER_SLACK_S)
        return None

    def _next_time(self, schedule: Schedule, suspended: Sequence[_Round], now: float) -> float | None:
        """When somebody is due, or a suspended round may go on."""
        due = schedule.next_due()
        if not suspended:
            return due
        times = [now + self._debts.wait_s(r.device.id, r.exchange, now) for r in suspended]
        return min([*times, due] if due is not None else times, default=None)

    def _advance(self, current: _Round, loop: asyncio.AbstractEventLoop) -> Waits[Sequence[Reading] | None]:
        """One exchange of a round; its readings when it was the last, else None."""
        device = current.device
        try:
            try:
                reply = yield from self._exchange(current.exchange, device, loop)
            except (NoReply, BadFrame) as error:
                hopeless = device.counters.failures or not device.counters.ok
                if hopeless or not current.exchange.repeatable:
                    current.exchange = current.poll.throw(error)
                    return None
                device.counters.retries += 1
                try:
                    reply = yield from self._exchange(current.exchange, device, loop)
                except (NoReply, BadFrame) as again:
                    current.exchange = current.poll.throw(again)
                    return None
            current.exchange = current.poll.send(reply)
        except StopIteration as stop:
            readings: Sequence[Reading] = stop.value
            return readings
        return None

    def _oblige(self, loan: Loan[Any], loop: asyncio.AbstractEventLoop) -> Waits[None]:
        """One exchange of a borrowed conversation; LineDown ends it and the line."""
        if loan.exchange is None:
            loan.begin()
            if loan.exchange is None:
                return
        try:
            reply = yield from self._exchange(loan.exchange, loan, loop)
        except (NoReply, BadFrame) as error:
            loan.fail(error)
        except LineDown as error:
            loan.fail(error)
            raise
        else:
            loan.answer(reply)

    def _exchange(
        self, exchange: Exchange, device: Attached | Loan[Any], loop: asyncio.AbstractEventLoop
    ) -> Waits[Reply]:
        """Sends the request and waits for its reply: NoReply, BadFrame or LineDown."""
        wire_s = self._configure(exchange)
        now = loop.time()
        quiet_s = self._quiet_since + exchange.gap_ms / 1000 - now
        if exchange.ambiguous:
            quiet_s = max(quiet_s, self._debts.wait_s(device.id, exchange, now))
        if quiet_s > 0:
            yield from _pause(now + quiet_s)
        self._raise_if_lost()
        if self._buffer:  # a late reply or noise between exchanges
            self.counters.faults["late"] += 1
            self._buffer.clear()
        self.counters.exchanges += 1
        self._log(">", exchange.request)
        self.traffic.note("sent", exchange.request)
        self._transport.write(exchange.request)
        sent = loop.time() + wire_s
        try:
            frame = yield from self._reply(exchange, device, sent, loop)
        finally:
            self._quiet_since = loop.time()
        self._log("<", frame)
        self._debts.answered(device.id, exchange, sent)
        device.counters.latencies_ms.append(max(0.0, self._quiet_since - sent) * 1000)
        return Reply(frame, self._clock())

    def _reply(
        self, exchange: Exchange, device: Attached | Loan[Any], sent: float, loop: asyncio.AbstractEventLoop
    ) -> Waits[bytes]:
        """The frame that answers; NoReply and BadFrame when none comes in time."""
        deadline = sent + exchange.timeout_ms / 1000
        limit = deadline + STRETCH_S
        fault = ""
        while True:
            if self._buffer:
                found = self._search(exchange)
                if found.frame is not None:
                    return found.frame
                fault = found.fault or fault
                more = loop.time() + INTER_BYTE_S
                # A whole frame with a wrong checksum was the reply: no use in waiting on.
                deadline = more if found.fault == "crc" else min(limit, max(deadline, more))
            held = len(self._buffer)
            rang = yield deadline
            self._raise_if_lost()
            if rang and len(self._buffer) == held:
                if fault != "crc":  # else the reply was there, though spoilt
                    self._debts.unanswered(device.id, exchange, sent)
                raise self._failure(exchange, device, fault)

    def _search(self, exchange: Exchange) -> Found:
        """Looks for the reply in the buffer, dropping what the deframer says is not it."""
        found = exchange.deframe(bytes(self._buffer))
        while found.frame is None and found.end:
            self.counters.faults[found.fault or "noise"] += 1
            del self._buffer[: found.end]
            dropped, found = found, exchange.deframe(bytes(self._buffer))
            if not found.fault:
                found = found._replace(fault=dropped.fault)
        del self._buffer[: found.end]
        return found

    def _log(self, way: str, frame: bytes) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%s %s %s", self.line.id, way, frame.hex(" "))

    def _failure(self, exchange: Exchange, device: Attached | Loan[Any], fault: str) -> DriverError:
        kept = bytes(self._buffer)
        self._buffer.clear()
        if not kept and fault in ("", "echo", "late"):
            device.counters.errors["timeout"] += 1
            return NoReply(f"{device.id}: no reply within {exchange.timeout_ms} ms")
        reason = fault or "noise"
        device.counters.errors[reason] += 1
        return BadFrame(
            f"{device.id}: {reason}: {kept.hex(' ') or 'bytes dropped'}", frame=kept, reason=reason
        )

    def _configure(self, exchange: Exchange) -> float:
        """Sets the wire for an exchange; the seconds its request takes on it."""
        if self._speed is None:
            return 0.0
        baudrate, framing = exchange.baudrate or self._speed[0], exchange.framing or self._speed[1]
        self._transport.configure(baudrate, framing)
        self.traffic.speed = f"{baudrate} {framing}"
        return len(exchange.request) * framing.bits / baudrate

    def _sleep(self, until: float | None, loop: asyncio.AbstractEventLoop) -> Waits[None]:
        """Idles until the next due time, or until the line is lost."""
        self.counters.oldest_due_ms = 0.0
        self._raise_if_lost()
        self._idle = True
        try:
            yield until if until is not None else loop.time() + 60.0
        finally:
            self._idle = False
        self._raise_if_lost()

    def _received(self, data: bytes) -> None:
        self.traffic.note("received", data)
        self._buffer += data
        if len(self._buffer) > BUFFER_LIMIT:
            self.counters.faults["noise"] += 1
            del self._buffer[:-BUFFER_LIMIT]
        self._pump.wake()

    def _gone(self, reason: str) -> None:
        self._lost = reason or "closed"
        self._pump.wake()

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise LineDown(f"{self.line.id}: {self._lost}")

    def _finish(self, schedule: Schedule, current: _Round, readings: Sequence[Reading], now: float) -> None:
        """Books a round and puts its device back into the schedule."""
        device, counters = current.device, current.device.counters
        bad = [r for r in readings if r[6] is _BAD]  # their quality
        was = counters.state
        self.counters.oldest_due_ms = max(0.0, now - (schedule.next_due() or now)) * 1000
        if readings and not bad:
            counters.succeeded(readings[-1].received_at, partly=False)
            counters.missed += schedule.done(device.id, now, rank=device.rank)
        elif len(bad) < len(readings) or any(_answered(r.reason) for r in bad):
            for reason in {r.reason for r in bad if r.reason.startswith("exception")}:
                counters.errors[reason] += 1
            counters.succeeded(readings[-1].received_at, partly=True)
            counters.last_error = bad[0].reason
            counters.missed += schedule.done(device.id, now, rank=device.rank)
        else:
            counters.failed(bad[0].reason if bad else "timeout")
            pause = 0.0
            if counters.state is DeviceState.SILENT:
                doubling = min(counters.failures - counters.patience, 10)
                pause = min(PROBE_MAX_S, max(PROBE_MIN_S, device.period_s) * 2**doubling)
            schedule.done(device.id, now, rank=Rank.PROBE if pause else device.rank, pause=pause)
        if was is not DeviceState.OK or bad:
            self._tell(device, was)
        if readings:
            self._publish(readings)

    def _tell(self, device: Attached, was: DeviceState) -> None:
        """A device that falls silent, or speaks again, is told once."""
        state = device.counters.state
        if state is DeviceState.SILENT and was is not DeviceState.SILENT:
            _LOG.warning(
                "%s: %s is silent (%s); likely cause: %s",
                self.line.id, device.id, device.counters.last_error, device.counters.cause,
            )  # fmt: skip
        elif was is DeviceState.SILENT and state is not DeviceState.SILENT:
            _LOG.info("%s: %s answers again", self.line.id, device.id)

    def _check_all_silent(self, open_for_s: float) -> None:
        """A line on which nobody answers is reopened, at most every quarter minute."""
        if open_for_s < REOPEN_AFTER_S or not self._devices:
            return
        if all(d.counters.state is DeviceState.SILENT for d in self._devices.values()):
            raise LineDown(f"{self.line.id}: no device answers; reopening")

    def _all_bad(self, error: LineDown) -> None:
        """The line is gone: each device's points become bad readings that say so."""
        for device in self._devices.values():
            was = device.counters.state
            poll = device.driver.poll(self._clock())
            try:
                next(poll)
                poll.throw(error)
            except StopIteration as stop:
                device.counters.failed(error.reason)
                device.counters.errors[error.reason] += 1
                self._tell(device, was)
                self._publish(stop.value)


def _answered(reason: str) -> bool:
    """Whether a bad reading still shows that the device spoke (and spoke validly)."""
    return reason.startswith("exception") or reason in (
        "out_of_range", "not_a_number", "not_available", "not_supported", "not_a_switch",
        "not_bcd", "length", "unit", "clock", "unknown_state",
    )  # fmt: skip


def _pause(until: float) -> Waits[None]:
    """Waits for a time, whatever else happens."""
    while not (yield until):
        pass
