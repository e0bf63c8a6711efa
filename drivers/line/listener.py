"""A line whose devices speak first: hears them, thins what they say, notices who falls silent.

    transport -> buffer -> each device's decoder -> readings, at most about one a point and period
                                  '-> garbage, counted

Stands beside the arbiter: one owner of a port, the same counters, LineDown when it is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from drivers.contract import Speaking
from drivers.errors import LineDown
from drivers.line.counters import DeviceCounters, DeviceState, LineCounters
from drivers.line.settings import FieldLine, SerialLine
from drivers.line.traffic import Traffic
from drivers.line.transport import Transport
from drivers.reading import Millis, Quality, Reading

_LOG = logging.getLogger(__name__)

SILENT_PERIODS = 3
"""A point that was not heard for so many of its device's periods is a bad reading."""
BUFFER_LIMIT = 65_536
"""Bytes that may wait to be decoded; the oldest are dropped and counted."""
REOPEN_AFTER_S = 60.0
"""A line on which nobody speaks is reopened so often: a serial server may have lost its side."""


@dataclass(slots=True)
class Speaker:
    """A device on the line. `period_s` is how often its points are wanted."""

    id: str
    driver: Speaking
    period_s: float
    counters: DeviceCounters = field(default_factory=DeviceCounters)


@dataclass(slots=True)
class _Kept:
    """The reading of a point that was published last."""

    at: float
    reading: Reading


@dataclass(slots=True)
class _Watch:
    """What is known of one speaker: when each point was heard, and which are missing or bad."""

    speaker: Speaker
    heard: dict[str, float] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    bad: dict[str, str] = field(default_factory=dict)
    kept: dict[str, _Kept] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    """Garbage since something sound was heard."""

    @property
    def patience_s(self) -> float:
        return SILENT_PERIODS * self.speaker.period_s

    @property
    def is_silent(self) -> bool:
        return len(self.missing) == len(self.speaker.driver.points)

    def begin(self, now: float) -> None:
        """The line is open: every point has its time from now on; who is missing stays so."""
        self.heard = dict.fromkeys(self.speaker.driver.points, now)

    def deadline(self) -> float | None:
        """When the next point will be missing."""
        waiting = [at for point, at in self.heard.items() if point not in self.missing]
        return min(waiting) + self.patience_s if waiting else None

    def overdue(self, now: float) -> list[str]:
        """Points that are missing since just now."""
        patience = self.patience_s
        return [p for p, at in self.heard.items() if at + patience <= now and p not in self.missing]

    def take(self, readings: Sequence[Reading], now: float) -> list[Reading]:
        """Books what was heard; the readings to publish."""
        for reading in readings:
            self.heard[reading.point] = now
            self.missing.discard(reading.point)
            if reading.quality is Quality.BAD:
                self.bad[reading.point] = reading.reason
            else:
                self.bad.pop(reading.point, None)
        return [reading for reading in readings if self._is_wanted(reading, now)]

    def _is_wanted(self, reading: Reading, now: float) -> bool:
        """A point is published when half a period has passed, or when it tells something new.

        Half, so that a device that speaks at its own pace near the period loses nothing.
        """
        kept = self.kept.get(reading.point)
        if kept is not None and now - kept.at < self.speaker.period_s / 2:
            same_word = isinstance(reading.value, float | int) and not isinstance(reading.value, bool)
            before = kept.reading
            unchanged = (before.quality, before.reason) == (reading.quality, reading.reason)
            if unchanged and (same_word or before.value == reading.value):
                return False
        self.kept[reading.point] = _Kept(now, reading)
        return True

    def lose(self, points: Iterable[str], reason: str, now: float, at: Millis) -> list[Reading]:
        """Makes points bad readings with that reason."""
        units = self.speaker.driver.points
        lost = [
            Reading(self.speaker.id, point, None, units[point], at, at, Quality.BAD, reason)
            for point in points
        ]
        for reading in lost:
            self.missing.add(reading.point)
            self.bad[reading.point] = reason
            self.kept[reading.point] = _Kept(now, reading)
        return lost


class Listener:
    """Runs one line; `publish` gets the readings of each chunk, `clock` gives epoch ms."""

    def __init__(
        self,
        line: FieldLine,
        transport: Transport,
        devices: Sequence[Speaker],
        publish: Callable[[Sequence[Reading]], None],
        clock: Callable[[], Millis],
    ) -> None:
        self.line = line
        self.counters = LineCounters()
        self.traffic = Traffic(clock)
        self._transport = transport
        self._devices = {device.id: device for device in devices}
        self._watches = [_Watch(device) for device in devices]
        self._publish = publish
        self._clock = clock
        self._buffer = bytearray()
        self._lost = ""
        self._is_down = False
        self._waiter: asyncio.Future[None] | None = None
        self._byte_s = 0.0
        if isinstance(line, SerialLine):
            self._byte_s = line.framing.bits / line.baudrate
            self.traffic.speed = f"{line.baudrate} {line.framing}"

    @property
    def devices(self) -> Mapping[str, Speaker]:
        """The attached devices by id."""
        return self._devices

    async def run(self) -> None:
        """Opens the line and listens until cancelled; raises LineDown when it is gone."""
        loop = asyncio.get_running_loop()
        self._lost = ""
        self._buffer.clear()
        try:
            await self._transport.open(self._received, self._gone)
            self.counters.opened += 1
            self.counters.connected_since = self._clock()
            self.counters.last_error = ""
            self._opened(loop.time())
            await self._listen(loop)
        except LineDown as error:
            self.counters.last_error = str(error)
            if self.counters.connected_since is None or self._lost:
                self._all_bad(error, loop.time())
            raise
        finally:
            self.counters.connected_since = None
            self._transport.close()

    def _opened(self, now: float) -> None:
        for watch in self._watches:
            if self._is_down:
                watch.missing.clear()  # they had no chance to speak: silence is told anew
            watch.begin(now)
        self._is_down = False

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        opened = before = loop.time()
        while True:
            now = loop.time()
            data = bytes(self._buffer)
            self._buffer.clear()
            self.counters.worked(len(data) * self._byte_s, now - before)
            before = now
            if data:
                self._take(data, now)
            if self._lost:
                raise LineDown(f"{self.line.id}: {self._lost}")
            self._check_silence(now)
            if all(watch.is_silent for watch in self._watches) and now - opened >= REOPEN_AFTER_S:
                raise LineDown(f"{self.line.id}: nobody speaks; reopening")
            if not self._buffer:
                await self._wait(loop, opened)

    def _take(self, data: bytes, now: float) -> None:
        """Shows the bytes to every device. As much as the least puzzled of them leaves is garbage."""
        at = self._clock()
        readings: list[Reading] = []
        garbage: list[Counter[str]] = []
        for watch in self._watches:
            overheard = watch.speaker.driver.hear(data, at)
            garbage.append(Counter(overheard.faults))
            if overheard.readings:
                self.counters.exchanges += 1
                readings += self._book(watch, overheard.readings, now, at)
        common = min(garbage, key=Counter.total)
        self.counters.faults.update(common)
        for watch in self._watches:
            watch.speaker.counters.errors.update(common)
            watch.faults.update(common)
        if readings:
            self._publish(readings)

    def _book(self, watch: _Watch, readings: Sequence[Reading], now: float, at: Millis) -> list[Reading]:
        counters = watch.speaker.counters
        was = counters.state
        wanted = watch.take(readings, now)
        watch.faults.clear()
        if any(reading.quality is Quality.GOOD for reading in readings):
            counters.succeeded(at, partly=bool(watch.bad))
        counters.failures = 0
        counters.last_error = next(iter(watch.bad.values()), "")
        for reading in readings:
            if reading.quality is Quality.BAD:
                counters.errors[reading.reason] += 1
        self._tell(watch.speaker, was)
        return wanted

    def _check_silence(self, now: float) -> None:
        for watch in self._watches:
            late = watch.overdue(now)
            if late:
                self._missing(watch, late, now)

    def _missing(self, watch: _Watch, points: Sequence[str], now: float) -> None:
        """Points that do not come any more; the whole device is silent when none does.

        Where bytes came but nothing sound, the reason is what was wrong with them.
        """
        counters = watch.speaker.counters
        was = counters.state
        reason = watch.faults.most_common(1)[0][0] if watch.faults else "timeout"
        lost = watch.lose(points, reason, now, self._clock())
        counters.errors[reason] += 1
        counters.last_error = reason
        if watch.is_silent:
            counters.failures = max(counters.failures, counters.patience)
        self._tell(watch.speaker, was)
        self._publish(lost)

    def _all_bad(self, error: LineDown, now: float) -> None:
        """The line is gone: every point is bad, told once until it is open again."""
        if self._is_down:
            return
        self._is_down = True
        for watch in self._watches:
            counters, was = watch.speaker.counters, watch.speaker.counters.state
            counters.failed(error.reason)
            counters.failures = max(counters.failures, counters.patience)
            counters.errors[error.reason] += 1
            self._tell(watch.speaker, was)
            self._publish(watch.lose(watch.speaker.driver.points, error.reason, now, self._clock()))

    def _tell(self, device: Speaker, was: DeviceState) -> None:
        """A device that falls silent, or speaks again, is told once."""
        state = device.counters.state
        if state is DeviceState.SILENT and was is not DeviceState.SILENT:
            _LOG.warning(
                "%s: %s is silent (%s); likely cause: %s",
                self.line.id, device.id, device.counters.last_error, device.counters.cause,
            )  # fmt: skip
        elif was is DeviceState.SILENT and state is not DeviceState.SILENT:
            _LOG.info("%s: %s speaks again", self.line.id, device.id)

    async def _wait(self, loop: asyncio.AbstractEventLoop, opened: float) -> None:
        """Until bytes come, the line is lost, or the next point is missing."""
        deadlines = [at for watch in self._watches if (at := watch.deadline()) is not None]
        until = min(deadlines, default=max(opened + REOPEN_AFTER_S, loop.time() + 1.0))
        waiter = self._waiter = loop.create_future()
        timer = loop.call_at(until, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _received(self, data: bytes) -> None:
        self.traffic.note("received", data)
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%s < %s", self.line.id, data.hex(" "))
        self._buffer += data
        if len(self._buffer) > BUFFER_LIMIT:
            self.counters.faults["overflow"] += 1
            del self._buffer[:-BUFFER_LIMIT]
        _wake(self._waiter)

    def _gone(self, reason: str) -> None:
        self._lost = reason or "closed"
        _wake(self._waiter)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
