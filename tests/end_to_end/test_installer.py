"""An installer beside a running gateway: scan, read, capture; and what was captured played again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.simulated.bus import Bus
from drivers.simulated.modbus_tcp import SerialServer
from drivers.simulated.replay import Replay, read_recording
from drivers.simulated.serial import PtyLine
from tests.edge.commissioning.rehearsal import device
from tests.support.gateway import Gateway

pytestmark = pytest.mark.timeout(600)  # a hang guard: the machine may be busy

METER = "202211304417"


def gateway(folder: Path, url: str, **line: Any) -> Gateway:
    return Gateway(
        folder,
        {
            "site": {"id": "s", "name": "校", "district": "d", "latitude": 34.5, "longitude": 109.5},
            "spaces": [{"id": "r1", "name": "教室", "kind": "classroom"}],
            "lines": [{"id": "bus", "url": url, **line}],
            "devices": [
                {"id": "env-1", "space": "r1", "line": "bus", "protocol": "modbus-rtu",
                 "profile": "renke-rs-ws-n01", "address": 1, "every": "500ms"},
            ],
        },
        secrets={}, profiles={},
    )  # fmt: skip


def campus(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *words]
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, cwd=cwd,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "HOME": str(cwd), "USER": "installer"},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gateway"


async def test_a_running_gateway_lends_its_line_and_goes_on_reading(folder: Path, tmp_path: Path) -> None:
    sensors = [device("renke-rs-ws-n01", "modbus-rtu", unit, f"env-{unit}") for unit in (1, 3)]
    meter = device("dlt645-2007-single-phase", "dlt645", METER, "em")
    async with PtyLine(Bus([*sensors, meter], 9600, seed=1), tmp_path / "bus"):
        made = gateway(folder, f"serial:{tmp_path / 'bus'}", timeout="300ms")
        own = ["-c", str(made.config), "--data", str(made.data)]

        async def run(*words: str) -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(campus, *words, cwd=tmp_path)

        await asyncio.to_thread(made.start)
        try:
            before = await _rounds(made)
            narrowed = [
                "--protocols",
                "modbus-rtu,dlt645",
                "--addresses",
                "1-4",
                "--baud",
                "9600 8N1,2400 8N1",
            ]
            scanned = await run("scan", "bus", *narrowed, *own, "--json")
            assert scanned.returncode == 0, scanned.stderr
            seen = json.loads(scanned.stdout)["seen"]
            assert {(one["protocol"], one["address"], one["known"]) for one in seen} == {
                ("modbus-rtu", "1", "env-1"), ("modbus-rtu", "3", ""), ("dlt645", METER, ""),
            }  # fmt: skip
            yaml = json.loads(scanned.stdout)["yaml"]
            assert "address: 3" in yaml and f'"{METER}"' in yaml and "address: 1," not in yaml
            assert await _rounds(made) > before, "the gateway went on reading"

            read = await run("read", "env-1", *own, "--json")
            assert read.returncode == 0, read.stderr
            values = {one["point"]: one["value"] for one in json.loads(read.stdout)["readings"]}
            assert values == {"humidity": 45.6, "temperature": 23.4}

            captured = await run("capture", "bus", "--out", str(tmp_path / "bus.jsonl"), "--for", "2s", *own)
            assert captured.returncode == 0, captured.stderr

            stranger = await run("scan", f"serial:{tmp_path / 'bus'}", "--protocols", "dlt645")
            assert stranger.returncode == 1
            assert "-c" in stranger.stderr
        finally:
            await asyncio.to_thread(made.stop)
        tokens = await asyncio.to_thread(made.cli, "audit", "verify", "--data", str(made.data))
        assert "whole" in tokens
    recording = read_recording((tmp_path / "bus.jsonl").read_text().splitlines())
    assert recording
    async with SerialServer(Replay(recording)) as server:
        desk = gateway(tmp_path / "desk", f"tcp://127.0.0.1:{server.port}")
        again = await run("read", "env-1", "-c", str(desk.config), "--data", str(desk.data), "--json")
        assert again.returncode == 0, again.stderr
        values = {one["point"]: one["value"] for one in json.loads(again.stdout)["readings"]}
        assert values == {"humidity": 45.6, "temperature": 23.4}


async def test_a_free_line_is_scanned_directly_and_a_scan_that_was_cut_goes_on(tmp_path: Path) -> None:
    sensor = device("renke-rs-ws-n01", "modbus-rtu", 2)
    async with PtyLine(Bus([sensor], 9600, seed=1), tmp_path / "bus"):
        words = ["scan", f"serial:{tmp_path / 'bus'}", "--protocols", "modbus-rtu", "--baud", "9600 8N1",
                 "--addresses", "1-3"]  # fmt: skip
        done = await asyncio.to_thread(campus, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "address: 2" in done.stdout and "renke-rs-ws-n01" in done.stdout
        assert not list(tmp_path.glob("campus-scan-*.json"))
        for wrong in (["scan", "nowhere"], ["scan", "tcp://x"], [*words, "--baud", "fast"],
                      [*words, "--protocols", "x10"], [*words, "--addresses", "0-9"]):  # fmt: skip
            assert (await asyncio.to_thread(campus, *wrong, cwd=tmp_path)).returncode == 2, wrong


async def _rounds(made: Gateway) -> int:
    async with asyncio.timeout(120):
        while True:
            health = (await asyncio.to_thread(made.get, "/devices/env-1"))["health"]
            if health["ok"]:
                return int(health["ok"])
            await asyncio.sleep(0.1)
