"""Devices that announce themselves in Home Assistant's form become proposals in our own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers.mqtt import codec
from drivers.mqtt.announcements import Announcement, LeftOut, read, template_pointer
from drivers.mqtt.device import DeviceSlot, MqttDeviceReader
from drivers.mqtt.discovery import Proposal, Proposals, propose
from drivers.mqtt.meanings import BY_NAME, BY_UNIT, SENSORS, SWITCHES, meaning
from drivers.mqtt.profile import MqttProfile
from drivers.profile import point_spec
from drivers.vocabulary import Vocabulary

ROOT = Path(__file__).parents[3]
SAMPLES: list[dict[str, str]] = YAML(typ="safe", pure=True).load(Path(__file__).parent / "announced.yaml")
VOCABULARY = Vocabulary.model_validate(YAML(typ="safe", pure=True).load(ROOT / "configs" / "vocabulary.yaml"))


def proposals(*samples: dict[str, str], taken: tuple[str, ...] = ()) -> Proposals:
    announced = [one for s in samples for one in read(s["topic"], s["payload"].encode())]
    return propose(announced, VOCABULARY, "broker", "r1", taken)


def announce(topic: str = "homeassistant/sensor/n/o/config", **document: Any) -> list[Announcement | LeftOut]:
    return list(read(topic, json.dumps(document).encode()))


class Made(NamedTuple):
    """A proposed device with its profile."""

    device: Proposal
    profile: MqttProfile

    def says(self, topic: str, payload: str) -> dict[str, Any]:
        """What the gateway reads in a message, by point."""
        points = {name: point_spec(self.profile, VOCABULARY, name) for name in self.profile.point_names()}
        reader = MqttDeviceReader(DeviceSlot(self.device.settings, self.profile, points))
        suffix = reader.topics()[topic]
        heard = reader.hear(suffix, codec.parse(payload.encode(), 65_536), False, 1_760_000_000_000)
        return {r.point: r.value for r in heard.readings}


ALL = proposals(*SAMPLES)


def made(name: str) -> Made:
    device = next(d for d in ALL.devices if name in d.title)
    return Made(device, next(p for p in ALL.profiles if p.id == device.settings.profile))


def test_every_sample_says_where_it_comes_from() -> None:
    assert all(sample["source"] for sample in SAMPLES)


def test_a_zigbee_sensor_is_one_device_whose_quantities_stand_in_one_topic() -> None:
    sensor = made("weather_sensor")
    settings = sensor.device.settings
    assert (settings.topic, settings.availability) == (
        "zigbee2mqtt/weather_sensor",
        "zigbee2mqtt/bridge/state",
    )
    assert settings.id == "weather-sensor"
    assert sensor.profile.kind == "classroom_env"
    said = sensor.says("zigbee2mqtt/weather_sensor", '{"temperature":21.5,"humidity":40,"linkquality":90}')
    assert said == {
        "temperature": 21.5, "humidity": 40.0, "link_quality": 90.0,
    }  # fmt: skip


def test_a_contact_that_is_true_when_closed_is_open_when_false() -> None:
    door = made("机房门")
    assert door.device.settings.availability == "zigbee2mqtt/机房门/availability"
    assert door.device.settings.id.startswith("mqtt-")
    assert door.profile.kind == "contact"
    assert door.says("zigbee2mqtt/机房门", '{"contact":false}') == {"open": True}
    assert door.says("zigbee2mqtt/机房门", '{"contact":true}') == {"open": False}


def test_an_esphome_node_has_a_topic_for_each_quantity_and_a_second_temperature_a_name_of_its_own() -> None:
    node = made("esp-301")
    assert node.device.settings.topic == "esp-301/sensor"
    assert node.device.settings.availability == "esp-301/status"
    assert node.device.area == "三〇一教室"
    assert node.says("esp-301/sensor/room_temperature/state", "21.5") == {"temperature": 21.5}
    assert node.says("esp-301/sensor/room_co2/state", "nan") == {"co2": None}
    window = node.says("esp-301/sensor/window_temperature/state", "50")
    assert window == {"temperature_2": pytest.approx(10, abs=1e-4)}
    assert node.profile.adds["temperature_2"].zh == "温度 2"


def test_the_base_topic_is_filled_in() -> None:
    room = made("Schlafzimmer").device.settings
    assert (room.topic, room.availability) == (
        "smarthome/schlafzimmer/temperature",
        "smarthome/schlafzimmer/status",
    )


def test_a_device_with_components_is_taken_apart_and_units_are_converted() -> None:
    plug = made("Plug 7")
    assert plug.profile.kind == "electricity_meter"
    assert plug.says("plugs/7/state", '{"power":71.5,"energy":{"total":12345}}') == {
        "active_power": 0.0715, "energy_import": 12.345,
    }  # fmt: skip


def test_what_cannot_be_used_is_told_with_the_reason() -> None:
    told = {one.topic: one.why for one in ALL.left_out}
    assert told["homeassistant/sensor/boiler/outdoortemp/config"].startswith("its value template computes")
    assert told["homeassistant/device/plug-7/config s"] == "switch is no sensor"
    assert len(told) == 2


def test_two_devices_of_one_model_share_a_profile_and_ids_are_given_once() -> None:
    twin = {
        "topic": SAMPLES[7]["topic"],
        "payload": SAMPLES[7]["payload"].replace("schlafzimmer", "kueche"),  # the name stays the same
    }
    both = proposals(SAMPLES[7], twin, taken=("schlafzimmer",))
    assert [d.settings.id for d in both.devices] == ["schlafzimmer-2", "schlafzimmer-3"]
    assert len(both.profiles) == 1


@pytest.mark.parametrize(
    ("template", "pointer"),
    [
        ("", ""),
        ("{{ value }}", ""),
        ("{{value_json.a}}", "/a"),
        ("{{ value_json.a.b_c }}", "/a/b_c"),
        ("{{ value_json['SHT3X']['Temperature'] }}", "/SHT3X/Temperature"),
        ('{{ value_json["a/b"]["~"] }}', "/a~1b/~0"),
        ("{{ value_json.list[0] }}", "/list/0"),
        ("{{ value_json.a | float | round(1) }}", "/a"),
        ("{{ value_json.a | is_defined }}", "/a"),
        ("{{ value | float(0) }}", ""),
        ("{{ value_json.a * 2 }}", None),
        ("{{ value_json.a | multiply(2) }}", None),
        ("{{ 'ON' if value_json.a else 'OFF' }}", None),
        ("{% if value %}1{% endif %}", None),
        ("{{ value_json.a }} {{ value_json.b }}", None),
        ("{{ value_json" + ".a" * 200 + " }}", None),
    ],
)
def test_a_template_that_only_picks_is_a_pointer_and_one_that_computes_is_left(
    template: str, pointer: str | None
) -> None:
    assert template_pointer(template) == pointer


def test_every_meaning_is_a_word_of_the_vocabulary_of_the_right_type() -> None:
    numbers = {point for point, _ in SENSORS.values()} | set(BY_UNIT.values()) | set(BY_NAME.values())
    assert {VOCABULARY.points[point].type for point in numbers} == {"number"}
    assert {VOCABULARY.points[one.point].type for one in SWITCHES.values()} == {"switch"}


def test_an_unknown_unit_is_left_out_and_not_guessed() -> None:
    (one,) = announce(stat_t="a/b", dev_cla="temperature", unit_of_meas="°De")
    assert isinstance(one, Announcement)
    assert meaning(one) is None


def test_a_lock_that_says_on_when_unlocked_is_turned() -> None:
    found = propose(
        announce("homeassistant/binary_sensor/x/config", stat_t="door/lock", dev_cla="lock", name="Lock"),
        VOCABULARY, "broker", "r1",
    )  # fmt: skip
    lock = Made(found.devices[0], found.profiles[0])
    assert lock.says("door/lock", "OFF") == {"locked": True}


@pytest.mark.parametrize(
    ("topic", "payload", "count"),
    [
        ("homeassistant/sensor/a/config", b"", 0),  # a device that has been taken away
        ("homeassistant/status", b"online", 0),
        ("homeassistant/sensor/a/config", b"{", 1),
        ("homeassistant/sensor/a/config", b"[]", 1),
        ("homeassistant/sensor/a/config", b'{"dev_cla":"temperature"}', 1),
        ("homeassistant/light/a/config", b'{"stat_t":"a"}', 1),
        ("homeassistant/device/a/config", b"{}", 1),
    ],
)
def test_other_messages_are_left_out_or_mean_nothing(topic: str, payload: bytes, count: int) -> None:
    found = list(read(topic, payload))
    assert len(found) == count
    assert all(isinstance(one, LeftOut) for one in found)


def test_topics_that_cannot_be_subscribed_to_are_left_out() -> None:
    for topic in ("#", "a/#", "/".join("abcdefghijk"), "$SYS/x", "x" * 300):
        found = propose(
            announce(stat_t=topic, dev_cla="temperature", unit_of_meas="°C"), VOCABULARY, "broker", "r1"
        )
        assert not found.devices, topic
        assert len(found.left_out) == 1


KEYS = st.sampled_from(
    ["~", "stat_t", "state_topic", "val_tpl", "dev_cla", "unit_of_meas", "dev", "ids", "name", "mf", "mdl",
     "sa", "avty", "avty_t", "t", "pl_on", "pl_off", "cmps", "p", "x"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=20,
)


@given(
    st.dictionaries(KEYS, JSON, max_size=12), st.sampled_from(["sensor", "binary_sensor", "device", "light"])
)
def test_whatever_is_announced_nothing_is_raised(document: dict[str, Any], component: str) -> None:
    announced = announce(f"homeassistant/{component}/n/config", **document)
    found = propose(announced, VOCABULARY, "broker", "r1")
    assert len({device.settings.id for device in found.devices}) == len(found.devices)


@given(st.binary(max_size=200))
def test_random_bytes_are_left_out(payload: bytes) -> None:
    list(read("homeassistant/sensor/a/config", payload))
