"""Who hears of the demo's alarms: a webhook receiver on loopback that checks the signatures."""

from __future__ import annotations

import hmac
import json
from typing import Self

from cloud_sync.loopback import Answer, LoopbackServer, Request
from edge.channels.webhook import sign


class PushReceiver:
    """Counts the pushes it has taken; an async context manager that listens while open."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._server = LoopbackServer(self._answer, max_body=1_000_000)
        self._seen: set[str] = set()
        self.raised = 0
        self.cleared = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    @property
    def url(self) -> str:
        """What a webhook channel's `url` must be."""
        return f"{self._server.url}/push"

    @property
    def taken(self) -> int:
        """Different pushes taken."""
        return len(self._seen)

    async def _answer(self, request: Request) -> Answer:
        name = request.headers.get("webhook-id", "")
        stamp = request.headers.get("webhook-timestamp", "")
        signature = request.headers.get("webhook-signature", "")
        if not stamp.isdecimal() or not hmac.compare_digest(
            signature, sign(self._secret, name, int(stamp), request.body)
        ):
            self.refused += 1
            return Answer(401)
        if name not in self._seen:
            self._seen.add(name)
            self._count(request.body)
        return Answer(204)

    def _count(self, body: bytes) -> None:
        kind = json.loads(body).get("type")
        self.raised += kind == "alarm.raised"
        self.cleared += kind == "alarm.cleared"
