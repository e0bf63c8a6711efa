"""钉钉 robots, signed.

Signature: base64 of HMAC-SHA256 with the secret as key over `timestamp_ms\\nsecret`, in the
query. Limits: 20 messages a minute, then ten minutes of silence (code 130101).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import quote_plus

from edge.channels.channel import Notice
from edge.channels.http import client
from edge.channels.robot import ask_robot
from edge.channels.text import text_of

TEXT_LIMIT = 16_000
BUSY = {130101: 600.0, -1: 5.0, 88: 60.0}
"""Codes worth another try: throttled for ten minutes, system busy, request limit."""


def sign(secret: str, timestamp_ms: int) -> str:
    """The signature, not yet quoted for the query."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class DingtalkChannel:
    """Sends text messages to one robot."""

    def __init__(
        self,
        name: str,
        url: str,
        token: str,
        secret: str | None,
        priorities: frozenset[int],
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.priorities = priorities
        self._url = f"{url.rstrip('/')}/robot/send?access_token={quote_plus(token)}"
        self._secret = secret
        self._seconds = seconds
        self._http = client()

    async def send(self, notice: Notice) -> str:
        """Delivered only when the body says `errcode` 0."""
        url = self._url
        if self._secret is not None:
            stamp = int(self._seconds() * 1000)
            url += f"&timestamp={stamp}&sign={quote_plus(sign(self._secret, stamp))}"
        message = {"msgtype": "text", "text": {"content": text_of(notice, TEXT_LIMIT)}}
        return await ask_robot(self._http, url, message, BUSY)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
