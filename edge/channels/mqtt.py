"""Notices on an MQTT topic: for stack lights, displays and public address in the building."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

import aiomqtt
import msgspec

from edge.channels.channel import Notice, Undelivered
from edge.channels.settings import MqttPushSettings

TIMEOUT_S = 10.0


class MqttPushChannel:
    """Publishes with QoS 1 on a connection a notice: notices are rare, a broker's word is the delivery."""

    def __init__(
        self, name: str, settings: MqttPushSettings, password: str | None, priorities: frozenset[int]
    ) -> None:
        self.name = name
        self.priorities = priorities
        self._settings = settings
        self._password = password

    async def send(self, notice: Notice) -> str:
        """Delivered when the broker has acknowledged the message."""
        parts = urlsplit(self._settings.url)
        secure = parts.scheme == "mqtts"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                aiomqtt.Client(
                    parts.hostname or "",
                    parts.port or (8883 if secure else 1883),
                    username=self._settings.username,
                    password=self._password,
                    tls_context=ssl.create_default_context() if secure else None,
                ) as broker,
            ):
                await broker.publish(self._settings.topic, msgspec.json.encode(notice), qos=1)
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            raise Undelivered(f"{type(error).__name__}: {str(error)[:200]}") from error
        return "acknowledged by the broker"

    async def close(self) -> None:
        """Nothing is kept open."""
