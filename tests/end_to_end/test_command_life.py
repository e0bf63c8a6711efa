"""A command's whole way: console and API, a real gateway process, a relay board that speaks Modbus TCP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymodbus.pdu import ModbusPDU

from drivers.modbus.settings import ModbusTcpDevice
from drivers.simulated.device import VirtualDevice
from drivers.simulated.faults import Fault
from drivers.simulated.modbus_tcp import ModbusTcpServer
from drivers.simulated.registers import Answered
from drivers.simulated.written import WRITES
from edge.config.library import Library, read_vocabulary
from edge.config.resources import builtin_configs
from tests.support.gateway import Gateway


class Board:
    """Eight relays; counts the writes that reach them."""

    def __init__(self) -> None:
        vocabulary, _ = read_vocabulary(builtin_configs() / "vocabulary.yaml")
        assert vocabulary is not None
        library = Library([builtin_configs() / "profiles"], vocabulary)
        profile = library.profile("relay-8")
        assert profile is not None
        settings = ModbusTcpDevice.model_validate(
            {"id": "relays", "space": "r1", "line": "plc", "protocol": "modbus-tcp", "profile": "relay-8"}
        )
        points = library.points(profile)
        device = VirtualDevice(settings, profile, points, dict.fromkeys(points, lambda: False))
        self.server = ModbusTcpServer([device], seed=1)
        self.unit = self.server._units[1]
        self.writes = 0
        answer = self.unit.answer

        def counted(request: ModbusPDU) -> Answered:
            self.writes += request.function_code in WRITES
            return answer(request)

        self.unit.answer = counted  # type: ignore[method-assign]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "gateway"


def gateway(folder: Path, port: int) -> Gateway:
    return Gateway(
        folder,
        {
            "site": {"id": "s", "name": "校", "district": "d", "latitude": 34.5, "longitude": 109.5},
            "spaces": [{"id": "r1", "name": "机房", "kind": "plant"}],
            "lines": [{"id": "plc", "url": f"tcp://127.0.0.1:{port}"}],
            "devices": [
                {"id": "relays", "space": "r1", "line": "plc", "protocol": "modbus-tcp", "profile": "relay-8",
                 "every": "200ms", "timeout": "8s"}
            ],
        },
        secrets={}, profiles={},
    )  # fmt: skip


def console(made: Gateway, *words: str) -> tuple[int, str, str]:
    """`campus-edge write relays ...`: its exit code and both outputs."""
    command = [sys.executable, "-m", "edge", "write", "relays", *words]
    command += ["-c", str(made.config), "--data", str(made.data), "--reason", "试验"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


async def online(made: Gateway) -> None:
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(made.get, "/devices/relays"))["health"]["state"] != "ok":
            await asyncio.sleep(0.1)


async def test_the_console_writes_through_the_running_gateway_and_directly_without_one(folder: Path) -> None:
    board = Board()
    async with board.server:
        made = gateway(folder, board.server.port)
        code, _, error = await asyncio.to_thread(console, made, "on_3", "true")
        assert (code, board.writes) == (1, 0), "no gateway runs"
        assert "--direct" in error
        made.start()
        try:
            await online(made)
            code, out, error = await asyncio.to_thread(console, made, "on_3", "true", "--json")
            assert code == 0, error
            assert (json.loads(out)["state"], json.loads(out)["found"]) == ("confirmed", True)
            assert (board.unit.held, board.writes) == ({"on_3": True}, 1)
            code, _, error = await asyncio.to_thread(console, made, "on_9", "true")
            assert code == 2
            listed = (await asyncio.to_thread(made.get, "/commands"))["items"]
            assert [(item["state"], item["reason"]) for item in listed] == [("confirmed", "试验")]
        finally:
            await asyncio.to_thread(made.stop)
        code, out, error = await asyncio.to_thread(console, made, "on_3", "off", "--direct")
        assert code == 0, error
        assert "confirmed, reads back false" in out
        assert (board.unit.held, board.writes) == ({"on_3": False}, 2)
        audit = await asyncio.to_thread(made.cli, "audit", "verify", "--data", str(made.data))
        assert "whole" in audit


async def test_a_gateway_killed_before_the_read_back_calls_it_unknown_and_writes_no_second_time(
    folder: Path,
) -> None:
    board = Board()
    async with board.server:
        made = gateway(folder, board.server.port)
        await asyncio.to_thread(made.start)
        try:
            await online(made)
            wish = {"device": "relays", "point": "on_1", "value": True, "reason": "试验"}
            prepared = await asyncio.to_thread(made.post, "/commands", wish)
            board.server.faults["relays"] = Fault(dead=True)  # it obeys, but its answers are lost
            confirmation = {"token": prepared["token"]}
            confirming = asyncio.create_task(
                asyncio.to_thread(_post, made, "/commands/confirm", confirmation)
            )
            async with asyncio.timeout(20):
                while not board.writes:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(made.kill)
            assert isinstance(await confirming, httpx.HTTPError)
            board.server.faults.clear()
            await asyncio.to_thread(made.start)
            await online(made)
            (record,) = (await asyncio.to_thread(made.get, "/commands"))["items"]
            assert record["state"] == "unknown"
            assert board.writes == 1
            again = await asyncio.to_thread(_post, made, "/commands/confirm", confirmation)
            assert again == {"code": "invalid_token"}
            assert board.writes == 1
            await asyncio.to_thread(made.stop)
        finally:
            made.close()


def _post(made: Gateway, path: str, body: dict[str, Any]) -> Any:
    """The answer's problem code, or how the connection ended."""
    headers = {"Authorization": f"Bearer {made._token}"}
    url = f"{made.url}/api/v1{path}"
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        return error
    return {"code": answer.json().get("code")}
