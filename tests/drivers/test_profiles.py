"""Every profile loads, speaks the vocabulary, and reads the exchanges that it carries."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter
from ruamel.yaml import YAML

from drivers.bcd import decode_bcd
from drivers.cjt188 import codec as cjt188
from drivers.cjt188.driver import Cjt188Driver
from drivers.cjt188.profile import Cjt188Profile
from drivers.cjt188.settings import Cjt188Device
from drivers.contract import Exchange
from drivers.davis import codec as davis
from drivers.davis.driver import DavisDriver
from drivers.davis.profile import DavisProfile
from drivers.davis.settings import DavisDevice
from drivers.dlt645 import codec as dlt645
from drivers.dlt645.driver import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.errors import BadPayload
from drivers.line.settings import SerialLine
from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import ask_for, block_decoder, find_rtu, read_request
from drivers.modbus.profile import ModbusProfile, Table
from drivers.mqtt import codec as mqtt
from drivers.mqtt.device import DeviceSlot, MqttDeviceReader
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.nmea.driver import NmeaDriver
from drivers.nmea.profile import NmeaProfile
from drivers.nmea.settings import NmeaDevice
from drivers.profile import PointMap, Profile, judge, point_spec
from drivers.reading import Quality, Value
from drivers.text.driver import TextListener, TextPoller
from drivers.text.profile import TextProfile
from drivers.text.settings import TextDevice
from drivers.vocabulary import PointSpec, Vocabulary
from tests.drivers.dlt645.frames_of import drive

CONFIGS = Path(__file__).parents[2] / "configs"
PATHS = sorted((CONFIGS / "profiles").glob("*.yaml"))
NOON = 1_772_323_260_000

AnyProfile = Annotated[
    ModbusProfile | Dlt645Profile | Cjt188Profile | DavisProfile | NmeaProfile | TextProfile | MqttProfile,
    Field(discriminator="family"),
]
ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyProfile)


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


VOCABULARY = Vocabulary.model_validate(load(CONFIGS / "vocabulary.yaml"))
PROFILES = {path.stem: ADAPTER.validate_python(load(path)) for path in PATHS}
BY_FAMILY = {
    family: [p for p in PROFILES.values() if p.family == family]
    for family in ("modbus", "dlt645", "cjt188", "davis", "nmea", "text", "mqtt")
}


def specs(profile: Profile) -> Mapping[str, PointSpec]:
    return {name: point_spec(profile, VOCABULARY, name) for name in profile.point_names()}


def ids(of: Any) -> str:
    return str(of.id)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_named_as_its_file_and_says_where_it_comes_from(name: str) -> None:
    profile = PROFILES[name]
    assert profile.id == name
    assert profile.kind in VOCABULARY.device_kinds
    assert profile.exchanges, "a profile carries at least one exchange as its test"
    assert all(exchange.source for exchange in profile.exchanges)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_emits_only_words_that_are_known(name: str) -> None:
    profile = PROFILES[name]
    for point in profile.point_names():
        point_spec(profile, VOCABULARY, point)
    assert set(profile.adds) <= set(profile.point_names()), "an added word that nothing uses"
    assert not set(profile.adds) & set(VOCABULARY.points), "a word that the vocabulary has already"


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_profile_expects_is_among_its_points(name: str) -> None:
    profile = PROFILES[name]
    for exchange in profile.exchanges:
        assert set(exchange.expect) <= set(profile.point_names())


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_reads_something_good_and_within_the_plausible_range(name: str) -> None:
    profile = PROFILES[name]
    values = [(p, v) for exchange in profile.exchanges for p, v in exchange.expect.items() if v is not None]
    assert values, "at least one exchange shows good values"
    for point, value in values:
        spec = point_spec(profile, VOCABULARY, point)
        if spec.type == "number":
            assert isinstance(value, int | float) and not isinstance(value, bool), point
            assert spec.min is None or spec.min <= value, point
            assert spec.max is None or value <= spec.max, point
        else:
            assert isinstance(value, bool if spec.type == "switch" else str), point


def test_no_two_profiles_are_the_same() -> None:
    seen: dict[str, str] = {}
    for name, profile in PROFILES.items():
        what = {
            k: v
            for k, v in profile.model_dump(mode="json").items()
            if k in ("family", "points", "adds", "limits")
        }
        twin = seen.setdefault(repr(what), name)
        assert twin == name, f"{name} and {twin} read the same points in the same way"


def test_there_are_profiles_for_what_is_on_a_schools_walls() -> None:
    kinds = Counter(profile.kind for profile in PROFILES.values())
    assert len(PROFILES) >= 60
    assert kinds["classroom_env"] >= 10 and kinds["electricity_meter"] >= 15
    for kind in (
        "water_meter", "gas_meter", "heat_meter", "weather_station", "access_gate", "emergency_button",
        "contact", "relay", "air_conditioner", "lighting", "gas_detector", "smoke_detector", "leak_detector",
        "fire_monitor", "ups",
    ):  # fmt: skip
        assert kinds[kind], f"no profile for any {kind}"


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_profile_calls_a_counter_can_follow_its_meter(name: str) -> None:
    profile = PROFILES[name]
    for point, mapping in profile.points.items():
        spec = point_spec(profile, VOCABULARY, point)
        if spec.counter and not spec.resets:
            known = (
                getattr(mapping, "max_rate", None)
                or VOCABULARY.plausibility.get(point)
                or point in profile.adds
            )
            assert known, f"{point}: nobody knows how fast it may count"
        elif isinstance(mapping, PointMap):
            assert mapping.rolls_at is None, f"{point} is no counter"


# --- sentinels ---

_PATTERNS = {
    "u16": (0xFFFF, 0x7FFF, 0x8000), "s16": (0x7FFF, -0x8000, -9999),
    "u32": (0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000), "s32": (0x7FFF_FFFF, -0x8000_0000),
    "u64": (0xFFFF_FFFF_FFFF_FFFF,), "f32": (math.nan, math.inf, -math.inf),
}  # fmt: skip


@pytest.mark.parametrize("profile", BY_FAMILY["modbus"], ids=ids)
def test_what_modbus_makers_write_for_no_value_is_never_a_number(profile: ModbusProfile) -> None:
    words = specs(profile)
    for name, point in profile.points.items():
        if point.is_bit_table or point.type == "bit":
            continue
        for raw in _PATTERNS[point.type]:
            if raw == -9999 and words[name].min is not None and -9999 * point.scale >= words[name].min:
                continue  # an honest power of -9.999 kW
            if words[name].counter and raw not in (0xFFFF, 0xFFFF_FFFF) and not math.isnan(raw):
                continue  # a counter passes there on its way
            value, quality, reason = judge(raw, point, words[name])
            assert (value, quality) == (None, Quality.BAD), f"{name}: {raw}"
            assert reason in ("not_available", "not_a_number", "out_of_range", "not_a_switch"), (
                f"{name}: {raw}"
            )


def test_bcd_of_all_ones_is_no_value() -> None:
    for profile in BY_FAMILY["dlt645"]:
        words = specs(profile)
        for name, point in profile.points.items():
            raw = decode_bcd(b"\xff" * point.bytes, point.decimals, point.signed)
            assert judge(raw, point, words[name]) == (None, Quality.BAD, "not_available"), name


@pytest.mark.parametrize("word", ["null", '"nan"', '"unavailable"', '""', "NaN", "-9999", "1e999"])
def test_json_without_a_number_is_never_a_reading(word: str) -> None:
    profile = PROFILES["zigbee2mqtt-climate"]
    settings = MqttDevice(
        id="d", space="r", line="b", profile=profile.id, protocol="mqtt", topic="base/device"
    )
    reader = MqttDeviceReader(DeviceSlot(settings, profile, specs(profile)))
    try:
        document = mqtt.parse(f'{{"temperature":{word}}}'.encode(), 65_536)
    except BadPayload:
        return  # counted against the device as a whole
    (reading,) = reader.hear("", document, False, NOON).readings
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert reading.reason in ("not_available", "out_of_range", "not_a_number")


# --- modbus ---

_TABLES: dict[int, Table] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


def modbus_block(profile: ModbusProfile, request: bytes) -> Block:
    """The block that a captured request asks for, with the profile's points inside it."""
    table = _TABLES[request[1]]
    start, count = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
    inside = [
        name
        for name, point in profile.points.items()
        if point.table == table and start <= point.address and point.address + point.size <= start + count
    ]
    return Block(table, start, count, tuple(inside))


@pytest.mark.parametrize("profile", BY_FAMILY["modbus"], ids=ids)
def test_a_modbus_profile_reads_its_exchanges(profile: ModbusProfile) -> None:
    words = specs(profile)
    for exchange in profile.exchanges:
        request, reply = bytes.fromhex(exchange.request), bytes.fromhex(exchange.reply)
        block = modbus_block(profile, request)
        assert read_request(block, request[0], tcp=False) == request
        found = find_rtu(ask_for(block, request[0]), request, reply)
        assert found.frame == reply
        maps = [profile.points[name] for name in block.points]
        raw = dict(zip(block.points, block_decoder(block, maps)(reply), strict=True))
        got = {name: judge(raw[name], profile.points[name], words[name])[0] for name in exchange.expect}
        for name, expected in exchange.expect.items():
            # float32 has seven digits
            assert got[name] == (expected if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("profile", BY_FAMILY["modbus"], ids=ids)
def test_a_modbus_profile_is_read_in_few_exchanges(profile: ModbusProfile) -> None:
    blocks = plan(profile.points, profile.limits)
    assert sorted(name for block in blocks for name in block.points) == sorted(profile.points)
    assert len(blocks) <= 8


# --- DL/T 645 ---


def answer_or_refuse(answers: dict[bytes, bytes], refusal: bytes, exchange: Exchange) -> bytes:
    """A meter that knows a few answers, each once, and refuses the rest."""
    return answers.pop(exchange.request.lstrip(b"\xfe"), refusal)


@pytest.mark.parametrize("profile", BY_FAMILY["dlt645"], ids=ids)
def test_a_dlt645_profile_reads_its_exchanges(profile: Dlt645Profile) -> None:
    for captured in profile.exchanges:
        request, reply = bytes.fromhex(captured.request), bytes.fromhex(captured.reply)
        asked = dlt645.parse(request)
        device = Dlt645Device(
            id="em",
            space="r",
            line="bus",
            profile=profile.id,
            protocol="dlt645",
            address=asked.address[::-1].hex(),
        )
        driver = Dlt645Driver(device, profile, specs(profile), SerialLine(id="bus", url="serial:/dev/x"))
        refusal = dlt645.build(dlt645.Frame(asked.address, asked.control | 0xC0, b"\x02"))
        answers = {request: reply}
        meter = partial(answer_or_refuse, answers, refusal)
        readings = {r.point: r for r in drive(driver.poll(NOON), meter)}
        assert not answers, "the driver never asks so"
        assert {name: readings[name].value for name in captured.expect} == captured.expect


# --- CJ/T 188 ---


@pytest.mark.parametrize("profile", BY_FAMILY["cjt188"], ids=ids)
def test_a_cjt188_profile_reads_its_exchanges(profile: Cjt188Profile) -> None:
    for captured in profile.exchanges:
        asked = cjt188.parse(bytes.fromhex(captured.request))
        device = Cjt188Device(
            id="wm", space="r", line="bus", profile=profile.id, protocol="cjt188",
            address=asked.address[::-1].hex(), meter_type=f"{asked.type:02X}",
        )  # fmt: skip
        driver = Cjt188Driver(device, profile, specs(profile), SerialLine(id="bus", url="serial:/dev/x"))
        answers = {asked.data[:2]: bytes.fromhex(captured.reply)}
        readings = {r.point: r for r in drive(driver.poll(NOON), partial(answer_188, asked, answers))}
        assert not answers, "the driver never asks so"
        assert {name: readings[name].value for name in captured.expect} == captured.expect


def answer_188(asked: cjt188.Frame, answers: dict[bytes, bytes], exchange: Exchange) -> bytes:
    """A meter that knows a few answers, each once and for any running number, and refuses the rest."""
    sent = cjt188.parse(exchange.request.lstrip(b"\xfe"))
    assert sent[:3] == asked[:3], "the driver never asks so"
    refusal = cjt188.Frame(asked.type, asked.address, 0xC1, b"\x00\x01\x00")
    return answers.pop(sent.data[:2], cjt188.build(refusal))


# --- MQTT ---


@pytest.mark.parametrize("profile", BY_FAMILY["mqtt"], ids=ids)
def test_a_mqtt_profile_reads_its_exchanges(profile: MqttProfile) -> None:
    settings = MqttDevice(
        id="d", space="r", line="broker", profile=profile.id, protocol="mqtt", topic="base/device"
    )
    for captured in profile.exchanges:
        reader = MqttDeviceReader(DeviceSlot(settings, profile, specs(profile)))
        document = mqtt.parse(captured.payload.encode(), 65_536)
        heard = reader.hear(captured.suffix, document, False, NOON)
        got: dict[str, Value | None] = {r.point: r.value for r in heard.readings}
        assert got == captured.expect
        assert all((r.value is None) == (r.quality is Quality.BAD) for r in heard.readings)


# --- Devices that speak by themselves, and text ---

BUS = SerialLine(id="bus", url="serial:/dev/x")


@pytest.mark.parametrize("profile", BY_FAMILY["nmea"], ids=ids)
def test_a_nmea_profile_reads_its_sentences(profile: NmeaProfile) -> None:
    settings = NmeaDevice(id="d", space="r", line="bus", profile=profile.id, protocol="nmea")
    for captured in profile.exchanges:
        heard = NmeaDriver(settings, profile, specs(profile)).hear(captured.line.encode() + b"\r\n", NOON)
        assert not heard.faults
        assert {r.point: r.value for r in heard.readings} == captured.expect


@pytest.mark.parametrize("profile", BY_FAMILY["text"], ids=ids)
def test_a_text_profile_reads_its_lines(profile: TextProfile) -> None:
    address = "01" if profile.needs_address else None
    settings = TextDevice(id="d", space="r", line="bus", profile=profile.id, protocol="text", address=address)
    for captured in profile.exchanges:
        line = (captured.line + profile.terminator).encode(profile.encoding)
        if profile.speaks_first:
            readings = TextListener(settings, profile, specs(profile)).hear(line, NOON).readings
        else:
            poll = TextPoller(settings, profile, specs(profile), BUS).poll(NOON)
            readings = drive(poll, lambda exchange, line=line: line)  # type: ignore[misc]
        assert {r.point: r.value for r in readings} == captured.expect


@pytest.mark.parametrize("profile", BY_FAMILY["davis"], ids=ids)
def test_a_davis_profile_reads_its_packets(profile: DavisProfile) -> None:
    settings = DavisDevice(id="d", space="r", line="bus", profile=profile.id, protocol="davis")
    for captured in profile.exchanges:
        setup = bytes((0x10,))  # a rain collector of 0.2 mm
        answers = {
            b"\n": b"\n\r",
            b"EEBRD 2B 01\n": b"\x06" + setup + davis.crc(setup).to_bytes(2, "big"),
            bytes.fromhex(captured.request): b"\x06" + bytes.fromhex(captured.reply),
        }
        poll = DavisDriver(settings, profile, specs(profile), BUS).poll(NOON)
        readings = drive(poll, lambda exchange, answers=answers: answers[exchange.request])  # type: ignore[misc]
        got = {r.point: r.value for r in readings}
        assert got == {p: v if v is None else pytest.approx(v, abs=1e-6) for p, v in captured.expect.items()}
