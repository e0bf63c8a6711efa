"""飞书 robots, signed.

Signature: base64 of HMAC-SHA256 with `timestamp_s\\nsecret` as the key over nothing, in the
body: the other way round than 钉钉, and mixing them up is answered with 19021. Limits: 100
messages a minute and 5 a second (codes 11232, 9499).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import ClassVar

from edge.channels.robot import SignedRobot


def sign(secret: str, timestamp_s: int) -> str:
    """The signature."""
    digest = hmac.new(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class FeishuChannel(SignedRobot):
    """One robot."""

    text_limit = 20_000
    busy: ClassVar[Mapping[int, float]] = {11232: 60.0, 9499: 5.0}
    """Too many messages."""

    @staticmethod
    def path(token: str) -> str:
        """See `SignedRobot`."""
        return f"/open-apis/bot/v2/hook/{token}"

    def order(self, text: str) -> tuple[str, Mapping[str, object]]:
        """See `RobotChannel`."""
        message: dict[str, object] = {"msg_type": "text", "content": {"text": text}}
        if self._secret is not None:
            stamp = int(self._seconds())
            message |= {"timestamp": str(stamp), "sign": sign(self._secret, stamp)}
        return self._url, message
