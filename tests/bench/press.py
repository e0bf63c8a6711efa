"""Buttons on MQTT and the desk that is told by webhook, in one process, so that one clock times both.

python -m tests.bench.press BROKER_PORT
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import aiomqtt

from cloud_sync.loopback import Answer, LoopbackServer, Request
from tests.bench.child import obey
from tests.bench.system import BUTTON_TOPIC

PATIENCE_S = 5.0
PAUSE_S = (0.02, 0.12)


class _Desk:
    """Takes POSTs; tells when the next one came."""

    def __init__(self) -> None:
        self._came: asyncio.Future[float] | None = None

    async def answer(self, request: Request) -> Answer:
        """Always taken."""
        if self._came is not None and not self._came.done():
            self._came.set_result(time.monotonic())
        return Answer.json(200, {"ok": True})

    def next(self) -> asyncio.Future[float]:
        """When the next POST arrives."""
        self._came = asyncio.get_running_loop().create_future()
        return self._came


async def _main(port: int) -> None:
    desk = _Desk()
    chance = random.Random(1)

    async def press(first: int, count: int) -> list[float | None]:
        """Presses buttons one after the other; seconds from publishing to the POST, None where none came."""
        took: list[float | None] = []
        async with aiomqtt.Client("127.0.0.1", port) as client:
            for number in range(first, first + count):
                await asyncio.sleep(chance.uniform(*PAUSE_S))
                told = desk.next()
                began = time.monotonic()
                await client.publish(f"{BUTTON_TOPIC}/b{number}", b'{"pressed": true}', qos=1)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        took.append(await told - began)
                except TimeoutError:
                    took.append(None)
        return took

    async with LoopbackServer(desk.answer) as server:
        await obey({"press": press}, f"{server.url}/hook")


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
