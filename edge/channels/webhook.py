"""Webhooks by the Standard Webhooks convention (standardwebhooks.com, spec 1.0.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

import msgspec

from edge.channels.channel import Notice
from edge.channels.http import client, post


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 over `id.timestamp.body`; a `whsec_` secret is base64."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class WebhookChannel:
    """Posts each notice as JSON: `{type: alarm.raised | alarm.cleared, timestamp, data}`."""

    def __init__(
        self,
        name: str,
        url: str,
        secret: str | None,
        priorities: frozenset[int],
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.priorities = priorities
        self._url = url
        self._secret = secret
        self._seconds = seconds
        self._http = client()

    async def send(self, notice: Notice) -> str:
        """A 2xx that is no web page is a delivery."""
        body = msgspec.json.encode(
            {"type": f"alarm.{notice.change}", "timestamp": notice.when, "data": notice}
        )
        stamp = int(self._seconds())
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(stamp),
        }
        if self._secret is not None:
            headers["webhook-signature"] = sign(self._secret, notice.id, stamp, body)
        await post(self._http, self._url, body, headers)
        return "2xx"

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
