"""Every built-in profile can be played: what its device measures comes back through its driver's codec."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from drivers.bcd import decode_bcd, decode_time
from drivers.cjt188.codec import parse as parse_188
from drivers.cjt188.driver import Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Exchange
from drivers.davis.driver import DavisDriver
from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.dlt645.codec import address_bytes, answer, read_request
from drivers.dlt645.codec import parse as parse_645
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.line.settings import SerialLine
from drivers.modbus.blocks import plan
from drivers.modbus.codec import ask_for, block_decoder, exception_code
from drivers.modbus.profile import ModbusProfile
from drivers.modbus.settings import ModbusRtuDevice
from drivers.mqtt.codec import Gap, compile_pointer, parse, raw_value
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.nmea.driver import NmeaDriver
from drivers.nmea.profile import NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.profile import Profile, Verdict, judge
from drivers.reading import Quality, Reading, Value
from drivers.settings import DeviceSettings
from drivers.simulated.console import DavisConsole
from drivers.simulated.device import VirtualDevice
from drivers.simulated.mast import NmeaMast
from drivers.simulated.meter188 import Cjt188Meter
from drivers.simulated.meter645 import Dlt645Meter
from drivers.simulated.payloads import MqttThing
from drivers.simulated.physics import DEMO_START_S, School
from drivers.simulated.printer import TextPrinter
from drivers.simulated.registers import ModbusUnit
from drivers.simulated.signals import signal
from drivers.simulated.spaces import Space
from drivers.text.driver import TextListener, TextPoller
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointSpec
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.drivers.dlt645.frames_of import drive

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
    elif isinstance(profile, Cjt188Profile):
        settings = Cjt188Device(**common, protocol="cjt188", address="00202307160177")
    elif isinstance(profile, NmeaProfile):
        settings = NmeaDevice(**common, protocol="nmea", north=30.0)
    elif isinstance(profile, DavisProfile):
        settings = DavisDevice(**common, protocol="davis")
    elif isinstance(profile, TextProfile):
        settings = TextDevice(**common, protocol="text", address="01" if profile.needs_address else None)
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
        replied = meter.answer(parse_645(read_request(address_bytes("202211304417"), point.di, 0)))
        assert replied is not None
        data = answer(replied.frame.lstrip(b"\xfe")).data
        item = data[point.leading : point.leading + point.bytes]
        raws[name] = decode_time(item) if point.time else decode_bcd(item, point.decimals, point.signed)
    return raws


def over_cjt188(device: VirtualDevice, profile: Cjt188Profile) -> dict[str, Verdict]:
    assert isinstance(device.settings, Cjt188Device)
    meter = Cjt188Meter(device, profile, device.settings)

    def answer_to(exchange: Exchange) -> bytes:
        replied = meter.answer(parse_188(exchange.request.lstrip(b"\xfe")))
        assert replied is not None
        return replied.frame

    return verdicts_of(drive(Cjt188Driver(device.settings, profile, device.points, LINE).poll(0), answer_to))


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


def verdicts_of(readings: Sequence[Reading]) -> dict[str, Verdict]:
    return {r.point: (r.value, r.quality, r.reason) for r in readings}


def over_nmea(device: VirtualDevice, profile: NmeaProfile) -> dict[str, Verdict]:
    assert isinstance(device.settings, NmeaDevice)
    said = b"".join(answered.frame for answered in NmeaMast(device, profile, device.settings).speak())
    return verdicts_of(NmeaDriver(device.settings, profile, device.points).hear(said, 0).readings)


def over_davis(device: VirtualDevice, profile: DavisProfile) -> dict[str, Verdict]:
    assert isinstance(device.settings, DavisDevice)
    console = DavisConsole(device, profile)
    driver = DavisDriver(device.settings, profile, device.points, LINE)
    return verdicts_of(drive(driver.poll(0), lambda exchange: console.answer(exchange.request).frame))  # type: ignore[union-attr]


def over_text(device: VirtualDevice, profile: TextProfile) -> dict[str, Verdict]:
    assert isinstance(device.settings, TextDevice)
    printer = TextPrinter(device, profile, device.settings)
    if profile.speaks_first:
        said = printer.speak()[0].frame
        return verdicts_of(TextListener(device.settings, profile, device.points).hear(said, 0).readings)
    driver = TextPoller(device.settings, profile, device.points, LINE)
    return verdicts_of(drive(driver.poll(0), lambda exchange: printer.speak()[0].frame))


LINE = SerialLine(id="line", url="serial:/dev/x")
WHOLE: Any = {
    Cjt188Profile: over_cjt188,
    NmeaProfile: over_nmea,
    DavisProfile: over_davis,
    TextProfile: over_text,
}
"""Families whose simulators are read through the whole driver."""


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_played_device_measures_is_what_its_driver_reads(name: str) -> None:
    profile, specs = load(name)
    device = played(profile, specs)
    ways: Any = {ModbusProfile: over_modbus, Dlt645Profile: over_dlt645, MqttProfile: over_mqtt}
    if type(profile) in WHOLE:
        verdicts = WHOLE[type(profile)](device, profile)
    else:
        raws = ways[type(profile)](device, profile)
        verdicts = {p: judge(raw, profile.points[p], specs[p]) for p, raw in raws.items()}  # type: ignore[attr-defined]
    events = {n for n, p in profile.points.items() if getattr(p, "event", False)}  # type: ignore[attr-defined]
    assert verdicts.keys() == set(profile.point_names()) - events
    for point, (value, quality, reason) in verdicts.items():
        mapping = profile.points[point]  # type: ignore[attr-defined]
        assert quality is Quality.GOOD, f"{point}: {reason}"
        truth = device.signals[point]()
        if getattr(mapping, "time", False) and mapping.bytes == 3:
            truth = str(truth)[11:]  # such a meter tells the time of day alone
        if isinstance(truth, bool | str):
            assert value == truth, point
        else:
            step = max(mapping.scale, 10.0 ** -specs[point].decimals, abs(float(truth)) * 1e-6)  # type: ignore[arg-type]
            if isinstance(profile, DavisProfile):
                step = max(step, 0.5)  # whole % and degrees, whole miles an hour
            assert value == pytest.approx(truth, abs=step), point


def test_profiles_are_found() -> None:
    assert len(PROFILES) > 15
    assert Path(builtin_configs() / "demo.yaml").is_file()
