"""libmodbus (Debian's libmodbus5) as an independent Modbus server, by ctypes."""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Sequence
from typing import Self

from tests.support.ports import free_port

_LONGEST = 260  # MODBUS_TCP_MAX_ADU_LENGTH


class _Mapping(ctypes.Structure):
    """`modbus_mapping_t` of modbus.h."""

    _fields_ = (
        ("nb_bits", ctypes.c_int), ("start_bits", ctypes.c_int),
        ("nb_input_bits", ctypes.c_int), ("start_input_bits", ctypes.c_int),
        ("nb_input_registers", ctypes.c_int), ("start_input_registers", ctypes.c_int),
        ("nb_registers", ctypes.c_int), ("start_registers", ctypes.c_int),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)), ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    )  # fmt: skip


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libmodbus.so.5", use_errno=True)
    library.modbus_new_tcp.restype = ctypes.c_void_p
    library.modbus_mapping_new.restype = ctypes.POINTER(_Mapping)
    return library


class LibmodbusServer:
    """A server of one connection at a time with 100 of each table; a context manager.

    `registers` and `bits` are live views of its holding registers and coils.
    """

    def __init__(self, registers: Sequence[int] = (), inputs: Sequence[int] = ()) -> None:
        self._library = _library()
        self._mapping = self._library.modbus_mapping_new(100, 100, 100, 100)
        for number, value in enumerate(registers):
            self._mapping.contents.tab_registers[number] = value
        for number, value in enumerate(inputs):
            self._mapping.contents.tab_input_registers[number] = value
        self.port = free_port()
        self._context = ctypes.c_void_p(self._library.modbus_new_tcp(b"127.0.0.1", self.port))
        self._listening = -1
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def registers(self) -> Sequence[int]:
        """The holding registers as they are now."""
        return [self._mapping.contents.tab_registers[number] for number in range(100)]

    @property
    def bits(self) -> Sequence[int]:
        """The coils as they are now."""
        return [self._mapping.contents.tab_bits[number] for number in range(100)]

    def __enter__(self) -> Self:
        self._listening = self._library.modbus_tcp_listen(self._context, 1)
        assert self._listening >= 0, "libmodbus cannot listen"
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The thread waits in accept() or in a read of a closed connection: shutting both ends it.
        socket.socket(fileno=self._listening).shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        query = (ctypes.c_uint8 * _LONGEST)()
        listening = ctypes.c_int(self._listening)
        while self._library.modbus_tcp_accept(self._context, ctypes.byref(listening)) >= 0:
            while (length := self._library.modbus_receive(self._context, query)) >= 0:
                if length:
                    self._library.modbus_reply(self._context, query, length, self._mapping)
            self._library.modbus_close(self._context)
