"""A weather station that speaks by itself, through the whole gateway: heard, silent, heard again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from drivers.line.settings import TcpLine
from drivers.simulated.field import Field
from tests.drivers.simulated.test_listening import TRUTH, mast
from tests.support.gateway import Gateway
from tests.support.ports import free_port


async def ask(gateway: Gateway, path: str) -> Any:
    return await asyncio.to_thread(gateway.get, path)


async def until(gateway: Gateway, path: str, condition: Any) -> Any:
    async with asyncio.timeout(30):
        while not condition(found := (await ask(gateway, path))["items"]):
            await asyncio.sleep(0.1)
    return found


async def test_a_station_that_speaks_by_itself_reaches_the_api_and_its_silence_too(tmp_path: Path) -> None:
    line = TcpLine(id="roof", url=f"tcp://127.0.0.1:{free_port()}")
    config = {
        "site": {"id": "s", "name": "学校", "district": "d", "latitude": 34.5, "longitude": 109.5},
        "spaces": [{"id": "top", "name": "屋顶", "kind": "roof"}],
        "lines": [{"id": "roof", "url": line.url}],
        "devices": [{"id": "mast", "space": "top", "line": "roof", "protocol": "nmea",
                     "profile": "nmea-weather", "every": "500ms"}],
        "store": {"group": "1s"},
    }  # fmt: skip
    gateway = Gateway(tmp_path / "gateway", config, secrets={}, profiles={})
    async with Field([line], [mast("roof")], seed=1) as field:
        speaking = asyncio.create_task(field.run())
        try:
            await asyncio.to_thread(gateway.start)
            readings = await until(gateway, "/readings", lambda items: len(items) == 6)
            assert {r["point"]: r["value"] for r in readings} == {
                r["point"]: TRUTH[r["point"]] for r in readings
            }
            assert {r["quality"] for r in readings} == {"good"}
            (status,) = (await ask(gateway, "/lines"))["items"]
            assert (status["connected"], status["kind"], status["devices"][0]["state"]) == (True, "tcp", "ok")

            field.choruses["roof"].silent = True
            (status,) = await until(
                gateway, "/lines", lambda items: items[0]["devices"][0]["state"] == "silent"
            )
            assert status["connected"]
            assert status["devices"][0]["cause"] == "power_or_wiring"
            readings = await until(
                gateway,
                "/readings",
                lambda items: {(r["quality"], r["reason"]) for r in items} == {("bad", "timeout")},
            )
            assert len(readings) == 6

            field.choruses["roof"].silent = False
            await until(gateway, "/readings", lambda items: {r["quality"] for r in items} == {"good"})
            await asyncio.to_thread(gateway.stop)
        finally:
            speaking.cancel()
            gateway.close()
    assert all(len(values) > 2 for values in gateway.stored().values())
