"""A simulated Modbus device: its profile's points as tables of registers and bits.

Reads of a register that no point covers are refused with exception 02 unless the
profile's `max_gap` says that this device answers there (with 0), as real units do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from drivers.modbus.codec import encode_value
from drivers.modbus.profile import ModbusPoint, ModbusProfile, RegisterType, Table
from drivers.reading import Value
from drivers.simulated.device import VirtualDevice
from drivers.simulated.encoding import raw_of, value_of
from drivers.simulated.written import WRITES, accepted, written

TABLES: Mapping[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_RESPONSES: Mapping[int, type[ModbusPDU]] = {
    1: ReadCoilsResponse,
    2: ReadDiscreteInputsResponse,
    3: ReadHoldingRegistersResponse,
    4: ReadInputRegistersResponse,
}
_RANGES: Mapping[RegisterType, tuple[int, int]] = {
    "bit": (0, 1),
    "u16": (0, 0xFFFF),
    "s16": (-0x8000, 0x7FFF),
    "u32": (0, 0xFFFF_FFFF),
    "s32": (-0x8000_0000, 0x7FFF_FFFF),
    "u64": (0, 0xFFFF_FFFF_FFFF_FFFF),
}


class Answered(NamedTuple):
    """A reply, and the values that stand in it as a master will read them."""

    reply: ModbusPDU
    values: Mapping[str, Value | None]


class ModbusUnit:
    """One unit. `answer` takes the request's PDU and reads the signals at that moment.

    What was written to a point without a handle stands in `held` and hides its signal from then on.
    """

    def __init__(self, device: VirtualDevice, profile: ModbusProfile) -> None:
        self.device = device
        self.held: dict[str, Value] = {}
        self._profile = profile
        self._gaps = {table: _answered_gaps(profile, table) for table in TABLES.values()}

    def answer(self, request: ModbusPDU) -> Answered:
        """The normal reply, or exception 01 (function), 02 (address) or 03 (count)."""
        if request.function_code in WRITES:
            return self._write(request)
        table = TABLES.get(request.function_code)
        points = {n: p for n, p in self._profile.points.items() if p.table == table}
        if table is None or not points:
            return _refused(request, ExcCodes.ILLEGAL_FUNCTION)
        limits = self._profile.limits
        most = limits.max_bits if table in ("coil", "discrete") else limits.max_registers
        if not 1 <= request.count <= most:
            return _refused(request, ExcCodes.ILLEGAL_VALUE)
        cells: dict[int, int] = dict.fromkeys(self._gaps[table], 0)
        values: dict[str, Value | None] = {}
        end = request.address + request.count
        for name, point in points.items():
            words, value = self._encode(name, point)
            for offset, word in enumerate(words):
                address = point.address + offset
                cells[address] = cells.get(address, 0) | word
            if request.address <= point.address and point.address + point.size <= end:
                values[name] = value
        wanted = range(request.address, end)
        if any(address not in cells for address in wanted):
            return _refused(request, ExcCodes.ILLEGAL_ADDRESS)
        found = [cells[address] for address in wanted]
        response = _RESPONSES[request.function_code]
        reply = (
            response(bits=[bool(cell) for cell in found])
            if table in ("coil", "discrete")
            else response(registers=found)
        )
        return Answered(_addressed(reply, request), values)

    def _write(self, request: ModbusPDU) -> Answered:
        values = written(request, self._profile, self.device.points)
        if isinstance(values, ExcCodes):
            return _refused(request, values)
        for name, value in values.items():
            self.device.obey(name, value, self.held)
        return Answered(_addressed(accepted(request), request), {})

    def _encode(self, name: str, point: ModbusPoint) -> tuple[list[int], Value | None]:
        spec = self.device.points[name]
        value = self.held[name] if name in self.held else self.device.signals[name]()
        if value is None:
            return _not_available(point), None
        if point.write is not None and point.write.on is not None and point.write.off is not None:
            word = point.write.on if value != point.invert else point.write.off
            return [word], value
        raw = raw_of(value, point, spec)
        if point.type != "f32":
            low, high = (0, 1) if point.is_bit_table else _RANGES[point.type]
            raw = float(min(high, max(low, round(raw))))
        if point.is_bit_table:
            return [int(raw)], value_of(raw, point, spec)
        if point.bit is not None:
            return [int(raw) << point.bit], value_of(raw, point, spec)
        return _words(encode_value(point, raw)), value_of(raw, point, spec)


def _not_available(point: ModbusPoint) -> list[int]:
    if point.is_bit_table or point.bit is not None:
        return [0]
    if point.type == "f32":
        return _words(encode_value(point, math.nan))
    if point.sentinels:
        return _words(encode_value(point, point.sentinels[0]))
    return [0x7FFF] + [0xFFFF] * (point.size - 1)


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _answered_gaps(profile: ModbusProfile, table: Table) -> set[int]:
    """Addresses between points that lie no further apart than `max_gap`."""
    spans = sorted((p.address, p.address + p.size) for p in profile.points.values() if p.table == table)
    gaps: set[int] = set()
    reached = spans[0][1] if spans else 0
    for start, end in spans[1:]:
        if 0 < start - reached <= profile.limits.max_gap:
            gaps.update(range(reached, start))
        reached = max(reached, end)
    return gaps


def _refused(request: ModbusPDU, code: ExcCodes) -> Answered:
    return Answered(_addressed(ExceptionResponse(request.function_code, code), request), {})


def _addressed(reply: ModbusPDU, request: ModbusPDU) -> ModbusPDU:
    reply.dev_id, reply.transaction_id = request.dev_id, request.transaction_id
    return reply
