"""A configuration that is spoilt while the gateway runs is refused at its line; the last good one runs on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.config.load import ConfigError, load
from tests.end_to_end.room import Room, a_room

LEVELS = 9
BOMBS = {
    "a word that is none": ("version: 1\nsite: {id: test}\nliens: []\n", ":3:"),
    "an alias": ("version: 1\nsite: &a {id: test}\nspaces: [*a, *a]\n", ":2:"),
    "a billion laughs": (
        "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, LEVELS)),
        ":1:",
    ),
    "nesting without end": ("version: 1\nsite: " + "[" * 50_000, ":2:"),
    "a key said twice": ("version: 1\nversion: 1\n", ":2:"),
    "an object to be built": ("version: !!python/object/apply:os.system [exit]\n", ":1:"),
    "too large": ("version: 1\nsite: {id: " + "x" * 3_000_000 + "}\n", "school.yaml"),
    "no text": ("\x00\xff\x00", "school.yaml"),
    "nothing": ("", "school.yaml"),
}
REFUSED = "the configuration is not used, the old one runs on"


async def _reload(room: Room, text: str, says: str) -> str:
    """Puts a text in place of the configuration, asks for it, and waits for a sentence in the log."""
    before = len(room.gateway.log.read_text())
    room.gateway.config.write_text(text, encoding="utf-8")
    os.kill(room.gateway.pid, signal.SIGHUP)
    async with asyncio.timeout(20):
        while says not in (said := room.gateway.log.read_text()[before:]):
            await asyncio.sleep(0.05)
    return said


@pytest.mark.timeout(120)
async def test_bombs_and_bad_edits_are_refused_at_their_line_and_the_last_good_one_runs_on(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        good = room.gateway.config.read_text(encoding="utf-8")
        for name, (text, place) in BOMBS.items():
            said = await _reload(room, text, REFUSED)
            await asyncio.sleep(0.1)
            said = room.gateway.log.read_text()
            assert place in said[said.rindex(REFUSED) :], name
            assert len(said) < 100_000, f"{name}: a log must not be filled by it"
            room.say()
            await room.until_shown()
        await _reload(room, good.replace("一〇一", "二〇二"), "the configuration has changed")
        async with asyncio.timeout(20):
            while (await room.get("/spaces"))["items"][-1]["name"] != "二〇二":
                await asyncio.sleep(0.1)
        room.press(True)
        await room.until_pushed("panic")
        await asyncio.to_thread(room.gateway.stop)


async def test_a_file_that_a_power_cut_left_half_written_is_told_and_never_half_used(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        path = room.gateway.config
        whole = json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False, indent=1)
        path.write_text(whole, encoding="utf-8")
        ids = _ids(load(path))
        data = whole.encode()
        for cut in range(0, len(data), 101):
            for rest in (b"", bytes(len(data) - cut)):  # some file systems leave zeros behind
                path.write_bytes(data[:cut] + rest)
                with pytest.raises(ConfigError) as refused:
                    load(path)
                assert str(path) in str(refused.value)
        path.write_bytes(data)
        assert _ids(load(path)) == ids


@pytest.mark.timeout(120)
async def test_a_restart_with_a_faulty_file_runs_the_last_good_one_and_says_so(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        config = room.gateway.config
        good = config.read_bytes()
        config.write_bytes(good[: len(good) // 2])
        first = _run(room)
        assert (first.returncode, str(config) in first.stderr) == (2, True), "nothing to fall back on yet"
        config.write_bytes(good)
        await room.begin()
        await room.until_check("configuration", "ok")
        await asyncio.to_thread(room.gateway.kill)

        config.write_bytes(good[: len(good) // 2])
        await room.begin()
        check = await room.until_check("configuration", "degraded")
        assert f"{config}:1:" in check["detail"]
        assert f"{config}:1:" in room.gateway.log.read_text().rpartition("THE CONFIGURATION IS FAULTY")[2]
        room.say()
        await room.until_shown()
        alarm = await room.until_alarm("configuration-faulty")
        assert alarm["title"]["zh"] == "配置有错，按上次可用的配置运行"
        await room.until_pushed("configuration-faulty")
        room.press(True)
        await room.until_pushed("panic")
        done = subprocess.run(
            [sys.executable, "-m", "edge", "check", "-c", config], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, "the other commands show the faults"

        await _reload(room, good.decode().replace("一〇一", "二〇二"), "the configuration has changed")
        await room.until_check("configuration", "ok")
        assert (await room.get("/spaces"))["items"][-1]["name"] == "二〇二"
        async with asyncio.timeout(20):
            while (await room.until_alarm("configuration-faulty"))["cleared_at"] is None:
                await asyncio.sleep(0.2)
        await asyncio.to_thread(room.gateway.stop)
        assert b"s3cret" not in b"".join(p.read_bytes() for p in room.gateway.data.glob("last-good/*.yaml"))


def _run(room: Room) -> subprocess.CompletedProcess[str]:
    """The gateway as a command that must end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "edge", "run", "-c", room.gateway.config, "--data", room.gateway.data],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def _ids(configuration: Any) -> set[str]:
    return set(configuration.devices)
