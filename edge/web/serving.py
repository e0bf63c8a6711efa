"""Uvicorn as the gateway runs it: no signal handlers, no ticker, and no header but the answer's own."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from edge.web.certificate import Certificate
from edge.web.patience import PatientProtocol

STOP_S = 3
"""Requests under way get this long to end when the server stops."""
MOST_CONNECTIONS = 300


class Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers and without its ticker: it sleeps until asked to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leaves the signals to the agent."""
        yield

    async def main_loop(self) -> None:
        """Waits for `stop`; the ticker would wake the process ten times a second for a date header."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Lets `serve` end."""
        self._stopping.set()


def uvicorn_of(app: ASGIApp, certificate: Certificate | None) -> Uvicorn:
    """The server of an application; with a certificate it speaks TLS."""
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        # Peer addresses decide on limits and on /metrics: no header may change them.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=STOP_S,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    return Uvicorn(config)
