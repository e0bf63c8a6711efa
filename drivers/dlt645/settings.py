"""Settings of DL/T 645 electricity meters."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.line.settings import Baudrate, Framing
from drivers.settings import DeviceSettings, Duration

Variant = Literal["2007", "1997"]
"""The edition of the standard that a meter speaks."""

_BROADCAST = "9" * 12


def _no_broadcast(address: str) -> str:
    if address == _BROADCAST:
        raise ValueError("all nines is the broadcast address, which no meter answers")
    return address


MeterAddress = Annotated[
    str,
    Field(pattern=r"^[0-9]{12}$", description="the 12 digits on the nameplate, without the check digit"),
    AfterValidator(_no_broadcast),
]


class Dlt645Device(DeviceSettings):
    """A meter on an RS-485 line or behind a transparent serial server.

    Rate and framing are the meter's own, not its line's: 2400 8E1 is how meters
    leave the factory (DL/T 645-2007).
    """

    protocol: Literal["dlt645"]
    address: MeterAddress
    variant: Variant | None = Field(
        default=None, description="edition of the standard; left out, it is the profile's"
    )
    baudrate: Baudrate = 2400
    framing: Framing = Framing.F8E1
    timeout: Duration = Field(
        default=timedelta(milliseconds=1500), description="longest wait for a reply, network included"
    )
