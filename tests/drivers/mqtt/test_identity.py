"""A message that says that it is another device's is refused, and costs the rightful device nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.line.counters import DeviceState
from drivers.mqtt.device import MqttDeviceReader
from drivers.mqtt.identity import Identity
from drivers.mqtt.settings import MqttDevice
from tests.drivers.mqtt.devices import CLIMATE, PLAIN, slot
from tests.drivers.mqtt.test_broker import Gateway
from tests.support.mosquitto import Mosquitto

TOPIC = "application/7/device/24E124136B502217/event/up"
EXPECTED = {"pointer": "/device/ieeeAddr", "value": "0x00158D0001A2B3C4"}


def uplink(eui: Any) -> dict[str, Any]:
    return {"deviceInfo": {"devEui": eui, "deviceName": "EM300"}}


@pytest.mark.parametrize(
    ("value", "foreign"),
    [
        (uplink("24e124136b502217"), False),
        (uplink(" 24E124136B502217 "), False),
        (uplink("24e124136b502218"), True),
        (uplink("application/7/device"), True),
        (uplink(7), False),
        (uplink(8), True),
        (uplink(True), False),
        (uplink(""), False),
        (uplink(["24e124136b502218"]), False),
        ({"deviceInfo": {}}, False),
        ("24e124136b502218", False),
    ],
)
def test_a_word_that_contradicts_the_topic_is_anothers_and_none_is_nobodys(value: Any, foreign: bool) -> None:
    assert Identity("/deviceInfo/devEui", None).contradicts(TOPIC, value) is foreign


@pytest.mark.parametrize(
    ("value", "foreign"),
    [
        ({"device": {"ieeeAddr": "0x00158d0001a2b3c4"}}, False),
        ({"device": {"ieeeAddr": "0x00158d0001a2b3c5"}}, True),
        ({"device": {"ieeeAddr": None}}, True),
        ({"device": {}}, True),
        ({"temperature": 20}, True),
        ("20", True),
    ],
)
def test_what_the_settings_expect_must_be_said(value: Any, foreign: bool) -> None:
    identity = Identity(EXPECTED["pointer"], EXPECTED["value"])
    assert identity.contradicts("z/0x00158d0001a2b3c5", value) is foreign


def test_a_number_is_a_word_too() -> None:
    meter = Identity("/serial", "61537968")
    assert not meter.contradicts("heat/1", {"serial": 61537968})
    assert meter.contradicts("heat/1", {"serial": 61537969})


def test_the_settings_go_before_the_profile_and_without_either_nobody_asks() -> None:
    assert MqttDeviceReader(slot("env", "z/env", CLIMATE)).identity is None
    both = MqttDeviceReader(slot("env", "z/env", CLIMATE, identity="/id", expected=EXPECTED)).identity
    assert both is not None
    assert both.contradicts("z/env", {"id": "env"})


@pytest.mark.parametrize(
    "wrong", [{"pointer": "", "value": "a"}, {"pointer": "/a", "value": ""}, {"value": "a"}]
)
def test_an_identity_is_a_place_and_a_word(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="identity"):
        MqttDevice.model_validate(
            {"id": "d", "space": "s", "line": "l", "profile": "p", "protocol": "mqtt", "topic": "a/b",
             "identity": wrong}
        )  # fmt: skip


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


async def test_a_foreign_message_is_counted_told_once_and_no_failure_of_the_rightful_device(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(
        mosquitto.url,
        slot("lora", "application/+/device/24e1/event/up", CLIMATE, identity="/eui"),
        slot("env", "z/env", CLIMATE, expected={"pointer": "/id", "value": "env-7"}, availability="/state"),
    )
    own, foreign = {"eui": "24E1", "temperature": 20}, {"eui": "24e2", "temperature": 55}
    with caplog.at_level(logging.WARNING, "drivers.mqtt.broker"):
        async with gateway.running():
            for payload in (own, foreign, foreign, own):
                mosquitto.publish("application/7/device/24e1/event/up", json.dumps(payload))
            for text in ('{"id": "env-7", "temperature": 21}', '{"id": "env-8", "temperature": 56}', "57"):
                mosquitto.publish("z/env", text)
            mosquitto.publish("z/env/state", "online")
            await gateway.until(lambda: gateway.counters.exchanges == 8)
    assert gateway.values("lora") == [("temperature", 20.0)] * 2
    assert gateway.values("env") == [("temperature", 21.0)]
    assert gateway.counters.faults == {"identity": 4}
    for name in ("lora", "env"):
        counters = gateway.broker.devices[name]
        assert counters.errors == {"identity": 2}
        assert (counters.state, counters.cause) == (DeviceState.OK, None)
    told = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(told) == 2, "once for each device"
    assert "application/7/device/24e1/event/up" in told[0]


async def test_a_device_without_identity_believes_what_its_topic_says(mosquitto: Mosquitto) -> None:
    """No payload tells a forger from a device: that is the broker's access list to do."""
    gateway = Gateway(mosquitto.url, slot("env", "z/env", PLAIN))
    async with gateway.running():
        mosquitto.publish("z/env", "20")
        await gateway.until(lambda: gateway.values() == [("temperature", 20.0)])
