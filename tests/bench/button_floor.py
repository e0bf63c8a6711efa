"""The floor of a button press: a bare aiomqtt subscriber that POSTs, nothing durable.

python -m tests.bench.button_floor BROKER_PORT HOOK_URL
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiomqtt
import httpx

from tests.bench.system import BUTTON_TOPIC


async def _main(port: int, hook: str) -> None:
    async with (
        httpx.AsyncClient(trust_env=False) as http,
        aiomqtt.Client("127.0.0.1", port) as client,
    ):
        await client.subscribe(f"{BUTTON_TOPIC}/#", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            if json.loads(message.payload)["pressed"] is True:
                await http.post(hook, json={"type": "alarm", "topic": message.topic.value})


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
