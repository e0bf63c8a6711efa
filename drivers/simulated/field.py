"""The whole simulated field of one configuration: its lines with their devices, and the clock behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.line.settings import SerialLine, TcpLine
from drivers.modbus.settings import ModbusTcpDevice
from drivers.mqtt.settings import MqttLine
from drivers.simulated.broker import Login
from drivers.simulated.bus import Bus
from drivers.simulated.chorus import Chorus, speaks
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.ledger import Ledger
from drivers.simulated.modbus_tcp import ModbusTcpServer, SerialServer
from drivers.simulated.mqtt import MqttPublisher
from drivers.simulated.physics import School
from drivers.simulated.serial import PtyLine

CLOCK_TICK_S = 0.1
Line = SerialLine | TcpLine | MqttLine


class Field:
    """Plays every device on every line; an async context manager.

    The lines' own URLs say where: `serial:` a path at which a pseudo-terminal appears,
    `tcp://` a port on 127.0.0.1, `mqtt://` a broker that is there already.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        devices: Sequence[VirtualDevice],
        seed: int,
        login: Login | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._seed = seed
        self._login = login
        self._ledger = ledger
        self._stack = AsyncExitStack()
        self.serial: dict[str, PtyLine] = {}
        self.tcp: dict[str, ModbusTcpServer | SerialServer] = {}
        self.brokers: dict[str, MqttPublisher] = {}
        self.choruses: dict[str, Chorus] = {}
        for line in lines:
            mine = [device for device in devices if device.settings.line == line.id]
            self._add(line, mine)

    def _add(self, line: Line, devices: Sequence[VirtualDevice]) -> None:
        seed = self._seed
        if speakers := [device for device in devices if speaks(device)]:
            self.choruses[line.id] = Chorus(speakers, seed)
            devices = [device for device in devices if not speaks(device)]
        if isinstance(line, SerialLine):
            self.serial[line.id] = PtyLine(Bus(devices, line.baudrate, seed), Path(line.path), self._ledger)
        elif isinstance(line, MqttLine):
            self.brokers[line.id] = MqttPublisher(devices, seed, line.address, self._login, self._ledger)
        elif any(isinstance(device.settings, ModbusTcpDevice) for device in devices):
            self.tcp[line.id] = ModbusTcpServer(devices, seed, line.address[1], self._ledger)
        else:
            self.tcp[line.id] = SerialServer(Bus(devices, 9600, seed), line.address[1], self._ledger)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for pty in self.serial.values():
                await stack.enter_async_context(pty)
            for server in self.tcp.values():
                await stack.enter_async_context(server)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Lets the devices that speak by themselves speak, until cancelled; the others answer."""
        ends: dict[str, PtyLine | ModbusTcpServer | SerialServer] = {**self.serial, **self.tcp}
        async with asyncio.TaskGroup() as group:
            for name, chorus in self.choruses.items():
                group.create_task(chorus.run(ends[name].say), name=f"field {name}")
            for name, publisher in self.brokers.items():
                group.create_task(publisher.run(), name=f"field {name}")

    def buses(self) -> Mapping[str, Bus]:
        """The RS-485 lines, those behind serial servers too, by line id."""
        behind = {name: server.bus for name, server in self.tcp.items() if isinstance(server, SerialServer)}
        return {name: pty.bus for name, pty in self.serial.items()} | behind

    def fall_silent(self) -> None:
        """No device says anything any more: what was said can be counted."""
        for bus in self.buses().values():
            bus.silent = True
        for chorus in self.choruses.values():
            chorus.silent = True
        for server in self.tcp.values():
            if isinstance(server, ModbusTcpServer):
                server.faults.update({name: Fault(dead=True) for name in server.devices})
        for publisher in self.brokers.values():
            publisher.producing = False

    @property
    def waiting(self) -> int:
        """Messages that no broker has acknowledged yet."""
        return sum(publisher.waiting for publisher in self.brokers.values())


async def live(school: School, speed: float) -> None:
    """Lets simulated time pass at `speed` simulated seconds per second, until cancelled."""
    before = time.monotonic()
    while True:
        await asyncio.sleep(CLOCK_TICK_S)
        now = time.monotonic()
        school.advance((now - before) * speed)
        before = now
