"""GET /stream: server-sent events."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from edge.web.api.context import Context, Here
from edge.web.auth import Principal, Viewer
from edge.web.live import Client, Full, events
from edge.web.problems import Problem
from edge.web.views.base import instant

router = APIRouter(tags=["values"])

SEND_WAIT_S = 30.0
"""A client that takes nothing for this long is let go."""


@router.get(
    "/stream",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}, "description": "events until the session ends"}},
)
async def stream(request: Request, who: Viewer, here: Here) -> Response:
    """`hello`, then `reading`, `alarm`, `line`, `sync` as things change, and `beat` every 5 s.

    `Last-Event-ID` resumes; `resync` says that events were missed and the lists must be
    read again. The stream does not keep the session alive and ends with it.
    """
    return EventStream(here, who, request.headers.get("last-event-id"))


class EventStream(Response):
    """One client's stream; takes its place in the hub only when it is sent."""

    media_type = "text/event-stream"

    def __init__(self, here: Context, who: Principal, last_event_id: str | None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._here = here
        self._who = who
        self._last_event_id = last_event_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams until the client goes, the session ends or the hub closes."""
        try:
            with self._here.hub.client(self._last_event_id) as client:
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(_close_when_gone(receive, client), name="stream-watch")
                    await self._send_all(client, send)
                    watching.cancel()
        except Full:
            problem = Problem(
                503, "too_many_streams", "too many are listening", headers={"Retry-After": "10"}
            )
            await problem.response()(scope, receive, send)

    async def _send_all(self, client: Client, send: Send) -> None:
        expires_at = None if self._who.expires_at is None else instant(self._who.expires_at)
        hello = msgspec.json.encode({"session_expires_at": expires_at})
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for piece in events(client, hello, lambda: self._here.authority.still(self._who)):
                async with asyncio.timeout(SEND_WAIT_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close_when_gone(receive: Receive, client: Client) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    client.close()
