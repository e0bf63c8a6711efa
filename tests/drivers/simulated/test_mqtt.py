"""Simulated MQTT devices through a real mosquitto, heard by mosquitto_sub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from drivers.simulated.broker import Amqtt, Login, Mosquitto, choose, running_broker
from drivers.simulated.ledger import Ledger
from drivers.simulated.mqtt import MqttPublisher
from drivers.simulated.payloads import MqttThing
from tests.drivers.simulated.devices import THING, thing

LOGIN = Login("gateway", "a password of this test")
AT = 1_760_000_000_000


@contextlib.asynccontextmanager
async def subscriber(port: int, topic: str = "#") -> AsyncIterator[asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(
        *("mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-u", LOGIN.user, "-P", LOGIN.password),
        *("-t", topic, "-q", "1", "-F", '{"topic":"%t","retain":%r,"qos":%q,"payload":"%x"}'),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        await process.wait()


async def heard(lines: asyncio.StreamReader) -> tuple[str, str, int]:
    line = json.loads(await asyncio.wait_for(lines.readline(), 5))
    return line["topic"], bytes.fromhex(line["payload"]).decode(), line["retain"]


@contextlib.asynccontextmanager
async def publishing(publisher: MqttPublisher) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_mosquitto_is_chosen_and_lets_only_the_one_user_in(tmp_path: Path) -> None:
    assert isinstance(choose(tmp_path, LOGIN), Mosquitto), "mosquitto belongs to the tests' machine"
    async with running_broker(tmp_path, LOGIN) as broker:
        for user, password in ((None, None), (LOGIN.user, "wrong")):
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", broker.port, username=user, password=password):
                    pass
        assert LOGIN.password not in (tmp_path / "passwords").read_text()
        assert (tmp_path / "passwords").stat().st_mode & 0o077 == 0


async def test_devices_publish_what_their_profile_expects(tmp_path: Path) -> None:
    async with running_broker(tmp_path, LOGIN) as broker:
        publisher = MqttPublisher([thing()], 1, ("127.0.0.1", broker.port), LOGIN)
        async with subscriber(broker.port) as lines, publishing(publisher):
            got = [await heard(lines) for _ in range(3)]
    payloads = {topic: payload for topic, payload, _ in got}
    assert payloads["zigbee2mqtt/room 1/availability"] == "online"
    assert payloads["zigbee2mqtt/room 1/noise"] == "51.0"
    state = json.loads(payloads["zigbee2mqtt/room 1"])
    assert state["temperature"] == 24.33
    assert state["ENERGY"] == {"Power": [None, 1250.0]}
    assert state["contact"] is False
    assert "action" not in state
    assert state["last_seen"].endswith("+00:00")


async def test_only_availability_is_retained(tmp_path: Path) -> None:
    async with running_broker(tmp_path, LOGIN) as broker:
        publisher = MqttPublisher([thing()], 1, ("127.0.0.1", broker.port), LOGIN)
        async with subscriber(broker.port) as lines, publishing(publisher):
            for _ in range(3):
                await heard(lines)
        async with subscriber(broker.port) as lines:
            topic, payload, retained = await heard(lines)
            assert (topic, payload, retained) == ("zigbee2mqtt/room 1/availability", "online", 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lines.readline(), 0.3)


async def test_messages_wait_out_a_broker_restart(tmp_path: Path) -> None:
    ledger = Ledger()
    number = ledger.numbered("thing-1", "temperature")
    broker = choose(tmp_path, LOGIN)
    await broker.start()
    publisher = MqttPublisher(
        [thing(every="200ms", temperature=number)], 1, ("127.0.0.1", broker.port), LOGIN, ledger
    )
    seen: set[float] = set()
    async with publishing(publisher):
        async with subscriber(broker.port, "zigbee2mqtt/room 1") as lines:
            for _ in range(4):
                seen.add(json.loads((await heard(lines))[1])["temperature"])
            await broker.stop()
        await asyncio.sleep(0.7)
        assert publisher.waiting > 0
        await broker.start()
        async with subscriber(broker.port, "zigbee2mqtt/room 1") as lines:
            await asyncio.sleep(1.2)
            publisher.producing = False
            while publisher.waiting:
                await asyncio.sleep(0.05)
            with contextlib.suppress(TimeoutError):
                while True:
                    line = json.loads(await asyncio.wait_for(lines.readline(), 0.4))
                    seen.add(json.loads(bytes.fromhex(line["payload"]))["temperature"])
    await broker.stop()
    sent = ledger.sent["thing-1", "temperature"]
    assert sent == [float(n + 1) for n in range(len(sent))]
    assert len(sent) > 8
    assert publisher.waiting == 0
    assert max(seen) == sent[-1]


def test_a_button_speaks_once_when_it_is_pressed() -> None:
    pressed = [False]
    device = thing(pressed=lambda: pressed[0])
    it = MqttThing(device, THING, device.settings)  # type: ignore[arg-type]
    assert it.wakes(AT) == []
    pressed[0] = True
    (message,) = it.wakes(AT)
    assert json.loads(message.payload)["action"] == "emergency"
    assert it.wakes(AT) == []
    pressed[0] = False
    assert it.wakes(AT) == []


def test_a_contact_tells_its_change_at_once() -> None:
    is_open = [False]
    device = thing(open=lambda: is_open[0])
    it = MqttThing(device, THING, device.settings)  # type: ignore[arg-type]
    assert it.wakes(AT) == []
    is_open[0] = True
    (message,) = it.wakes(AT)
    assert json.loads(message.payload)["contact"] is False
    assert message.values == {"open": True}


async def test_amqtt_serves_where_there_is_no_mosquitto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_more: None)
    broker = choose(tmp_path, LOGIN)
    assert isinstance(broker, Amqtt)
    await broker.start()
    try:
        publisher = MqttPublisher([thing()], 1, ("127.0.0.1", broker.port), LOGIN)
        async with publishing(publisher), asyncio.timeout(5):
            login = {"username": LOGIN.user, "password": LOGIN.password}
            async with aiomqtt.Client("127.0.0.1", broker.port, **login) as client:
                await client.subscribe("zigbee2mqtt/#", qos=1)
                await publisher_has_spoken(client)
    finally:
        await broker.stop()


async def publisher_has_spoken(client: aiomqtt.Client) -> None:
    async for message in client.messages:
        if str(message.topic) == "zigbee2mqtt/room 1/availability":
            return
