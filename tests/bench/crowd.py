"""People at the dashboard: clients of this gateway's event stream, as one process.

    python -m tests.bench.crowd PORT TOKEN CLIENTS

`take` answers for each client which reads it saw since `clear`: `[device, read number]`.
"""

from __future__ import annotations

import asyncio
import sys

from tests.bench.child import obey
from tests.bench.watch import listener


async def _main(port: int, token: str, clients: int) -> None:
    crowd = [listener("sse", port, [token]) for _ in range(clients)]
    for one in crowd:
        await one.open()

    def clear() -> None:
        for one in crowd:
            one.clear()

    def take() -> list[list[tuple[str, int]]]:
        return [[(device, number) for device, number, _ in one.take()] for one in crowd]

    await obey({"clear": clear, "take": take}, True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
