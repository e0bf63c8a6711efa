"""The nearest place outside a system where its readings can be seen, as a process of its own.

    python -m tests.bench.watch mqtt PORT TOPIC      what it publishes
    python -m tests.bench.watch sse PORT TOKEN       this gateway's /api/v1/stream
    python -m tests.bench.watch lines PORT           JSON lines on a TCP connection

Only arrival times and raw bytes are kept while it listens; `take` reads them afterwards
and answers `[device, read number, arrival in monotonic seconds]` of each reading.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from tests.bench.child import obey

Arrival = tuple[str, int, float]


class Listener(Protocol):
    """One way to listen."""

    async def open(self) -> None:
        """Starts listening."""
        ...

    def clear(self) -> None:
        """Forgets what came."""
        ...

    def take(self) -> list[Arrival]:
        """What came since `clear`."""
        ...


class MqttListener:
    """A subscriber with the client library's own thread."""

    def __init__(self, port: int, topic: str) -> None:
        self._port = port
        self._topic = topic
        self._came: list[tuple[float, str, bytes]] = []

    async def open(self) -> None:
        """Subscribes; listens when it returns."""
        from paho.mqtt.client import Client, MQTTMessage
        from paho.mqtt.enums import CallbackAPIVersion

        subscribed = asyncio.Event()
        loop = asyncio.get_running_loop()
        client = Client(CallbackAPIVersion.VERSION2)

        def message(_client: Any, _data: Any, one: MQTTMessage) -> None:
            self._came.append((time.monotonic(), one.topic, bytes(one.payload)))

        def connected(*_: Any) -> None:
            client.subscribe(self._topic, qos=1)

        def done(*_: Any) -> None:
            loop.call_soon_threadsafe(subscribed.set)

        client.on_message, client.on_connect, client.on_subscribe = message, connected, done
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        async with asyncio.timeout(20):
            await subscribed.wait()

    def clear(self) -> None:
        """Forgets what came."""
        self._came = []

    def take(self) -> list[Arrival]:
        """See `Listener`."""
        return [found for at, topic, payload in self._came for found in read_message(at, topic, payload)]


def read_message(at: float, topic: str, payload: bytes) -> Iterator[Arrival]:
    """Telemetry `{device: [{ts, values: {r0: n}}]}`, or an array of registers under `bench/DEVICE`."""
    content = json.loads(payload)
    if isinstance(content, list):
        yield topic.rpartition("/")[2], int(content[0]), at
        return
    for device, samples in content.items():
        for sample in samples if isinstance(samples, list) else ():
            values = sample.get("values", sample)
            number = values.get("r00", values.get("r0"))
            if number is not None:
                yield device, int(number), at


class StreamListener:
    """Bytes of a TCP connection, cut at `end` into pieces that `read` understands."""

    def __init__(self, port: int, hello: bytes, end: bytes, read: Any) -> None:
        self._port = port
        self._hello = hello
        self._end = end
        self._read = read
        self._came: list[tuple[float, bytes]] = []
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None  # a writer that nobody holds closes its connection

    async def open(self) -> None:
        """Connects; listens when it returns."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        self._writer.write(self._hello)
        if self._hello:
            status = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in status.split(b"\r\n")[0]:
                raise RuntimeError(status.decode())
        self._task = asyncio.get_running_loop().create_task(self._listen(reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 20):
            self._came.append((time.monotonic(), data))

    def clear(self) -> None:
        """Forgets what came; the rest of a piece under way is dropped with it."""
        self._came = []

    def take(self) -> list[Arrival]:
        """See `Listener`."""
        found: list[Arrival] = []
        held = b""
        for at, data in self._came:
            *pieces, held = (held + data).split(self._end)
            for piece in pieces:
                found.extend((device, number, at) for device, number in self._read(piece))
        return found


def read_event(piece: bytes) -> Iterator[tuple[str, int]]:
    """Device and read number of each r00 in one server-sent `reading` event; nothing for other events."""
    if b"event: reading" not in piece:
        return
    data = b"".join(line[6:] for line in piece.split(b"\n") if line.startswith(b"data: "))
    try:
        readings = json.loads(data)
    except ValueError:  # the first piece after `clear` may be cut
        return
    for reading in readings:
        if reading["point"] == "r00" and reading["value"] is not None:
            yield reading["device"], int(reading["value"])


def read_line(piece: bytes) -> Iterator[tuple[str, int]]:
    """Device and read number of one JSON line `[device, number, ...]`."""
    try:
        device, number, *_ = json.loads(piece)
    except ValueError:
        return
    yield device, int(number)


def listener(kind: str, port: int, rest: Sequence[str]) -> Listener:
    """One of the three ways, by its name."""
    if kind == "mqtt":
        return MqttListener(port, rest[0])
    if kind == "sse":
        request = (
            f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {rest[0]}\r\nAccept: text/event-stream\r\n\r\n"
        )
        return StreamListener(port, request.encode(), b"\n\n", read_event)
    return StreamListener(port, b"", b"\n", read_line)


async def _main(kind: str, port: int, rest: list[str]) -> None:
    one = listener(kind, port, rest)
    await one.open()
    await obey({"clear": one.clear, "take": one.take}, True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
