"""Hears a broker for a while: what is retained or published meanwhile, for an installer's questions."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence

import aiomqtt

from drivers.errors import LineDown
from drivers.mqtt.settings import MqttLine
from drivers.settings import millis

MOST_TOPICS = 5000


async def hear(
    line: MqttLine, password: str | None, filters: Sequence[str], seconds: float
) -> Mapping[str, bytes]:
    """The last payload of each topic, at most `MOST_TOPICS`; LineDown when the broker is not there."""
    found: dict[str, bytes] = {}
    host, port = line.address
    try:
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=line.ca) if line.tls else None
        client = aiomqtt.Client(
            host,
            port,
            username=line.username,
            password=password,
            identifier=f"campus-edge-hears-{os.getpid()}",
            timeout=millis(line.timeout) / 1000,
            tls_context=tls,
        )
        async with client:
            await client.subscribe([(topic, 0) for topic in filters])
            try:
                async with asyncio.timeout(seconds):
                    async for message in client.messages:
                        topic = message.topic.value
                        if topic in found or len(found) < MOST_TOPICS:
                            found[topic] = _bytes(message.payload)
            except TimeoutError:
                pass
    except (aiomqtt.MqttError, OSError) as error:
        raise LineDown(f"{line.id}: {error}") from error
    return found


def _bytes(payload: object) -> bytes:
    return bytes(payload) if isinstance(payload, bytes | bytearray) else str(payload or "").encode()
