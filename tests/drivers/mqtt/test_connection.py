"""Many messages at once, long and short, through a real mosquitto: each is heard once, in order, and
acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiomqtt import Client

from tests.drivers.mqtt.devices import CLIMATE, slot
from tests.drivers.mqtt.test_broker import Gateway
from tests.support.mosquitto import Mosquitto

MESSAGES = 600
LONG = b"x" * 400_000


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


async def test_a_crowd_of_messages_is_heard_once_in_order_and_acknowledged(mosquitto: Mosquitto) -> None:
    host, _, port = mosquitto.url.removeprefix("mqtt://").partition(":")
    gateway = Gateway(mosquitto.url, slot("env", "z/env", CLIMATE))
    async with gateway.running(), Client(host, int(port)) as publisher:
        for number in range(MESSAGES):
            await publisher.publish("z/env", json.dumps({"temperature": number / 100}), qos=number % 2)
            if number % 200 == 100:
                await publisher.publish("z/env", LONG, qos=1)
        await gateway.until(lambda: len(gateway.heard) >= MESSAGES)
    assert gateway.values() == [("temperature", number / 100) for number in range(MESSAGES)]
    assert gateway.counters.faults == {"oversized": 3}

    again = Gateway(mosquitto.url, slot("env", "z/env", CLIMATE))  # the same session
    async with again.running():
        mosquitto.publish("z/env", '{"temperature": 20.5}')
        await again.until(lambda: bool(again.heard))
    assert again.values() == [("temperature", 20.5)]
    assert again.counters.exchanges == 1, "nothing comes again: all was acknowledged"
