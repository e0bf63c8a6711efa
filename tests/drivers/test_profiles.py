"""Every profile loads, speaks the vocabulary, and reads the exchanges that it carries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter
from ruamel.yaml import YAML

from drivers.contract import Exchange
from drivers.dlt645 import codec as dlt645
from drivers.dlt645.driver import Dlt645Driver
from drivers.dlt645.profile import Dlt645Profile
from drivers.dlt645.settings import Dlt645Device
from drivers.line.settings import SerialLine
from drivers.modbus.blocks import Block, plan
from drivers.modbus.codec import ask_for, block_decoder, find_rtu, read_request
from drivers.modbus.profile import ModbusProfile, Table
from drivers.mqtt import codec as mqtt
from drivers.mqtt.device import DeviceSlot, MqttDeviceReader
from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.profile import Profile, judge, point_spec
from drivers.reading import Quality, Value
from drivers.vocabulary import PointSpec, Vocabulary
from tests.drivers.dlt645.frames_of import drive

CONFIGS = Path(__file__).parents[2] / "configs"
PATHS = sorted((CONFIGS / "profiles").glob("*.yaml"))
NOON = 1_772_323_260_000

AnyProfile = Annotated[ModbusProfile | Dlt645Profile | MqttProfile, Field(discriminator="family")]
ADAPTER: TypeAdapter[ModbusProfile | Dlt645Profile | MqttProfile] = TypeAdapter(AnyProfile)


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


VOCABULARY = Vocabulary.model_validate(load(CONFIGS / "vocabulary.yaml"))
PROFILES = {path.stem: ADAPTER.validate_python(load(path)) for path in PATHS}
BY_FAMILY = {
    family: [p for p in PROFILES.values() if p.family == family] for family in ("modbus", "dlt645", "mqtt")
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
        refusal = dlt645.build(dlt645.Frame(asked.address, 0xD1, b"\x02"))
        answers = {request: reply}
        meter = partial(answer_or_refuse, answers, refusal)
        readings = {r.point: r for r in drive(driver.poll(NOON), meter)}
        assert not answers, "the driver never asks so"
        assert {name: readings[name].value for name in captured.expect} == captured.expect


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
