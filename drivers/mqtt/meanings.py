"""What Home Assistant's device classes and units are in the words of the vocabulary.

Source: www.home-assistant.io/integrations/sensor and /binary_sensor, "Device class".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from drivers.mqtt.announcements import Announcement


class Meaning(NamedTuple):
    """A point, and how the announced unit becomes the vocabulary's; `inverted` switches."""

    point: str
    scale: float = 1.0
    offset: float = 0.0
    inverted: bool = False


_Units = Mapping[str, tuple[float, float]]


def _times(**factors: float) -> _Units:
    return {unit: (factor, 0.0) for unit, factor in factors.items()}


_CELSIUS: _Units = {"°C": (1.0, 0.0), "C": (1.0, 0.0), "°F": (0.555556, -17.777778), "K": (1.0, -273.15)}
_PRESSURE: _Units = {"inHg": (33.8639, 0.0), **_times(hPa=1, mbar=1, Pa=0.01, kPa=10, bar=1000, mmHg=1.33322)}
_SPEED: _Units = {"m/s": (1.0, 0.0), "km/h": (0.277778, 0.0), "mph": (0.44704, 0.0), "kn": (0.514444, 0.0)}
_DENSITY_UG: _Units = {"µg/m3": (1.0, 0.0), "ug/m3": (1.0, 0.0), "mg/m3": (1000.0, 0.0)}
_VOLUME: _Units = {"m3": (1.0, 0.0), "L": (0.001, 0.0), "l": (0.001, 0.0)}
_PERCENT: _Units = {"%": (1.0, 0.0)}

SENSORS: Mapping[str, tuple[str, _Units]] = {
    "temperature": ("temperature", _CELSIUS),
    "humidity": ("humidity", _PERCENT),
    "moisture": ("humidity", _PERCENT),
    "atmospheric_pressure": ("pressure", _PRESSURE),
    "pressure": ("pressure", _PRESSURE),
    "carbon_dioxide": ("co2", _times(ppm=1)),
    "carbon_monoxide": ("co", _times(ppm=1)),
    "pm1": ("pm1", _DENSITY_UG),
    "pm25": ("pm25", _DENSITY_UG),
    "pm10": ("pm10", _DENSITY_UG),
    "volatile_organic_compounds": (
        "tvoc", {"mg/m3": (1.0, 0.0), "µg/m3": (0.001, 0.0), "ug/m3": (0.001, 0.0)},
    ),
    "illuminance": ("illuminance", _times(lx=1)),
    "sound_pressure": ("noise", {"dB": (1.0, 0.0), "dBA": (1.0, 0.0)}),
    "voltage": ("voltage", _times(V=1, mV=0.001)),
    "current": ("current", _times(A=1, mA=0.001)),
    "power": ("active_power", _times(W=0.001, kW=1)),
    "apparent_power": ("apparent_power", _times(VA=0.001, kVA=1)),
    "reactive_power": ("reactive_power", _times(var=0.001, kvar=1)),
    "power_factor": ("power_factor", {"%": (0.01, 0.0), "": (1.0, 0.0)}),
    "energy": ("energy_import", _times(Wh=0.001, kWh=1, MWh=1000)),
    "frequency": ("frequency", _times(Hz=1)),
    "water": ("volume", _VOLUME),
    "gas": ("volume", _VOLUME),
    "battery": ("battery", _PERCENT),
    "signal_strength": ("rssi", _times(dBm=1)),
    "wind_speed": ("wind_speed", _SPEED),
    "wind_direction": ("wind_direction", {"°": (1.0, 0.0)}),
    "precipitation": ("rainfall", {"mm": (1.0, 0.0), "in": (25.4, 0.0)}),
    "precipitation_intensity": ("rain_rate", {"mm/h": (1.0, 0.0), "in/h": (25.4, 0.0)}),
    "irradiance": ("solar_irradiance", {"W/m2": (1.0, 0.0)}),
}  # fmt: skip
"""Device class -> point, and for each unit (scale, offset) into the vocabulary's."""

BY_UNIT: Mapping[str, str] = {"UV index": "uv_index", "lqi": "link_quality", "ppm": "co2"}
"""Sensors without a device class that the unit alone tells."""

BY_NAME: Mapping[str, str] = {
    "linkquality": "link_quality", "uv": "uv_index", "uv index": "uv_index", "winddir": "wind_direction",
    "wind direction": "wind_direction",
}  # fmt: skip
"""Sensors without a device class that the last step of their pointer, or their name, tells."""

SWITCHES: Mapping[str, Meaning] = {
    "battery": Meaning("battery_low"),
    "carbon_monoxide": Meaning("alarm"),
    "door": Meaning("open"),
    "garage_door": Meaning("open"),
    "gas": Meaning("alarm"),
    "light": Meaning("on"),
    "lock": Meaning("locked", inverted=True),  # on means unlocked
    "moisture": Meaning("water_leak"),
    "motion": Meaning("occupied"),
    "occupancy": Meaning("occupied"),
    "opening": Meaning("open"),
    "plug": Meaning("on"),
    "power": Meaning("on"),
    "presence": Meaning("occupied"),
    "problem": Meaning("fault"),
    "running": Meaning("on"),
    "safety": Meaning("alarm"),
    "smoke": Meaning("smoke"),
    "tamper": Meaning("tamper"),
    "window": Meaning("open"),
}
"""Binary sensors by device class."""

KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("electricity_meter", ("energy_import", "active_power")),
    ("weather_station", ("wind_speed", "rainfall", "solar_irradiance")),
    ("smoke_detector", ("smoke",)),
    ("gas_detector", ("alarm",)),
    ("leak_detector", ("water_leak",)),
    ("water_meter", ("volume",)),
    ("contact", ("open",)),
    ("classroom_env", ("temperature", "humidity", "co2", "pm25", "illuminance")),
    ("motion_sensor", ("occupied",)),
    ("relay", ("on",)),
)
"""Device kinds by the points that tell them, the first that fits."""


def meaning(one: Announcement) -> Meaning | None:
    """The point that an announced quantity is; None where the vocabulary has none for it."""
    if one.component == "binary_sensor":
        return SWITCHES.get(one.device_class)
    unit = (
        one.unit.replace("μ", "µ").replace("³", "3").replace("²", "2").replace("℃", "°C").replace("℉", "°F")
    )
    if one.device_class:
        point, units = SENSORS.get(one.device_class, ("", {}))
        if unit not in units:
            return None
        scale, offset = units[unit]
        return Meaning(point, scale, offset)
    last = one.pointer.rpartition("/")[2].lower()
    named = BY_UNIT.get(unit) or BY_NAME.get(last) or BY_NAME.get(one.name.lower())
    return Meaning(named) if named else None
