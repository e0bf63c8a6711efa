"""Connections that ask nothing are given up: each takes one of the server's few places."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

PATIENCE_S = 20.0
"""A request's first line and headers are here after twice this at the latest, or the connection ends."""


class PatientProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, which by itself waits for ever for a connection's request to be whole."""

    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._looking = self.loop.call_later(PATIENCE_S, self._look, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look(self, before: RequestResponseCycle | None) -> None:
        """Ends a connection that had no request under way at this look, and none since the last one."""
        cycle: Any = self.cycle
        idle = cycle is None or cycle.response_complete
        if idle and cycle is before:
            self.transport.abort()
            return
        self._looking = self.loop.call_later(PATIENCE_S, self._look, cycle)
