"""飞书 robots, signed.

Signature: base64 of HMAC-SHA256 with `timestamp_s\\nsecret` as the key over nothing, in the
body: the other way round than 钉钉, and mixing them up is answered with 19021. Limits: 100
messages a minute and 5 a second (codes 11232, 9499).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from edge.channels.channel import Notice
from edge.channels.http import client
from edge.channels.robot import ask_robot
from edge.channels.text import text_of

TEXT_LIMIT = 20_000
BUSY = {11232: 60.0, 9499: 5.0}
"""Codes worth another try: too many messages."""


def sign(secret: str, timestamp_s: int) -> str:
    """The signature."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class FeishuChannel:
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
        self._url = f"{url.rstrip('/')}/open-apis/bot/v2/hook/{token}"
        self._secret = secret
        self._seconds = seconds
        self._http = client()

    async def send(self, notice: Notice) -> str:
        """Delivered only when the body says `code` 0."""
        message: dict[str, object] = {"msg_type": "text", "content": {"text": text_of(notice, TEXT_LIMIT)}}
        if self._secret is not None:
            stamp = int(self._seconds())
            message |= {"timestamp": str(stamp), "sign": sign(self._secret, stamp)}
        return await ask_robot(self._http, self._url, message, BUSY)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
