"""The dict of drivers: which protocol is spoken how; imports a protocol when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drivers.contract import Polled, Speaking
from drivers.line.settings import FieldLine
from drivers.profile import Profile
from drivers.settings import DeviceSettings
from drivers.vocabulary import PointSpec

LineKind = Literal["serial", "tcp", "mqtt"]
Build = Callable[[Any, Any, Mapping[str, PointSpec], FieldLine], Polled]
Hear = Callable[[Any, Any, Mapping[str, PointSpec]], Speaking]


@dataclass(frozen=True, slots=True)
class Protocol:
    """What a protocol name of the configuration means."""

    family: str
    lines: frozenset[LineKind]
    build: Build | None  # None: it listens, see drivers.mqtt.broker
    hear: Hear | None = None
    """For devices on serial and TCP lines that speak first, see drivers.line.listener."""

    told_apart_by: str = "address"
    """The setting in which two devices on one line differ; `line`: there is only one."""


def _modbus(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.modbus.driver import ModbusDriver

    return ModbusDriver(device, profile, points, line)


def _dlt645(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.dlt645.driver import Dlt645Driver

    return Dlt645Driver(device, profile, points, line)


def _cjt188(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.cjt188.driver import Cjt188Driver

    return Cjt188Driver(device, profile, points, line)


def _davis(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.davis.driver import DavisDriver

    return DavisDriver(device, profile, points, line)


def _text(device: Any, profile: Any, points: Mapping[str, PointSpec], line: FieldLine) -> Polled:
    from drivers.text.driver import TextPoller

    return TextPoller(device, profile, points, line)


def _hear_nmea(device: Any, profile: Any, points: Mapping[str, PointSpec]) -> Speaking:
    from drivers.nmea.driver import NmeaDriver

    return NmeaDriver(device, profile, points)


def _hear_text(device: Any, profile: Any, points: Mapping[str, PointSpec]) -> Speaking:
    from drivers.text.driver import TextListener

    return TextListener(device, profile, points)


PROTOCOLS: Mapping[str, Protocol] = {
    "modbus-rtu": Protocol("modbus", frozenset({"serial", "tcp"}), _modbus),
    "modbus-ascii": Protocol("modbus", frozenset({"serial", "tcp"}), _modbus),
    "modbus-tcp": Protocol("modbus", frozenset({"tcp"}), _modbus),
    "dlt645": Protocol("dlt645", frozenset({"serial", "tcp"}), _dlt645),
    "cjt188": Protocol("cjt188", frozenset({"serial", "tcp"}), _cjt188),
    "davis": Protocol("davis", frozenset({"serial", "tcp"}), _davis, told_apart_by="line"),
    "nmea": Protocol("nmea", frozenset({"serial", "tcp"}), None, _hear_nmea, "talker"),
    "text": Protocol("text", frozenset({"serial", "tcp"}), _text, _hear_text),
    "mqtt": Protocol("mqtt", frozenset({"mqtt"}), None, told_apart_by="topic"),
}


def build_polled(
    device: DeviceSettings, profile: Profile, points: Mapping[str, PointSpec], line: FieldLine
) -> Polled:
    """The driver of a polled device; ValueError for one that speaks by itself."""
    build = PROTOCOLS[device.protocol].build
    if build is None or profile.speaks_first:
        raise ValueError(f"{device.id} ({device.protocol}) is not polled")
    return build(device, profile, points, line)


def build_speaking(device: DeviceSettings, profile: Profile, points: Mapping[str, PointSpec]) -> Speaking:
    """The decoder of a device on a serial or TCP line that speaks first; ValueError for a polled one."""
    hear = PROTOCOLS[device.protocol].hear
    if hear is None or not profile.speaks_first:
        raise ValueError(f"{device.id} does not speak by itself")
    return hear(device, profile, points)
