"""What a write does to a simulated Modbus device: registers and coils back to the values of points."""

from __future__ import annotations

from collections.abc import Mapping

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteMultipleCoilsResponse, WriteSingleCoilResponse
from pymodbus.pdu.register_message import WriteMultipleRegistersResponse, WriteSingleRegisterResponse

from drivers.modbus.blocks import Block
from drivers.modbus.codec import block_decoder
from drivers.modbus.profile import ModbusPoint, ModbusProfile
from drivers.profile import judge_of
from drivers.reading import Value
from drivers.vocabulary import PointSpec

WRITES = (5, 6, 15, 16)


def written(
    request: ModbusPDU, profile: ModbusProfile, specs: Mapping[str, PointSpec]
) -> Mapping[str, Value] | ExcCodes:
    """The points that a write sets and their new values, or the exception that refuses it.

    Exception 01 for a function that no point of the profile is written by, 02 for an address
    that is not writable or half a value, 03 for a value that the device does not know.
    """
    points = {
        name: point
        for name, point in profile.points.items()
        if point.write is not None and point.write.function == request.function_code
    }
    if not points:
        return ExcCodes.ILLEGAL_FUNCTION
    coils = request.function_code in (5, 15)
    cells = [int(bit) for bit in request.bits] if coils else list(request.registers)
    count = request.count if request.function_code == 15 else len(cells)
    end = request.address + count
    inside = {
        name: point
        for name, point in points.items()
        if request.address <= point.address and point.address + point.size <= end
    }
    if sum(point.size for point in inside.values()) != count:
        return ExcCodes.ILLEGAL_ADDRESS
    values: dict[str, Value] = {}
    for name, point in inside.items():
        start = point.address - request.address
        value = _value(point, specs[name], cells[start : start + point.size])
        if value is None:
            return ExcCodes.ILLEGAL_VALUE
        values[name] = value
    return values


def accepted(request: ModbusPDU) -> ModbusPDU:
    """The reply to a write that was carried out."""
    at = request.address
    if request.function_code == 5:
        return WriteSingleCoilResponse(address=at, bits=list(request.bits))
    if request.function_code == 6:
        return WriteSingleRegisterResponse(address=at, registers=list(request.registers))
    if request.function_code == 15:
        return WriteMultipleCoilsResponse(address=at, count=request.count)
    return WriteMultipleRegistersResponse(address=at, count=len(request.registers))


def _value(point: ModbusPoint, spec: PointSpec, cells: list[int]) -> Value | None:
    write = point.write
    if write is not None and write.on is not None:
        known = {write.on: not point.invert, write.off: point.invert}
        return known.get(cells[0])
    block = Block(point.table, point.address, point.size, ("it",))
    body = bytes(cells[:1]) if point.is_bit_table else b"".join(cell.to_bytes(2, "big") for cell in cells)
    (raw,) = block_decoder(block, [point])(bytes(3) + body)
    return judge_of(point, spec)(raw)[0]
