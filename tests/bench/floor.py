"""The floor: the same work as the gateway's, written by hand as one straight asyncio program.

    python -m tests.bench.floor JSON

It polls Modbus TCP devices on the grid of a second (or listens to MQTT), decodes with one
precompiled struct, compares a threshold, stores rows in SQLite (WAL, synchronous FULL) in
groups, forwards what is stored as gzipped line protocol behind a durable cursor, and writes
each reading at once to whoever is connected to its live port. When a group is committed and
how often is sent, the harness says: by the gateway's own defaults.

It leaves out all that makes a gateway: configuration, profiles, quality, retries, alarms
with a life, users, a dashboard, quarantine, backoff. It shows what the work itself costs.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import struct
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REGISTERS = 20
MOST_ROWS = 100_000
INSERT = "INSERT INTO readings(series, at, value) VALUES(?,?,?)"
_VALUES = struct.Struct(f">9x{REGISTERS}H")
_NAMES = [b"r%02d=" % n for n in range(REGISTERS)]
_THRESHOLD = 60_000
_REQUEST = bytes.fromhex("0000 0000 0006 01 03 0000") + struct.pack(">H", REGISTERS)

Row = tuple[int, int, float]
"""series, time of measuring in epoch ms, value"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the harness asks for: `ports` of Modbus TCP devices, or an MQTT `broker` with `devices`.

    A group is committed after `group_s` or with `group_rows`, whichever comes first; what is stored is sent
    at most once in `interval_s`.
    """

    data: str
    district: str
    live: int
    group_s: float
    group_rows: int
    interval_s: float
    ports: Sequence[int] = ()
    broker: int = 0
    devices: int = 0


def connect(folder: Path) -> sqlite3.Connection:
    """The floor's file, made if need be; transactions are begun and ended by hand."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE IF NOT EXISTS readings(id INTEGER PRIMARY KEY, series INTEGER, at INTEGER, value)",
        "CREATE TABLE IF NOT EXISTS cursor(position INTEGER)",
    ):
        database.execute(statement)
    return database


class Floor:
    """Everything in one place: rows not yet committed, listeners, the database and its thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: list[Row] = []
        self._full = asyncio.Event()
        self._stored = asyncio.Event()
        self._over: set[int] = set()
        self._listeners: set[asyncio.StreamWriter] = set()
        self._thread = ThreadPoolExecutor(1)
        self._database = connect(Path(settings.data))

    def take(self, device: int, values: Sequence[float]) -> None:
        """One device's readings: compared, held for the next commit, shown to listeners."""
        at = time.time_ns() // 1_000_000
        series = device * REGISTERS
        for number, value in enumerate(values):
            if value > _THRESHOLD:
                self._over.add(series + number)
            self._held.append((series + number, at, value))
        if len(self._held) >= self._settings.group_rows:
            self._full.set()
        if self._listeners:
            line = json.dumps([f"d{device}", *values]).encode() + b"\n"
            for listener in self._listeners:
                listener.write(line)

    async def run(self) -> None:
        """Serves until it is ended."""
        settings = self._settings
        server = await asyncio.start_server(self._listen, "127.0.0.1", settings.live)
        async with server, asyncio.TaskGroup() as group:
            group.create_task(self._store())
            group.create_task(self._forward())
            if settings.ports:
                group.create_task(poll(settings.ports, self.take))
            if settings.broker:
                group.create_task(hear(settings.broker, settings.devices, self.take))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listeners.add(writer)
        await reader.read()
        self._listeners.discard(writer)

    async def _store(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.group_s):
                    await self._full.wait()
            self._full.clear()
            rows, self._held = self._held, []
            if rows:
                await loop.run_in_executor(self._thread, self._commit, rows)
                self._stored.set()

    def _commit(self, rows: Sequence[Row]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(INSERT, rows)
        self._database.execute("COMMIT")

    async def _forward(self) -> None:
        while True:
            self._stored.clear()
            if await self._drain():
                await asyncio.sleep(self._settings.interval_s)
            else:
                await self._stored.wait()

    async def _drain(self) -> bool:
        """Sends all that is stored, until a write is not taken; whether there was anything."""
        loop = asyncio.get_running_loop()
        address = urlsplit(self._settings.district)
        found = False
        while True:
            cursor, body = await loop.run_in_executor(self._thread, self._next)
            if not body:
                return found
            found = True
            if not await post(address.hostname or "", address.port or 0, "/api/v2/write", body):
                return found
            await loop.run_in_executor(self._thread, self._move, cursor)

    def _next(self) -> tuple[int, bytes]:
        (cursor,) = self._database.execute("SELECT coalesce(max(position), 0) FROM cursor").fetchone()
        lines: list[bytes] = []
        last = (-1, -1)
        for number, series, at, value in self._database.execute(
            "SELECT id, series, at, value FROM readings WHERE id>? ORDER BY id LIMIT ?", (cursor, MOST_ROWS)
        ):
            device, point = divmod(series, REGISTERS)
            if (device, at) != last:
                if lines:
                    lines.append(b" %d\n" % last[1])
                lines.append(b"m,device=d%d " % device)
                last = (device, at)
            else:
                lines.append(b",")
            lines.append(_NAMES[point] + repr(value).encode())
            cursor = number
        if not lines:
            return cursor, b""
        lines.append(b" %d" % last[1])
        return cursor, gzip.compress(b"".join(lines), 1)

    def _move(self, cursor: int) -> None:
        self._database.execute("DELETE FROM cursor")
        self._database.execute("INSERT INTO cursor VALUES(?)", (cursor,))


async def post(host: str, port: int, path: str, body: bytes) -> bool:
    """One gzipped POST on a connection of its own; whether it was taken."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Encoding: gzip\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        status = await reader.readuntil(b"\r\n")
        writer.close()
        await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        return False
    return b" 204 " in status


class _Master(asyncio.Protocol):
    """One connection to one device."""

    def __init__(self, device: int, take: Any) -> None:
        self._device = device
        self._take = take
        self._buffer = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _VALUES.size:
            self._take(self._device, _VALUES.unpack_from(self._buffer))
            self._buffer = self._buffer[_VALUES.size :]


def _same(master: _Master) -> _Master:
    return master


async def poll(ports: Sequence[int], take: Any) -> None:
    """Asks all devices on each whole second of the loop's clock."""
    loop = asyncio.get_running_loop()
    masters = []
    for device, port in enumerate(ports):
        master = _Master(device, take)
        await loop.create_connection(partial(_same, master), "127.0.0.1", port)
        masters.append(master)
    due = loop.time()
    while True:
        for master in masters:
            master.transport.write(_REQUEST)
        due = max(due + 1.0, float(int(loop.time())))
        await asyncio.sleep(due - loop.time())


async def hear(broker: int, devices: int, take: Any) -> None:
    """Follows `field/DEVICE` messages whose values stand under r00, r01, ..."""
    import aiomqtt
    import msgspec

    numbers = {f"field/d{n}": n for n in range(devices)}
    decode = msgspec.json.Decoder(dict[str, float]).decode
    async with aiomqtt.Client("127.0.0.1", broker) as client:
        await client.subscribe("field/#", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            take(numbers[message.topic.value], list(decode(message.payload).values()))


if __name__ == "__main__":
    asyncio.run(Floor(Settings(**json.loads(sys.argv[1]))).run())
