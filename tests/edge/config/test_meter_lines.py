"""Meters of different protocols in a school's configuration: what may share a line, and what fits what."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.registry import build_polled
from edge.config.check import check
from edge.config.load import load

HEAD = """\
version: 1
site: {id: s, name: 学校, district: d, latitude: 34.5, longitude: 109.5}
spaces: [{id: b1, name: 教学楼, kind: building}]
lines:
  - {id: bus, url: "serial:/dev/ttyS1", baudrate: 9600}
  - {id: srv, url: "tcp://10.0.0.9:4001"}
devices:
"""
DEVICE = "{id: %s, space: b1, line: %s, protocol: %s, profile: %s, address: %s}"
OLD = ("dlt645", "dlt645-1997-three-phase", '"010003635927"')
NEW = ("dlt645", "dlt645-2007-three-phase", '"202211304417"')
WATER = ("cjt188", "cjt188-cold-water", '"0011223344"')
HEAT = ("cjt188", "cjt188-heat", '"78330011223344"')
ASCII = ("modbus-ascii", "xy-md02", "3")
RTU = ("modbus-rtu", "xy-md02", "4")


def written(folder: Path, *devices: str) -> Path:
    path = folder / "school.yaml"
    path.write_text(HEAD + "".join(f"  - {device}\n" for device in devices), encoding="utf-8")
    return path


def faults(folder: Path, *devices: str) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in check(written(folder, *devices)).faults]


@pytest.mark.parametrize("line", ["bus", "srv"])
def test_all_of_them_share_one_line_and_each_has_its_driver(tmp_path: Path, line: str) -> None:
    devices = [
        DEVICE % (f"d{number}", line, *device)
        for number, device in enumerate((OLD, NEW, WATER, HEAT, ASCII, RTU))
    ]
    path = written(tmp_path, *devices)
    assert check(path).faults == ()
    configuration = load(path)
    (its_line,) = [one for one in configuration.settings.lines if one.id == line]
    for model in configuration.devices.values():
        driver = build_polled(model.settings, model.profile, model.points, its_line)  # type: ignore[arg-type]
        exchange = next(driver.poll(0))
        assert exchange.request


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        (
            DEVICE % ("a", "bus", *NEW[:2], NEW[2] + ', variant: "1997"'),
            "devices.0.variant: the profile dlt645-2007-three-phase is of DL/T 645-2007: choose one of 1997",
        ),
        (
            DEVICE % ("a", "bus", "cjt188", "dlt645-2007-three-phase", '"78330011223344"'),
            "devices.0.profile: the profile dlt645-2007-three-phase is for dlt645 devices,"
            " the protocol is cjt188",
        ),
    ],
)
def test_a_profile_must_fit(tmp_path: Path, device: str, fault: str) -> None:
    assert faults(tmp_path, device) == [fault]


@pytest.mark.parametrize("variant", ["", ', variant: "1997"'])
def test_the_edition_may_be_said_or_left_to_the_profile(tmp_path: Path, variant: str) -> None:
    assert faults(tmp_path, DEVICE % ("a", "bus", *OLD[:2], OLD[2] + variant)) == []


def test_two_meters_of_one_address_are_told(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, DEVICE % ("a", "bus", *HEAT), DEVICE % ("b", "bus", *HEAT))
    assert "b and a have the same address 78330011223344 on the line bus" in fault


def test_an_address_without_quotes_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, DEVICE % ("a", "bus", "cjt188", "cjt188-heat", "78330011223344"))
