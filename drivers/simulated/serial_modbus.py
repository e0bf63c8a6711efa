"""The Modbus devices of a simulated RS-485 line, RTU and ASCII: the master's frames to those of the units."""

from __future__ import annotations

import logging
from functools import partial
from typing import Protocol

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU

from drivers.simulated.registers import ModbusUnit
from drivers.simulated.station import Answered, Request, Station

_LOG = logging.getLogger(__name__)
_DECODER = DecodePDU(is_server=True)
_RTU = FramerRTU(_DECODER)
_ASCII = FramerAscii(_DECODER)
_LONGEST_ASCII = 513


class _Framer(Protocol):
    def buildFrame(self, message: ModbusPDU) -> bytes: ...  # noqa: N802 - pymodbus's name


class _ModbusEar:
    """Units by address; several may share one, as after a mistake."""

    framer: _Framer

    def __init__(self) -> None:
        self._units: list[tuple[int, ModbusUnit]] = []

    def add(self, address: int, unit: ModbusUnit) -> None:
        """One more unit on the line."""
        self._units.append((address, unit))

    def _request(self, raw: bytes, pdu: ModbusPDU | None) -> Request:
        if pdu is None:  # a sound frame with a count outside the standard's limits
            return Request(raw, ())
        heard = [unit for address, unit in self._units if address == pdu.dev_id]
        return Request(raw, [Station(unit.device, partial(self._answer, unit, pdu)) for unit in heard])

    def _answer(self, unit: ModbusUnit, pdu: ModbusPDU) -> Answered:
        answered = unit.answer(pdu)
        return Answered(self.framer.buildFrame(answered.reply), answered.values)


class RtuEar(_ModbusEar):
    """Devices that speak Modbus RTU."""

    framer = _RTU

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        for at in range(len(buffer) - 3):
            raw = _rtu_request(bytes(buffer[at:]))
            if raw is not None:
                del buffer[: at + len(raw)]
                return self._request(raw, _pdu(_RTU, raw))
        return None


class AsciiEar(_ModbusEar):
    """Devices that speak Modbus ASCII."""

    framer = _ASCII

    def take(self, buffer: bytearray) -> Request | None:
        """See `drivers.simulated.station.Ear`."""
        end = buffer.find(b"\r\n")
        while end >= 0:
            start = buffer.rfind(b":", 0, end)
            raw = bytes(buffer[start : end + 2]) if start >= 0 else b""
            if 0 < len(raw) <= _LONGEST_ASCII and _is_ascii(raw):
                del buffer[: end + 2]
                return self._request(raw, _pdu(_ASCII, raw))
            end = buffer.find(b"\r\n", end + 2)
        return None


def _is_ascii(raw: bytes) -> bool:
    try:
        body = bytes.fromhex(raw[1:-2].decode("ascii"))
    except ValueError:
        return False
    return len(body) > 2 and FramerAscii.check_LRC(body[:-1], body[-1])


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


def _pdu(framer: FramerRTU | FramerAscii, raw: bytes) -> ModbusPDU | None:
    try:
        return framer.handleFrame(raw, 0, 0)[1]
    except ModbusException as error:
        _LOG.debug("no request: %s", error)
        return None
