"""The devices of one RS-485 line: bytes of the master in, spoilt or sound replies out; no port, no clock.

Modbus RTU and ASCII, DL/T 645 and CJ/T 188 share the line. Each device answers only what
is addressed to it and sent at its own speed; anything else is noise to it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusAsciiDevice, ModbusRtuDevice
from drivers.reading import Value
from drivers.simulated.console import DavisConsole, DavisEar
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.meter188 import Cjt188Ear, Cjt188Meter
from drivers.simulated.meter645 import Dlt645Ear, Dlt645Meter
from drivers.simulated.printer import TextEar, TextPrinter
from drivers.simulated.registers import ModbusUnit
from drivers.simulated.serial_modbus import AsciiEar, RtuEar
from drivers.simulated.station import Ear, Request
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice

TURN_ROUND_S = (0.005, 0.02)
"""From the last byte of a request to the first of the reply: cheap sensors take 5 to 50 ms."""
_LONGEST = 1024


class Spoken(NamedTuple):
    """What a device puts on the line `delay_s` after the request.

    `values` are those of a sound reply, empty when a fault has spoilt it.
    """

    delay_s: float
    data: bytes
    device: str
    values: Mapping[str, Value | None]


class Bus:
    """All devices of one line. `faults` by device id and `silent` may be changed at any time."""

    def __init__(self, devices: Sequence[VirtualDevice], baudrate: int, seed: int) -> None:
        self.faults: dict[str, Fault] = {}
        self.silent = False
        self._baudrate = baudrate
        self._rng = random.Random(f"bus-{seed}")  # noqa: S311 - repeatable delays
        self._rtu, self._ascii = RtuEar(), AsciiEar()
        self._dlt645, self._cjt188 = Dlt645Ear(), Cjt188Ear()
        self._davis, self._text = DavisEar(), TextEar()
        self._ears: tuple[Ear, ...] = (
            self._dlt645, self._cjt188, self._ascii, self._davis, self._text, self._rtu,
        )  # fmt: skip
        self._buffer = bytearray()
        for device in devices:
            self._add(device)

    def _add(self, device: VirtualDevice) -> None:
        settings, profile = device.settings, device.profile
        if isinstance(settings, ModbusRtuDevice) and isinstance(profile, ModbusProfile):
            self._rtu.add(settings.address, ModbusUnit(device, profile))
        elif isinstance(settings, ModbusAsciiDevice) and isinstance(profile, ModbusProfile):
            self._ascii.add(settings.address, ModbusUnit(device, profile))
        elif isinstance(settings, Dlt645Device) and isinstance(profile, Dlt645Profile):
            self._dlt645.add(Dlt645Meter(device, profile, settings.address))
        elif isinstance(settings, Cjt188Device) and isinstance(profile, Cjt188Profile):
            self._cjt188.add(Cjt188Meter(device, profile, settings))
        elif isinstance(settings, DavisDevice) and isinstance(profile, DavisProfile):
            self._davis.add(DavisConsole(device, profile))
        elif isinstance(settings, TextDevice) and isinstance(profile, TextProfile):
            self._text.add(TextPrinter(device, profile, settings))
        else:
            raise ValueError(f"{settings.id} speaks no protocol of a serial line")

    def receive(self, data: bytes, baudrate: int | None = None) -> list[Spoken]:
        """Takes bytes sent at `baudrate` (`None`: the medium has no speed) and gives all replies."""
        self._buffer += data
        del self._buffer[:-_LONGEST]
        spoken: list[Spoken] = []
        while (request := self._take()) is not None:
            for station in request.stations:
                answered = station.answer() if self._in_tune(station.device, baudrate) else None
                if answered is not None:
                    spoken += self._speak(station.device, request.raw, answered.frame, answered.values)
        return spoken

    def quiet(self) -> None:
        """The line was quiet for longer than a frame allows: what is left was noise."""
        self._buffer.clear()

    def _take(self) -> Request | None:
        for ear in self._ears:
            request = ear.take(self._buffer)
            if request is not None:
                return request
        return None

    def _in_tune(self, device: VirtualDevice, baudrate: int | None) -> bool:
        own = getattr(device.settings, "baudrate", None)
        return baudrate is None or baudrate == (own or self._baudrate)

    def _speak(
        self, device: VirtualDevice, request: bytes, reply: bytes, values: Mapping[str, Value | None]
    ) -> list[Spoken]:
        delay = self._rng.uniform(*TURN_ROUND_S)
        name = device.settings.id
        if self.silent:
            return []
        fault = self.faults.get(name)
        if fault is None or not fault.spend():
            return [Spoken(delay, reply, name, values)]
        data = fault.spoil(request, reply)
        if not data:
            return []
        return [Spoken(delay + fault.late_s, data, name, {} if fault.harms else values)]
