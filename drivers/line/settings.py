"""Settings of field lines: serial ports and TCP connections."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from drivers.settings import Duration, Id, Settings

Baudrate = Annotated[int, Field(ge=300, le=921_600)]


class Framing(StrEnum):
    """Data bits, parity and stop bits of a serial character."""

    F8N1 = "8N1"
    F8N2 = "8N2"
    F8E1 = "8E1"
    F8O1 = "8O1"
    F7E1 = "7E1"
    F7O1 = "7O1"

    @property
    def bits(self) -> int:
        """Bits on the wire for one character, start bit included."""
        return 1 + int(self[0]) + (self[1] != "N") + int(self[2])


def _serial_url(url: str) -> str:
    if not re.fullmatch(r"serial:/[^\s?#]+", url):
        raise ValueError("expected serial:/dev/... with an absolute path")
    return url


def _tcp_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"expected tcp://host:port ({error})") from error
    if parts.scheme != "tcp" or not parts.hostname or not port or parts.path or parts.query:
        raise ValueError("expected tcp://host:port")
    return url


class LineSettings(Settings):
    """What all lines share."""

    id: Id
    timeout: Duration = Field(default=timedelta(milliseconds=500), description="longest wait for a reply")


class SerialLine(LineSettings):
    """A local RS-485 or RS-232 port, one owner, half duplex."""

    url: Annotated[str, AfterValidator(_serial_url)]
    baudrate: Baudrate = 9600
    framing: Framing = Framing.F8N1
    gap: Duration = Field(default=timedelta(milliseconds=20), description="quiet kept before each request")

    @property
    def path(self) -> str:
        """The port's path in the file system."""
        return self.url.removeprefix("serial:")


class TcpLine(LineSettings):
    """A transparent serial server or a Modbus TCP device: one connection, kept open."""

    url: Annotated[str, AfterValidator(_tcp_url)]
    timeout: Duration = Field(default=timedelta(seconds=1), description="longest wait for a reply")
    gap: Duration = Field(default=timedelta(0), description="quiet kept before each request")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0


FieldLine = SerialLine | TcpLine
Priority = Literal["emergency", "normal"]
