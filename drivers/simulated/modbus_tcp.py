"""Simulated TCP ends of the field: a Modbus TCP device or gateway, and a transparent serial server.

Modbus TCP   | transaction 2 | protocol 2 = 0 | length 2 | unit 1 | PDU |
transparent  the bytes of a serial line as they are
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusTcpDevice
from drivers.reading import Value
from drivers.simulated.bus import Bus, Spoken
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.ledger import Ledger
from drivers.simulated.registers import ModbusUnit

TURN_ROUND_S = (0.002, 0.01)
NO_ANSWER_BEHIND_GATEWAY = 0x0B
_FRAMER = FramerSocket(DecodePDU(is_server=True))


class TcpServer:
    """Listens on loopback; an async context manager. `port` is known once it is entered."""

    def __init__(self, port: int = 0, ledger: Ledger | None = None) -> None:
        self.port = port
        self._ledger = ledger
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Opens the port, the same one after a `stop`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Closes the port and all connections: the device's power is off."""
        if self._server is None:
            return
        self._server.close()
        for link in tuple(self._links):
            link.abort()
        await self._server.wait_closed()
        self._server = None

    def enter(self, link: _Link) -> None:
        """A master has connected."""
        self._links.add(link)

    def leave(self, link: _Link) -> None:
        """A master has gone."""
        self._links.discard(link)

    def say(self, spoken: Spoken) -> None:
        """A device speaks by itself, to whoever is connected."""
        for link in tuple(self._links):
            link.send(spoken)

    def hear(self, buffer: bytearray) -> list[Spoken]:
        """Takes what is whole out of a connection's buffer and gives the replies."""
        raise NotImplementedError

    def sent(self, spoken: Spoken) -> None:
        """A reply was handed to the connection."""
        if self._ledger is not None:
            self._ledger.record(spoken.device, spoken.values)


class _Link(asyncio.Protocol):
    """One connection of a master."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a server of streams
        self._transport = transport
        self._server.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.leave(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            replies = self._server.hear(self._buffer)
        except ValueError:  # no Modbus: a device drops such a connection
            self.abort()
            return
        for spoken in replies:
            asyncio.get_running_loop().call_later(spoken.delay_s, self.send, spoken)

    def send(self, spoken: Spoken) -> None:
        """Sends, unless the master has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(spoken.data)
            self._server.sent(spoken)

    def abort(self) -> None:
        """Drops the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class ModbusTcpServer(TcpServer):
    """Units behind one address. A unit that is not there gets exception 0B, as gateways answer."""

    def __init__(
        self, devices: Sequence[VirtualDevice], seed: int, port: int = 0, ledger: Ledger | None = None
    ) -> None:
        super().__init__(port, ledger)
        self.faults: dict[str, Fault] = {}
        self._rng = random.Random(f"tcp-{seed}")  # noqa: S311 - repeatable delays
        self._units: dict[int, ModbusUnit] = {}
        for device in devices:
            settings, profile = device.settings, device.profile
            if not isinstance(settings, ModbusTcpDevice) or not isinstance(profile, ModbusProfile):
                raise ValueError(f"{settings.id} does not speak Modbus TCP")
            self._units[settings.address] = ModbusUnit(device, profile)

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids of its devices."""
        return tuple(unit.device.settings.id for unit in self._units.values())

    def hear(self, buffer: bytearray) -> list[Spoken]:
        """Answers all whole frames; ValueError for bytes that are no Modbus TCP."""
        spoken: list[Spoken] = []
        while len(buffer) >= FramerSocket.MIN_SIZE:
            if buffer[2] or buffer[3] or not 2 < int.from_bytes(buffer[4:6], "big") <= 254:
                raise ValueError("no Modbus TCP")
            end = 6 + int.from_bytes(buffer[4:6], "big")
            if len(buffer) < end:
                break
            raw = bytes(buffer[:end])
            del buffer[:end]
            try:
                request = _FRAMER.handleFrame(raw, 0, 0)[1]
            except ModbusException:
                request = None
            if request is not None:
                spoken += self._answer(request, raw)
        return spoken

    def _answer(self, request: ModbusPDU, raw: bytes) -> list[Spoken]:
        delay = self._rng.uniform(*TURN_ROUND_S)
        unit = self._units.get(request.dev_id)
        if unit is None:
            reply: ModbusPDU = ExceptionResponse(request.function_code, NO_ANSWER_BEHIND_GATEWAY)
            reply.dev_id, reply.transaction_id = request.dev_id, request.transaction_id
            return [Spoken(delay, _FRAMER.buildFrame(reply), "", {})]
        answered = unit.answer(request)
        frame = _FRAMER.buildFrame(answered.reply)
        name = unit.device.settings.id
        values: Mapping[str, Value | None] = answered.values
        fault = self.faults.get(name)
        if fault is not None and fault.spend():
            frame = fault.spoil(raw, frame)
            values = {} if fault.harms else values
            delay += fault.late_s
        return [Spoken(delay, frame, name, values)] if frame else []


class SerialServer(TcpServer):
    """A transparent serial server: a whole RS-485 line behind one TCP port."""

    def __init__(self, bus: Bus, port: int = 0, ledger: Ledger | None = None) -> None:
        super().__init__(port, ledger)
        self.bus = bus

    def hear(self, buffer: bytearray) -> list[Spoken]:
        """Puts all bytes on the line."""
        data = bytes(buffer)
        buffer.clear()
        return self.bus.receive(data)
