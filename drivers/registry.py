"""The dict of drivers: which protocol is spoken how; imports a protocol when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drivers.contract import Polled
from drivers.line.settings import FieldLine
from drivers.profile import Profile
from drivers.settings import DeviceSettings
from drivers.vocabulary import PointSpec

LineKind = Literal["serial", "tcp", "mqtt"]
Build = Callable[[Any, Any, Mapping[str, PointSpec], FieldLine], Polled]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a protocol name of the configuration means."""

    family: str
    lines: frozenset[LineKind]
    build: Build | None  # None: it listens, see drivers.mqtt.broker


def _modbus(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.modbus.driver import ModbusDriver

    return ModbusDriver(device, profile, points, line)


def _dlt645(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.dlt645.driver import Dlt645Driver

    return Dlt645Driver(device, profile, points, line)


PROTOCOLS: Mapping[str, Protocol] = {
    "modbus-rtu": Protocol("modbus", frozenset({"serial", "tcp"}), _modbus),
    "modbus-tcp": Protocol("modbus", frozenset({"tcp"}), _modbus),
    "dlt645": Protocol("dlt645", frozenset({"serial", "tcp"}), _dlt645),
    "mqtt": Protocol("mqtt", frozenset({"mqtt"}), None),
}


def build_polled(
    device: DeviceSettings, profile: Profile, points: Mapping[str, PointSpec], line: FieldLine
) -> Polled:
    """The driver of a polled device; ValueError for one that speaks by itself."""
    build = PROTOCOLS[device.protocol].build
    if build is None:
        raise ValueError(f"{device.protocol} is not polled")
    return build(device, profile, points, line)
