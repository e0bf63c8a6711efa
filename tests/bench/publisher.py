"""Devices that publish on MQTT at a steady rate, as a process of its own.

    python -m tests.bench.publisher BROKER_PORT DEVICES RATE

Each message is a JSON object of `MESSAGE_VALUES` numbers; `r00` is the message's number.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.child import obey
from tests.bench.system import FIELD_TOPIC, MESSAGE_VALUES

BEAT_S = 0.02


class _Publisher:
    def __init__(self, port: int, devices: int, rate: float) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(1000)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._rate = rate
        self._numbers = [0] * devices
        self._firsts = [1] * devices
        self._times: list[list[float]] = [[] for _ in range(devices)]

    async def run(self) -> None:
        """Publishes for ever, each device in turn; a late beat is made up for."""
        began, sent, devices = time.monotonic(), 0, len(self._numbers)
        while True:
            await asyncio.sleep(BEAT_S)
            due = int((time.monotonic() - began) * self._rate)
            for count in range(sent, due):
                self._publish(count % devices)
            sent = due

    def _publish(self, device: int) -> None:
        self._numbers[device] += 1
        number = self._numbers[device] & 0xFFFF
        values = {f"r{n:02d}": float(20 + n + number % 7) for n in range(1, MESSAGE_VALUES)}
        payload = json.dumps({"r00": number, **values})
        self._times[device].append(time.monotonic())
        self._client.publish(f"{FIELD_TOPIC}/d{device}", payload, qos=1)

    def clear(self) -> None:
        """Forgets what was published."""
        for device, number in enumerate(self._numbers):
            self._firsts[device] = number + 1
            self._times[device] = []

    def take(self) -> list[dict[str, Any]]:
        """For each device the number of its first message since `clear`, and the times of all."""
        return [{"first": f, "times": t} for f, t in zip(self._firsts, self._times, strict=True)]


async def _main(port: int, devices: int, rate: float) -> None:
    publisher = _Publisher(port, devices, rate)
    task = asyncio.get_running_loop().create_task(publisher.run())
    await obey({"clear": publisher.clear, "take": publisher.take}, True)
    task.cancel()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
