"""A real mosquitto between devices and the gateway; a scripted one only where it must misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import resource
import struct
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import Client, MqttError

from drivers.errors import LineDown
from drivers.line.counters import DeviceState
from drivers.mqtt.broker import MqttBroker
from drivers.mqtt.device import DeviceSlot, MqttDeviceReader
from drivers.mqtt.settings import MqttLine
from drivers.reading import Origin, Reading
from tests.drivers.mqtt.devices import BUTTON, CLIMATE, PLAIN, slot
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


def clock_from(start: int = 1_772_323_200_000) -> Callable[[], int]:
    ticks = itertools.count(start)
    return lambda: next(ticks)


class Gateway:
    """A broker line under test and what it has published."""

    def __init__(self, url: str, *slots: DeviceSlot, opened_with: str | None = None, **line: Any) -> None:
        settings = MqttLine.model_validate({"id": "broker", "url": url, **line})
        self.broker = MqttBroker(settings, slots, opened_with, clock_from(), identity="test")
        self.counters = self.broker.counters
        self.heard: list[Reading] = []

    def take(self, readings: Sequence[Reading]) -> None:
        self.heard += readings

    async def keep_listening(self) -> None:
        """What the supervisor does: again after each lost connection."""
        while True:
            with contextlib.suppress(LineDown):
                await self.broker.listen(self.take)
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.keep_listening())
        try:
            await self.until(lambda: self.counters.connected_since is not None)
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not true():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{self.counters} {self.heard[-5:]}") from None

    def values(self, device: str | None = None) -> list[tuple[str, Any]]:
        return [(r.point, r.value) for r in self.heard if device in (None, r.device)]


async def test_devices_of_several_makers_speak_through_one_broker(mosquitto: Mosquitto) -> None:
    gateway = Gateway(
        mosquitto.url,
        slot("z2m", "zigbee2mqtt/三楼/温湿度 1", CLIMATE, availability="/availability"),
        slot("tasmota", "tele/plug-7", {"energy_import": {"suffix": "/SENSOR", "pointer": "/ENERGY/Total"}}),
        slot("shelly", "shelly-a", {"on": {"suffix": "/events/rpc", "pointer": "/params/switch:0/output"}}),
        slot("lora", "application/+/device/24e124136d1/event/up", {"temperature": {"pointer": "/object/t"}}),
        slot("esp", "esp/sensor/room/state", PLAIN),
    )
    async with gateway.running():
        for topic, payload in {
            "zigbee2mqtt/三楼/温湿度 1": {"temperature": 21.5, "humidity": "41.2", "linkquality": 80},
            "zigbee2mqtt/三楼/温湿度 1/availability": {"state": "offline"},
            "tele/plug-7/SENSOR": {"Time": "1970-01-01T00:00:01", "ENERGY": {"Total": 12.345}},
            "shelly-a/events/rpc": {"method": "NotifyStatus", "params": {"switch:0": {"output": True}}},
            "application/7/device/24e124136d1/event/up": {"object": {"t": 19.5}, "fCnt": 3},
        }.items():
            await asyncio.to_thread(mosquitto.publish, topic, json.dumps(payload))
        await asyncio.to_thread(mosquitto.publish, "esp/sensor/room/state", "nan", "20.5")
        await gateway.until(lambda: len(gateway.heard) >= 7)
    assert gateway.values("z2m") == [("temperature", 21.5), ("humidity", 41.2)]
    assert gateway.values("tasmota") == [("energy_import", 12.345)]
    assert gateway.values("shelly") == [("on", True)]
    assert gateway.values("lora") == [("temperature", 19.5)]
    assert gateway.values("esp") == [("temperature", None), ("temperature", 20.5)]
    assert gateway.broker.devices["z2m"].state is DeviceState.SILENT
    assert {r.origin for r in gateway.heard} == {Origin.LIVE}


async def test_retained_state_comes_marked_and_a_retained_press_does_not_come(mosquitto: Mosquitto) -> None:
    mosquitto.publish("z/env", '{"temperature": 20}', retain=True)
    mosquitto.publish("z/sos", '{"action": "emergency"}', retain=True)
    gateway = Gateway(mosquitto.url, slot("env", "z/env", CLIMATE), slot("sos", "z/sos", BUTTON))
    async with gateway.running():
        await gateway.until(lambda: gateway.counters.exchanges == 2)
        assert [(r.device, r.origin) for r in gateway.heard] == [("env", Origin.RETAINED)]
        mosquitto.publish("z/sos", '{"action": "emergency"}')
        await gateway.until(lambda: len(gateway.values("sos")) == 2)
    assert gateway.values("sos") == [("pressed", True), ("pressed", False)]
    assert gateway.heard[-1].origin is Origin.LIVE


async def test_a_press_that_is_under_way_ends_when_the_gateway_stops(mosquitto: Mosquitto) -> None:
    slow = {"pressed": {**BUTTON["pressed"], "release_after": "1h"}}
    gateway = Gateway(mosquitto.url, slot("sos", "z/sos", slow))
    async with gateway.running():
        mosquitto.publish("z/sos", '{"action": "emergency"}', '{"action": "emergency"}')
        await gateway.until(lambda: len(gateway.heard) == 2)
    assert gateway.values() == [("pressed", True), ("pressed", True), ("pressed", False)]


async def test_garbage_is_counted_and_hurts_no_other_device(mosquitto: Mosquitto) -> None:
    garbage = [
        b"{" * 60_000,
        b'{"temperature": NaN}',
        b'{"temperature": ' + b"9" * 5000 + b"}",
        b'{"temperature": "\xff"}',
        b'{"temperature": 1, "temperature": 2}',
        b"[" * 20_000 + b"]" * 20_000,
        b"\x00" * 1_048_576,
        b'{"temperature": "' + b"x" * 1_000_000 + b'"}',
    ]
    gateway = Gateway(mosquitto.url, slot("bad", "z/bad", CLIMATE), slot("good", "z/good", PLAIN))
    async with gateway.running():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for payload in garbage:
            await asyncio.to_thread(mosquitto.publish, "z/bad", payload)
            await asyncio.to_thread(mosquitto.publish, "z/good", "20.5")
        await asyncio.to_thread(mosquitto.publish, "z/stranger", "1")
        await gateway.until(lambda: len(gateway.values("good")) == len(garbage))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
    assert gateway.values("bad") == []
    counters = gateway.broker.devices["bad"]
    assert sum(counters.errors.values()) == len(garbage)
    assert counters.errors["oversized"] == 2
    assert gateway.counters.opened == 1


async def test_a_burst_arrives_complete_and_in_order(mosquitto: Mosquitto) -> None:
    count = 5_000
    gateway = Gateway(mosquitto.url, slot("env", "z/env", {"energy_import": {}}))
    async with gateway.running():
        await asyncio.to_thread(mosquitto.publish, "z/env", *(str(n) for n in range(count)))
        await gateway.until(lambda: len(gateway.heard) >= count)
    assert [r.value for r in gateway.heard] == [float(n) for n in range(count)]
    stamps = [r.at for r in gateway.heard]
    assert all(a < b for a, b in itertools.pairwise(stamps))


async def test_what_was_published_while_the_gateway_was_away_is_there_when_it_is_back(
    mosquitto: Mosquitto,
) -> None:
    gateway = Gateway(mosquitto.url, slot("env", "z/env", {"energy_import": {}}))
    async with gateway.running():
        pass
    mosquitto.publish("z/env", *(str(n) for n in range(300)))
    mosquitto.restart()
    async with gateway.running():
        await gateway.until(lambda: len(gateway.heard) >= 300)
    assert [r.value for r in gateway.heard] == [float(n) for n in range(300)]


async def publish_until_acknowledged(port: int, topic: str, count: int) -> None:
    """A device that repeats what the broker did not acknowledge."""
    sent = 0
    while sent < count:
        try:
            async with Client("127.0.0.1", port, timeout=2) as client:
                while sent < count:
                    await client.publish(topic, str(sent), qos=1)
                    sent += 1
        except MqttError:
            await asyncio.sleep(0.02)


async def test_a_broker_that_restarts_again_and_again_loses_nothing_acknowledged(
    mosquitto: Mosquitto,
) -> None:
    count = 1_000
    gateway = Gateway(mosquitto.url, slot("env", "z/env", {"energy_import": {}}))
    async with gateway.running():
        device = asyncio.create_task(publish_until_acknowledged(mosquitto.port, "z/env", count))
        for part in (0.2, 0.5):
            await gateway.until(lambda part=part: len(gateway.heard) >= part * count)  # type: ignore[misc]
            await asyncio.to_thread(mosquitto.restart)
        await device
        await gateway.until(lambda: any(r.value == count - 1 for r in gateway.heard))
    assert {r.value for r in gateway.heard} == {float(n) for n in range(count)}
    assert gateway.counters.opened == 3


async def test_a_broker_killed_outright_is_found_again(mosquitto: Mosquitto) -> None:
    gateway = Gateway(mosquitto.url, slot("env", "z/env", PLAIN))
    async with gateway.running():
        await asyncio.to_thread(mosquitto.kill)
        await gateway.until(lambda: gateway.counters.connected_since is None)
        assert gateway.counters.last_error
        await asyncio.to_thread(mosquitto.start)
        await gateway.until(lambda: gateway.counters.connected_since is not None)
        await asyncio.to_thread(mosquitto.publish, "z/env", "20")
        await gateway.until(lambda: gateway.values() == [("temperature", 20.0)])
        assert gateway.counters.last_error == ""


async def test_a_broker_that_is_not_there_is_a_line_that_is_down() -> None:
    gateway = Gateway(f"mqtt://127.0.0.1:{free_port()}", slot("env", "z/env", PLAIN))
    with pytest.raises(LineDown, match="broker"):
        await gateway.broker.listen(gateway.take)


async def test_the_password_opens_the_broker_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, users={"gateway": "correct horse"}) as mosquitto:
        login: dict[str, Any] = {"username": "gateway", "password": {"secret": "mqtt"}}
        wrong = Gateway(mosquitto.url, slot("env", "z/env", PLAIN), opened_with="battery", **login)
        with pytest.raises(LineDown, match=r"(?i)authori[sz]ed|password"):
            await wrong.broker.listen(wrong.take)
        right = Gateway(mosquitto.url, slot("env", "z/env", PLAIN), opened_with="correct horse", **login)
        async with right.running():
            mosquitto.publish("z/env", "20")
            await right.until(lambda: right.values() == [("temperature", 20.0)])


# --- a broker that repeats itself, byte by byte ---


def publish_packet(mid: int, payload: bytes, *, dup: bool = False, topic: bytes = b"z/env") -> bytes:
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + payload
    return bytes((0x32 | dup << 3, len(body))) + body


class ScriptedBroker:
    """Accepts, sends one batch of packets to each connection in turn, keeps the last one open."""

    def __init__(self, *batches: bytes) -> None:
        self._batches = list(batches)
        self.acknowledged: list[int] = []

    async def hand_over(self, writer: asyncio.StreamWriter) -> None:
        """The next batch."""
        writer.write(self._batches.pop(0))
        await writer.drain()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x02\x01\x00")
                elif kind >> 4 == 8:
                    writer.write(b"\x90\x03" + body[:2] + b"\x01")
                    await self.hand_over(writer)
                elif kind >> 4 == 4:
                    self.acknowledged.append(int.from_bytes(body))
                    if self._batches:
                        break
        writer.close()


@contextlib.asynccontextmanager
async def scripted(*batches: bytes) -> AsyncIterator[tuple[str, ScriptedBroker]]:
    async with serving(ScriptedBroker(*batches)) as served:
        yield served


@contextlib.asynccontextmanager
async def serving(broker: ScriptedBroker) -> AsyncIterator[tuple[str, ScriptedBroker]]:
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    try:
        yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", broker
    finally:
        server.close()


async def test_a_message_that_comes_again_is_taken_once_and_a_new_one_is_not_lost() -> None:
    first = publish_packet(7, b"20")
    again = publish_packet(7, b"20", dup=True)
    missed = publish_packet(8, b"21", dup=True)
    reused = publish_packet(7, b"22")
    reused_and_lost = publish_packet(7, b"23", dup=True)
    async with scripted(first, again + missed + reused + reused_and_lost) as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", PLAIN))
        async with gateway.running():
            await gateway.until(lambda: gateway.counters.exchanges == 5)
            await gateway.until(lambda: len(broker.acknowledged) == 5)
    assert [r.value for r in gateway.heard] == [20.0, 21.0, 22.0, 23.0]
    assert gateway.counters.faults == {"duplicate": 1}


def committed(*values: float | bool, point: str = "temperature") -> list[Reading]:
    """What the run before stored of `env`, one a second."""
    return [Reading("env", point, value, "", 1_000 * n, 1_000 * n) for n, value in enumerate(values)]


async def test_topics_that_no_broker_should_let_through_are_counted_and_remembered_by_nobody() -> None:
    """A wildcard in a topic's name, a NUL, what is no UTF-8, and a level of + that is longer than any
    that can be configured."""
    wrong = (b"a/+/up", b"a/#", b"a/\0/up", b"a/\xff/up", b"a/" + b"x" * 100 + b"/" + b"up" * 80)
    packets = [publish_packet(n, b"20", topic=topic) for n, topic in enumerate(wrong[:4], 1)]
    packets.append(long_packet(5, b"20", b"a/" + b"x" * 60_000 + b"/up"))
    packets.append(publish_packet(6, b"20", topic="a/教室 1/up".encode()))
    async with scripted(b"".join(packets)) as (url, broker):
        gateway = Gateway(url, slot("env", "a/+/up", PLAIN))
        async with gateway.running():
            await gateway.until(lambda: len(broker.acknowledged) == 6)
    assert gateway.values() == [("temperature", 20.0)]
    assert gateway.counters.faults == {"bad_topic": 5}


def long_packet(mid: int, payload: bytes, topic: bytes, claimed: int = 0) -> bytes:
    """A message of any length, or the begin of one that claims another `claimed` bytes of payload."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + payload
    length, size = b"", len(body) + claimed
    while size or not length:
        length += bytes((size & 0x7F | (0x80 if size > 0x7F else 0),))
        size >>= 7
    return b"\x32" + length + body


class Chattering(ScriptedBroker):
    """Its batch is followed by blanks, a megabyte at a time, and another one."""

    def __init__(self, begin: bytes, megabytes: int, end: bytes) -> None:
        super().__init__(begin)
        self._megabytes, self._last = megabytes, end

    async def hand_over(self, writer: asyncio.StreamWriter) -> None:
        await super().hand_over(writer)
        blanks = bytes(1_048_576)
        for _ in range(self._megabytes):
            writer.write(blanks)
            await writer.drain()
        writer.write(self._last)


async def test_a_message_of_64_mb_is_let_by_and_costs_no_memory() -> None:
    """A broker takes up to 256 MB from a device, and hands it to whoever subscribed."""
    begin = long_packet(1, b"{", b"z/env", claimed=64 * 1_048_576)
    async with serving(Chattering(begin, 64, publish_packet(2, b"20.5"))) as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", PLAIN))
        tracemalloc.start()
        try:
            async with gateway.running():
                await gateway.until(lambda: broker.acknowledged == [1, 2])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert gateway.values() == [("temperature", 20.5)]
    assert gateway.counters.faults == {"oversized": 1}
    assert gateway.broker.devices["env"].errors == {"oversized": 1}
    assert peak < 10_000_000, "bytes"


async def test_after_a_start_what_comes_again_and_is_stored_is_dropped_and_the_rest_is_taken() -> None:
    again = b"".join(publish_packet(n, str(n).encode(), dup=True) for n in (7, 8, 9, 10))
    new = publish_packet(11, b"8") + publish_packet(12, b"9", dup=True)
    async with scripted(again + new) as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", PLAIN))
        gateway.broker.recall(committed(5, 6, 7, 8))
        async with gateway.running():
            await gateway.until(lambda: len(broker.acknowledged) == 6)
    assert [r.value for r in gateway.heard] == [9.0, 10.0, 8.0, 9.0]
    assert gateway.counters.faults == {"duplicate": 2}


async def test_of_equal_values_at_most_one_is_taken_for_a_repeat_of_the_newest() -> None:
    again = b"".join(publish_packet(n, b"20", dup=True) for n in (7, 8))
    async with scripted(again) as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", PLAIN))
        gateway.broker.recall(committed(20, 20, 20))
        async with gateway.running():
            await gateway.until(lambda: len(broker.acknowledged) == 2)
    assert gateway.counters.faults == {"duplicate": 1}


async def test_a_switch_that_comes_again_after_a_start_is_heard_again() -> None:
    async with scripted(publish_packet(7, b"on", dup=True)) as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", {"open": {}}))
        gateway.broker.recall(committed(False, True, point="open"))
        async with gateway.running():
            await gateway.until(lambda: broker.acknowledged == [7])
    assert gateway.values() == [("open", True)]


async def test_acknowledgements_lost_with_a_killed_gateway_double_nothing(mosquitto: Mosquitto) -> None:
    """A real broker sends again what was stored, and what was not."""
    numbers: dict[str, dict[str, Any]] = {"energy_import": {}}
    before = Gateway(mosquitto.url, slot("env", "z/env", numbers))
    async with before.running():
        await asyncio.to_thread(mosquitto.publish, "z/env", "1")
        await before.until(lambda: len(before.heard) == 1)
    stored = list(before.heard)
    reader, writer = await session_of("campus-edge-test-broker", mosquitto.port)
    await asyncio.to_thread(mosquitto.publish, "z/env", "2", "3", "4")
    seen = b""
    while not seen.endswith(b"4"):
        seen += await reader.read(1_000)
    taken = MqttDeviceReader(slot("env", "z/env", numbers))
    for value in (2.0, 3.0):  # 4 had not been read when the gateway was killed
        stored += taken.hear("", value, False, stored[-1].at + 1_000).readings
    writer.transport.abort()

    after = Gateway(mosquitto.url, slot("env", "z/env", numbers))
    after.broker.recall(stored)
    async with after.running():
        await asyncio.to_thread(mosquitto.publish, "z/env", "5")
        await after.until(lambda: ("energy_import", 5.0) in after.values())
    assert [r.value for r in after.heard] == [4.0, 5.0]
    assert after.counters.faults == {"duplicate": 2}, "mosquitto flags what it sends again"


async def session_of(client_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Takes over a client's session and acknowledges nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = client_id.encode()
    body = b"\0\4MQTT\4\0" + struct.pack(">HH", 60, len(name)) + name
    writer.write(bytes((0x10, len(body))) + body)
    assert (await reader.readexactly(4))[:2] == b"\x20\x02"
    return reader, writer


async def test_a_message_is_acknowledged_only_when_its_readings_were_taken() -> None:
    async with scripted(publish_packet(7, b"20"), b"") as (url, broker):
        gateway = Gateway(url, slot("env", "z/env", PLAIN))

        def full(_: Sequence[Reading]) -> None:
            raise RuntimeError("the bus is broken")

        with pytest.raises(RuntimeError, match="the bus is broken"):
            await gateway.broker.listen(full)
    assert broker.acknowledged == []


async def test_a_topic_the_broker_denies_is_counted_and_the_others_are_heard() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind >> 4 == 8:
                    writer.write(b"\x90\x05" + body[:2] + b"\x80\x01\x80" + publish_packet(1, b"20"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    slots = slot("secret", "x/secret", PLAIN), slot("env", "z/env", PLAIN), slot("wild", "x/+/up", PLAIN)
    gateway = Gateway(url, *slots)
    async with gateway.running():
        await gateway.until(lambda: gateway.values("env") == [("temperature", 20.0)])
    server.close()
    assert gateway.counters.faults["subscription_denied"] == 2
    for name in ("secret", "wild"):
        assert gateway.broker.devices[name].cause is not None
