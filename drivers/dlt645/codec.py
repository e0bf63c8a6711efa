"""DL/T 645 frames, 2007 and 1997: bytes to values and back; pure.

    FE..FE | 68 | A0 A1 A2 A3 A4 A5 | 68 | C | L | DATA (L bytes, each +33) | CS | 16
    wake-up      address, low pair first  control             sum of 68..DATA modulo 256

Only the positions and L find the end: 68 and 16 occur in address, DATA and CS as well.
Control: bit 7 from the meter, bit 6 refused, bit 5 more follows, bits 4-0 the function.
The editions share the frame. 2007 reads by function 11 with an identifier of four bytes,
1997 by function 01 with one of two; here the number of its digits tells which is meant.
Source: DL/T 645-2007 sections 5 and 7; DL/T 645-1997 sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from drivers.contract import Deframe, Found
from drivers.deframing import Shape, scan
from drivers.errors import BadFrame, Refused

START, END, WAKE_UP = 0x68, 0x16, 0xFE
READ, READ_FOLLOWING = 0x11, 0x12
READ_1997, READ_FOLLOWING_1997 = 0x01, 0x02
READ_ADDRESS = 0x13
WILDCARD = "AAAAAAAAAAAA"
NO_SUCH_DATA = "not_supported"

_OFFSET, _BLANK = 0x33, 0xAA
_HEAD, _TAIL = 10, 2
_MAX_DATA = 200
_NO_REQUESTED_DATA = 0x02  # 2007: no requested data; 1997: wrong data identifier
_DI_SIZE = {READ: 4, READ_FOLLOWING: 4, READ_1997: 2, READ_FOLLOWING_1997: 2}
_ADD = bytes((b + _OFFSET) & 0xFF for b in range(256))
_SUBTRACT = bytes((b - _OFFSET) & 0xFF for b in range(256))


class Frame(NamedTuple):
    """One frame, opened: `address` in wire order, `data` without its offset."""

    address: bytes
    control: int
    data: bytes


def address_bytes(digits: str) -> bytes:
    """Twelve digits (or AA pairs, the wildcard) as they go on the wire: low pair first."""
    return bytes.fromhex(digits)[::-1]


def build(frame: Frame, wake_up: int = 0) -> bytes:
    """The frame as sent, with `wake_up` FE bytes before it."""
    body = bytes((START, *frame.address, START, frame.control, len(frame.data)))
    body += frame.data.translate(_ADD)
    return bytes([WAKE_UP]) * wake_up + body + bytes((sum(body) & 0xFF, END))


def parse(raw: bytes) -> Frame:
    """Opens one whole frame without wake-up bytes; BadFrame when it is none."""
    if end_of(raw, 0) != len(raw):
        raise BadFrame("not a DL/T 645 frame", frame=raw)
    return Frame(raw[1:7], raw[8], raw[_HEAD:-_TAIL].translate(_SUBTRACT))


def is_1997(di: str) -> bool:
    """Whether an identifier as printed is one of the 1997 edition."""
    return len(di) == 4


def read_request(address: bytes, di: str, wake_up: int = 4) -> bytes:
    """Asks for one data identifier: eight digits in the 2007 edition, four in that of 1997."""
    return build(Frame(address, READ_1997 if is_1997(di) else READ, _di_bytes(di)), wake_up)


def address_request(wake_up: int = 4) -> bytes:
    """Asks a meter that is alone on its wires for its address (function 13)."""
    return build(Frame(address_bytes(WILDCARD), READ_ADDRESS, b""), wake_up)


def find_address(buffer: bytes) -> Found:
    """Finds the answer to `address_request`; its data are the address in wire order."""

    def judge(raw: bytes) -> str:
        frame = parse(raw)
        if not frame.control & 0x80:
            return "echo"
        return "" if frame.control == READ_ADDRESS | 0x80 and len(frame.data) == 6 else "late"

    return scan(_SHAPE, buffer, judge)


def following_request(address: bytes, di: str, sequence: int, wake_up: int = 4) -> bytes:
    """Asks for frame `sequence` (1..255) of a long answer.

    A meter of 1997 is only asked for the next one: it knows no sequence, so that this
    request must not be repeated when its answer is lost.
    """
    if is_1997(di):
        return build(Frame(address, READ_FOLLOWING_1997, _di_bytes(di)), wake_up)
    return build(Frame(address, READ_FOLLOWING, _di_bytes(di) + bytes([sequence])), wake_up)


def deframer(address: bytes, di: str, sequence: int = 0) -> Deframe:
    """Finds the answer to `read_request`, or to `following_request` when `sequence` is not 0.

    Steps over wake-up bytes, noise, the echo of the request, other meters' frames and
    late answers, and names the last of them in `fault`.
    """
    wanted = _di_bytes(di)
    functions = (READ_1997, READ_FOLLOWING_1997) if is_1997(di) else (READ, READ_FOLLOWING)
    function = functions[sequence > 0]
    numbered = function == READ_FOLLOWING

    def judge(raw: bytes) -> str:
        frame = parse(raw)
        if not frame.control & 0x80:
            return "echo"
        if not _same_address(address, frame.address):
            return "wrong_address"
        if frame.control & 0x1F != function:
            return "late"
        if frame.control & 0x40:
            return ""
        if not frame.data.startswith(wanted) or (numbered and frame.data[-1] != sequence):
            return "late"
        return ""

    def deframe(buffer: bytes) -> Found:
        return scan(_SHAPE, buffer, judge)

    return deframe


class Answer(NamedTuple):
    """The data behind the identifier, and whether more waits to be fetched."""

    data: bytes
    more: bool


def answer(raw: bytes) -> Answer:
    """What a frame found by `deframer` says; Refused with the meter's error word."""
    frame = parse(raw)
    if frame.control & 0x40:
        code = frame.data[0] if frame.data else 0
        reason = NO_SUCH_DATA if code & _NO_REQUESTED_DATA else None
        raise Refused(f"meter refuses with error word {code:02X}", code=code, reason=reason)
    function = frame.control & 0x1F
    end = len(frame.data) - (function == READ_FOLLOWING)  # its last byte is the sequence
    return Answer(frame.data[_DI_SIZE.get(function, 4) : end], bool(frame.control & 0x20))


def trimmed(data: bytes, di: str) -> bytes:
    """Without the AA that some meters of 1997 put behind a data block; it is no BCD."""
    return data[:-1] if is_1997(di) and data[-1:] == b"\xaa" else data


def split(data: bytes, size: int) -> Sequence[bytes] | None:
    """A block cut into items of `size` bytes; None when it is no multiple of that."""
    if len(data) % size:
        return None
    return [data[at : at + size] for at in range(0, len(data), size)]


def _di_bytes(di: str) -> bytes:
    return bytes.fromhex(di)[::-1]


def _same_address(asked: bytes, got: bytes) -> bool:
    return all(a in (_BLANK, g) for a, g in zip(asked, got, strict=True))


def end_of(buffer: bytes, start: int) -> int:
    """Index behind the sound frame at `start`; 0 = no frame there, -1 = more bytes are needed."""
    head = buffer[start : start + _HEAD]
    if head[:1] != b"\x68" or head[7:8] not in (b"", b"\x68"):
        return -1 if not head else 0
    if len(head) < _HEAD:
        return -1
    if head[9] > _MAX_DATA:
        return 0
    check = start + _HEAD + head[9]
    if check + 1 >= len(buffer):
        return -1
    if buffer[check + 1] != END or sum(buffer[start:check]) & 0xFF != buffer[check]:
        return 0
    return check + _TAIL


def _looks_broken(buffer: bytes, at: int) -> bool:
    """A frame by its two start bytes that failed: what the installer knows as a bad checksum."""
    return len(buffer) > at + 7 and buffer[at + 7] == START


_SHAPE = Shape(START, end_of, _looks_broken, bytes([WAKE_UP]))
