"""钉钉 robots, signed.

Signature: base64 of HMAC-SHA256 with the secret as key over `timestamp_ms\\nsecret`, in the
query. Limits: 20 messages a minute, then ten minutes of silence (code 130101).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote_plus

from edge.channels.robot import SignedRobot


def sign(secret: str, timestamp_ms: int) -> str:
    """The signature, not yet quoted for the query."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class DingtalkChannel(SignedRobot):
    """One robot."""

    text_limit = 16_000
    busy: ClassVar[Mapping[int, float]] = {130101: 600.0, -1: 5.0, 88: 60.0}
    """Throttled for ten minutes, system busy, request limit."""

    @staticmethod
    def path(token: str) -> str:
        """See `SignedRobot`."""
        return f"/robot/send?access_token={quote_plus(token)}"

    def order(self, text: str) -> tuple[str, Mapping[str, object]]:
        """See `RobotChannel`."""
        url = self._url
        if self._secret is not None:
            stamp = int(self._seconds() * 1000)
            url += f"&timestamp={stamp}&sign={quote_plus(sign(self._secret, stamp))}"
        return url, {"msgtype": "text", "text": {"content": text}}
