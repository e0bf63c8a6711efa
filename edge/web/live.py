"""Server-sent events: one hub that encodes each event once, and a bounded queue for each client.

Readings are coalesced: what the lines read in one tick is shown as the bus brings it, then nothing
for half a second, of which the latest of each point is kept. While nobody listens nothing is
gathered or encoded; the first who comes is shown the newest of every point. A client that
cannot follow, or comes back too late, is told to `resync` instead of missing something
silently.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

from drivers.reading import Millis, Reading
from edge.config.configuration import Configuration
from edge.web.encoding import array, reading_fields
from edge.web.services.alarms import AlarmRecord
from edge.web.services.lines import LineStatus
from edge.web.services.sync import SyncStatus
from edge.web.views.base import View, instant

if TYPE_CHECKING:
    from edge.web.school import Schools

_POINT = itemgetter(0, 1)
MOST_CLIENTS = 50
QUEUE_BYTES = 4_000_000
"""What may wait for one client; events are shared, so only a stalled client costs memory."""
RING_BYTES = 2_000_000
"""Events kept for clients that come back."""
PAUSE, LINGER = 0.04, 0.4
"""Parts of the half second between two ticks: so long without readings ends a tick, and so long one lasts
at most."""


class Full(Exception):
    """As many clients as allowed are listening."""


class Client:
    """One listener: what waits for it, and how many events it has lost."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._limit = limit
        self._events: deque[bytes] = deque()
        self._size = 0
        self._must_resync = False
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, event: bytes) -> None:
        """Queues an event; when too much waits, the oldest events go."""
        self._events.append(event)
        self._size += len(event)
        while self._size > self._limit and len(self._events) > 1:
            self._size -= len(self._events.popleft())
            self.dropped += 1
            self._must_resync = True
        self._filled.set()

    def resync(self) -> None:
        """Lets the client know that it missed something."""
        self._must_resync = True
        self._filled.set()

    async def get(self) -> bytes | None:
        """All that waits, as one piece; `None` once closed."""
        while not (self._events or self._must_resync or self._closed):
            self._filled.clear()
            await self._filled.wait()
        if self._closed:
            return None
        piece = (frame("resync", b"{}") if self._must_resync else b"") + b"".join(self._events)
        self._events.clear()
        self._size = 0
        self._must_resync = False
        return piece

    def close(self) -> None:
        """Ends the stream after what is being sent."""
        self._closed = True
        self._filled.set()


def frame(event: str, data: bytes, number: int | None = None) -> bytes:
    """One event on the wire; `data` is JSON on a single line."""
    head = b"" if number is None else b"id: %d\n" % number
    return head + b"event: %s\ndata: %s\n\n" % (event.encode(), data)


class LiveHub:
    """Everything live goes through here. What is told to it never waits and may be called from
    any coroutine of the loop; `run` flushes and beats until it is cancelled. `newest` gives each
    point's newest reading."""

    def __init__(
        self,
        clock: Callable[[], Millis],
        configuration: Callable[[], Configuration],
        newest: Callable[[], Sequence[Reading]],
        *,
        flush_ms: Millis = 500,
        beat_ms: Millis = 5_000,
        queue_bytes: int = QUEUE_BYTES,
        ring_bytes: int = RING_BYTES,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        self._clock = clock
        self._configuration = configuration
        self._newest = newest
        self._flush_s = flush_ms / 1000
        self._beat_s = beat_ms / 1000
        self._queue_bytes = queue_bytes
        self._ring_bytes = ring_bytes
        self._most_clients = most_clients
        self._clients: set[Client] = set()
        self._ring: deque[tuple[int, bytes]] = deque()
        self._ring_size = 0
        # Starting from the clock keeps the ids of a former process below ours.
        self._number = clock()
        self._waiting: dict[tuple[str, str], Reading] = {}
        self._missed = False
        self._due = asyncio.Event()
        self._closed = False
        self._dropped = 0

    @cached_property
    def _schools(self) -> Schools:
        # with the first who looks, or with the web: a start has no time for it
        from edge.web.school import Schools

        return Schools(self._configuration)

    @property
    def dropped(self) -> int:
        """Events that clients were too slow for."""
        return self._dropped + sum(client.dropped for client in self._clients)

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def readings(self, batch: Sequence[Reading]) -> None:
        """Shows readings to everyone, with the next flush."""
        if self._clients:
            self._gather(batch)
        else:
            self._missed = True

    def alarm(self, record: AlarmRecord) -> None:
        """Shows an alarm that changed."""
        self._publish_view("alarm", self._schools.now().alarm_view(record))

    def line(self, status: LineStatus) -> None:
        """Shows how a line stands."""
        from edge.web.school import line_view

        self._publish_view("line", line_view(status))

    def sync(self, status: SyncStatus) -> None:
        """Shows how a destination stands."""
        from edge.web.school import sync_view

        self._publish_view("sync", sync_view(status))

    def publish(self, event: str, data: bytes) -> None:
        """Shows one event to everyone at once; `data` is its JSON, on one line."""
        self._number += 1
        framed = frame(event, data, self._number)
        self._ring.append((self._number, framed))
        self._ring_size += len(framed)
        while self._ring_size > self._ring_bytes:
            self._ring_size -= len(self._ring.popleft()[1])
        for client in self._clients:
            client.put(framed)

    @contextmanager
    def client(self, last_event_id: str | None) -> Iterator[Client]:
        """A new client while the context lasts, with what it missed since `last_event_id` queued.
        Raises Full."""
        if self._closed or len(self._clients) >= self._most_clients:
            raise Full
        client = Client(self._queue_bytes)
        self._catch_up(client, last_event_id)
        self._clients.add(client)
        if self._missed:  # nobody listened
            self._missed = False
            self._gather(self._newest())
        try:
            yield client
        finally:
            self._clients.discard(client)
            self._dropped += client.dropped

    def close(self) -> None:
        """Ends all streams and takes no more."""
        self._closed = True
        for client in self._clients:
            client.close()

    async def run(self) -> None:
        """Flushes and beats until cancelled; opens the hub again after a `close`."""
        self._closed = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self._flush_forever(), name="live-flush")
            group.create_task(self._beat_forever(), name="live-beat")

    async def _flush_forever(self) -> None:
        while True:
            await self._due.wait()
            await self._follow_tick()
            await asyncio.sleep(self._flush_s)

    async def _follow_tick(self) -> None:
        """Shows a tick's readings as they come; what comes too late for it waits for the next."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGER * self._flush_s
        with suppress(TimeoutError):
            while loop.time() < until:
                self._flush()
                async with asyncio.timeout(PAUSE * self._flush_s):
                    await self._due.wait()

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            beat = frame("beat", b'{"now":"%s"}' % instant(self._clock()).encode())
            for client in self._clients:
                client.put(beat)

    def _publish_view(self, event: str, view: View) -> None:
        self.publish(event, view.model_dump_json(by_alias=True).encode())

    def _gather(self, readings: Sequence[Reading]) -> None:
        self._waiting.update(zip(map(_POINT, readings), readings, strict=True))
        if self._waiting:
            self._due.set()

    def _flush(self) -> None:
        self._due.clear()
        readings, self._waiting = self._waiting.values(), {}
        self.publish("reading", array(list(reading_fields(readings))))

    def _catch_up(self, client: Client, last_event_id: str | None) -> None:
        if last_event_id is None:
            return
        oldest = self._ring[0][0] if self._ring else self._number + 1
        last = int(last_event_id[:18]) if last_event_id.isdecimal() else -1
        if not oldest - 1 <= last <= self._number:
            client.resync()
            return
        for number, framed in self._ring:
            if number > last:
                client.put(framed)


async def events(
    client: Client, hello: bytes, welcome: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """The bytes of one stream: `hello`, then what comes, until the hub closes or `welcome`,
    asked before each piece, says no."""
    yield frame("hello", hello)
    while True:
        piece = await client.get()
        if piece is None or not await welcome():
            return
        yield piece
