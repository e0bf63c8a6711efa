"""Settings of CJ/T 188 water, gas, heat and cold meters."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from drivers.line.settings import Baudrate, Framing
from drivers.settings import DeviceSettings, Duration

MeterType = Annotated[str, Field(pattern=r"^[1-4][0-9]$", description="type byte T: 10 cold water, 20 heat")]


class Cjt188Device(DeviceSettings):
    """A meter on an RS-485 line, behind an M-Bus converter or a transparent serial server.

    Rate and framing are the meter's own, not its line's. With the 10 digits printed on
    the meter the maker's code, the two high pairs of the address, may be anything.
    """

    protocol: Literal["cjt188"]
    address: Annotated[
        str,
        Field(
            pattern=r"^([0-9]{10}|[0-9]{14})$",
            description="the 14 digits of the address, or the 10 printed on the meter",
        ),
    ]
    meter_type: MeterType | None = Field(default=None, description="type byte T; left out, the profile's")
    baudrate: Baudrate = 2400
    framing: Framing = Framing.F8E1
    timeout: Duration = Field(
        default=timedelta(milliseconds=1500), description="longest wait for a reply, network included"
    )
