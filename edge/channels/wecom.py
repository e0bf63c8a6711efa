"""企业微信 group robots.

Limits: 20 messages a minute and robot, text at most 2048 bytes (rules.md 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from edge.channels.robot import RobotChannel

TEXT_LIMIT = 2048


class WecomChannel(RobotChannel):
    """One robot."""

    text_limit = TEXT_LIMIT
    busy: ClassVar[Mapping[int, float]] = {45009: 60.0, -1: 5.0, 50001: 30.0}
    """Too many messages, system busy."""

    def __init__(self, name: str, url: str, key: str, priorities: frozenset[int]) -> None:
        super().__init__(name, f"{url.rstrip('/')}/cgi-bin/webhook/send?key={key}", priorities)

    def order(self, text: str) -> tuple[str, Mapping[str, object]]:
        """See `RobotChannel`."""
        return self._url, {"msgtype": "text", "text": {"content": text}}
