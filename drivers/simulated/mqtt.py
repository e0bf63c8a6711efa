"""The simulated devices behind an MQTT broker: they publish by themselves, with QoS 1.

A message counts as sent when it is in the publisher's outbox: it stays there until the
broker has acknowledged it, over lost connections and broker restarts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import MQTTMessage

from drivers.mqtt.profile import MqttProfile
from drivers.mqtt.settings import MqttDevice
from drivers.reading import Millis
from drivers.simulated.device import VirtualDevice
from drivers.simulated.ledger import Ledger
from drivers.simulated.payloads import Message, MqttThing

TICK_S = 0.1
RECONNECT_S = 0.3
ACKNOWLEDGE_S = 5.0
_MOST_WAITING = 20_000


class _Client(aiomqtt.Client):
    """aiomqtt's client, giving each message to `receive` at once."""

    def __init__(self, receive: Callable[[MQTTMessage], None], **options: Any) -> None:
        super().__init__(**options)
        self._receive = receive

    def _on_message(self, client: PahoClient, userdata: Any, message: MQTTMessage) -> None:
        self._receive(message)


class MqttPublisher:
    """All devices of one broker. `run` publishes until cancelled; `producing` may be switched off."""

    def __init__(
        self,
        devices: Sequence[VirtualDevice],
        seed: int,
        address: tuple[str, int],
        login: tuple[str, str] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.producing = True
        self.address = address
        self._login = login
        self._ledger = ledger
        self._outbox: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._things = [_thing(device) for device in devices]
        rng = random.Random(f"mqtt-{seed}")  # noqa: S311 - repeatable phases
        self._due_s = [rng.uniform(0.0, min(1.0, thing.every_s)) for thing in self._things]

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return len(self._outbox)

    async def run(self) -> None:
        """Produces and sends until cancelled; a broker that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(), name="mqtt-devices")
            group.create_task(self._send(), name="mqtt-publisher")

    async def _produce(self) -> None:
        start = time.monotonic()
        while True:
            if self.producing:
                self._tick(time.monotonic() - start, time.time_ns() // 1_000_000)
            await asyncio.sleep(TICK_S)

    def _tick(self, elapsed_s: float, at: Millis) -> None:
        for index, thing in enumerate(self._things):
            messages = thing.wakes(at)
            if elapsed_s >= self._due_s[index]:
                self._due_s[index] += thing.every_s
                messages += thing.report(at)
            for message in messages:
                self.post(message)

    def post(self, message: Message) -> None:
        """Puts one message into the outbox; from here on it is delivered at least once."""
        if len(self._outbox) >= _MOST_WAITING:
            raise BufferError("the broker has been away for too long")
        if self._ledger is not None:
            self._ledger.record(message.device, message.values)
        self._outbox.append(message)
        self._filled.set()

    async def _send(self) -> None:
        while True:
            try:
                await self._session()
            except aiomqtt.MqttError:  # away, or gone: what is in the outbox waits
                await asyncio.sleep(RECONNECT_S)

    async def _session(self) -> None:
        user, password = self._login or (None, None)
        host, port = self.address
        client = _Client(
            self._obey, hostname=host, port=port, username=user, password=password, timeout=ACKNOWLEDGE_S
        )
        async with client:
            for thing in self._things:
                for message in thing.availability(online=True):
                    await _publish(client, message)
                for topic in thing.command_topics():
                    await client.subscribe(topic, qos=1)
            while True:
                while self._outbox:
                    await _publish(client, self._outbox[0])
                    self._outbox.popleft()
                self._filled.clear()
                await self._filled.wait()

    def _obey(self, message: MQTTMessage) -> None:
        """Carries out what is written to a device, which reports it at once."""
        payload = bytes(message.payload).decode(errors="replace")
        for thing in self._things:
            for report in thing.obey(message.topic, payload, time.time_ns() // 1_000_000):
                self.post(report)


async def _publish(client: aiomqtt.Client, message: Message) -> None:
    """Returns when the broker has acknowledged; MqttError when it does not.

    aiomqtt waits with `asyncio.wait_for`, which before Python 3.12 loses a cancellation
    that comes together with the acknowledgement: it is asked for and heeded here.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    await client.publish(message.topic, message.payload, qos=1, retain=message.retain)
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


def _thing(device: VirtualDevice) -> MqttThing:
    settings, profile = device.settings, device.profile
    if not isinstance(settings, MqttDevice) or not isinstance(profile, MqttProfile):
        raise ValueError(f"{settings.id} does not speak MQTT")
    return MqttThing(device, profile, settings)
