"""Bytes in and out of a line; the only place that opens a port.

A transport knows no protocol: it hands every byte it receives to the arbiter and
changes baud rate and framing when told.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Protocol

from drivers.errors import LineDown, NoReply
from drivers.line.settings import FieldLine, Framing, SerialLine, TcpLine

OPEN_TIMEOUT_S = 5.0
_GONE = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF})
Receive = Callable[[bytes], None]
Lost = Callable[[str], None]


class Transport(Protocol):
    """One way to move bytes: a port, a connection, or the emulated wire of a test."""

    async def open(self, receive: Receive, lost: Lost) -> None:
        """Opens; `receive` gets all bytes, `lost` a reason when it breaks. Raises LineDown."""
        ...

    def configure(self, baudrate: int, framing: Framing) -> None:
        """Sets speed and framing from the next byte on; nothing where the medium has none."""
        ...

    def write(self, data: bytes) -> None:
        """Sends; a broken port is told through `lost`."""
        ...

    def close(self) -> None:
        """Closes; may be called twice."""
        ...


class _Wire(asyncio.Protocol):
    """Hands asyncio's callbacks on."""

    def __init__(self, receive: Receive, lost: Lost) -> None:
        self.data_received = receive  # type: ignore[assignment, method-assign]  # saves a call a chunk
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(str(exc) if exc else "closed by the other side")


class SerialTransport:
    """A serial port, opened exclusively, through serialx."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._transport: Any = None
        self._current: tuple[int, Framing] | None = None

    async def open(self, receive: Receive, lost: Lost) -> None:
        """Opens the port at the line's own speed; LineDown says why it could not."""
        import serialx

        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._transport, _ = await serialx.create_serial_connection(
                    asyncio.get_running_loop(),
                    lambda: _Wire(receive, lost),
                    self._line.path,
                    baudrate=self._line.baudrate,
                    exclusive=True,
                )
            self._current = (self._line.baudrate, Framing.F8N1)
            self.configure(self._line.baudrate, self._line.framing)
        except (OSError, ValueError, TimeoutError, serialx.SerialException, NoReply) as error:
            self.close()
            raise LineDown(f"{self._line.path}: {error or 'did not open in time'}") from error

    def configure(self, baudrate: int, framing: Framing) -> None:
        """Switches speed and framing between exchanges; NoReply where the port does not know them."""
        if self._current == (baudrate, framing) or self._transport is None:
            return
        import serialx

        parity = {"N": serialx.Parity.NONE, "E": serialx.Parity.EVEN, "O": serialx.Parity.ODD}[framing[1]]
        try:
            self._transport.serial.reconfigure_port(
                baudrate=baudrate,
                byte_size=int(framing[0]),
                parity=parity,
                stopbits=serialx.StopBits.TWO if framing[2] == "2" else serialx.StopBits.ONE,
            )
        except (OSError, ValueError, serialx.SerialException) as error:
            self._current = None
            message = f"{self._line.path}: cannot set {baudrate} {framing}: {error}"
            if isinstance(error, OSError) and error.errno in _GONE:
                raise LineDown(message) from error
            raise NoReply(message, reason="speed") from error  # the port is well, others go on
        self._current = (baudrate, framing)

    def write(self, data: bytes) -> None:
        """Queues the bytes for the port."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Gives the port back."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class TcpTransport:
    """A TCP connection to a serial server or a Modbus TCP device."""

    def __init__(self, line: TcpLine) -> None:
        self._line = line
        self._transport: asyncio.Transport | None = None

    async def open(self, receive: Receive, lost: Lost) -> None:
        """Connects with keep-alive, so that a half-open peer is noticed."""
        host, port = self._line.address
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    lambda: _Wire(receive, lost), host, port
                )
        except (OSError, TimeoutError) as error:
            raise LineDown(f"{self._line.url}: {error or 'no connection in time'}") from error
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._transport = transport

    def configure(self, baudrate: int, framing: Framing) -> None:
        """Nothing: the serial server's own settings rule its port."""

    def write(self, data: bytes) -> None:
        """Sends."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Drops the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


def transport_for(line: FieldLine) -> Transport:
    """The transport that a line's URL names."""
    return SerialTransport(line) if isinstance(line, SerialLine) else TcpTransport(line)
