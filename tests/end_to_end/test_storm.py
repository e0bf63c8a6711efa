"""Storms: many alarms at once and a dead bus, on a real gateway, with a provider that counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from cloud_sync.loopback import Answer, LoopbackServer, Request
from drivers.modbus.settings import ModbusTcpDevice
from drivers.simulated.device import VirtualDevice
from drivers.simulated.modbus_tcp import ModbusTcpServer
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.end_to_end.test_alarm_life import TEXTS
from tests.support.gateway import Gateway
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

SITE = {"id": "test", "name": "校", "district": "d", "latitude": 34.5, "longitude": 109.5}
ROOMS = 500
EMERGENCIES = 5
SPREAD_S = 10.0
WECOM_A_MINUTE = 20

ROOM = {
    "maker": "test", "model": "room", "kind": "classroom_env", "source": "made for the storm",
    "family": "mqtt", "points": {"co2": {"pointer": "/co2"}, "pressed": {"pointer": "/pressed"}},
}  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "stuffy", "scope": {"each": "device"}, "for": "0s",
            "when": {"p": "co2", "op": "gt", "val": 1500, "clear": 1350, "unit": "[ppm]"},
            "alarm": {"prio": 2, "title": {"zh": "空气浑浊", "en": "stuffy"}, **TEXTS},
        },
        {
            "id": "panic", "scope": {"each": "device"}, "when": {"p": "pressed", "op": "eq", "val": True},
            "latch": True, "shelvable": False, "nodata": {"then": "hold"},
            "alarm": {"prio": 1, "title": {"zh": "紧急求助", "en": "panic"}, **TEXTS},
        },
    ]
}  # fmt: skip


class Wecom:
    """A 企业微信 robot that takes twenty messages in any minute and refuses the next with 45009."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.texts: list[str] = []
        self.refused = 0
        self.server = LoopbackServer(self._answer)

    async def _answer(self, request: Request) -> Answer:
        now = time.monotonic()
        if sum(now - at < 60 for at in self.taken) >= WECOM_A_MINUTE:
            self.refused += 1
            return Answer.json(200, {"errcode": 45009, "errmsg": "api freq out of limit"})
        self.taken.append(now)
        self.texts.append(msgspec.json.decode(request.body)["text"]["content"])
        return Answer.json(200, {"errcode": 0, "errmsg": "ok"})


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_five_hundred_alarms_in_ten_seconds_break_no_limit_and_the_emergencies_go_first(
    tmp_path: Path,
) -> None:
    provider = Wecom()
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        async with provider.server as server:
            config = {
                "site": SITE,
                "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
                "lines": [{"id": "broker", "url": broker.url}],
                "devices": [
                    {"id": f"env-{n}", "space": "r1", "line": "broker", "protocol": "mqtt", "profile": "room",
                     "topic": f"room/{n}"}
                    for n in range(ROOMS)
                ],
                "notify": {"desk": [{"wecom": {"key": {"secret": "wecom"}, "url": server.url}}]},
            }  # fmt: skip
            gateway = Gateway(
                tmp_path / "gateway", config, secrets={"wecom": "k"}, profiles={"room": ROOM}, rules=RULES
            )
            await asyncio.to_thread(gateway.begin)
            try:
                before = await _storm(broker.port, provider)
                async with asyncio.timeout(60):
                    while sum("紧急求助" in text for text in provider.texts) < EMERGENCIES:
                        await asyncio.sleep(0.05)
                # One message may have been on its way when the first button was pressed.
                behind = provider.texts[before : before + EMERGENCIES + 1]
                assert sum("紧急求助" in text for text in behind) == EMERGENCIES, behind
                alarms = await _listed(gateway, "unacknowledged")
                assert Counter(alarm["rule"] for alarm in alarms) == {
                    "stuffy": ROOMS - EMERGENCIES, "panic": EMERGENCIES,
                }  # fmt: skip
                await asyncio.sleep(10)
                assert provider.refused == 0
                await asyncio.to_thread(gateway.stop)
            finally:
                gateway.close()


async def _storm(port: int, provider: Wecom) -> int:
    """Stuffy rooms over ten seconds, and the buttons in the thick of it; what was told until then."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for number in range(ROOMS - EMERGENCIES):
            await client.publish(f"room/{number}", b'{"co2": 1800}', qos=1)
            await asyncio.sleep(SPREAD_S / ROOMS)
        before = len(provider.texts)
        for number in range(ROOMS - EMERGENCIES, ROOMS):
            await client.publish(f"room/{number}", b'{"pressed": true}', qos=1)
    return before


async def _listed(gateway: Gateway, state: str) -> list[dict[str, Any]]:
    listed = await asyncio.to_thread(gateway.get, "/alarms", state=state, limit="10000")
    found: list[dict[str, Any]] = listed["items"]
    return found


BUS = {
    **{f"relays-{n}": "relay-4-input-4" for n in range(60)},
    "panic": "emergency-button-di",
    "gas": "renke-rs-co",
}


@asynccontextmanager
async def a_bus(folder: Path) -> AsyncIterator[tuple[ModbusTcpServer, PushReceiver, Gateway]]:
    """Sixty boards, an emergency button and a gas detector behind one gateway for Modbus."""
    vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
    assert vocabulary is not None
    library = Library([builtin_configs() / "profiles"], vocabulary)
    devices, settings = [], []
    for number, (name, profile_name) in enumerate(BUS.items(), 1):
        profile = library.profile(profile_name)
        assert profile is not None
        one = {"id": name, "space": "r1", "line": "bus", "protocol": "modbus-tcp", "profile": profile_name,
               "address": number, "every": "2s"}  # fmt: skip
        settings.append(one)
        points = library.points(profile)
        signals = {
            point: (lambda: False) if spec.type == "switch" else (lambda: 0.0)
            for point, spec in points.items()
        }
        devices.append(VirtualDevice(ModbusTcpDevice.model_validate(one), profile, points, signals))
    server = ModbusTcpServer(devices, seed=1)
    async with server, PushReceiver() as desk:
        config: Mapping[str, Any] = {
            "site": SITE,
            "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
            "lines": [{"id": "bus", "url": f"tcp://127.0.0.1:{server.port}"}],
            "devices": settings,
            "rules": ["rules/*.yaml"],
            "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook"}}]},
        }
        gateway = Gateway(folder / "gateway", config, secrets={}, profiles={})
        await asyncio.to_thread(gateway.begin)
        try:
            yield server, desk, gateway
        finally:
            gateway.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_unplugged_bus_is_one_push_and_the_lives_on_it_one_each(tmp_path: Path) -> None:
    async with a_bus(tmp_path) as (server, desk, gateway):
        async with asyncio.timeout(60):
            while any(
                device["health"]["state"] != "ok"
                for device in (await asyncio.to_thread(gateway.get, "/devices"))["items"]
            ):
                await asyncio.sleep(0.5)
        assert desk.bodies == []
        await server.stop()
        async with asyncio.timeout(120):
            while len(desk.requests) < 3:
                await asyncio.sleep(0.5)
        await asyncio.sleep(45)  # what else there would be
        told = sorted(
            (
                body["data"]["rule"],
                body["data"]["priority"],
                body["data"]["device"] if body["data"]["priority"] == 1 else "",
            )
            for body in desk.bodies
        )
        assert told == [
            ("line-offline", 2, ""), ("supervision-lost", 1, "gas"), ("supervision-lost", 1, "panic"),
        ]  # fmt: skip
        await server.start()
        async with asyncio.timeout(180):
            while len(desk.requests) < 6:
                await asyncio.sleep(0.5)
        cleared = Counter(body["data"]["rule"] for body in desk.bodies if body["type"] == "alarm.cleared")
        assert cleared == {"line-offline": 1, "supervision-lost": 2}
        await asyncio.to_thread(gateway.stop)
