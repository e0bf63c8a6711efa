"""Settings of devices that speak NMEA 0183."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drivers.settings import DeviceSettings


class NmeaDevice(DeviceSettings):
    """A device that speaks by itself, on a serial line (4800 8N1 is the standard's) or a TCP one.

    `every` is how often its points are wanted; it counts as silent after three of them.
    """

    protocol: Literal["nmea"]
    talker: Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9]?|[0-9A-Za-z])$")] | None = Field(
        default=None,
        description="only sentences of this talker (WI, II, ...) or composite address (0); needed where "
        "several devices share the line",
    )
    north: Annotated[float, Field(ge=-360, le=360)] = Field(
        default=0.0,
        description="degrees from north to the sensor's own zero, clockwise; added to relative angles",
    )
