"""CJ/T 188-2004 frames of water, gas, heat and cold meters: bytes to data fields; pure.

    FE..FE | 68 | T | A0 A1 A2 A3 A4 A5 A6 | C | L | DATA (L bytes) | CS | 16
    wake-up   type    address, low pair first  control            sum of 68..DATA modulo 256

    DATA of a request or reply  | DI 2 | SER 1 | body |
    DATA of a refusal           | SER 1 | status 2 |

There is one start byte only and no offset, so that 68 and 16 occur anywhere: position, L
and the checksum find the end. Control: bit 7 from the meter, bit 6 refused. The standard
sends the identifier 901F as 90 1F, many meters as 1F 90; in replies both are taken.
SER is the master's running number: not every meter echoes it, so it decides nothing.
Source: CJ/T 188-2004 sections 5 to 7.
"""

from __future__ import annotations

from typing import NamedTuple

from drivers.contract import Deframe, Found
from drivers.deframing import Shape, scan
from drivers.errors import BadFrame, Refused

START, END, WAKE_UP = 0x68, 0x16, 0xFE
READ, WRITE, READ_ADDRESS = 0x01, 0x04, 0x03
REPLY, REFUSED = 0x80, 0xC0
MEASURED, ADDRESS, VALVE = "901F", "810A", "A017"
VALVE_OPEN, VALVE_CLOSE = 0x55, 0x99
WILDCARD = "AA" * 7

_BLANK = 0xAA
_HEAD, _TAIL = 11, 2
_MAX_DATA = 200
_FUNCTION = 0x3F


class Station(NamedTuple):
    """Who is asked: meter type T and the address in wire order; AA stands for any."""

    type: int
    address: bytes


class Frame(NamedTuple):
    """One frame, opened."""

    type: int
    address: bytes
    control: int
    data: bytes


def address_bytes(digits: str) -> bytes:
    """The 14 digits of an address as they go on the wire, low pair first.

    Of a printed number of 10 digits the two high pairs, the maker's code, are AA: any.
    """
    return bytes.fromhex(digits.rjust(14, "A"))[::-1]


def build(frame: Frame, wake_up: int = 0) -> bytes:
    """The frame as sent, with `wake_up` FE bytes before it."""
    body = bytes((START, frame.type, *frame.address, frame.control, len(frame.data))) + frame.data
    return bytes([WAKE_UP]) * wake_up + body + bytes((sum(body) & 0xFF, END))


def parse(raw: bytes) -> Frame:
    """Opens one whole frame without wake-up bytes; BadFrame when it is none."""
    if end_of(raw, 0) != len(raw):
        raise BadFrame("not a CJ/T 188 frame", frame=raw)
    return Frame(raw[1], raw[2:9], raw[9], raw[_HEAD:-_TAIL])


def read_request(
    station: Station, di: str, serial: int = 0, *, low_first: bool = False, wake_up: int = 4
) -> bytes:
    """Asks for one data identifier; `serial` (0..255) is the running number."""
    data = _di_bytes(di, low_first) + bytes([serial])
    return build(Frame(*station, READ, data), wake_up)


def address_request(station: Station, serial: int = 0, *, low_first: bool = False, wake_up: int = 4) -> bytes:
    """Asks a meter that is alone on its wires for its address; see `parse` of the reply."""
    data = _di_bytes(ADDRESS, low_first) + bytes([serial])
    return build(Frame(*station, READ_ADDRESS, data), wake_up)


def valve_request(
    station: Station, opened: bool, serial: int = 0, *, low_first: bool = False, wake_up: int = 4
) -> bytes:
    """Tells a meter with a valve to open or to close it (A017).

    The reply comes before the valve has moved: `valve_answer` gives the state of then, and
    only a later read of 901F tells where it is.
    """
    data = _di_bytes(VALVE, low_first) + bytes((serial, VALVE_OPEN if opened else VALVE_CLOSE))
    return build(Frame(*station, WRITE, data), wake_up)


def deframer(station: Station, di: str, control: int = READ) -> Deframe:
    """Finds the answer to a request with this `control` for `di`.

    Steps over wake-up bytes and zeros, other prefixes, the echo of the request, other
    meters' frames and late answers, and names the last of them in `fault`.
    """
    wanted = (_di_bytes(di, False), _di_bytes(di, True))

    def judge(raw: bytes) -> str:
        frame = parse(raw)
        if not frame.control & REPLY:
            return "echo"
        if station.type not in (_BLANK, frame.type) or not _same_address(station.address, frame.address):
            return "wrong_address"
        if frame.control & _FUNCTION != control:
            return "late"
        if frame.control & REFUSED == REFUSED or frame.data[:2] in wanted:
            return ""
        return "late"

    def deframe(buffer: bytes) -> Found:
        return scan(_SHAPE, buffer, judge)

    return deframe


def answer(raw: bytes) -> bytes:
    """The body of a frame found by `deframer`, behind identifier and running number.

    Refused with the meter's status word, low byte first, when it says no.
    """
    frame = parse(raw)
    if frame.control & REFUSED == REFUSED:
        # Some makers repeat the identifier before the running number.
        code = int.from_bytes(frame.data[3:] if len(frame.data) > 3 else frame.data[1:], "little")
        raise Refused(f"meter refuses with status {code:04X}", code=code)
    if len(frame.data) < 3:
        raise BadFrame("a reply without a running number", frame=raw, reason="length")
    return frame.data[3:]


def valve_answer(raw: bytes) -> int | None:
    """The status word in the reply to `valve_request`; None where the meter sends none.

    Refused as in `answer`.
    """
    body = answer(raw)
    return int.from_bytes(body[:2], "little") if body else None


def end_of(buffer: bytes, start: int) -> int:
    """Index behind the sound frame at `start`; 0 = no frame there, -1 = more bytes are needed."""
    head = buffer[start : start + _HEAD]
    if head[:1] != b"\x68" or not _may_be_type(head[1:2]):
        return -1 if not head else 0
    if len(head) < _HEAD:
        return -1
    if head[10] > _MAX_DATA:
        return 0
    check = start + _HEAD + head[10]
    if check + 1 >= len(buffer):
        return -1
    if buffer[check + 1] != END or sum(buffer[start:check]) & 0xFF != buffer[check]:
        return 0
    return check + _TAIL


def _may_be_type(byte: bytes) -> bool:
    """10 to 49 are the types of the standard; AA is any."""
    return not byte or 0x10 <= byte[0] <= 0x49 or byte[0] == _BLANK


def _resembles(buffer: bytes, at: int) -> bool:
    """A reply by its type, control and length, spoilt elsewhere."""
    head = buffer[at : at + _HEAD]
    return len(head) == _HEAD and _may_be_type(head[1:2]) and bool(head[9] & REPLY)


def _di_bytes(di: str, low_first: bool) -> bytes:
    return bytes.fromhex(di)[:: -1 if low_first else 1]


def _same_address(asked: bytes, got: bytes) -> bool:
    return all(a in (_BLANK, g) for a, g in zip(asked, got, strict=True))


_SHAPE = Shape(START, end_of, _resembles, bytes((WAKE_UP, 0)))
