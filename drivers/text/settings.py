"""Settings of devices that print lines of text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drivers.line.settings import Baudrate, Framing
from drivers.settings import DeviceSettings, Duration


class TextDevice(DeviceSettings):
    """A device that prints lines, by itself or when asked, as its profile says.

    `address` stands in the request where the profile has a place for it. Rate, framing
    and timeout of its own only where it is asked; a device that speaks by itself has its
    line's.
    """

    protocol: Literal["text"]
    address: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,8}$")] | None = None
    baudrate: Baudrate | None = None
    framing: Framing | None = None
    timeout: Duration | None = None
