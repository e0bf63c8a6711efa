"""A Modbus RTU slave made of pymodbus's server-side PDUs, for the emulated wire."""

from __future__ import annotations

from collections.abc import Callable

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse

from tests.support.wire import Answer


def modbus_slave(unit: int, read: Callable[[int, int], list[int] | None]) -> Answer:
    """Answers function 03 with `read(address, count)`; `None` from it is exception 02."""
    framer = FramerRTU(DecodePDU(is_server=True))

    def answer(request: bytes) -> bytes | None:
        used, seen, _, pdu = framer.decode(request)
        if not used or seen != unit:
            return None
        message = framer.decoder.decode(pdu)
        assert isinstance(message, ReadHoldingRegistersRequest)
        registers = read(message.address, message.count)
        if registers is None:
            return framer.buildFrame(ExceptionResponse(3, 2, device_id=unit))
        return framer.buildFrame(ReadHoldingRegistersResponse(registers=registers, dev_id=unit))

    return answer
