"""An alarm from the field to the desk, the district and back, through kills, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.loopback import Answer
from tests.support.gateway import Gateway
from tests.support.influx import InfluxServer
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

PROFILE = {
    "maker": "test", "model": "room", "kind": "classroom_env", "source": "made for the alarm test",
    "family": "mqtt", "points": {"co2": {"pointer": "/co2"}, "pressed": {"pointer": "/pressed"}},
}  # fmt: skip
TEXTS = {
    "owner": "teacher", "respond_within": "15m", "guide": {"zh": "开窗", "en": "open the windows"},
    "consequence": {"zh": "注意力下降", "en": "tired pupils"},
}  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "stuffy", "scope": {"each": "classroom"},
            "when": {"p": "co2", "op": "gt", "val": 1500, "clear": 1350, "unit": "[ppm]"},
            "for": "1s", "clear_for": "1s",
            "alarm": {"prio": 3, "title": {"zh": "空气浑浊", "en": "stuffy"}, **TEXTS},
        },
        {
            "id": "panic", "scope": {"each": "classroom"},
            "when": {"p": "pressed", "op": "eq", "val": True}, "latch": True, "shelvable": False,
            "nodata": {"then": "hold"},
            "alarm": {"prio": 1, "title": {"zh": "紧急求助", "en": "panic"}, **TEXTS},
        },
    ]
}  # fmt: skip


@dataclass
class Room:
    """One classroom that speaks MQTT, its gateway, a desk and a district."""

    gateway: Gateway
    broker: Mosquitto
    desk: PushReceiver
    influx: InfluxServer

    def say(self, payload: str, *, retain: bool = False) -> None:
        """The sensor publishes."""
        self.broker.publish("room/1", payload, retain=retain)

    async def alarms(self, state: str = "all") -> list[dict[str, Any]]:
        """The alarm list."""
        answer = await asyncio.to_thread(self.gateway.get, "/alarms", state=state)
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The alarm list once it fulfils a condition."""
        async with asyncio.timeout(20):
            while not condition(found := await self.alarms()):
                await asyncio.sleep(0.1)
            return found

    async def pushed(self, count: int) -> list[str]:
        """What the desk was told, once it was told that many things; types of the messages."""
        async with asyncio.timeout(20):
            while len(self.desk.requests) < count:
                await asyncio.sleep(0.05)
        return [f"{body['data']['rule']}.{body['type']}" for body in self.desk.bodies]


@asynccontextmanager
async def a_room(folder: Path, *, retained: str | None = None) -> AsyncIterator[Room]:
    """Everything runs; `retained` was published before the gateway started."""
    (folder / "mosquitto").mkdir()
    with Mosquitto(folder / "mosquitto") as broker:
        async with PushReceiver() as desk, InfluxServer(folder) as influx:
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "linwei", "latitude": 34.5,
                         "longitude": 109.5},
                "spaces": [{"id": "b1", "name": "教学楼", "kind": "building"},
                           {"id": "r1", "name": "一〇一", "kind": "classroom", "in": "b1"}],
                "lines": [{"id": "broker", "url": broker.url}],
                "devices": [{"id": "env-1", "space": "r1", "line": "broker", "protocol": "mqtt",
                             "profile": "room", "topic": "room/1"}],
                "store": {"group": "1s"},
                "sync": [{"id": "district", "url": influx.url, "org": influx.org, "bucket": influx.bucket,
                          "token": {"secret": "influx"}, "interval": "300ms"}],
                "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook", "secret": {"secret": "hook"}}}]},
            }  # fmt: skip
            gateway = Gateway(
                folder / "gateway", config, secrets={"influx": influx.token, "hook": "s3cret"},
                profiles={"room": PROFILE}, rules=RULES,
            )  # fmt: skip
            if retained is not None:
                broker.publish("room/1", retained, retain=True)
            try:
                await asyncio.to_thread(gateway.begin)
                yield Room(gateway, broker, desk, influx)
            finally:
                gateway.close()


@pytest.mark.timeout(120)
async def test_an_alarm_survives_a_kill_is_pushed_once_acknowledged_cleared_and_told_to_the_district(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as room:
        room.say('{"co2": 1650}')
        assert await room.pushed(1) == ["stuffy.alarm.raised"]
        (alarm,) = await room.alarms("open")
        assert (alarm["condition"], alarm["acked"], alarm["value"]) == ("active", False, 1650.0)

        await asyncio.to_thread(room.gateway.kill)
        await asyncio.to_thread(room.gateway.begin)
        room.say('{"co2": 1660}')
        await asyncio.sleep(3)
        assert len(room.desk.requests) == 1, "a restart is no second alarm"
        (again,) = await room.alarms("open")
        assert (again["id"], again["condition"]) == (alarm["id"], "active")

        acked = await asyncio.to_thread(room.gateway.post, f"/alarms/{alarm['id']}/ack", {"note": "马上开窗"})
        assert (acked["acked"], acked["note"], acked["condition"]) == (True, "马上开窗", "active")

        await asyncio.to_thread(room.gateway.kill)
        await asyncio.to_thread(room.gateway.begin)
        (still,) = await room.alarms("open")
        assert (still["acked"], still["acked_by"]) == (True, acked["acked_by"])

        room.say('{"co2": 900}')
        assert await room.pushed(2) == ["stuffy.alarm.raised", "stuffy.alarm.cleared"]
        (cleared,) = await room.until(lambda found: found[0]["cleared_at"] is not None)
        assert cleared["state"] == "normal"
        assert [d["state"] for d in cleared["deliveries"]] == ["delivered", "delivered"]

        async with asyncio.timeout(20):
            while len(rows := await room.influx.rows("alarm")) < 3:
                await asyncio.sleep(0.2)
        assert [row["state"] for row in rows] == ["raised", "acked", "cleared"]
        await asyncio.to_thread(room.gateway.stop)
        assert len(room.desk.requests) == 2


@pytest.mark.timeout(120)
async def test_a_panic_press_is_latched_until_somebody_was_there(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        room.say('{"pressed": true}')
        assert await room.pushed(1) == ["panic.alarm.raised"]
        room.say('{"pressed": false}')
        assert await room.pushed(2) == ["panic.alarm.raised", "panic.alarm.cleared"]
        (alarm,) = await room.until(lambda found: found[0]["latched"])
        await asyncio.to_thread(room.gateway.post, f"/alarms/{alarm['id']}/ack", {"note": "到场"})
        reset = await asyncio.to_thread(room.gateway.post, f"/alarms/{alarm['id']}/reset", {"note": "误按"})
        assert (reset["latched"], reset["state"]) == (False, "normal")

        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
async def test_a_retained_press_from_before_the_start_is_shown_and_is_no_alarm(tmp_path: Path) -> None:
    async with a_room(tmp_path, retained='{"pressed": true, "co2": 700}') as room:
        async with asyncio.timeout(20):
            while not (
                items := (await asyncio.to_thread(room.gateway.get, "/readings", point="pressed"))["items"]
            ):
                await asyncio.sleep(0.1)
        assert [(r["value"], r["origin"]) for r in items] == [(True, "retained")]
        await asyncio.sleep(2)
        assert await room.alarms() == []
        assert room.desk.requests == []
        room.say('{"pressed": false}')
        room.say('{"pressed": true}')
        assert await room.pushed(1) == ["panic.alarm.raised"]
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
async def test_a_push_that_failed_is_sent_after_a_kill_under_the_same_id(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        room.desk.answers.extend([Answer(503, b"")] * 2)
        room.say('{"pressed": true}')
        await room.pushed(1)
        await asyncio.to_thread(room.gateway.kill)
        await asyncio.to_thread(room.gateway.begin)
        await room.pushed(3)
        ids = {request.headers["webhook-id"] for request in room.desk.requests}
        assert len(ids) == 1
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
async def test_garbage_is_counted_seen_and_kills_nothing(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        for payload in (
            "{",
            '{"co2": NaN}',
            '{"co2": "soon"}',
            "[" * 5000,
            '{"co2": 1e999}',
            "\x00\x01",
            "9" * 6000,
        ):
            room.say(payload)
        room.say('{"co2": 640}')
        async with asyncio.timeout(20):
            while True:
                items = (await asyncio.to_thread(room.gateway.get, "/readings", point="co2"))["items"]
                if items and items[0]["value"] == 640.0:
                    break
                await asyncio.sleep(0.1)
        device = await asyncio.to_thread(room.gateway.get, "/devices/env-1")
        assert sum(device["health"]["errors"].values()) >= 5
        health = await asyncio.to_thread(room.gateway.get, "/health")
        assert {c["name"]: c["status"] for c in health["checks"]}["tasks"] == "ok"
        await asyncio.to_thread(room.gateway.stop)
