"""A device hands in its log, before it says something new or after: history and district are filled,
nobody is called and nothing moves."""

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
                await asyncio.to_thread(gateway.begin)
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


COOLER = {
    "maker": "test", "model": "cooler", "kind": "air_conditioner", "source": "made for the backfill test",
    "family": "mqtt", "points": {
        "on": {"pointer": "/on", "write": {"suffix": "/set", "payload": '{"on":{value}}', "readback": False}},
        "active_power": {"pointer": "/kw"},
    },
}  # fmt: skip
ACTING = {
    "rules": [
        {
            **RULES["rules"][0], "when": {"p": "co2", "op": "gt", "val": 1500, "clear": 1350},
            "scope": {"each": "room"},
            "do": [{"cmd": "ac.off", "to": "room", "mode": "auto",
                    "verify": {"p": "active_power", "op": "lt", "val": 0.06, "within": "20s"}}],
        },
    ]
}  # fmt: skip
FRESH_PPM = 600.0


@pytest.mark.timeout(120)
async def test_a_log_that_comes_behind_what_is_new_is_history_too(tmp_path: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    with Mosquitto(tmp_path / "mosquitto") as broker:
        async with PushReceiver() as desk:
            common = {"space": "r1", "line": "broker", "protocol": "mqtt", "every": "60s"}
            config = {
                "site": {"id": "test", "name": "试验学校", "district": "d", "latitude": 34.5,
                         "longitude": 109.5},
                "spaces": [{"id": "r1", "name": "一〇一", "kind": "classroom"}],
                "lines": [{"id": "broker", "url": broker.url}],
                "devices": [{**common, "id": "log-1", "profile": "logger", "topic": "log/1"},
                            {**common, "id": "ac-1", "profile": "cooler", "topic": "ac/1"}],
                "store": {"group": "500ms"},
                "actions": {"shadow": "0s"},
                "notify": {"desk": [{"webhook": {"url": f"{desk.url}/hook"}}]},
            }  # fmt: skip
            gateway = Gateway(
                tmp_path / "gateway", config, secrets={}, profiles={"logger": PROFILE, "cooler": COOLER},
                rules=ACTING,
            )  # fmt: skip
            try:
                await asyncio.to_thread(gateway.begin)
                await asyncio.to_thread(broker.publish, "ac/1", json.dumps({"on": True, "kw": 1.2}))
                now = int(time.time())
                await asyncio.to_thread(broker.publish, "log/1", json.dumps({"t": now, "co2": FRESH_PPM}))
                log = {now - 20 * n: STUFFY_PPM + n for n in range(1, MINUTES)}  # the youngest is of just now
                messages = [json.dumps({"t": at, "co2": log[at]}) for at in sorted(log)]
                await asyncio.to_thread(broker.publish, "log/1", *messages)
                await asyncio.to_thread(broker.publish, "log/1", *messages[-100:])  # and once more
                async with asyncio.timeout(30):
                    while len(gateway.stored()["log-1", "co2"]) < MINUTES:
                        await asyncio.sleep(0.2)
                await asyncio.sleep(2.0)
                shown = (await asyncio.to_thread(gateway.get, "/readings", device="log-1"))["items"]
                assert [reading["value"] for reading in shown] == [FRESH_PPM], "what is new stays the state"
                assert (await asyncio.to_thread(gateway.get, "/alarms", state="all"))["items"] == []
                assert (desk.requests, _commands(gateway)) == ([], 0)

                late = json.dumps({"t": int(time.time()), "co2": STUFFY_PPM})
                await asyncio.to_thread(broker.publish, "log/1", late)
                async with asyncio.timeout(20):  # the same value of now moves what the log must not
                    while not (desk.requests and _commands(gateway)):
                        await asyncio.sleep(0.1)
                await asyncio.to_thread(gateway.stop)
            finally:
                await asyncio.to_thread(gateway.close)
            assert _times(gateway) == {at * 1000 for at in (*log, now, json.loads(late)["t"])}
            assert sorted(gateway.stored()["log-1", "co2"]) == sorted((*log.values(), FRESH_PPM, STUFFY_PPM))


def _commands(gateway: Gateway) -> int:
    with closing(sqlite3.connect(gateway.data / "core.db")) as connection:
        (count,) = connection.execute("SELECT count(*) FROM command").fetchone()
    return int(count)


def _times(gateway: Gateway) -> set[int]:
    """When what is stored of the logger was measured."""
    with closing(sqlite3.connect(gateway.data / "telemetry.db")) as connection:
        rows = connection.execute(
            "SELECT at FROM moments JOIN sources ON sources.id = source WHERE device = 'log-1'"
        )
        return {at for (at,) in rows}
