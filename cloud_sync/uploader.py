"""Takes what is stored, sends it, and notes it when the district has confirmed it.

What is urgent goes first: alarms, then what came in within the last minutes. A backlog follows,
oldest first and with pauses, so that what is urgent meanwhile waits for one batch at most.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from cloud_sync.backoff import Backoff
from cloud_sync.batch import Batch
from cloud_sync.errors import Blocked, UploadError
from cloud_sync.line_protocol import format_entry
from cloud_sync.outbox import Outbox
from cloud_sync.sender import Sender
from cloud_sync.settings import Destination
from cloud_sync.writer import LineOf, Writer
from drivers.reading import Millis
from drivers.settings import millis

log = logging.getLogger(__name__)

_TURN = 32  # writes of one outbox in one step, so that alarms wait behind few of them
_LOOK_S = 5.0  # what is urgent is looked for at least this often while a backlog drains
_OUTAGE = 3  # failures in a row behind which a backlog does not begin at once
_SMALL = 500  # entries that are put into lines at once
_RATE_WINDOW: Millis = 60_000

Lane = tuple[str, bool]
"""An outbox, and whether of what is urgent in it."""


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How one destination fares. Counts are since start; `reason` is empty while all is well.

    `blocked`: everything is held until a person acts. `fault`: so many lines were refused
    that the configuration must be wrong. `sent` and
    `rate_per_s` count values (fields); the rate is over a minute.
    """

    id: str
    url: str
    pending: int
    oldest: Millis | None
    last_success: Millis | None
    rate_per_s: float
    sent: int
    quarantined: int
    blocked: bool
    reason: str
    fault: str


class Uploader:
    """Empties outboxes into one destination, the first of them first.

    `clock` gives the time in Millis; `random` jitters the waits; `line_of` puts an entry as the
    destination takes it.
    """

    def __init__(
        self,
        destination: Destination,
        outboxes: Sequence[Outbox],
        client: Writer,
        clock: Callable[[], Millis],
        random: Random | None = None,
        line_of: LineOf = format_entry,
    ) -> None:
        self._destination = destination
        self._outboxes = tuple(outboxes)
        self._sender = Sender(client, destination.max_bytes, line_of)
        self._clock = clock
        self._backoff = Backoff(destination, random or Random())  # noqa: S311  jitter is no secret
        self._started = clock()
        self._kicked = asyncio.Event()
        self._woken = False  # something was stored since the last step began
        self._pausing = False
        self._batches: dict[Lane, Batch] = {}
        self._cursors: dict[Lane, int] = {}
        self._older: dict[str, bool] = {}
        self._resume = 0.0  # no backlog before this time of the loop
        self._ease = 0.0  # what the server needs before the next write
        self._began = 0.0  # the step under way, in the time of the loop
        self._wrote = -math.inf  # the last step in which something was sent
        self._wait = 0.0
        self._sent = 0
        self._quarantined = 0
        self._last_success: Millis | None = None
        self._deliveries: deque[tuple[Millis, int]] = deque()
        self._error: UploadError | None = None
        self._fault = ""

    @property
    def destination(self) -> Destination:
        """Where it delivers."""
        return self._destination

    @property
    def trouble(self) -> str:
        """Why it does not deliver, or what is refused; empty while all is well."""
        reason = self._fault if self._error is None else str(self._error)
        return f"{self._destination.id}: {reason}" if reason else ""

    async def run(self) -> None:
        """Steps and waits for ever; only errors of the outboxes leave it."""
        while True:
            try:
                await self.step()
            except UploadError:
                log.debug("%s: next try in %.1f s", self._destination.id, self.delay())
            await self.pause()

    async def step(self) -> bool:
        """One turn of what is urgent, and of the backlog where nothing urgent is left; True when more
        waits. Raises UploadError when the destination did not confirm: nothing is lost, call
        again after `delay()`."""
        self._ease = 0.0
        self._woken = False
        self._began = asyncio.get_running_loop().time()
        try:
            more = await self._urgent() or await self._drain()
        except UploadError as error:
            self._wait = self._backoff.failed(error) / 1000
            self._tell(error)
            raise
        self._wait = max(self._wait, self._ease)
        return more

    async def _urgent(self) -> bool:
        since = self._clock() - millis(self._destination.live)
        for outbox in self._outboxes:
            if await self._turn(outbox, since):
                self._wait = 0.0
                return True
        return False

    async def _drain(self) -> bool:
        """A turn of every outbox in which something old waits, unless it is time to pause."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        older = [outbox for outbox in self._outboxes if self._older.get(outbox.name, True)]
        more = bool(older)
        if began >= self._resume:
            more = False
            for outbox in older:
                more = await self._turn(outbox, None) or more
            took = loop.time() - began
            self._resume = max(self._resume, began + took / self._destination.drain)
        interval = self._destination.interval.total_seconds()
        pause = min(max(0.0, self._resume - loop.time()), max(interval, _LOOK_S))
        self._wait = pause if more else interval
        return more

    def delay(self) -> float:
        """Seconds to wait before the next step."""
        return self._wait

    async def pause(self) -> None:
        """Waits `delay()` seconds, or until `kick()` or `wake()`."""
        self._pausing = True
        self._heed()
        try:
            async with asyncio.timeout(self.delay()):
                await self._kicked.wait()
        except TimeoutError:
            return
        finally:
            self._pausing = False
            self._kicked.clear()

    def kick(self) -> None:
        """The configuration or the network changed: try at once, with the limits of old."""
        self._backoff.reset()
        self._sender.forget()
        self._wait = self._resume = 0.0
        self._kicked.set()

    def wake(self) -> None:
        """Something was stored: do not sleep on it, unless something was sent less than `interval` ago,
        the destination is in trouble, or it asked for time."""
        self._woken = True
        self._heed()

    def _heed(self) -> None:
        """Ends the pause for what was stored; how a step under way ends is waited for first."""
        if not self._woken or not self._pausing or self._error is not None or self._ease:
            return
        if asyncio.get_running_loop().time() - self._wrote >= self._destination.interval.total_seconds():
            self._kicked.set()

    async def status(self) -> DestinationStatus:
        """A snapshot; asks the outboxes for what waits."""
        backlogs = [await outbox.backlog(self._destination.id) for outbox in self._outboxes]
        oldest = [backlog.oldest for backlog in backlogs if backlog.oldest is not None]
        return DestinationStatus(
            id=self._destination.id,
            url=self._destination.url,
            pending=sum(backlog.pending for backlog in backlogs),
            oldest=min(oldest, default=None),
            last_success=self._last_success,
            rate_per_s=self._rate(),
            sent=self._sent,
            quarantined=self._quarantined,
            blocked=isinstance(self._error, Blocked),
            reason="" if self._error is None else str(self._error),
            fault=self._fault,
        )

    async def _turn(self, outbox: Outbox, since: Millis | None) -> bool:
        lane = outbox.name, since is not None
        batch = self._batches.get(lane)
        if batch is None:
            batch = await self._take(outbox, since)
            if batch is None:
                return False
            self._batches[lane] = batch
        for _ in range(_TURN):
            if not batch.head:
                await self._settle(outbox, lane, batch)
                return batch.more
            if self._ease:
                return True
            self._wrote = self._began
            if await self._sender.send(batch):
                self._succeeded()
        return True

    async def _take(self, outbox: Outbox, since: Millis | None) -> Batch | None:
        taken = await outbox.take(self._destination.id, self._destination.max_lines, since)
        lane = outbox.name, since is not None
        if since is not None:
            self._older[outbox.name] = taken.behind is not None
        if not taken.entries and taken.cursor in (taken.behind, self._cursors.get(lane)):
            return None
        old = self._batches.get((outbox.name, False))
        if since is not None and old is not None and old.cursor > (taken.behind or 0):
            del self._batches[outbox.name, False]  # the clock was set: the backlog is not old any more
        if len(taken.entries) <= _SMALL:
            return self._sender.batch(taken)
        return await asyncio.to_thread(self._sender.batch, taken)  # a tenth of a second's work

    async def _settle(self, outbox: Outbox, lane: Lane, batch: Batch) -> None:
        while batch.poison:
            entry, line, status, reason = batch.poison[0]
            await outbox.park(self._destination.id, entry, line, status, reason)
            batch.poison.pop(0)
            self._quarantined += 1
            log.info("%s: set aside entry %d of %s: %s", self._destination.id, entry.id, outbox.name, reason)
        await outbox.accept(self._destination.id, batch.cursor, batch.sent, batch.behind)
        del self._batches[lane]
        self._cursors[lane] = batch.cursor
        self._sent += batch.sent
        if batch.sent:
            self._deliveries.append((self._clock(), batch.sent))
        self._sender.suspect(batch)
        self._flag(batch)

    def _flag(self, batch: Batch) -> None:
        if batch.capped:
            reason = next(iter(batch.refused_series.values()))
            if not self._fault:
                log.error(
                    "%s: too many refused lines, check the configuration: %s", self._destination.id, reason
                )
            self._fault = reason
        elif not batch.refused_series and batch.sent:
            self._fault = ""

    def _succeeded(self) -> None:
        self._last_success = self._clock()
        if self._backoff.failures >= _OUTAGE:
            pause = self._backoff.spread(millis(self._destination.spread)) / 1000
            self._resume = max(self._resume, asyncio.get_running_loop().time() + pause)
        self._ease = self._backoff.succeeded() / 1000
        if self._error is not None:
            log.info("%s: delivers again", self._destination.id)
            self._error = None

    def _tell(self, error: UploadError) -> None:
        if type(error) is not type(self._error):  # a steady failure is told once
            level = logging.ERROR if isinstance(error, Blocked) else logging.WARNING
            log.log(level, "%s: holds everything: %s", self._destination.id, error)
        self._error = error

    def _rate(self) -> float:
        now = self._clock()
        while self._deliveries and not now - _RATE_WINDOW < self._deliveries[0][0] <= now:
            self._deliveries.popleft()
        window = max(1_000, min(_RATE_WINDOW, now - self._started))
        return sum(count for _, count in self._deliveries) * 1000 / window
