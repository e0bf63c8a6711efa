"""The demo as a person starts it: a process, real protocols, real processes below it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


def demo(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge", "demo", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_of(folder: Path) -> list[str]:
    """Command lines of processes that work on a data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


@pytest.mark.timeout(150)
def test_a_demo_through_a_power_cut_ends_with_store_and_district_equal(tmp_path: Path) -> None:
    process = demo(
        *("--port", str(free_port()), "--data", str(tmp_path / "data"), "--for", "22s", "--seed", "5"),
        *("--scenario", "power-cut"),
    )
    out, err = process.communicate(timeout=140)
    assert process.returncode == 0, out + err
    assert out.count("First-run token:") == 2, "the gateway was killed and started again"
    rows = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    held, stored = (int(word) for word in rows["district"].split() if word.isdecimal())
    assert held == stored > 500
    raised, cleared = (int(word) for word in rows["alarms"].split() if word.isdecimal())
    assert raised >= cleared >= 1
    assert not children_of(tmp_path)


@pytest.mark.timeout(90)
def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    port = free_port()
    process = demo("--port", str(port), "--data", str(tmp_path / "data"))
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/api/v1/health", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        assert len(children_of(tmp_path)) >= 3, "the demo, the gateway and the broker"
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    assert not children_of(tmp_path)


def test_a_wrong_scenario_and_a_taken_port_are_told_in_a_sentence(tmp_path: Path) -> None:
    process = demo("--scenario", "flood", "--data", str(tmp_path))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "unknown scenario flood" in out and "gas-leak" in out
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = demo("--port", str(taken.getsockname()[1]), "--data", str(tmp_path))
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--port" in out
