"""Broken files and disks against the real gateway: it collects, alarms and pushes all the same."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.damage import SALVAGED, WAYS
from tests.support.facilities import needs
from tests.support.faults import fill_up, injected, remount, volume, writes_refused
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
ROWS = 20_000
QUICK = ("zeroed header", "empty")
"""Kinds of damage that every run tries on the whole gateway; the store's own tests try them all."""


class Room:
    """One classroom whose sensor speaks MQTT, its gateway and its desk."""

    def __init__(self, gateway: Gateway, broker: Mosquitto, desk: PushReceiver) -> None:
        self.gateway, self.broker, self.desk = gateway, broker, desk
        self.sent = 400

    async def begin(self) -> None:
        """Starts the gateway and waits until the sensor is heard."""
        await asyncio.to_thread(self.gateway.start)
        async with asyncio.timeout(20):
            while not all(line["connected"] for line in (await self.get("/lines"))["items"]):
                await asyncio.sleep(0.05)

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
async def a_room(folder: Path, data: Path | None = None) -> AsyncIterator[Room]:
    """Everything but the gateway runs."""
    (folder / "mosquitto").mkdir()
    with Mosquitto(folder / "mosquitto") as broker:
        async with PushReceiver() as desk:
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "linwei", "latitude": 34.5,
                         "longitude": 109.5},
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
                rules=RULES,
            )  # fmt: skip
            if data is not None:
                gateway.data = data
            try:
                yield Room(gateway, broker, desk)
            finally:
                await asyncio.to_thread(gateway.close)


def _moments(path: Path) -> int:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM moments").fetchone()
    connection.close()
    return int(count)


def _fill(path: Path) -> None:
    """Many rows of a former time, as the gateway would have left them."""
    connection = sqlite3.connect(path)
    (source, body) = connection.execute("SELECT source, body FROM moments LIMIT 1").fetchone()
    at = int(time.time() * 1000) - 3_000_000
    connection.executemany(
        "INSERT INTO moments(source, at, received_at, body) VALUES(?,?,?,?)",
        [(source, at + n, at + n, body) for n in range(ROWS)],
    )
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "way",
    ["zeroed header", "empty", *(pytest.param(w, marks=pytest.mark.slow) for w in WAYS if w not in QUICK)],
)
async def test_with_a_spoilt_telemetry_file_it_collects_within_ten_seconds_and_salvages(
    tmp_path: Path, way: str
) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        await asyncio.to_thread(room.gateway.stop)
        telemetry = room.gateway.data / "telemetry.db"
        _fill(telemetry)
        WAYS[way](telemetry)

        started = time.monotonic()
        await room.begin()
        room.say()
        await room.until_shown()
        assert time.monotonic() - started < 10

        await room.until_alarm("storage-damaged", 40)  # a few zeroed pages are found by the background check
        await room.until_pushed("storage-damaged")
        assert (await room.check("store"))["status"] == "degraded"
        if way in SALVAGED:
            async with asyncio.timeout(30):
                while _moments(telemetry) < SALVAGED[way] * ROWS:
                    await asyncio.sleep(0.3)
        if way not in ("empty", "junk log"):
            assert list(telemetry.parent.glob("telemetry.db.corrupt-*"))
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "way",
    ["zeroed header", "empty", *(pytest.param(w, marks=pytest.mark.slow) for w in WAYS if w not in QUICK)],
)
async def test_with_a_spoilt_core_file_alarms_and_accounts_go_on(tmp_path: Path, way: str) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.press(True)
        await room.until_pushed("panic")
        await asyncio.to_thread(room.gateway.stop)
        WAYS[way](room.gateway.data / "core.db")

        if way in ("zeroed header", "newer schema", "junk log"):  # no page of this small file is lost
            await room.begin()
            await room.until_pushed("storage-damaged")
            await room.until_alarm("panic")
            assert len(room.pushes("panic")) == 1, "what was told is not told again"
        else:  # perhaps nobody is known any more; then the log shows a token for the first account
            await asyncio.to_thread(room.gateway.start)
            await room.until_pushed("storage-damaged")
            assert "core.db" in room.gateway.log.read_text()
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
async def test_a_disk_that_refuses_every_write_stops_neither_alarms_nor_pushes_and_all_is_stored_later(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        with writes_refused(room.gateway.pid):
            room.say(5)
            room.press(True)
            await room.until_shown()
            await room.until_pushed("panic", within_s=10)
            assert "尚未存盘" in room.pushes("panic")[0]["data"]["message"]
            assert (await room.until_alarm("panic"))["state"] == "unacknowledged"
            assert "storage failed" in (await room.until_check("store", "failed"))["detail"]
            await room.until_pushed("storage-failed")
            assert len(room.pushes("panic")) == 1
        await room.until_check("store", "ok", within_s=60)
        await asyncio.to_thread(room.gateway.stop)
        stored = room.gateway.stored()[("env-1", "co2")]
        assert stored == [float(n) for n in range(401, room.sent + 1)]
        await room.begin()
        await asyncio.sleep(3)
        assert len(room.pushes("panic")) == 1
        assert (await room.until_alarm("panic"))["deliveries"][0]["state"] == "delivered"
        await asyncio.to_thread(room.gateway.stop)


@pytest.mark.timeout(120)
@needs("mount")
async def test_on_a_full_disk_alarms_are_stored_in_the_room_kept_for_them(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "size=10m") as data:
        async with a_room(tmp_path, data) as room:
            await room.begin()
            room.say()
            await room.until_shown()
            assert (data / "ballast").exists()
            fill_up(data / "filler")
            room.say(20)
            await room.until_check("store", "failed")
            room.press(True)
            await room.until_pushed("panic", within_s=10)
            async with asyncio.timeout(20):
                while occurrences(data / "core.db") == 0:
                    room.press(False)
                    room.press(True)
                    await asyncio.sleep(0.5)
            room.say(20)
            await room.until_shown()
            (data / "filler").unlink()
            await room.until_check("store", "ok", within_s=60)
            await asyncio.to_thread(room.gateway.stop)
            stored = room.gateway.stored()[("env-1", "co2")]
            assert stored == [float(n) for n in range(401, room.sent + 1)]


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("mount")
async def test_it_starts_on_a_read_only_disk_and_stores_once_the_disk_lets_it(tmp_path: Path) -> None:
    with volume(tmp_path / "volume", "size=16m") as data:
        async with a_room(tmp_path, data) as room:
            await room.begin()
            room.say()
            await room.until_shown()
            await asyncio.to_thread(room.gateway.stop)
            remount(data, "ro")
            await room.begin()
            room.say(5)
            room.press(True)
            await room.until_pushed("panic", within_s=10)
            await room.until_shown()
            await room.until_check("store", "failed")
            remount(data, "rw")
            await room.until_check("store", "ok", within_s=60)
            assert len(room.pushes("panic")) == 1
            await asyncio.to_thread(room.gateway.stop)
            stored = room.gateway.stored()[("env-1", "co2")]
            assert stored == [float(n) for n in range(401, room.sent + 1)]


@pytest.mark.timeout(120)
@needs("strace")
async def test_a_card_whose_flush_fails_is_told_and_outlived(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        room.say()
        await room.until_shown()
        with injected(room.gateway.pid, "fdatasync:error=EIO"):
            room.say(5)
            await room.until_check("store", "failed")
            room.press(True)
            await room.until_pushed("panic", within_s=10)
        await room.until_check("store", "ok", within_s=60)
        await asyncio.to_thread(room.gateway.stop)
        stored = room.gateway.stored()[("env-1", "co2")]
        assert stored == [float(n) for n in range(401, room.sent + 1)]
        assert len(room.pushes("panic")) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs("strace")
async def test_a_card_that_takes_two_seconds_for_a_flush_delays_no_alarm_beyond_ten(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        with injected(room.gateway.pid, "fdatasync:delay_enter=2000000"):
            for _ in range(3):
                room.say()
                room.press(True)
                started = time.monotonic()
                count = len(room.pushes("panic"))
                async with asyncio.timeout(10):
                    while len(room.pushes("panic")) == count:
                        await asyncio.sleep(0.05)
                print(f"pushed after {time.monotonic() - started:.1f} s")
                room.press(False)
                await asyncio.sleep(3)
        await asyncio.to_thread(room.gateway.stop)


def occurrences(path: Path) -> int:
    """Alarms that are really in a file."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    (count,) = connection.execute("SELECT count(*) FROM occurrence").fetchone()
    connection.close()
    return int(count)
