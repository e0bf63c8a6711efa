"""The part of a ThingsBoard server that its gateway waits for, as a process of its own.

    python -m tests.bench.platform PORT

The gateway asks for its session's limits and sends nothing before they came. They are
answered as an installation without rate limits does; telemetry needs no answer but the
broker's own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.child import obey

REQUESTS = "v1/devices/me/rpc/request/+"
LIMITS = {
    "maxPayloadSize": 65536, "maxInflightMessages": 100,
    "rateLimits": {"messages": "0:0", "telemetryMessages": "0:0", "telemetryDataPoints": "0:0"},
    "gatewayRateLimits": {"messages": "0:0", "telemetryMessages": "0:0", "telemetryDataPoints": "0:0"},
}  # fmt: skip


async def _main(port: int) -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    listening = threading.Event()

    def answer(_client: Any, _data: Any, request: MQTTMessage) -> None:
        number = request.topic.rpartition("/")[2]
        client.publish(f"v1/devices/me/rpc/response/{number}", json.dumps(LIMITS), qos=1)

    def connected(*_: Any) -> None:
        client.subscribe(REQUESTS, qos=1)

    def subscribed(*_: Any) -> None:
        listening.set()

    def lost(*_: Any) -> None:
        listening.clear()

    client.on_message, client.on_connect = answer, connected
    client.on_subscribe, client.on_disconnect = subscribed, lost
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    await obey({"listening": listening.is_set}, True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
