"""A push provider on loopback: answers what it is told to, keeps what it got."""

from __future__ import annotations

from collections import deque
from typing import Any, Self

import msgspec

from cloud_sync.loopback import Answer, LoopbackServer, Request


class PushReceiver:
    """Answers 200 `{"errcode":0}` unless `answers` holds others; `None` in it hangs up."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: deque[Answer | None] = deque()
        self._server = LoopbackServer(self._answer)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.__aexit__(*exc_info)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    @property
    def bodies(self) -> list[Any]:
        """The decoded JSON bodies."""
        return [msgspec.json.decode(request.body) for request in self.requests]

    async def _answer(self, request: Request) -> Answer | None:
        self.requests.append(request)
        if self.answers:
            return self.answers.popleft()
        return Answer.json(200, {"errcode": 0, "errmsg": "ok"})
