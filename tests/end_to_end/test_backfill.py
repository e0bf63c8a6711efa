"""A device hands in its log of a day: history and district are filled, nobody is called and nothing moves."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.influx import InfluxServer
from tests.support.mosquitto import Mosquitto
from tests.support.push_receiver import PushReceiver

MINUTES = 24 * 60
STUFFY_PPM = 2_000.0
PROFILE = {
    "maker": "test", "model": "logger", "kind": "classroom_env", "source": "made for the backfill test",
    "family": "mqtt", "time": "/t", "points": {"co2": {"pointer": "/co2"}},
}  # fmt: skip
RULES = {
    "rules": [
        {
            "id": "stuffy", "scope": {"each": "classroom"},
            "when": {"p": "co2", "op": "gt", "val": 1500, "unit": "[ppm]"}, "for": "0s", "shelvable": False,
            "alarm": {
                "prio": 1, "owner": "it", "respond_within": "1m", "title": {"zh": "浑浊", "en": "stuffy"},
                "consequence": {"zh": "无", "en": "none"}, "guide": {"zh": "无", "en": "none"},
            },
        },
    ]
}  # fmt: skip


@pytest.mark.timeout(120)
async def test_a_day_from_a_devices_log_fills_the_history_and_tells_nobody(tmp_path: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        async with PushReceiver() as desk, InfluxServer(tmp_path) as influx:
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "d", "latitude": 34.5,
                         "longitude": 109.5},
                "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
                "lines": [{"id": "broker", "url": broker.url}],
                "devices": [{"id": "log-1", "space": "r1", "line": "broker", "protocol": "mqtt",
                             "profile": "logger", "topic": "log/1", "every": "60s"}],
                "store": {"group": "500ms"},
                "sync": [{"id": "district", "url": influx.url, "org": influx.org, "bucket": influx.bucket,
                          "token": {"secret": "influx"}, "interval": "300ms", "drain": 1.0}],
                "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook"}}]},
            }  # fmt: skip
            gateway = Gateway(
                tmp_path / "gateway", config, secrets={"influx": influx.token}, profiles={"logger": PROFILE},
                rules=RULES,
            )  # fmt: skip
            try:
                await asyncio.to_thread(gateway.start)
                await _connected(gateway)
                newest = int(time.time()) - 600  # old enough to be a log, and no state of now
                log = {newest - 60 * n: STUFFY_PPM + n for n in range(MINUTES)}
                messages = [json.dumps({"t": at, "co2": log[at]}) for at in sorted(log)]
                await asyncio.to_thread(broker.publish, "log/1", *messages)
                async with asyncio.timeout(30):
                    while await influx.count("classroom_env", "co2") < MINUTES:
                        await asyncio.sleep(0.2)
                there = {row["time"] // 1000: row["co2"] for row in await influx.rows("classroom_env")}
                assert there == log
                assert (await asyncio.to_thread(gateway.get, "/alarms", state="all"))["items"] == []

                now = json.dumps({"t": int(time.time()), "co2": STUFFY_PPM})
                await asyncio.to_thread(broker.publish, "log/1", now)
                async with asyncio.timeout(20):  # what is measured now is another matter
                    while not desk.requests:
                        await asyncio.sleep(0.1)
                await asyncio.to_thread(gateway.stop)
            finally:
                await asyncio.to_thread(gateway.close)
            assert [body["type"] for body in desk.bodies] == ["alarm.raised"]
            assert desk.bodies[0]["data"]["value"] == STUFFY_PPM
            assert gateway.stored()["log-1", "co2"] == [*(log[at] for at in sorted(log)), STUFFY_PPM]
            with closing(sqlite3.connect(gateway.data / "core.db")) as connection:
                assert connection.execute("SELECT count(*) FROM command").fetchone() == (0,)


async def _connected(gateway: Gateway) -> None:
    async with asyncio.timeout(20):
        while not all(
            line["connected"] for line in (await asyncio.to_thread(gateway.get, "/lines"))["items"]
        ):
            await asyncio.sleep(0.05)
