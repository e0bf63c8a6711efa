"""One classroom whose sensor speaks MQTT, with a panic button: its gateway, its broker and its desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.gateway import Gateway
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

PROFILE = {
    "maker": "test", "model": "room", "kind": "classroom_env", "source": "made for the storage tests",
    "family": "mqtt", "points": {"co2": {"pointer": "/co2"}, "pressed": {"pointer": "/pressed"}},
}  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "panic", "scope": {"each": "classroom"},
            "when": {"p": "pressed", "op": "eq", "val": True}, "shelvable": False, "nodata": {"then": "hold"},
            "alarm": {
                "prio": 1, "title": {"zh": "紧急求助", "en": "panic"}, "owner": "security",
                "respond_within": "1m", "guide": {"zh": "前往", "en": "go"},
                "consequence": {"zh": "危险", "en": "danger"},
            },
        },
    ]
}  # fmt: skip


class Room:
    """One classroom whose sensor speaks MQTT, its gateway and its desk."""

    def __init__(self, gateway: Gateway, broker: Mosquitto, desk: PushReceiver) -> None:
        self.gateway, self.broker, self.desk = gateway, broker, desk
        self.sent = 400

    async def begin(self) -> None:
        """Starts the gateway and waits until the sensor is heard."""
        await asyncio.to_thread(self.gateway.begin)

    def say(self, count: int = 1) -> None:
        for _ in range(count):
            self.sent += 1
            self.broker.publish("room/1", f'{{"co2": {self.sent}}}')

    def press(self, pressed: bool) -> None:
        self.broker.publish("room/1", f'{{"pressed": {str(pressed).lower()}}}')

    async def get(self, path: str, **query: str) -> Any:
        """A resource; a gateway that is just replacing a file is asked again."""
        async with asyncio.timeout(15):
            while True:
                try:
                    return await asyncio.to_thread(self.gateway.get, path, **query)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def check(self, name: str) -> Mapping[str, str]:
        health = await self.get("/health")
        return next(c for c in health["checks"] if c["name"] == name)

    async def until_check(self, name: str, status: str, within_s: float = 30.0) -> Mapping[str, str]:
        async with asyncio.timeout(within_s):
            while (check := await self.check(name))["status"] != status:
                await asyncio.sleep(0.2)
        return check

    async def until_shown(self, within_s: float = 15.0) -> None:
        """What was said last is shown."""
        value = float(self.sent)
        async with asyncio.timeout(within_s):
            while True:
                items = (await self.get("/readings", point="co2"))["items"]
                if items and items[0]["value"] == value:
                    return
                await asyncio.sleep(0.1)

    async def until_alarm(self, rule: str, within_s: float = 20.0) -> Mapping[str, Any]:
        async with asyncio.timeout(within_s):
            while True:
                for alarm in (await self.get("/alarms", state="all"))["items"]:
                    if alarm["rule"] == rule:
                        return alarm  # type: ignore[no-any-return]
                await asyncio.sleep(0.2)

    async def until_pushed(self, rule: str, kind: str = "raised", within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while not self.pushes(rule, kind):
                await asyncio.sleep(0.05)

    def pushes(self, rule: str, kind: str = "raised") -> list[Any]:
        return [b for b in self.desk.bodies if (b["data"]["rule"], b["type"]) == (rule, f"alarm.{kind}")]


@asynccontextmanager
async def a_room(
    folder: Path,
    data: Path | None = None,
    *,
    rules: Mapping[str, Any] = RULES,
    timezone: str = "Asia/Shanghai",
) -> AsyncIterator[Room]:
    """Everything but the gateway runs."""
    (folder / "mosquitto").mkdir()
    with Mosquitto(folder / "mosquitto") as broker:
        async with PushReceiver() as desk:
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "linwei", "latitude": 34.5,
                         "longitude": 109.5, "timezone": timezone},
                "spaces": [{"id": "b1", "name": "教学楼", "kind": "building"},
                           {"id": "r1", "name": "一〇一", "kind": "classroom", "in": "b1"}],
                "lines": [{"id": "broker", "url": broker.url}],
                "devices": [{"id": "env-1", "space": "r1", "line": "broker", "protocol": "mqtt",
                             "profile": "room", "topic": "room/1"}],
                "store": {"group": "500ms"},
                "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook", "secret": {"secret": "hook"}}}]},
            }  # fmt: skip
            gateway = Gateway(
                folder / "gateway", config, secrets={"hook": "s3cret"}, profiles={"room": PROFILE},
                rules=rules,
            )  # fmt: skip
            if data is not None:
                gateway.data = data
            try:
                yield Room(gateway, broker, desk)
            finally:
                await asyncio.to_thread(gateway.close)
