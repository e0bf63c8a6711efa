"""Takes what is stored, sends it, and moves the cursor when the district has confirmed it.

One request is in flight. What was sent with an unknown outcome is sent again, byte for
byte; InfluxDB overwrites a point with itself, so the copy there is exact.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from cloud_sync.backoff import Backoff
from cloud_sync.batch import Batch, SeriesKey
from cloud_sync.errors import Blocked, Failed, Rejected, TooLarge, Unreachable, UploadError
from cloud_sync.influx import Writer
from cloud_sync.outbox import Outbox
from cloud_sync.settings import InfluxDestination
from drivers.reading import Millis

log = logging.getLogger(__name__)

_TURN = 32  # writes of one outbox in one step, so that alarms wait behind few of them
_STRIKES = 5  # failures of one batch in a row before the batch itself is doubted
_TIMEOUTS = 3  # the same for a batch that may be too long for a slow link
_LEAST_BYTES = 16_000  # below this no batch is cut for its size
_RATE_WINDOW: Millis = 60_000
_MOST_SUSPECTS = 1_000


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

    `clock` gives the time in Millis; `random` jitters the waits.
    """

    def __init__(
        self,
        destination: InfluxDestination,
        outboxes: Sequence[Outbox],
        client: Writer,
        clock: Callable[[], Millis],
        random: Random | None = None,
    ) -> None:
        self._destination = destination
        self._outboxes = tuple(outboxes)
        self._client = client
        self._clock = clock
        self._backoff = Backoff(destination, random or Random())  # noqa: S311  jitter is no secret
        self._started = clock()
        self._kicked = asyncio.Event()
        self._batches: dict[str, Batch] = {}
        self._cursors: dict[str, int] = {}
        self._ceiling = destination.max_bytes  # what the server takes
        self._pace = destination.max_bytes  # what the link carries in time
        self._suspects: set[SeriesKey] = set()
        self._canary = b""  # one line that was accepted
        self._wait = 0.0
        self._sent = 0
        self._quarantined = 0
        self._last_success: Millis | None = None
        self._deliveries: deque[tuple[Millis, int]] = deque()
        self._error: UploadError | None = None
        self._fault = ""

    @property
    def destination(self) -> InfluxDestination:
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
        """One turn of each outbox; True when more waits. Raises UploadError when the
        destination did not confirm: nothing is lost, call again after `delay()`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        more = False
        try:
            for outbox in self._outboxes:
                more = await self._turn(outbox) or more
        except UploadError as error:
            self._wait = self._backoff.failed(error) / 1000
            self._tell(error)
            raise
        share = self._destination.drain
        took = loop.time() - began
        self._wait = took * (1 / share - 1) if more else self._destination.interval.total_seconds()
        return more

    def delay(self) -> float:
        """Seconds to wait before the next step."""
        return self._wait

    async def pause(self) -> None:
        """Waits `delay()` seconds, or until `kick()`."""
        try:
            async with asyncio.timeout(self.delay()):
                await self._kicked.wait()
        except TimeoutError:
            return
        finally:
            self._kicked.clear()

    def kick(self) -> None:
        """The configuration or the network changed: try at once, with the limits of old."""
        self._backoff.reset()
        self._ceiling = self._pace = self._destination.max_bytes
        self._suspects.clear()
        self._wait = 0.0
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

    async def _turn(self, outbox: Outbox) -> bool:
        batch = self._batches.get(outbox.name)
        if batch is None:
            batch = await self._take(outbox)
            if batch is None:
                return False
            self._batches[outbox.name] = batch
        for _ in range(_TURN):
            if not batch.head:
                await self._settle(outbox, batch)
                return batch.more
            await self._send(batch)
        return True

    async def _take(self, outbox: Outbox) -> Batch | None:
        entries, cursor, more = await outbox.take(self._destination.id, self._destination.max_lines)
        if not entries and self._cursors.get(outbox.name) == cursor:
            return None
        return Batch(
            entries,
            cursor,
            more=more,
            max_bytes=min(self._ceiling, self._pace),
            suspects=self._suspects,
        )

    async def _send(self, batch: Batch) -> None:
        body = batch.body()
        try:
            await self._client.write(body)
        except Rejected as error:
            batch.refused(error.status, error.reason)
        except TooLarge as error:
            self._too_large(batch, len(body), error)
        except Failed as error:
            if not await self._to_blame(batch):
                raise
            batch.doubted = True
            batch.refused(error.status, error.reason)
        except Unreachable as error:
            if error.timed_out:
                self._too_slow(batch, len(body))
            raise
        else:
            self._canary = batch.head[-1].text
            batch.accepted()
            self._succeeded(len(body))

    def _too_large(self, batch: Batch, size: int, error: TooLarge) -> None:
        if len(batch.head) == 1:
            batch.refused(error.status, error.reason)
            return
        self._ceiling = max(_LEAST_BYTES, min(self._ceiling, size // 2))
        batch.shrink(self._ceiling)

    def _too_slow(self, batch: Batch, size: int) -> None:
        batch.timeouts += 1
        if batch.timeouts >= _TIMEOUTS and size > _LEAST_BYTES:
            self._pace = max(_LEAST_BYTES, size // 2)
            batch.shrink(self._pace)

    async def _to_blame(self, batch: Batch) -> bool:
        """Whether the head, and not the server, is why this write fails again and again:
        one line that was accepted before is still accepted."""
        batch.strikes += 1
        enough = 1 if batch.doubted and len(batch.head) > 1 else _STRIKES
        if batch.strikes < enough:
            return False
        canary = self._canary or (batch.head[-1].text if len(batch.head) > 1 else b"")
        if not canary:
            return False
        try:
            await self._client.write(canary)
        except (Rejected, TooLarge):
            return False
        self._canary = canary
        return True

    async def _settle(self, outbox: Outbox, batch: Batch) -> None:
        while batch.poison:
            entry, line, status, reason = batch.poison[0]
            await outbox.park(self._destination.id, entry, line, status, reason)
            batch.poison.pop(0)
            self._quarantined += 1
            log.info("%s: set aside entry %d of %s: %s", self._destination.id, entry.id, outbox.name, reason)
        await outbox.accept(self._destination.id, batch.cursor, batch.sent)
        del self._batches[outbox.name]
        self._cursors[outbox.name] = batch.cursor
        self._sent += batch.sent
        if batch.sent:
            self._deliveries.append((self._clock(), batch.sent))
        if len(self._suspects) < _MOST_SUSPECTS:
            self._suspects.update(batch.refused_series)
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

    def _succeeded(self, size: int) -> None:
        self._last_success = self._clock()
        self._backoff.reset()
        if self._pace <= 2 * size:
            self._pace = min(self._destination.max_bytes, 2 * self._pace)
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
