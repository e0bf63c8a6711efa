"""A broker that everybody may reach: spoofed devices, garbage, giants and bursts beside a rightful device."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiomqtt import Client, MqttError, Will

from edge.config.resources import builtin_configs
from tests.end_to_end.room import PROFILE, RULES
from tests.support.gateway import Gateway
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

ALARM_S = 10.0
"""How late an alarm or a reading may be."""
MEMORY_KB = 50_000
EUI = "24e124136b502217"
UPLINK = "application/7/device/" + EUI + "/event/up"
CLIENT_ID = "campus-edge-5c0e9d1f7a32b846"
"""Nobody can guess it. The one made of site and line could be taken over, with the session."""
USERS = {"gateway": "g-secret", "env-1": "e1-secret", "env-2": "e2-secret"}
DEVICES: Sequence[Mapping[str, Any]] = [
    {"id": "env-1", "profile": "room", "topic": "env-1/state"},
    {"id": "lora-1", "profile": "uplink", "topic": f"application/+/device/{EUI}/event/up"},
    {"id": "box-1", "profile": "room", "topic": "box-1/state",
     "identity": {"pointer": "/serial", "value": "61537968"}},
]  # fmt: skip
PROFILES = {
    "room": PROFILE,
    "uplink": {**PROFILE, "model": "uplink", "identity": "/deviceInfo/devEui",
               "points": {"co2": {"pointer": "/object/co2"}, "pressed": {"pointer": "/object/pressed"}}},
}  # fmt: skip


@dataclass
class Site:
    """A running gateway, its broker and its desk."""

    gateway: Gateway
    broker: Mosquitto
    desk: PushReceiver

    def client(self, user: str | None = None, **options: Any) -> Client:
        """Somebody on the broker, by an account or without."""
        login = {} if user is None else {"username": user, "password": USERS[user], "identifier": user}
        return Client("127.0.0.1", self.broker.port, **{**login, **options})

    async def get(self, path: str, **query: str) -> Any:
        """A resource of the gateway."""
        return await asyncio.to_thread(self.gateway.get, path, **query)

    async def line(self) -> Mapping[str, Any]:
        """How the broker's line fares."""
        found: Mapping[str, Any] = await self.get("/lines/broker")
        return found

    async def health(self, device: str) -> Mapping[str, Any]:
        """How a device fares."""
        found: Mapping[str, Any] = (await self.get(f"/devices/{device}"))["health"]
        return found

    async def until_heard(self, messages: int) -> None:
        """So many messages have been heard since the start."""
        async with asyncio.timeout(45):
            while (await self.line())["exchanges"] < messages:
                await asyncio.sleep(0.2)

    async def until_pushed(self, rule: str, within_s: float) -> None:
        """The desk was told an alarm of a rule."""
        async with asyncio.timeout(within_s):
            while not any(body["data"]["rule"] == rule for body in self.desk.bodies):
                await asyncio.sleep(0.02)

    async def until_stored(self, device: str, count: int) -> Sequence[float]:
        """A device's stored CO2, once there are so many."""
        async with asyncio.timeout(60):
            while len(values := self.gateway.stored().get((device, "co2"), [])) < count:
                await asyncio.sleep(0.2)
        return values

    def log(self) -> str:
        """What the gateway said so far."""
        return self.gateway.log.read_text(encoding="utf-8")


@asynccontextmanager
async def a_site(folder: Path, *, guarded: bool) -> AsyncIterator[Site]:
    """Everything runs. A guarded broker has accounts, and the access list and settings that we ship."""
    (folder / "mosquitto").mkdir()
    shipped = builtin_configs() / "mosquitto"
    acl = (shipped / "acl").read_text(encoding="utf-8") if guarded else ""
    broker = Mosquitto(folder / "mosquitto", users=USERS if guarded else None, acl=acl)
    settings = (shipped / "campus-edge.conf").read_text(encoding="utf-8").splitlines() if guarded else []
    _furnish(
        folder / "mosquitto" / "mosquitto.conf", [*settings, "autosave_on_changes false", "log_type all"]
    )
    login = {"username": "gateway", "password": {"secret": "mqtt"}, "client_id": CLIENT_ID} if guarded else {}
    async with PushReceiver() as desk:
        config = {
            "site": {"id": "test", "name": "试验学校", "district": "linwei", "latitude": 34.5,
                     "longitude": 109.5},
            "spaces": [{"id": f"r-{one['id']}", "name": "教室", "kind": "classroom"} for one in DEVICES],
            "lines": [{"id": "broker", "url": broker.url, **login}],
            "devices": [{"space": f"r-{one['id']}", "line": "broker", "protocol": "mqtt", **one}
                        for one in DEVICES],
            "store": {"group": "1s"},
            "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook", "secret": {"secret": "hook"}}}]},
        }  # fmt: skip
        gateway = Gateway(folder / "gateway", config, secrets={"hook": "s3cret", "mqtt": USERS["gateway"]},
                          profiles=PROFILES, rules=RULES)  # fmt: skip
        with broker:
            try:
                await asyncio.to_thread(gateway.begin)
                yield Site(gateway, broker, desk)
            finally:
                await asyncio.to_thread(gateway.close)


def _furnish(own: Path, settings: Sequence[str]) -> None:
    """Puts settings in the place of a broker's own, but for its port and the places of its files."""
    kept = ("listener", "password_file", "acl_file")
    more = [line for line in settings if line and line.split()[0] not in {*kept, "#"}]
    said = {line.split()[0] for line in more}
    ours = [line for line in own.read_text().splitlines() if line.split()[0] not in said]
    own.write_text("\n".join([*ours, *more, ""]))


# --- who is not who he says he is ---


@pytest.mark.timeout(120)
async def test_who_publishes_on_anothers_topic_changes_nothing_where_the_broker_has_our_access_list(
    tmp_path: Path,
) -> None:
    forged = json.dumps({"co2": 4000, "pressed": True})
    async with a_site(tmp_path, guarded=True) as site:
        async with site.client("env-1") as rightful:
            await rightful.publish("env-1/state", '{"co2": 640}', qos=1)
            await site.until_stored("env-1", 1)
            connected = await site.line()

            will = Will("env-1/state", forged, qos=1)
            with contextlib.suppress(MqttError):
                async with site.client("env-2", will=will, timeout=5) as thief:
                    for retain, topic in itertools.product(
                        (False, True), ("env-1/state", "box-1/state", UPLINK)
                    ):
                        await thief.publish(topic, forged, qos=1, retain=retain)
                    thief._client._sock_close()  # without a word: the broker sends its will
            with pytest.raises(MqttError, match=r"(?i)authori[sz]ed"):
                async with site.client():
                    pass
            with pytest.raises(MqttError, match=r"(?i)authori[sz]ed"):
                async with site.client("env-1", password="battery"):
                    pass
            async with site.client("env-2", identifier="campus-edge-test-broker") as namesake:
                await namesake.publish("env-2/state", '{"co2": 3000}', qos=1)
            with pytest.raises(MqttError):
                async with site.client("env-2", timeout=5) as giant:
                    await giant.publish("env-2/state", bytes(1_000_000), qos=1)

            await rightful.publish("env-1/state", '{"co2": 650}', qos=1)
            assert await site.until_stored("env-1", 2) == [640.0, 650.0]
        assert set(site.gateway.stored()) == {("env-1", "co2")}
        assert (await site.get("/alarms", state="all"))["items"] == []
        assert site.desk.requests == []
        line, health = await site.line(), await site.health("env-1")
        assert (line["exchanges"], line["faults"], line["since"]) == (2, {}, connected["since"])
        assert (health["state"], health["errors"]) == ("ok", {})
    log = (site.broker.folder / "mosquitto.log").read_text(errors="replace")
    assert log.count("Denied PUBLISH from env-2") == 6
    assert log.count("not authorised") == 2
    assert "disconnected due to oversize packet" in log


@pytest.mark.timeout(120)
async def test_without_an_access_list_what_names_another_device_is_refused_counted_and_seen(
    tmp_path: Path,
) -> None:
    def uplink(eui: str, co2: int, pressed: bool) -> str:
        return json.dumps({"deviceInfo": {"devEui": eui}, "object": {"co2": co2, "pressed": pressed}})

    async with a_site(tmp_path, guarded=False) as site, site.client() as anybody:
        await anybody.publish(UPLINK, uplink(EUI, 640, False), qos=1)
        await anybody.publish(UPLINK, uplink("24e124136b502218", 4000, True), qos=1)
        await anybody.publish("box-1/state", '{"serial": 61537968, "co2": 700}', qos=1)
        for forged in ('{"serial": 7, "pressed": true}', '{"co2": 4000}', '{"serial": [61537968], "co2": 1}'):
            await anybody.publish("box-1/state", forged, qos=1)
        await anybody.publish(UPLINK, uplink(EUI.upper(), 650, False), qos=1)
        assert await site.until_stored("lora-1", 2) == [640.0, 650.0]
        assert await site.until_stored("box-1", 1) == [700.0]
        line = await site.line()
        assert (line["exchanges"], line["faults"]) == (7, {"identity": 4})
        for device, refused in (("lora-1", 1), ("box-1", 3)):
            health = await site.health(device)
            assert (health["errors"], health["state"], health["cause"]) == ({"identity": refused}, "ok", None)
        metrics = await asyncio.to_thread(site.gateway.metrics)
        assert 'campus_edge_line_faults_total{line="broker",fault="identity"} 4' in metrics
        assert 'campus_edge_line_exchanges_total{line="broker"} 7' in metrics
        assert (await site.get("/alarms", state="all"))["items"] == []
        assert site.desk.requests == []
        assert site.log().count("such are refused and counted") == 2, "once for each device"


# --- what is no message of anybody ---

GARBAGE: Mapping[str, Sequence[bytes]] = {
    "bad_json": [b'{"object": {"co2": 1}', b"{" * 9_000, b'{"object": {"co2": 01}}'],
    "bad_utf8": [b'{"object": {"co2": "\xff\xfe"}}', b"\xc0\xaf"],
    "not_finite": [
        b'{"object": {"co2": NaN}}',
        b'{"object": {"co2": -Infinity}}',
        b'{"object": {"co2": 1e999}}',
    ],
    "too_deep": [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000],
    "long_number": [b'{"object": {"co2": ' + b"9" * 5_000 + b"}}"],
    "duplicate_key": [b'{"object": {"co2": 1, "co2": 2}}'],
    "lone_surrogate": [b'{"object": {"pressed": "\\ud800"}}'],
    "identity": [b'{"deviceInfo": {"devEui": "24e124136b502218"}, "object": {"pressed": true}}'],
    "not_a_number": [b'{"object": {"co2": "4e1e1"}}'],
    "out_of_range": [b'{"object": {"co2": -400}}'],
}
STRANGE = ["$SYS", " ", "一 〇 一", "'\"\\", "%00", "{}", "x" * 120]
"""Levels of a topic that + stands for, where a broker lets them through."""


@dataclass
class Attack:
    """What a foreign client sends, with the word by which each message is to be counted."""

    port: int
    sent: Counter[str] = field(default_factory=Counter)
    _ids: Iterable[int] = field(default_factory=lambda: itertools.cycle(range(1, 60_000)))

    def packet(self, topic: str, payload: bytes, word: str) -> bytes:
        """One message with QoS 1."""
        self.sent[word] += 1
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + next(iter(self._ids)).to_bytes(2, "big") + payload
        length, size = b"", len(body)
        while size:
            length += bytes((size & 0x7F | (0x80 if size > 0x7F else 0),))
            size >>= 7
        return b"\x32" + length + body

    def packets(self) -> Iterable[bytes]:
        """The messages of a burst, without end: garbage on strange topics, and those with no fault."""
        kinds = [(word, payload) for word, payloads in GARBAGE.items() for payload in payloads]
        for number in itertools.count():
            level = STRANGE[number % len(STRANGE)] + str(number)
            topic = UPLINK.replace("/7/", f"/{level}/")
            if number % 4 == 0:
                yield self.packet(topic, b'{"object": {"co2": 700}}', "good")
            elif number % 50 == 1:
                yield self.packet(UPLINK.replace("/7/", f"/{level}{'y' * 5_000}/"), b"{}", "bad_topic")
            else:
                word, payload = kinds[number % len(kinds)]
                yield self.packet(topic, payload, word)

    async def burst(self, per_second: int, seconds: float) -> None:
        """Sends so many messages a second, late ones too, until the broker has acknowledged them all."""
        reader, writer = await self.connect()
        before, packets = self.sent.total(), iter(self.packets())
        acknowledged = asyncio.create_task(_acknowledgements(reader, round(per_second * seconds)))
        start = time.monotonic()
        while (count := self.sent.total() - before) < per_second * seconds:
            due = min(round((time.monotonic() - start) * per_second), round(per_second * seconds))
            for packet in itertools.islice(packets, max(0, due - count)):
                writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(60):
            await acknowledged
        writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that speaks MQTT, as we wish."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"\x10\x11\0\4MQTT\4\2\0\0\0\5thief")
        assert (await reader.readexactly(4))[:2] == b"\x20\x02"
        return reader, writer

    async def is_thrown_out(self, packet: bytes) -> bool:
        """Whether the broker ends a connection that sends this."""
        reader, writer = await self.connect()
        writer.write(packet)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while data := await reader.read(100):
                    assert data[0] >> 4 != 4, "the broker acknowledged it"
        writer.close()
        return True


async def _acknowledgements(reader: asyncio.StreamReader, count: int) -> None:
    for _ in range(count):
        assert (await reader.readexactly(4))[0] == 0x40


def _peak_kb(pid: int) -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


async def _speak(site: Site, told: list[float], ends: Callable[[], bool]) -> None:
    """The rightful device: a number every tenth of a second, each one more; when it was said, in s."""
    async with site.client() as device:
        while not ends():
            told.append(time.time())
            await device.publish("env-1/state", f'{{"co2": {400 + len(told)}}}', qos=1)
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [2, pytest.param(10, marks=pytest.mark.slow)])
async def test_garbage_giants_and_1000_messages_a_second_hurt_neither_memory_nor_the_rightful_device(
    tmp_path: Path, seconds: int
) -> None:
    async with a_site(tmp_path, guarded=False) as site:
        attack, told, over = Attack(site.broker.port), list[float](), False
        await attack.burst(100, 0.5)  # what a first message costs once is not counted
        await site.until_heard(50)
        await site.get("/readings")
        before = _peak_kb(site.gateway.pid)
        async with asyncio.TaskGroup() as group:
            group.create_task(_speak(site, told, lambda: over))
            bursting = group.create_task(attack.burst(1_000, seconds))
            await asyncio.sleep(seconds / 2)
            async with site.client() as button:
                await button.publish("env-1/state", '{"pressed": true}', qos=1)
            await site.until_pushed("panic", ALARM_S)
            await bursting
            await _giants(attack)
            await site.until_heard(attack.sent.total() + 1)
            await asyncio.sleep(0.5)
            over = True
        await site.until_heard(attack.sent.total() + 1 + len(told))

        grown = _peak_kb(site.gateway.pid) - before
        assert grown < MEMORY_KB, f"{grown} kB"
        values = await site.until_stored("env-1", len(told))
        assert values == [401.0 + n for n in range(len(told))]
        shown = await _history(site)
        assert max(at - said for at, said in zip(shown, told, strict=True)) < ALARM_S
        await _all_is_counted(site, attack.sent)
        alarms = (await site.get("/alarms", state="all"))["items"]
        assert [(alarm["rule"], alarm["device"]) for alarm in alarms] == [("panic", "env-1")]
        checks = {c["name"]: c["status"] for c in (await site.get("/health"))["checks"]}
        assert (checks["tasks"], checks["store"]) == ("ok", "ok")
        await asyncio.to_thread(site.gateway.stop)


async def _giants(attack: Attack) -> None:
    """Messages of 1 and of 48 MB, and what a broker does not let through."""
    reader, writer = await attack.connect()
    for size in (1_048_576,) * 5 + (48 * 1_048_576,):
        writer.write(attack.packet(UPLINK, bytes(size), "oversized"))
        await writer.drain()
    async with asyncio.timeout(60):
        await _acknowledgements(reader, 6)
    writer.close()
    for topic in ("application/+/device/x/event/up", "#", "env-1/\0"):
        assert await attack.is_thrown_out(attack.packet(topic, b"{}", "thrown out"))
    del attack.sent["thrown out"]


async def _all_is_counted(site: Site, sent: Counter[str]) -> None:
    """Each foreign message under its word, on the line where no device is to blame or all is unread."""
    of_readings = {"not_a_number", "out_of_range", "good"}
    line = await site.line()
    assert line["faults"] == {word: n for word, n in sent.items() if word not in of_readings}
    health = await site.health("lora-1")
    assert health["errors"] == {word: n for word, n in sent.items() if word not in ("good", "bad_topic")}
    assert len(site.gateway.stored()["lora-1", "co2"]) == sent["good"]
    rightful = await site.health("env-1")
    assert (rightful["errors"], rightful["state"]) == ({}, "ok")


async def _history(site: Site) -> Sequence[float]:
    """When the rightful device's numbers came, in s."""
    times: list[float] = []
    query = {"device": "env-1", "point": "co2", "since": "2020-01-01T00:00:00Z"}
    while True:
        page = await site.get("/history", **query)
        times += [datetime.fromisoformat(item["at"]).timestamp() for item in page["items"]]
        if not page["next"]:
            return times
        query["cursor"] = page["next"]
