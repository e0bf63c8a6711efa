"""Devices that speak by themselves in a school's configuration: who may share a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.check import check
from edge.config.configuration import site_info
from edge.config.load import load

HEAD = """\
version: 1
site: {id: s, name: 学校, district: d, latitude: 34.5, longitude: 109.5}
spaces: [{id: roof, name: 屋顶, kind: roof}]
lines:
  - {id: mast, url: "serial:/dev/ttyS1", baudrate: 4800}
  - {id: bus, url: "tcp://10.0.0.9:4001"}
devices:
"""
WS = "{id: %s, space: roof, line: %s, protocol: nmea, profile: nmea-weather%s}"
DAVIS = "{id: %s, space: roof, line: %s, protocol: davis, profile: davis-vantage-pro2}"
SENSOR = "{id: %s, space: roof, line: %s, protocol: modbus-rtu, profile: xy-md02, address: 1}"
BOX = "{id: %s, space: roof, line: %s, protocol: text, profile: text-comma-environment%s}"
ADAM = "{id: %s, space: roof, line: %s, protocol: text, profile: adam-4013%s}"


def faults(folder: Path, *devices: str) -> list[str]:
    path = folder / "school.yaml"
    path.write_text(HEAD + "".join(f"  - {device}\n" for device in devices), encoding="utf-8")
    return [f"{fault.path}: {fault.message}" for fault in check(path).faults]


@pytest.mark.parametrize(
    "devices",
    [
        (WS % ("a", "mast", ""), SENSOR % ("b", "bus")),
        (WS % ("a", "mast", ", talker: WI"), WS % ("b", "mast", ", talker: II")),
        (WS % ("a", "mast", ", north: -30"), BOX % ("b", "mast", "")),
        (DAVIS % ("a", "mast"), DAVIS % ("b", "bus")),
        (
            SENSOR % ("a", "bus"),
            ADAM % ("b", "bus", ', address: "01"'),
            ADAM % ("c", "bus", ', address: "02"'),
        ),
    ],
)
def test_these_may_share(tmp_path: Path, devices: tuple[str, ...]) -> None:
    assert faults(tmp_path, *devices) == []


@pytest.mark.parametrize(
    ("devices", "fault"),
    [
        (
            (SENSOR % ("b", "bus"), WS % ("a", "bus", "")),
            "devices.1.line: a speaks by itself and b must be asked: on one line they disturb each other, "
            "give each a line of its own",
        ),
        (
            (WS % ("a", "bus", ""), SENSOR % ("b", "bus")),
            "devices.1.line: a speaks by itself and b must be asked: on one line they disturb each other, "
            "give each a line of its own",
        ),
        (
            (WS % ("a", "mast", ", talker: WI"), WS % ("b", "mast", "")),
            "devices.1.line: a is on the line mast too: name the talker of each, such as WI",
        ),
        (
            (WS % ("a", "mast", ""), WS % ("b", "mast", ", talker: WI")),
            "devices.1.line: a is on the line mast too: name the talker of each, such as WI",
        ),
        (
            (WS % ("a", "mast", ", talker: WI"), WS % ("b", "mast", ", talker: WI")),
            "devices.1.talker: b and a have the same talker WI on the line mast",
        ),
        (
            (DAVIS % ("a", "mast"), DAVIS % ("b", "mast")),
            "devices.1.line: the line mast has a davis device already (a): it needs its own",
        ),
        (
            (SENSOR % ("a", "bus"), DAVIS % ("b", "bus")),
            "devices.1.line: a Davis console needs a line of its own: a and b share bus",
        ),
        (
            (ADAM % ("a", "bus", ""),),
            "devices.0.profile: the request of adam-4013 holds an address: give one, such as 01",
        ),
        (
            (BOX % ("a", "bus", ', address: "1"'),),
            "devices.0.address: text-comma-environment sends no address: remove it",
        ),
        (
            (WS % ("a", "mast", ", talker: weather"),),
            None,
        ),
    ],
)
def test_these_are_told_in_a_sentence(tmp_path: Path, devices: tuple[str, ...], fault: str | None) -> None:
    found = faults(tmp_path, *devices)
    assert found == [fault] if fault else found


def test_rules_know_how_often_a_station_speaks(tmp_path: Path) -> None:
    assert faults(tmp_path, WS % ("a", "mast", ", every: 10s")) == []
    site = site_info(load(tmp_path / "school.yaml"))
    assert site.devices[0].every_ms == 10_000
    assert {"wind_speed", "wind_direction", "temperature", "humidity", "pressure"} <= site.devices[
        0
    ].points.keys()
