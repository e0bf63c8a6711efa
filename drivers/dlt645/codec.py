"""DL/T 645-2007 frames: bytes to values and back; pure.

    FE..FE | 68 | A0 A1 A2 A3 A4 A5 | 68 | C | L | DATA (L bytes, each +33) | CS | 16
    wake-up      address, low pair first  control             sum of 68..DATA modulo 256

Only the positions and L find the end: 68 and 16 occur in address, DATA and CS as well.
Control: bit 7 from the meter, bit 6 refused, bit 5 more follows, bits 4-0 the function.
Source: DL/T 645-2007 sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from drivers.contract import Deframe, Found
from drivers.errors import BadFrame, Refused

START, END, WAKE_UP = 0x68, 0x16, 0xFE
READ, READ_FOLLOWING = 0x11, 0x12
WILDCARD = "AAAAAAAAAAAA"
NO_SUCH_DATA = "not_supported"

_OFFSET, _BLANK = 0x33, 0xAA
_HEAD, _TAIL = 10, 2
_MAX_DATA = 200
_NO_REQUESTED_DATA = 0x02
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
    if _end_of(raw, 0) != len(raw):
        raise BadFrame("not a DL/T 645 frame", frame=raw)
    return Frame(raw[1:7], raw[8], raw[_HEAD:-_TAIL].translate(_SUBTRACT))


def read_request(address: bytes, di: str, wake_up: int = 4) -> bytes:
    """Asks for one data identifier (function 11)."""
    return build(Frame(address, READ, _di_bytes(di)), wake_up)


def following_request(address: bytes, di: str, sequence: int, wake_up: int = 4) -> bytes:
    """Asks for frame `sequence` (1..255) of a long answer (function 12)."""
    return build(Frame(address, READ_FOLLOWING, _di_bytes(di) + bytes([sequence])), wake_up)


def deframer(address: bytes, di: str, sequence: int = 0) -> Deframe:
    """Finds the answer to `read_request`, or to `following_request` when `sequence` is not 0.

    Steps over wake-up bytes, noise, the echo of the request, other meters' frames and
    late answers, and names the last of them in `fault`.
    """
    wanted = _di_bytes(di)
    function = READ_FOLLOWING if sequence else READ

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
        if frame.data[:4] != wanted or (sequence and frame.data[-1] != sequence):
            return "late"
        return ""

    def deframe(buffer: bytes) -> Found:
        return _scan(buffer, judge)

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
    end = -1 if frame.control & 0x1F == READ_FOLLOWING else len(frame.data)
    return Answer(frame.data[4:end], bool(frame.control & 0x20))


def split(data: bytes, size: int) -> Sequence[bytes] | None:
    """A block cut into items of `size` bytes; None when it is no multiple of that."""
    if len(data) % size:
        return None
    return [data[at : at + size] for at in range(0, len(data), size)]


def decode_bcd(item: bytes, decimals: int, signed: bool) -> float | None:
    """Packed BCD, low pair first, as a number; None for all FF (not available).

    ValueError when a nibble is no digit.
    """
    if item == b"\xff" * len(item):
        return None
    digits = bytearray(reversed(item))
    negative = signed and bool(digits[0] & 0x80)
    if negative:
        digits[0] &= 0x7F
    text = digits.hex()
    if not text.isdecimal():
        raise ValueError(f"not packed BCD: {text}")
    number: float = int(text) / 10**decimals
    return -number if negative and number else number


def encode_bcd(number: float, size: int, decimals: int, signed: bool = False) -> bytes:
    """The meter's side of `decode_bcd`; ValueError when the number does not fit."""
    whole = round(abs(number) * 10**decimals)
    text = f"{whole:0{2 * size}d}"
    negative = number < 0 and whole > 0
    if len(text) > 2 * size or (negative and not signed) or (signed and text[0] > "7"):
        raise ValueError(f"{number} does not fit in {size} bytes with {decimals} decimals")
    item = bytearray.fromhex(text)
    if negative:
        item[0] |= 0x80
    return bytes(reversed(item))


def _di_bytes(di: str) -> bytes:
    return bytes.fromhex(di)[::-1]


def _same_address(asked: bytes, got: bytes) -> bool:
    return all(a in (_BLANK, g) for a, g in zip(asked, got, strict=True))


def _end_of(buffer: bytes, start: int) -> int:
    """Index behind the frame at `start`; 0 = no frame there, -1 = more bytes are needed."""
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


def _scan(buffer: bytes, judge: Callable[[bytes], str]) -> Found:
    """The first frame that `judge` accepts (returns no fault for).

    An unfinished candidate is kept, yet does not hide a finished frame behind it: noise
    may look like the head of a long frame. Each byte is tried as a start once, and a
    try costs at most one frame, so that the work grows with the buffer's length only.
    """
    fault = ""
    keep = -1
    at = clean = 0
    while (at := buffer.find(START, at)) >= 0:
        end = _end_of(buffer, at)
        if end > 0:
            verdict = judge(buffer[at:end])
            if not verdict:
                return Found(buffer[at:end], end, fault or _noise(buffer, clean, at))
            if keep < 0:
                fault, clean = verdict, end
            at = end
            continue
        if keep < 0 and end < 0:
            keep = at
        elif keep < 0 and not fault and _looks_broken(buffer, at):
            fault = "crc"
        at += 1
    end = keep if keep >= 0 else len(buffer)
    return Found(None, end, fault or _noise(buffer, clean, end))


def _looks_broken(buffer: bytes, at: int) -> bool:
    """A frame by its two start bytes that failed: what the installer knows as a bad checksum."""
    return len(buffer) > at + 7 and buffer[at + 7] == START


def _noise(buffer: bytes, start: int, end: int) -> str:
    return "noise" if buffer[start:end].strip(bytes([WAKE_UP])) else ""
