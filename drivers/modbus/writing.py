"""Writes to Modbus points: values to request frames, and how their replies are known; pure.

    05 coil         | address 2 | FF00 or 0000 |                      reply: the same
    06 register     | address 2 | word 2       |                      reply: the same
    0F coils        | address 2 | count 2 | bytes 1 | bits            reply: address, count
    10 registers    | address 2 | count 2 | bytes 1 | words           reply: address, count

A reply to a write is known to the last byte before it comes, so it is looked for as a
whole, in any framing. The reply to 05 and 06 equals the request: on a line that echoes
only the read-back tells that the device took it.

Source: Modbus Application Protocol V1.1b3, sections 6.5, 6.6, 6.11, 6.12.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pymodbus.framer import FramerAscii, FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from drivers.contract import Deframe, Found
from drivers.errors import NotWritable
from drivers.modbus.codec import encode_value
from drivers.modbus.profile import ModbusPoint, ModbusWrite
from drivers.reading import Value
from drivers.vocabulary import PointSpec
from drivers.writing import permitted, raw_number

_CODES = range(1, 16)  # exception codes of the standard, and room


_DECODER = DecodePDU(is_server=False)
FRAMERS: Mapping[str, FramerBase] = {
    "rtu": FramerRTU(_DECODER),
    "ascii": FramerAscii(_DECODER),
    "tcp": FramerSocket(_DECODER),
}
"""How a PDU becomes a frame, by the kind of wire."""


@dataclass(frozen=True, slots=True)
class Order:
    """One write, ready to be sent. `refusals` maps the frames that say no to their codes;
    `value` is what a read of the point gives when the device has taken it."""

    request: bytes
    accepted: bytes
    refusals: Mapping[bytes, int]
    value: Value
    readback: bool

    @property
    def deframe(self) -> Deframe:
        """Finds the reply."""
        return partial(_find, self)


def order(
    name: str, point: ModbusPoint, value: Value, spec: PointSpec, unit: int, wire: str, transaction: int = 0
) -> Order:
    """The write of a value; NotWritable when profile, limits, type or register forbid it."""
    framer = FRAMERS[wire]
    permitted_value = permitted(name, value, point.write, spec)
    assert point.write is not None  # noqa: S101  # `permitted` refuses read-only points
    words = _words(name, point, point.write, permitted_value)
    pdus = _pdus(point, point.write.function, words)
    refusals = [ExceptionResponse(point.write.function, code) for code in _CODES]
    for pdu in (*pdus, *refusals):
        pdu.dev_id, pdu.transaction_id = unit, transaction
    request, accepted = (framer.buildFrame(pdu) for pdu in pdus)
    frames = {framer.buildFrame(pdu): code for pdu, code in zip(refusals, _CODES, strict=True)}
    return Order(request, accepted, frames, permitted_value, point.write.readback)


def _words(name: str, point: ModbusPoint, write: ModbusWrite, value: Value) -> list[int]:
    """The register words, or the one bit of a coil."""
    if isinstance(value, str):
        raise NotWritable(f"{name}: a register holds no text", reason="wrong_type")
    if isinstance(value, bool):
        bit = value != point.invert
        if point.is_bit_table:
            return [int(bit)]
        word = write.on if bit else write.off
        raw = float(bit if word is None else word)
        # a word for on or off stands for the whole register, whatever bit of it is read
        point = point.model_copy(update={"type": "u16", "bit": None}) if word is not None else point
    else:
        raw = raw_number(name, value, point, whole=point.type != "f32")
        if raw in point.sentinels:
            raise NotWritable(f"{name}: {value:g} stands for: no value", reason="out_of_range")
    try:
        data = encode_value(point, raw)
    except (struct.error, OverflowError) as error:
        raise NotWritable(f"{name}: {value} does not fit in {point.type}", reason="out_of_range") from error
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _pdus(point: ModbusPoint, function: int, words: list[int]) -> tuple[ModbusPDU, ModbusPDU]:
    """The request and the reply that accepts it."""
    at = point.address
    if function == 5:
        bits = [bool(words[0])]
        return WriteSingleCoilRequest(address=at, bits=bits), WriteSingleCoilResponse(address=at, bits=bits)
    if function == 15:
        bits = [bool(words[0])]
        return (
            WriteMultipleCoilsRequest(address=at, bits=bits),
            WriteMultipleCoilsResponse(address=at, count=1),
        )
    if function == 6:
        return (
            WriteSingleRegisterRequest(address=at, registers=words),
            WriteSingleRegisterResponse(address=at, registers=words),
        )
    return (
        WriteMultipleRegistersRequest(address=at, registers=words),
        WriteMultipleRegistersResponse(address=at, count=len(words)),
    )


def _find(wanted: Order, buffer: bytes) -> Found:
    """The reply among noise, echo and foreign frames."""
    at = buffer.find(wanted.accepted)
    if at >= 0:
        return Found(buffer[at : at + len(wanted.accepted)], at + len(wanted.accepted))
    for frame in wanted.refusals:
        at = buffer.find(frame)
        if at >= 0:
            return Found(frame, at + len(frame))
    if buffer.startswith(wanted.request):
        return Found(None, len(wanted.request), "echo")
    # one changed byte in a whole reply is a bad checksum; anything else is noise so far
    whole = len(buffer) >= len(wanted.accepted) and buffer[:2] == wanted.accepted[:2]
    return Found(None, 0, "crc" if whole else "noise")
