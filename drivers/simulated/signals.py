"""Which quantity of the virtual school a point of a device measures.

A device is known by its kind and its space; a point by its standard name. A point that
the school has no physics for gets a quiet value inside its plausible range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drivers.reading import Value
from drivers.simulated.device import Handle, Signal
from drivers.simulated.meters import Button, ElectricMeter, FlowMeter, Gate
from drivers.simulated.physics import School
from drivers.simulated.room import OPEN, SETPOINT_C, Room
from drivers.simulated.weather import Weather
from drivers.vocabulary import PointSpec

ROOM: Mapping[str, Callable[[Room], Value]] = {
    "temperature": lambda room: room.temperature,
    "humidity": lambda room: room.humidity,
    "co2": lambda room: room.co2,
    "pm1": lambda room: room.pm25 * 0.7,
    "pm25": lambda room: room.pm25,
    "pm10": lambda room: room.pm25 * 1.5,
    "tvoc": lambda room: room.tvoc,
    "voc_index": lambda room: min(500.0, 100.0 * room.tvoc / 0.3),
    "ch2o": lambda room: 0.02,
    "illuminance": lambda room: room.illuminance,
    "noise": lambda room: room.noise,
    "occupied": lambda room: room.people >= 1.0,
    "motion": lambda room: round(min(200.0, room.people * 4.0)),
    "people": lambda room: round(room.people),
    "gas_lel": lambda room: room.gas_lel,
    "setpoint": lambda room: SETPOINT_C,
    "fan_speed": lambda room: 2.0 if room.ac_on else 0.0,
    "active_power": lambda room: room.ac_w / 1000.0,
}
"""What a device inside a room measures."""

WEATHER: Mapping[str, Callable[[Weather], Value]] = {
    "temperature": lambda weather: weather.temperature,
    "humidity": lambda weather: weather.humidity,
    "pressure": lambda weather: weather.pressure,
    "wind_speed": lambda weather: weather.wind_speed,
    "wind_gust": lambda weather: weather.wind_speed * 1.4,
    "wind_direction": lambda weather: weather.wind_direction,
    "wind_force": lambda weather: round((weather.wind_speed / 0.836) ** (2 / 3)),  # Beaufort's formula
    "rainfall": lambda weather: weather.rainfall,
    "rain_rate": lambda weather: weather.rain_mm_h,
    "solar_irradiance": lambda weather: weather.solar_irradiance,
    "illuminance": lambda weather: weather.illuminance,
    "uv_index": lambda weather: weather.solar_irradiance / 90.0,
    "pm25": lambda weather: weather.pm25,
    "pm10": lambda weather: weather.pm25 * 1.6,
    "noise": lambda weather: 48.0 + weather.wind_speed,
    "co2": lambda weather: 425.0,
}
"""What a device outdoors measures."""

ELECTRIC: Mapping[str, Callable[[ElectricMeter], Value]] = {
    "voltage": lambda meter: meter.voltage_v[0],
    "current": lambda meter: meter.total_kw * 1000.0 / (meter.voltage_v[0] * meter.power_factor),
    "active_power": lambda meter: meter.total_kw,
    "reactive_power": lambda meter: meter.reactive_kvar,
    "apparent_power": lambda meter: meter.apparent_kva,
    "power_factor": lambda meter: meter.power_factor,
    "frequency": lambda meter: meter.frequency_hz,
    "demand": lambda meter: meter.demand_kw,
    "demand_max": lambda meter: meter.max_demand_kw,
    "energy_import": lambda meter: meter.energy_kwh,
    "energy_total": lambda meter: meter.energy_kwh,
    "energy_export": lambda meter: 0.0,
    "residual_current": lambda meter: 18.0,
    "on": lambda meter: True,
    "neutral_current": lambda meter: (
        1000.0 * (max(meter.power_kw) - min(meter.power_kw)) / meter.voltage_v[0]
    ),
    "energy_import_t1": lambda meter: meter.energy_kwh * 0.1,
    "energy_import_t2": lambda meter: meter.energy_kwh * 0.4,
    "energy_import_t3": lambda meter: meter.energy_kwh * 0.35,
    "energy_import_t4": lambda meter: meter.energy_kwh * 0.15,
}
"""What an electricity meter shows; `_l1 _l2 _l3` are made by `_phase`."""

FLOW: Mapping[str, Callable[[FlowMeter], Value]] = {
    "volume": lambda meter: meter.volume_m3,
    "flow": lambda meter: meter.flow_m3_h,
    "volume_reverse": lambda meter: 0.0,
    "water_pressure": lambda meter: 320.0 - 6.0 * meter.flow_m3_h,
    "water_temperature": lambda meter: 19.0,
    "valve_open": lambda meter: True,
}
GATE: Mapping[str, Callable[[Gate], Value]] = {
    "passes_in": lambda gate: gate.passes_in,
    "passes_out": lambda gate: gate.passes_out,
}
BUTTON: Mapping[str, Callable[[Button], Value]] = {
    "pressed": lambda button: button.pressed,
    "alarm": lambda button: button.pressed,
    "action": lambda button: "emergency" if button.pressed else "",
}
STEADY: Mapping[str, Value] = {
    "battery": 87.0,
    "battery_voltage": 3.6,
    "rssi": -71.0,
    "snr": 8.5,
    "link_quality": 132.0,
    "device_temperature": 31.0,
    "mode": "cool",
    "mode_code": 1.0,
    "co": 0.0,
    "locked": True,
    "serial_number": 21053417.0,
    "ct_ratio": 1.0,
    "pt_ratio": 1.0,
    "load": 34.0,
    "runtime": 42.0,
    "output_voltage": 230.0,
    "cable_temperature_1": 36.0,
    "cable_temperature_2": 37.5,
    "cable_temperature_3": 35.0,
    "cable_temperature_4": 34.5,
    "status_word": 0.0,
    "meter_clock": "2026-03-02T08:00:00",
}
"""Facts about the devices themselves."""
OUTDOOR = frozenset({"outdoor", "roof", "playground", "perimeter", "parking", "gate"})


def signal(school: School, device: str, kind: str, space: str, point: str, spec: PointSpec) -> Signal:
    """What `point` of a device of `kind` in `space` measures."""
    room = school.rooms.get(space)
    if kind == "electricity_meter":
        meter = school.electric(space)
        return _phase(meter, point) or _of(ELECTRIC, meter, point) or _quiet(point, spec)
    if kind in ("water_meter", "gas_meter"):
        flow = school.gas(space) if kind == "gas_meter" else school.water(space)
        return _of(FLOW, flow, point) or _quiet(point, spec)
    if kind == "access_gate":
        return _of(GATE, school.gate(space), point) or _quiet(point, spec)
    if kind == "emergency_button":
        return _button(school, device, point) or _quiet(point, spec)
    if kind == "weather_station" or room is None or room.space.kind in OUTDOOR:
        return _of(WEATHER, school.weather, point) or _quiet(point, spec)
    return _switch(room, kind, point) or _of(ROOM, room, point) or _quiet(point, spec)


def _of(table: Mapping[str, Callable[..., Value]], thing: object, point: str) -> Signal | None:
    read = table.get(point)
    return None if read is None else lambda: read(thing)


def _button(school: School, device: str, point: str) -> Signal | None:
    """`pressed_01` and the like are buttons of their own on one input module."""
    name, _, number = point.partition("_")
    if name == "pressed" and number.isdecimal():
        return _of(BUTTON, school.button(f"{device}-{number}"), name)
    return _of(BUTTON, school.button(device), point)


def _switch(room: Room, kind: str, point: str) -> Signal | None:
    """The switches of a room mean what their device is: a contact is at the window."""
    if kind == "contact" and point == "open":
        return lambda: room.window >= OPEN
    if point == "on" and kind == "lighting":
        return lambda: room.lights_on
    if point == "on" and kind == "air_conditioner":
        return lambda: room.ac_on
    if point == "on" and kind == "ventilation":
        return lambda: room.exhaust_ach > 0.0
    if point == "alarm" and kind == "gas_detector":
        return lambda: room.gas_lel >= 20.0
    return None


def handles(school: School, kind: str, space: str) -> Mapping[str, Handle]:
    """What moves in `space` when a point of a device of `kind` is written."""
    room = school.rooms.get(space)
    what = {"lighting": "lights", "air_conditioner": "ac"}.get(kind)
    if room is None or what is None:
        return {}
    return {"on": lambda value: room.tell(what, value is True)}


def _phase(meter: ElectricMeter, point: str) -> Signal | None:
    if point[-3:] not in ("_l1", "_l2", "_l3"):
        return None
    phase = int(point[-1]) - 1
    ways: Mapping[str, Callable[[], Value]] = {
        "voltage": lambda: meter.voltage_v[phase],
        "voltage_l1": lambda: meter.voltage_v[0] * 3**0.5,
        "voltage_l2": lambda: meter.voltage_v[1] * 3**0.5,
        "voltage_l3": lambda: meter.voltage_v[2] * 3**0.5,
        "current": lambda: meter.current_a(phase),
        "active_power": lambda: meter.power_kw[phase],
        "apparent_power": lambda: meter.power_kw[phase] / meter.power_factor,
        "reactive_power": lambda: meter.reactive_kvar / 3.0,
        "power_factor": lambda: meter.power_factor,
        "energy_import": lambda: meter.energy_kwh / 3.0,
    }
    return ways.get(point[:-3])


LONG_AGO = "2026-01-05 08:00:00"
"""What a point that tells a time tells at rest."""


def _quiet(point: str, spec: PointSpec) -> Signal:
    """A value at rest: false, a known fact, or a little above the lower end of the range."""
    if point in STEADY:
        rest = STEADY[point]
    elif spec.type == "switch":
        rest = False
    elif spec.type == "text":
        rest = LONG_AGO if point.endswith("_at") else "ok"
    else:
        low = max(0.0, spec.min if spec.min is not None else 0.0)
        rest = low if spec.counter else low + 0.05 * ((spec.max if spec.max is not None else low) - low)
    return lambda: rest
