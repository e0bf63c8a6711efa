"""The demo's district as a process of its own: it checks, parses and holds what it is sent.

    python -m tests.bench.stand_in

Slower than a district that only takes: how a sender fares beside a server that works.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from cloud_sync.loopback import Answer, Request
from cloud_sync.stand_in import StandIn
from tests.bench.child import Commands, obey

ORG, BUCKET, TOKEN = "bench", "bench", "token"


class _Counting(StandIn):
    """Keeps the bodies, and after each write the time and how many points are held."""

    def __init__(self) -> None:
        super().__init__(ORG, BUCKET, TOKEN)
        self.bodies: list[bytes] = []
        self.held: list[tuple[float, int]] = []

    async def _answer(self, request: Request) -> Answer | None:
        answer = await super()._answer(request)
        if request.method == "POST" and answer is not None and answer.status == 204:
            self.bodies.append(request.body)
            self.held.append((time.monotonic(), self.points()))
        return answer

    def dump(self, folder: str) -> int:
        """Writes the bodies into files `0`, `1`, ...; how many."""
        for number, body in enumerate(self.bodies):
            (Path(folder) / str(number)).write_bytes(body)
        return len(self.bodies)


async def _main() -> None:
    async with _Counting() as server:
        commands: Commands = {
            "points": server.points, "held": lambda: server.held, "dump": server.dump,
            "writes": lambda: len(server.bodies),
        }  # fmt: skip
        await obey(commands, server.url)


if __name__ == "__main__":
    asyncio.run(_main())
