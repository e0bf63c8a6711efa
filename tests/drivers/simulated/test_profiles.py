"""Every built-in profile can be played: what its device measures comes back through its driver's codec."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.dlt645.codec import READ, Frame, address_bytes, answer, decode_bcd
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.modbus.blocks import plan
from drivers.modbus.codec import ask_for, block_decoder, exception_code
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.mqtt.codec import Gap, compile_pointer, parse, raw_value
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.profile import Profile, judge
from drivers.reading import Quality, Value
from drivers.settings import DeviceSettings
from drivers.simulated.device import VirtualDevice
from drivers.simulated.meter645 import Dlt645Meter
from drivers.simulated.payloads import MqttThing
from drivers.simulated.physics import DEMO_START_S, School
from drivers.simulated.registers import ModbusUnit
from drivers.simulated.signals import signal
from drivers.simulated.spaces import Space
from drivers.vocabulary import PointSpec
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs

SPACES = (
    Space("b1", "building"),
    Space("r101", "classroom", "b1", 64.0, 50),
    Space("kitchen", "kitchen", "b1"),
    Space("gate", "gate"),
)
PROFILES = sorted(path.stem for path in (builtin_configs() / "profiles").glob("*.yaml"))
READS = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}


@cache
def library() -> Library:
    vocabulary, faults = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None, faults
    return Library([builtin_configs() / "profiles"], vocabulary)


def load(name: str) -> tuple[Profile, dict[str, PointSpec]]:
    profile = library().profile(name)
    assert profile is not None, library().faults
    return profile, dict(library().points(profile))


def played(profile: Profile, specs: dict[str, PointSpec]) -> VirtualDevice:
    school = School(SPACES, 11, DEMO_START_S)
    space = {"access_gate": "gate", "gas_detector": "kitchen"}.get(profile.kind, "r101")
    signals = {p: signal(school, "device", profile.kind, space, p, s) for p, s in specs.items()}
    school.advance(600.0)
    common = {"id": "device", "space": space, "line": "line", "profile": profile.id}
    settings: DeviceSettings
    if isinstance(profile, MqttProfile):
        settings = MqttDevice(**common, protocol="mqtt", topic="t/device")
    elif isinstance(profile, Dlt645Profile):
        settings = Dlt645Device(**common, protocol="dlt645", address="202211304417")
    else:
        settings = ModbusRtuDevice(**common, protocol="modbus-rtu", address=1)
    return VirtualDevice(settings, profile, specs, signals)


def over_modbus(device: VirtualDevice, profile: ModbusProfile) -> dict[str, Value | None]:
    unit, raws = ModbusUnit(device, profile), {}
    for block in plan(profile.points, profile.limits):
        reply = unit.answer(READS[block.table](address=block.start, count=block.count, dev_id=1)).reply
        frame = bytes((1, reply.function_code)) + reply.encode() + b"\0\0"
        assert exception_code(ask_for(block, 1), frame) is None, block
        decode = block_decoder(block, [profile.points[name] for name in block.points])
        raws |= dict(zip(block.points, decode(frame), strict=True))
    return raws


def over_dlt645(device: VirtualDevice, profile: Dlt645Profile) -> dict[str, Value | None]:
    meter, raws = Dlt645Meter(device, profile, "202211304417"), {}
    for name, point in profile.points.items():
        request = Frame(address_bytes("202211304417"), READ, bytes.fromhex(point.di)[::-1])
        replied = meter.answer(request)
        assert replied is not None
        data = answer(replied.frame.lstrip(b"\xfe")).data
        raws[name] = decode_bcd(data[: point.bytes], point.decimals, point.signed)
    return raws


def over_mqtt(device: VirtualDevice, profile: MqttProfile) -> dict[str, Value | None]:
    assert isinstance(device.settings, MqttDevice)
    raws: dict[str, Value | None] = {}
    for message in MqttThing(device, profile, device.settings).report(1_760_000_000_000):
        document = parse(message.payload.encode(), 65_536)
        for name in message.values:
            point = profile.points[name]
            found = raw_value(compile_pointer(point.pointer)(document), point, device.points[name])
            assert not isinstance(found, Gap), name
            raws[name] = found
    return raws


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_played_device_measures_is_what_its_driver_reads(name: str) -> None:
    profile, specs = load(name)
    device = played(profile, specs)
    ways: Any = {ModbusProfile: over_modbus, Dlt645Profile: over_dlt645, MqttProfile: over_mqtt}
    raws = ways[type(profile)](device, profile)
    events = {n for n, p in profile.points.items() if getattr(p, "event", False)}  # type: ignore[attr-defined]
    assert raws.keys() == set(profile.point_names()) - events
    for point, raw in raws.items():
        mapping = profile.points[point]  # type: ignore[attr-defined]
        value, quality, reason = judge(raw, mapping, specs[point])
        assert quality is Quality.GOOD, f"{point}: {reason}"
        truth = device.signals[point]()
        if isinstance(truth, bool | str):
            assert value == truth, point
        else:
            step = max(mapping.scale, 10.0 ** -specs[point].decimals, abs(float(truth)) * 1e-6)  # type: ignore[arg-type]
            assert value == pytest.approx(truth, abs=step), point


def test_profiles_are_found() -> None:
    assert len(PROFILES) > 15
    assert Path(builtin_configs() / "demo.yaml").is_file()
