"""The running gateway seals what it finds old, whatever kills it, and answers from it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.reading import Reading
from edge import clock
from edge.store.database import Database
from edge.store.moments import MIGRATIONS, Shape, Source
from edge.store.readings import ReadingStore
from tests.support.gateway import Gateway
from tests.support.ports import free_port

DAY = 86_400_000
SECOND = 1000
PROFILE = {
    "maker": "test", "model": "numbered", "kind": "contact", "source": "made for this test",
    "family": "modbus",
    "adds": {"number": {"unit": "1", "zh": "序号", "en": "number", "decimals": 0}},
    "points": {"number": {"address": 0, "type": "u32"}},
}  # fmt: skip
DEVICES = ("meter-1", "meter-2")
COUNT = 6_000


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose line leads nowhere: all its good readings are from before."""
    config = {
        "site": {"id": "s", "name": "S", "district": "d", "timezone": "Asia/Shanghai",
                 "latitude": 31.2, "longitude": 121.5},
        "spaces": [{"id": "room", "name": "R", "kind": "classroom"}],
        "lines": [{"id": "plc", "url": f"tcp://127.0.0.1:{free_port()}"}],
        "devices": [
            {"id": name, "line": "plc", "protocol": "modbus-tcp", "profile": "numbered", "address": n + 1,
             "space": "room", "every": "5s"}
            for n, name in enumerate(DEVICES)
        ],
    }  # fmt: skip
    made = Gateway(tmp_path, config, secrets={}, profiles={"numbered": PROFILE})
    yield made
    made.close()


async def _fill(data: Path, begin: int) -> None:
    """Two devices, a number every 20 s of more than a day, in one file as an old version left it."""
    data.mkdir(mode=0o700)
    database = Database(data / "telemetry.db", MIGRATIONS)
    await database.open()
    store = ReadingStore(
        database, [Source(name, "contact", "room", "", (Shape("number", "1", "number"),)) for name in DEVICES]
    )
    await store.load()
    for start in range(0, COUNT, 1000):
        await store.append(
            [
                Reading(name, "number", float(n), "1", begin + n * 20 * SECOND, begin + n * 20 * SECOND)
                for n in range(start, start + 1000)
                for name in DEVICES
            ],
            begin,
        )
    await store.close()
    await database.close()


def _hot(data: Path, until: int) -> int:
    with sqlite3.connect(f"file:{data / 'telemetry.db'}?mode=ro", uri=True) as connection:
        query = "SELECT count(*) FROM moments WHERE received_at<?"
        found = int(connection.execute(query, (until,)).fetchone()[0])
    connection.close()
    return found


def _helpers(data: Path) -> list[int]:
    """Processes that work on this data folder besides the gateway itself."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"edge.store.helper_process" in words and os.fsencode(data) in words:
                found.append(int(process.name))
    return found


def _history(gateway: Gateway, device: str, begin: int, end: int) -> list[float]:
    values: list[float] = []
    cursor: dict[str, str] = {}
    while True:
        page = gateway.get(
            "/history",
            device=device,
            point="number",
            since=_time(begin),
            until=_time(end),
            limit="4000",
            **cursor,
        )
        values += [item["value"] for item in page["items"]]
        if page["next"] is None:
            return values
        cursor = {"cursor": page["next"]}


def _time(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 1000))


def test_killed_again_and_again_while_it_seals_it_loses_and_doubles_nothing(gateway: Gateway) -> None:
    begin = (clock.now() - 2 * DAY) // SECOND * SECOND
    end = begin + COUNT * 20 * SECOND
    asyncio.run(_fill(gateway.data, begin))
    assert _hot(gateway.data, end) == 2 * COUNT
    for moment in (0.0, 0.2, 0.5, 0.8):
        gateway.start()
        time.sleep(moment)
        gateway.kill()
    gateway.start()
    patience = time.monotonic() + 60
    while _hot(gateway.data, end):
        assert time.monotonic() < patience, gateway.log.read_text()[-2000:]
        time.sleep(0.2)
    for device in DEVICES:
        assert _history(gateway, device, begin, end) == [float(n) for n in range(COUNT)]
    days = gateway.get(
        "/history", device="meter-1", point="number", since=_time(begin // DAY * DAY), until=_time(end),
        step="1d", agg="count",
    )  # fmt: skip
    assert sum(item["value"] for item in days["items"]) == COUNT
    names = {path.name.split("-")[0] for path in (gateway.data / "history").iterdir()}
    assert names == {"raw", "rollups"}
    with Path(f"/proc/{gateway.pid}/maps").open() as maps:
        assert "numpy" not in maps.read(), "the gateway's own process stays small"
    assert _helpers(gateway.data), "the helper answered and waits for more"
    gateway.stop()
    assert not _helpers(gateway.data)
