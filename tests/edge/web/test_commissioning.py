"""An installer's routes: what is not there, what makes no sense, and one scan from start to end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from drivers.line.arbiter import Arbiter
from drivers.line.settings import TcpLine
from edge.commissioning.line import open_line
from edge.commissioning.workbench import Workbench
from edge.store.accounts import Role
from edge.web.services.gateway import Services
from tests.edge.commissioning.rehearsal import device, on_wire
from tests.edge.web.school import Pipeline, token
from tests.support.wire import EmulatedWire

API = "/api/v1"


@pytest.fixture
async def line(pipeline: Pipeline) -> AsyncIterator[Arbiter]:
    """The line `plc`, a serial server with one sensor behind it."""
    sensor = device("renke-rs-ws-n01", "modbus-rtu", 2)
    settings = TcpLine(id="plc", url="tcp://192.168.3.9:8899")
    async with open_line(settings, transport=EmulatedWire(on_wire([sensor], 9600, "8N1"))) as arbiter:
        pipeline.arbiters.append(arbiter)
        yield arbiter


@pytest.fixture
async def engineer(
    line: Arbiter, client: httpx.AsyncClient, gateway: Services
) -> AsyncIterator[httpx.AsyncClient]:
    client.headers.update(await token(gateway, Role.ENGINEER))
    assert isinstance(gateway.commissioning, Workbench)
    task = asyncio.create_task(gateway.commissioning.run())
    yield client
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_scan_is_started_watched_and_written_down(
    engineer: httpx.AsyncClient, gateway: Services
) -> None:
    wish = {"protocols": ["modbus-rtu"], "addresses": [1, 2, 3]}
    assert (await engineer.get(f"{API}/lines/plc/scan")).status_code == 404
    started = await engineer.post(f"{API}/lines/plc/scan", json=wish)
    assert (started.status_code, started.json()["state"], started.json()["total"]) == (201, "running", 3)
    assert (await engineer.post(f"{API}/lines/plc/scan", json=wish)).status_code == 409
    async with asyncio.timeout(60):
        while (status := (await engineer.get(f"{API}/lines/plc/scan")).json())["state"] == "running":
            await asyncio.sleep(0.5)
    assert (status["state"], status["asked"]) == ("done", 3)
    (seen,) = status["seen"]
    assert (seen["protocol"], seen["address"], seen["conflict"]) == ("modbus-rtu", "2", False)
    assert "renke-rs-ws-n01" in seen["profiles"] and seen["profiles"][0] in status["yaml"]
    pieces = (await engineer.get(f"{API}/lines/plc/traffic")).json()["items"]
    assert {piece["way"] for piece in pieces} == {"sent", "received"}
    last = pieces[-1]["number"]
    assert (await engineer.get(f"{API}/lines/plc/traffic", params={"after": last})).json()["items"] == []
    rows = await gateway.database.read(
        lambda c: c.execute("SELECT actor, action, object FROM audit WHERE action = 'line.scan'").fetchall()
    )
    assert [tuple(row) for row in rows] == [("test-engineer", "line.scan", "line:plc")]


async def test_a_scan_can_be_ended(engineer: httpx.AsyncClient) -> None:
    await engineer.post(f"{API}/lines/plc/scan", json={"protocols": ["modbus-rtu"]})
    await asyncio.sleep(0.1)
    assert (await engineer.delete(f"{API}/lines/plc/scan")).status_code == 204
    await asyncio.sleep(0.1)
    assert (await engineer.get(f"{API}/lines/plc/scan")).json()["state"] == "stopped"


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"protocols": ["mqtt"]}, 422),
        ({"addresses": [0]}, 422),
        ({"addresses": [248]}, 422),
        ({"speeds": ["9600"]}, 422),
        ({"speeds": ["9600 9N1"]}, 422),
        ({"speeds": ["9600 8N3"]}, 422),
        ({"speeds": ["9600 7N2"]}, 422),
        ({"patience": 100}, 422),
        ({"surprise": 1}, 422),
    ],
)
async def test_a_wish_of_no_sense_is_refused(
    engineer: httpx.AsyncClient, wish: dict[str, object], status: int
) -> None:
    assert (await engineer.post(f"{API}/lines/plc/scan", json=wish)).status_code == status


async def test_lines_and_devices_that_are_not_there_are_told(engineer: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/lines/none/scan"), ("GET", "/lines/none/scan"), ("DELETE", "/lines/none/scan"),
        ("GET", "/lines/none/traffic"), ("POST", "/devices/none/read"),
    ):  # fmt: skip
        answer = await engineer.request(method, f"{API}{path}", json={} if method == "POST" else None)
        assert answer.status_code == 404, path
    assert (await engineer.post(f"{API}/devices/env-301/read")).status_code == 409, "it is not on the line"
