"""Modbus bytes to values: requests and framing by pymodbus, replies found in noise; pure.

    RTU  | unit 1 | function 1 | byte count 1 | data n            | CRC 2, low byte first |
    TCP  | transaction 2 | protocol 2 = 0 | length 2 | unit 1 | function 1 | byte count 1 | data n |
    ASCII | ":" | unit, function, byte count, data, LRC 1, each byte as two hex digits | CR LF |
    exception reply: function | 80h, then one code

Source: Modbus Application Protocol V1.1b3, Modbus over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from binascii import a2b_hex
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from pymodbus.framer import FramerAscii, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.contract import Found
from drivers.modbus.blocks import Block
from drivers.modbus.profile import ModbusPoint, Table

_READS: dict[Table, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}
_DECODER = DecodePDU(is_server=False)
_RTU = FramerRTU(_DECODER)
_SOCKET = FramerSocket(_DECODER)
_ASCII = FramerAscii(_DECODER)
_LONGEST_ASCII = 513
_MBAP = struct.Struct(">HHHB")
_LONGEST_PDU = 254  # unit + PDU, the MBAP length field's largest legal value


class Ask(NamedTuple):
    """What a reply must match: unit id, function code and byte count."""

    unit: int
    function: int
    size: int


def ask_for(block: Block, unit: int) -> Ask:
    """The reply that a block's read expects."""
    size = (block.count + 7) // 8 if block.table in ("coil", "discrete") else block.count * 2
    return Ask(unit, _READS[block.table].function_code, size)


def read_request(block: Block, unit: int, *, tcp: bool) -> bytes:
    """The request frame; over TCP its transaction id is 0, see `with_transaction`."""
    pdu = _READS[block.table](address=block.start, count=block.count, dev_id=unit)
    return (_SOCKET if tcp else _RTU).buildFrame(pdu)


def ascii_request(block: Block, unit: int) -> bytes:
    """The request frame in ASCII framing."""
    pdu = _READS[block.table](address=block.start, count=block.count, dev_id=unit)
    return _ASCII.buildFrame(pdu)


def with_transaction(request: bytes, transaction: int) -> bytes:
    """A TCP request under its own transaction id (0..65535)."""
    return transaction.to_bytes(2, "big") + request[2:]


def find_rtu(ask: Ask, request: bytes, buffer: bytes) -> Found:
    """The awaited RTU reply (unit to CRC) among echo, glitch bytes and foreign frames.

    An echo of the request is dropped. While nothing fits, `fault` says what was seen so
    far: `crc`, `wrong_address` or `noise`.
    """
    if buffer.startswith(request):
        return Found(None, len(request), "echo")
    fault = "noise"
    for at in range(len(buffer) - 4):
        function = buffer[at + 1]
        if function == ask.function:
            if buffer[at + 2] != ask.size:
                continue
            end = at + 5 + ask.size
        elif function == ask.function | 0x80:
            end = at + 5
        else:
            continue
        if end > len(buffer):
            continue
        frame = buffer[at:end]
        if FramerRTU.compute_CRC(frame[:-2]) != int.from_bytes(frame[-2:], "big"):
            fault = "crc"
        elif frame[0] != ask.unit:
            fault = "wrong_address"
        else:
            return Found(frame, end)
    return Found(None, 0, fault)


def find_ascii(ask: Ask, request: bytes, buffer: bytes) -> Found:
    """The awaited ASCII reply, returned in bytes from the unit id on and without LRC.

    A frame runs from ":" to CR LF; a ":" inside one begins anew. What is before the last
    ":" and is not the reply is dropped, and `fault` says what it was: `echo`, `crc` (LRC
    or digits), `wrong_address`, `bad_reply` or `noise`.
    """
    fault = "noise" if buffer[:1] not in (b":", b"") else ""
    at = buffer.find(b":")
    end = buffer.find(b"\r\n", max(at, 0))
    while at >= 0:
        following = buffer.find(b":", at + 1)
        if 0 <= end < at:
            end = buffer.find(b"\r\n", at)
        if following >= 0 and (end < 0 or following < end):
            fault = "crc"
        elif end < 0:
            too_long = len(buffer) - at > _LONGEST_ASCII
            return Found(None, len(buffer) if too_long else at, "noise" if too_long else fault)
        else:
            fault = _judge_ascii(ask, request, buffer[at : end + 2])
            if not fault:
                return Found(a2b_hex(buffer[at + 1 : end - 2]), end + 2)
        at = following
    return Found(None, len(buffer), fault)


def _judge_ascii(ask: Ask, request: bytes, line: bytes) -> str:
    """What is wrong with one whole line; empty for the awaited reply."""
    if line == request:
        return "echo"
    try:
        frame = a2b_hex(line[1:-2])
    except ValueError:
        return "crc"
    if len(frame) < 4 or not FramerAscii.check_LRC(frame[:-1], frame[-1]):
        return "crc"
    if frame[0] != ask.unit:
        return "wrong_address"
    if frame[1] == ask.function | 0x80 and len(frame) == 4:
        return ""
    fits = frame[1] == ask.function and frame[2] == ask.size and len(frame) == 4 + ask.size
    return "" if fits else "bad_reply"


def find_tcp(ask: Ask, transaction: int, buffer: bytes) -> Found:
    """The awaited TCP reply, returned from the unit id on and without CRC.

    Late answers (another transaction id) are dropped one by one as `late`; bytes that
    are no MBAP header are dropped whole as `noise`.
    """
    if len(buffer) < 8:
        return Found(None, 0)
    seen, protocol, length, unit = _MBAP.unpack_from(buffer)
    if protocol or not 3 <= length <= _LONGEST_PDU:
        return Found(None, len(buffer), "noise")
    end = 6 + length
    if len(buffer) < end:
        return Found(None, 0)
    frame = buffer[6:end]
    if seen != transaction:
        return Found(None, end, "late")
    if unit != ask.unit:
        return Found(None, end, "wrong_address")
    function = frame[1]
    if function == ask.function | 0x80 and len(frame) == 3:
        return Found(frame, end)
    if function != ask.function or frame[2] != ask.size or len(frame) != 3 + ask.size:
        return Found(None, end, "bad_reply")
    return Found(frame, end)


def exception_code(ask: Ask, frame: bytes) -> int | None:
    """The exception code of a reply, `None` for a normal one."""
    return frame[2] if frame[1] != ask.function else None


def _reorder(order: str, data: bytes) -> bytes:
    """Big-endian bytes of a value that came in another word or byte order."""
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return b"".join(words)


_FORMAT = {"u16": "H", "s16": "h", "bit": "H", "u32": "I", "s32": "i", "u64": "Q", "f32": "f"}


def encode_value(point: ModbusPoint, raw: float) -> bytes:
    """A raw number as the register bytes of a point: the inverse of `block_decoder`."""
    number = raw if point.type == "f32" else round(raw)
    return _reorder(point.order, struct.pack(">" + _FORMAT[point.type], number))


def block_decoder(block: Block, points: Sequence[ModbusPoint]) -> Callable[[bytes], Sequence[float]]:
    """Compiles a block's reply frame into the raw numbers of its points, in their order.

    One `struct` unpacks the whole block; only values in another order than ABCD, single
    bits, overlapping and bit-table points take a second step.
    """
    if block.table in ("coil", "discrete"):
        places = [(3 + (p.address - block.start) // 8, (p.address - block.start) % 8) for p in points]
        return lambda frame: [float(frame[byte] >> bit & 1) for byte, bit in places]
    if in_order(block, points):
        layout, position = ">3x", block.start
        for point in points:
            layout += f"{(point.address - position) * 2}x{_FORMAT[point.type]}"
            position = point.address + point.size
        return struct.Struct(layout).unpack_from
    readers = [_reader(point, 3 + (point.address - block.start) * 2) for point in points]
    return lambda frame: [read(frame) for read in readers]


def in_order(block: Block, points: Sequence[ModbusPoint]) -> bool:
    """Whether the points stand behind one another as big-endian numbers, so that one `struct` unpacks
    them, whole numbers as int."""
    if block.table in ("coil", "discrete") or any(p.order != "ABCD" or p.type == "bit" for p in points):
        return False
    return all(a.address + a.size <= b.address for a, b in pairwise(points))


def _reader(point: ModbusPoint, offset: int) -> Callable[[bytes], float]:
    code = struct.Struct(">" + _FORMAT[point.type])
    end = offset + point.size * 2
    order, bit = point.order, point.bit
    if bit is not None:
        return lambda frame: float(code.unpack(_reorder(order, frame[offset:end]))[0] >> bit & 1)
    if order == "ABCD":
        return lambda frame: float(code.unpack_from(frame, offset)[0])
    return lambda frame: float(code.unpack(_reorder(order, frame[offset:end]))[0])
