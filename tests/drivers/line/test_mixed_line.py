"""Modbus RTU, DL/T 645 of both editions and CJ/T 188 on one noisy wire, ten minutes of simulated time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from drivers.cjt188.driver import Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Polled
from drivers.dlt645.driver import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.line.arbiter import Arbiter, Attached
from drivers.line.schedule import Rank
from drivers.line.settings import Framing, SerialLine
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.reading import Quality, Reading
from drivers.settings import DeviceSettings
from drivers.simulated.device import Signal, VirtualDevice
from drivers.simulated.meter188 import Cjt188Ear, Cjt188Meter
from drivers.simulated.meter645 import Dlt645Ear, Dlt645Meter
from drivers.simulated.registers import ModbusUnit
from drivers.simulated.serial_modbus import RtuEar
from drivers.vocabulary import PointSpec
from tests.support.noisy_wire import Fate, NoisyWire, Talker
from tests.support.virtual_time import run_virtually

LINE = SerialLine(id="bus", url="serial:/dev/null", baudrate=9600)
MINUTES = 10
SPEC = PointSpec(unit="1", min=0, max=1e6, zh="数", en="number")
COMMON = {"maker": "t", "model": "t", "source": "made up here"}
Part = tuple[Attached, Talker]


def numbers(first: int) -> Signal:
    """Another value each time: `first`, and on."""
    count = itertools.count(first)
    return lambda: float(next(count))


def counted(device: DeviceSettings, profile: Any) -> VirtualDevice:
    """No value of the device comes twice: its point n counts from n * 2,000 on."""
    signals = {name: numbers(n * 2_000 + 1) for n, name in enumerate(profile.point_names())}
    return VirtualDevice(device, profile, dict.fromkeys(signals, SPEC), signals)


def attached(device: DeviceSettings, driver: Polled) -> Attached:
    return Attached(device.id, driver, device.every.total_seconds(), Rank.NORMAL)


def modbus(unit: int, points: Mapping[str, Any]) -> Part:
    profile = ModbusProfile.model_validate(
        {**COMMON, "id": "m", "kind": "contact", "family": "modbus", "points": points}
    )
    device = ModbusRtuDevice.model_validate(
        {"id": f"mb-{unit}", "space": "s", "line": "bus", "protocol": "modbus-rtu", "profile": "m",
         "address": unit, "every": "2s"}
    )  # fmt: skip
    played, ear = counted(device, profile), RtuEar()
    ear.add(unit, ModbusUnit(played, profile))
    talker = Talker(device.id, ear, 9600, Framing.F8N1, late_s=0.6)
    return attached(device, ModbusDriver(device, profile, played.points, LINE)), talker


def dlt645(address: str, points: Mapping[str, Any]) -> Part:
    profile = Dlt645Profile.model_validate(
        {**COMMON, "id": "e", "kind": "electricity_meter", "family": "dlt645", "points": points}
    )
    device = Dlt645Device.model_validate(
        {"id": f"em-{address[-2:]}", "space": "s", "line": "bus", "protocol": "dlt645", "profile": "e",
         "address": address, "every": "10s"}
    )  # fmt: skip
    played, ear = counted(device, profile), Dlt645Ear()
    ear.add(Dlt645Meter(played, profile, address))
    talker = Talker(device.id, ear, 2400, Framing.F8E1, late_s=1.6)
    return attached(device, Dlt645Driver(device, profile, played.points, LINE)), talker


def cjt188(address: str, meter_type: str, points: Mapping[str, Any]) -> Part:
    profile = Cjt188Profile.model_validate(
        {**COMMON, "id": "w", "kind": "water_meter", "family": "cjt188", "meter_type": meter_type,
         "points": points}
    )  # fmt: skip
    device = Cjt188Device.model_validate(
        {"id": f"wm-{address[-2:]}", "space": "s", "line": "bus", "protocol": "cjt188", "profile": "w",
         "address": address, "every": "10s"}
    )  # fmt: skip
    played, ear = counted(device, profile), Cjt188Ear()
    ear.add(Cjt188Meter(played, profile, device))
    talker = Talker(device.id, ear, 2400, Framing.F8E1, late_s=1.6)
    return attached(device, Cjt188Driver(device, profile, played.points, LINE)), talker


def school() -> list[Part]:
    return [
        modbus(1, {"a": {"address": 0}, "b": {"address": 1}, "c": {"address": 2, "type": "u32"}}),
        modbus(2, {"a": {"address": 0, "type": "u32"}, "b": {"address": 100, "table": "input"}}),
        modbus(3, {"a": {"address": 7, "type": "f32", "order": "CDAB"}}),
        modbus(4, {"a": {"address": 0}, "b": {"address": 100}}),  # two blocks, replies of one length
        dlt645(
            "202211304417",
            {"energy": {"di": "00010000"}, "a": {"di": "02010100", "bytes": 3, "decimals": 1, "block": 0},
             "b": {"di": "02010200", "bytes": 3, "decimals": 1, "block": 1}},
        ),
        dlt645("202211304418", {"energy": {"di": "00010000"}, "reverse": {"di": "00020000"}}),
        dlt645("000000304419", {"energy": {"di": "9010"}, "reverse": {"di": "9020"}}),
        cjt188(
            "78330011223344", "10",
            {"volume": {"field": "volume"}, "settled": {"di": "D120", "field": "settled_volume"}},
        ),
        cjt188(
            "0011223355", "20",
            {"heat": {"field": "heat"}, "power": {"field": "power"}, "volume": {"field": "volume"},
             "supply": {"field": "supply_temperature"}},
        ),
    ]  # fmt: skip


@cache
def ten_minutes(seed: int) -> tuple[NoisyWire, list[Reading], Arbiter]:
    """The whole line served; what was said, what was read."""
    parts = school()
    wire = NoisyWire([talker for _, talker in parts], random.Random(seed))
    readings: list[Reading] = []

    async def main() -> Arbiter:
        loop = asyncio.get_running_loop()
        devices = [device for device, _ in parts]
        arbiter = Arbiter(LINE, wire, devices, readings.extend, lambda: round(loop.time() * 1000))
        try:
            async with asyncio.timeout(MINUTES * 60):
                await arbiter.run()
        except TimeoutError:
            pass
        return arbiter

    return wire, readings, run_virtually(main())


SEEDS = (1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_wrong_value_is_accepted(seed: int) -> None:
    wire, readings, _ = ten_minutes(seed)
    true = {(s.device, s.point, s.value): s for s in wire.said if s.intact}
    good = [r for r in readings if r.quality is Quality.GOOD]
    assert len(good) > 1_500
    for reading in good:
        said = true.get((reading.device, reading.point, reading.value))
        assert said is not None, f"{reading} was never said"
        assert said.begin <= reading.at / 1000 <= said.end + 0.002, f"{reading} is an old value"
    assert all(r.value is None for r in readings if r.quality is Quality.BAD)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_good_exchange_is_delivered(seed: int) -> None:
    wire, readings, _ = ten_minutes(seed)
    read = {(r.device, r.point, r.value) for r in readings if r.quality is Quality.GOOD}
    due = [said for said in wire.due() if said.end < MINUTES * 60 - 5]
    missed = [said for said in due if (said.device, said.point, said.value) not in read]
    assert len(due) > 1_500
    assert not missed


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_can_happen_did_and_every_device_lives(seed: int) -> None:
    wire, readings, arbiter = ten_minutes(seed)
    assert {s.fate for s in wire.said} == set(Fate)
    assert {s.device for s in wire.said} == set(arbiter.devices)
    good = Counter(r.device for r in readings if r.quality is Quality.GOOD)
    bad = Counter(r.reason for r in readings if r.quality is Quality.BAD)
    assert all(good[device] > 50 for device in arbiter.devices), good
    assert {"timeout", "crc"} <= set(bad), bad
    assert set(bad) <= {"timeout", "crc", "noise", "echo", "late", "wrong_address"}, bad
    assert sum(device.counters.retries for device in arbiter.devices.values()) > 100
