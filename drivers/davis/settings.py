"""Settings of Davis consoles."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from drivers.line.settings import Baudrate, Framing
from drivers.settings import DeviceSettings, Duration


class DavisDevice(DeviceSettings):
    """A Vantage Pro2 or Vue console: its serial or USB port, or WeatherLinkIP (tcp://host:22222).

    It has no address and needs a line of its own.
    """

    protocol: Literal["davis"]
    baudrate: Baudrate = 19200
    framing: Framing = Framing.F8N1
    timeout: Duration = Field(
        default=timedelta(seconds=4), description="longest wait for a packet; the console sends one each 2 s"
    )
