"""The unit letters of NMEA 0183 sentences and what they are in the gateway's own units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Quantity = Literal["temperature", "pressure", "speed", "angle", "percent", "rain", "voltage", "time"]


class Conversion(NamedTuple):
    """value = raw * factor + offset."""

    factor: float
    offset: float = 0.0


_SAME = Conversion(1.0)
UNITS: Mapping[Quantity, Mapping[str, Conversion]] = {
    "temperature": {"C": _SAME, "F": Conversion(5 / 9, -160 / 9), "K": Conversion(1.0, -273.15)},
    "pressure": {
        "H": _SAME,
        "P": Conversion(0.01),
        "B": Conversion(1000.0),
        "I": Conversion(33.8639),
        "M": Conversion(1.33322),
    },
    "speed": {
        "M": _SAME,
        "N": Conversion(0.514444),
        "K": Conversion(1 / 3.6),
        "S": Conversion(0.44704),
    },
    "angle": {"D": _SAME, "T": _SAME, "R": _SAME, "M": _SAME},
    "percent": {"P": _SAME, "%": _SAME},
    "rain": {"M": _SAME, "I": Conversion(25.4)},  # a sum in mm or inches, or a rate by the hour
    "voltage": {"V": _SAME, "N": _SAME, "F": _SAME, "W": _SAME},  # Vaisala: N F W is the heater's state
    "time": {"S": _SAME},
}
"""Quantity -> unit letter -> into Cel, hPa, m/s, degrees, %, mm, V, s.

MWV and MDA: K km/h, M m/s, N knots, S miles/h; XDR and Vaisala WXT530 User's Guide:
H hPa, P Pa, B bar, M mmHg, I inHg.
"""
