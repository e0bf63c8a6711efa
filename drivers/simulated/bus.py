"""The devices of one RS-485 line: bytes of the master in, spoilt or sound replies out; no port, no clock.

Modbus RTU and DL/T 645 share the line. Each device answers only what is addressed to
it and sent at its own speed; anything else is noise to it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from drivers.dlt645.codec import Frame, parse
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.meter645 import Dlt645Meter
from drivers.simulated.registers import ModbusUnit

TURN_ROUND_S = (0.005, 0.02)
"""From the last byte of a request to the first of the reply: cheap sensors take 5 to 50 ms."""
_LONGEST = 1024
_DECODER = DecodePDU(is_server=True)
_RTU = FramerRTU(_DECODER)


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
        self._units: list[tuple[int, ModbusUnit]] = []
        self._meters: list[Dlt645Meter] = []
        self._buffer = bytearray()
        for device in devices:
            self._add(device)

    def _add(self, device: VirtualDevice) -> None:
        settings, profile = device.settings, device.profile
        if isinstance(settings, ModbusRtuDevice) and isinstance(profile, ModbusProfile):
            self._units.append((settings.address, ModbusUnit(device, profile)))
        elif isinstance(settings, Dlt645Device) and isinstance(profile, Dlt645Profile):
            self._meters.append(Dlt645Meter(device, profile, settings.address))
        else:
            raise ValueError(f"{settings.id} speaks no protocol of a serial line")

    def receive(self, data: bytes, baudrate: int | None = None) -> list[Spoken]:
        """Takes bytes sent at `baudrate` (`None`: the medium has no speed) and gives all replies."""
        self._buffer += data
        del self._buffer[:-_LONGEST]
        spoken: list[Spoken] = []
        while True:
            answers = self._take_645(baudrate)
            if answers is None:
                answers = self._take_rtu(baudrate)
            if answers is None:
                return spoken
            spoken += answers

    def quiet(self) -> None:
        """The line was quiet for longer than a frame allows: what is left was noise."""
        self._buffer.clear()

    def _take_645(self, baudrate: int | None) -> list[Spoken] | None:
        at = self._buffer.find(0x68)
        while at >= 0:
            end = at + 12 + (self._buffer[at + 9] if len(self._buffer) > at + 9 else 256)
            raw = bytes(self._buffer[at:end])
            if end <= len(self._buffer) and _is_645(raw):
                del self._buffer[:end]
                return self._answer_645(parse(raw), raw, baudrate)
            at = self._buffer.find(0x68, at + 1)
        return None

    def _answer_645(self, request: Frame, raw: bytes, baudrate: int | None) -> list[Spoken]:
        spoken: list[Spoken] = []
        if request.control & 0x80:  # a reply, or our own echo
            return spoken
        for meter in self._meters:
            if meter.hears(request.address) and self._in_tune(meter.device, baudrate):
                answered = meter.answer(request)
                if answered is not None:
                    spoken += self._speak(meter.device, raw, answered.frame, answered.values)
        return spoken

    def _take_rtu(self, baudrate: int | None) -> list[Spoken] | None:
        for at in range(len(self._buffer) - 3):
            raw = _rtu_request(bytes(self._buffer[at:]))
            if raw is None:
                continue
            del self._buffer[: at + len(raw)]
            request = _pdu(raw)
            return [] if request is None else self._answer_rtu(request, raw, baudrate)
        return None

    def _answer_rtu(self, request: ModbusPDU, raw: bytes, baudrate: int | None) -> list[Spoken]:
        spoken: list[Spoken] = []
        for address, unit in self._units:
            if address == request.dev_id and self._in_tune(unit.device, baudrate):
                answered = unit.answer(request)
                reply = _RTU.buildFrame(answered.reply)
                spoken += self._speak(unit.device, raw, reply, answered.values)
        return spoken

    def _in_tune(self, device: VirtualDevice, baudrate: int | None) -> bool:
        settings = device.settings
        own = settings.baudrate if isinstance(settings, ModbusRtuDevice | Dlt645Device) else None
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


def _is_645(raw: bytes) -> bool:
    framed = raw[7] == 0x68 and raw[-1] == 0x16
    return framed and sum(raw[:-2]) & 0xFF == raw[-2]


def _rtu_request(data: bytes) -> bytes | None:
    """The request frame that starts at the first byte, `None` when none does (yet)."""
    kind = _DECODER.lookupPduClass(data)
    if kind is None or kind is ExceptionResponse:
        return None
    size = kind.calculateRtuFrameSize(data)
    if not size or len(data) < size:
        return None
    frame = data[:size]
    if FramerRTU.compute_CRC(frame[:-2]) != int.from_bytes(frame[-2:], "big"):
        return None
    return frame


def _pdu(raw: bytes) -> ModbusPDU | None:
    try:
        return _RTU.handleFrame(raw, 0, 0)[1]
    except ModbusException:  # a sound frame with a count outside the standard's limits
        return None
