"""Modbus TCP devices on loopback that answer at once, as a process of its own.

    python -m tests.bench.field DEVICES

Each device has its own port. Register 0 holds the number of the read, so that a reading
can be followed from the wire to a sink; the others wander. Every answer's time is kept.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from functools import partial
from typing import Any

from tests.bench.child import obey

REGISTERS = 20
_HEAD = struct.Struct(">HHHBBHH")


class _Device:
    """One device: how often it was read, and when (monotonic seconds)."""

    def __init__(self) -> None:
        self.reads = 0
        self.first = 1
        self.times: list[float] = []

    def answer(self, request: bytes) -> bytes:
        """The reply to one whole read request."""
        transaction, _, _, unit, function, address, count = _HEAD.unpack(request)
        self.reads += 1
        number = self.reads & 0xFFFF
        self.times.append(time.monotonic())
        if function not in (3, 4) or not 1 <= count <= 125:
            return struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, 1)
        values = [number if n == 0 else 200 + n + number % 7 for n in range(address, address + count)]
        head = struct.pack(">HHHBBB", transaction, 0, 3 + 2 * count, unit, function, 2 * count)
        return head + struct.pack(f">{count}H", *values)


class _Link(asyncio.Protocol):
    def __init__(self, device: _Device) -> None:
        self._device = device
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            request, self._buffer = self._buffer[: _HEAD.size], self._buffer[_HEAD.size :]
            self._transport.write(self._device.answer(request))


async def _main(count: int) -> None:
    devices = [_Device() for _ in range(count)]
    loop = asyncio.get_running_loop()
    ports = []
    for device in devices:
        server = await loop.create_server(partial(_Link, device), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])

    def clear() -> float:
        for device in devices:
            device.first = device.reads + 1
            device.times = []
        return time.monotonic()

    def take() -> list[dict[str, Any]]:
        return [{"first": device.first, "times": device.times} for device in devices]

    def polled(times: int) -> int:
        return sum(len(device.times) >= times for device in devices)

    await obey({"clear": clear, "take": take, "polled": polled}, ports)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
