"""A district on loopback that takes every write at once and keeps it, as a process of its own.

    python -m tests.bench.district

What it holds is looked at afterwards only, so that a sender is measured and not the server.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from cloud_sync.loopback import Answer, LoopbackServer, Request
from tests.bench.child import Commands, obey

BODY_BYTES = 16_000_000


@dataclass
class _Held:
    """Bodies as they came: arrival (monotonic s), arrival (epoch ms), gzipped or not, bytes."""

    writes: list[tuple[float, float, bool, bytes]] = field(default_factory=list)
    _counted: list[int] = field(default_factory=list)

    async def answer(self, request: Request) -> Answer | None:
        """204."""
        if request.method == "POST":
            packed = request.headers.get("content-encoding") == "gzip"
            self.writes.append((time.monotonic(), time.time() * 1000, packed, request.body))
        return Answer(204)

    def clear(self) -> None:
        """Forgets everything."""
        self.writes = []
        self._counted = []

    def points(self) -> int:
        """Points (fields) that came; each write is unpacked once, at the first question behind it."""
        for write in self.writes[len(self._counted) :]:
            self._counted.append(sum(_look(line)[2] for line in _lines(write)))
        return sum(self._counted)

    def held(self) -> list[tuple[float, int]]:
        """When each write came (monotonic s), and how many points had come with it."""
        self.points()
        times = [write[0] for write in self.writes]
        return list(zip(times, accumulate(self._counted), strict=True))

    def dump(self, folder: str) -> int:
        """Writes the gzipped bodies into files `0`, `1`, ...; how many."""
        packed = [body for _, _, gzipped, body in self.writes if gzipped]
        for number, body in enumerate(packed):
            (Path(folder) / str(number)).write_bytes(body)
        return len(packed)

    def numbers(self) -> dict[str, list[int]]:
        """Device -> the read numbers (field r00) that came, in order, copies included."""
        found: dict[str, list[int]] = {}
        for write in self.writes:
            for device, number, _ in map(_look, _lines(write)):
                if number is not None:
                    found.setdefault(device, []).append(number)
        return found

    def delays(self, since: float) -> list[float]:
        """Of points measured after `since` (epoch ms): milliseconds until they came, for each line."""
        found = []
        for write in self.writes:
            for line in _lines(write):
                at = int(line.rpartition(b" ")[2])
                if at >= since:
                    found.append(write[1] - at)
        return found


def _lines(write: tuple[float, float, bool, bytes]) -> list[bytes]:
    body = gzip.decompress(write[3]) if write[2] else write[3]
    return [line for line in body.split(b"\n") if line]


def _look(line: bytes) -> tuple[str, int | None, int]:
    """(device, read number, points) of a line whose tags and fields hold no blanks."""
    head, _, rest = line.partition(b" ")
    fields = rest.partition(b" ")[0].split(b",")
    device = head.partition(b",device=")[2].partition(b",")[0].decode()
    number = next((int(float(f[4:].rstrip(b"i"))) for f in fields if f.startswith(b"r00=")), None)
    return device, number, len(fields)


class _Link:
    """The way to the district: while it is down connections are closed, and new ones refused."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._up = AsyncExitStack()
        self._down = True

    async def switch(self, down: bool) -> float:
        """Goes down or comes up on the same port; when (monotonic s)."""
        if down and not self._down:
            await self._up.aclose()
        if not down and self._down:
            await self._up.enter_async_context(self._server)
        self._down = down
        return time.monotonic()


async def _main() -> None:
    held = _Held()
    server = LoopbackServer(held.answer, 0, BODY_BYTES)
    link = _Link(server)
    await link.switch(down=False)
    try:
        commands: Commands = {
            "clear": held.clear,
            "writes": lambda: len(held.writes),
            "dump": held.dump,
            "switch": link.switch,
            "points": held.points,
            "held": held.held,
            "numbers": held.numbers,
            "delays": held.delays,
        }
        await obey(commands, server.url)
    finally:
        await link.switch(down=True)


if __name__ == "__main__":
    asyncio.run(_main())
