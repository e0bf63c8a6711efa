"""企业微信 group robots.

Limits: 20 messages a minute and robot, text at most 2048 bytes (rules.md 4.2).
"""

from __future__ import annotations

from edge.channels.channel import Notice
from edge.channels.http import client
from edge.channels.robot import ask_robot
from edge.channels.text import text_of

TEXT_LIMIT = 2048
BUSY = {45009: 60.0, -1: 5.0, 50001: 30.0}
"""Codes worth another try: too many messages, system busy."""


class WecomChannel:
    """Sends text messages to one robot."""

    def __init__(self, name: str, url: str, key: str, priorities: frozenset[int]) -> None:
        self.name = name
        self.priorities = priorities
        self._url = f"{url.rstrip('/')}/cgi-bin/webhook/send?key={key}"
        self._http = client()

    async def send(self, notice: Notice) -> str:
        """Delivered only when the body says `errcode` 0."""
        message = {"msgtype": "text", "text": {"content": text_of(notice, TEXT_LIMIT)}}
        return await ask_robot(self._http, self._url, message, BUSY)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
