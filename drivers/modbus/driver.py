"""Reads one Modbus device, RTU or TCP: planned blocks, compiled decoders, readings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from drivers.contract import Exchange, Poll
from drivers.errors import DriverError, Refused
from drivers.line.settings import FieldLine, Framing
from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import (
    Ask,
    ask_for,
    block_decoder,
    exception_code,
    find_rtu,
    find_tcp,
    read_request,
    with_transaction,
)
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusDevice, ModbusRtuDevice, ModbusTcpDevice
from drivers.profile import Judge
from drivers.reading import Millis, Quality, Reading
from drivers.settings import millis
from drivers.vocabulary import PointSpec


@dataclass(frozen=True, slots=True)
class _Read:
    """One block, compiled: what to send, how to know the reply, how to read it."""

    request: bytes
    ask: Ask
    decode: Callable[[bytes], Sequence[float]]
    points: tuple[tuple[str, str, Judge], ...]  # name, unit, judge


class ModbusDriver:
    """A device behind a unit id; `poll` reads all its blocks."""

    def __init__(
        self,
        device: ModbusDevice,
        profile: ModbusProfile,
        points: Mapping[str, PointSpec],
        line: FieldLine,
    ) -> None:
        self._id = device.id
        self._tcp = isinstance(device, ModbusTcpDevice)
        self._timeout_ms = millis(device.timeout or line.timeout)
        self._gap_ms = millis(line.gap)
        self._baudrate: int | None = None
        self._framing: Framing | None = None
        if isinstance(device, ModbusRtuDevice):
            self._baudrate, self._framing = device.baudrate, device.framing
        self._transaction = 0
        self._reads = [
            self._compile(block, device.address, profile, points)
            for block in plan(profile.points, profile.limits)
        ]

    def _compile(
        self, block: Block, unit: int, profile: ModbusProfile, points: Mapping[str, PointSpec]
    ) -> _Read:
        maps = [profile.points[name] for name in block.points]
        judges = tuple(
            (name, points[name].unit, Judge(mapping, points[name]))
            for name, mapping in zip(block.points, maps, strict=True)
        )
        request = read_request(block, unit, tcp=self._tcp)
        return _Read(request, ask_for(block, unit), block_decoder(block, maps), judges)

    def poll(self, at: Millis) -> Poll:
        """All blocks in turn; a silent device costs one exchange, a refused block only itself."""
        readings: list[Reading] = []
        failed: DriverError | None = None
        for read in self._reads:
            if failed is None:
                try:
                    reply = yield self._exchange(read)
                    code = exception_code(read.ask, reply.frame)
                    if code is not None:
                        raise Refused(f"{self._id}: exception {code}", code=code)
                except Refused as error:
                    readings.extend(self._bad(read, error.reason, reply.at))
                    continue
                except DriverError as error:
                    failed = error
                else:
                    readings.extend(self._good(read, reply.frame, reply.at))
                    continue
            readings.extend(self._bad(read, failed.reason, at))
        return readings

    def _exchange(self, read: _Read) -> Exchange:
        if self._tcp:
            transaction = self._transaction = (self._transaction + 1) & 0xFFFF
            request = with_transaction(read.request, transaction)
            return Exchange(request, partial(find_tcp, read.ask, transaction), self._timeout_ms, self._gap_ms)
        deframe = partial(find_rtu, read.ask, read.request)
        return Exchange(read.request, deframe, self._timeout_ms, self._gap_ms, self._baudrate, self._framing)

    def _good(self, read: _Read, frame: bytes, at: Millis) -> list[Reading]:
        device = self._id
        readings = []
        for raw, (name, unit, judge) in zip(read.decode(frame), read.points, strict=True):
            value, quality, reason = judge(raw)
            readings.append(Reading(device, name, value, unit, at, at, quality, reason))
        return readings

    def _bad(self, read: _Read, reason: str, at: Millis) -> list[Reading]:
        return [
            Reading(self._id, name, None, unit, at, at, Quality.BAD, reason) for name, unit, _ in read.points
        ]
