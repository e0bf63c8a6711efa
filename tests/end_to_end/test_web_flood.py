"""A web side under attack in little memory: readings and alarms go on, and afterwards it answers again."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.room import Room, a_room
from tests.support.facilities import needs
from tests.support.memory_limit import memory_limit

MEMORY = 300 << 20
STREAMS = 200
SLOW = 150
ASKING = 20


@contextlib.asynccontextmanager
async def attacked(room: Room) -> AsyncIterator[None]:
    """Dashboards beyond number, requests that never end, and some that ask without a pause."""
    port = room.gateway.port
    arguments = ("--data", str(room.gateway.data), "--role", "viewer", "--name", "flood")
    token = (await asyncio.to_thread(room.gateway.cli, "token", "create", *arguments)).strip()
    writers: list[asyncio.StreamWriter] = []

    async def connect(words: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words.encode())
        writers.append(writer)

    async def ask() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await client.get(f"{room.gateway.url}/api/v1/readings")
                await asyncio.sleep(0.005)

    head = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    for _ in range(STREAMS):
        await connect(f"GET /api/v1/stream HTTP/1.1\r\n{head}\r\n")
    for number in range(SLOW):
        method = "POST /api/v1/session" if number % 2 else "GET /api/v1/site"
        await connect(f"{method} HTTP/1.1\r\n{head}Content-Length: 1000\r\nX-Slow: " + "x" * number)
    try:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask()) for _ in range(ASKING)]
            try:
                yield
            finally:
                for task in asking:
                    task.cancel()
    finally:
        for writer in writers:
            writer.transport.abort()


@pytest.mark.timeout(180)
@needs("cgroup")
async def test_streams_slow_requests_and_a_flood_in_300_mb_hold_up_no_alarm_and_the_web_recovers(
    tmp_path: Path,
) -> None:
    with memory_limit(MEMORY) as limit:
        async with a_room(tmp_path) as room:
            room.gateway.prefix = limit.command
            await room.begin()
            async with attacked(room):
                await asyncio.sleep(2)
                for _ in range(20):
                    room.say()
                room.press(True)
                await room.until_pushed("panic", within_s=10)
                await asyncio.sleep(2)
                os.kill(room.gateway.pid, 0)  # it lives
            async with asyncio.timeout(30):
                while True:
                    with contextlib.suppress(AssertionError, httpx.HTTPError):
                        await room.until_shown()
                        break
                    await asyncio.sleep(0.5)
            await room.until_alarm("panic")
            print(f"\nthe most memory: {limit.peak / 1e6:.0f} MB")
            await asyncio.to_thread(room.gateway.stop)
            assert room.gateway.stored()["env-1", "co2"] == [float(n) for n in range(401, room.sent + 1)]


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_connections_that_say_nothing_do_not_lock_everybody_out_for_good(tmp_path: Path) -> None:
    async with a_room(tmp_path) as room:
        await room.begin()
        silent = [await asyncio.open_connection("127.0.0.1", room.gateway.port) for _ in range(320)]
        async with asyncio.timeout(90):
            while True:
                with contextlib.suppress(AssertionError, httpx.HTTPError):
                    if "status" in await asyncio.to_thread(room.gateway.get, "/health"):
                        break
                await asyncio.sleep(1)
        for _, writer in silent:
            writer.transport.abort()
        await asyncio.to_thread(room.gateway.stop)
