"""Serves the web application with uvicorn, as one task among the agent's others."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from edge.config.models import WebSettings
from edge.web.certificate import Certificate, own_certificate
from edge.web.live import LiveHub
from edge.web.patience import PatientProtocol

STOP_S = 3
"""Requests under way get this long to end when the server stops."""
MOST_CONNECTIONS = 300


class _Uvicorn(uvicorn.Server):
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


class WebServer:
    """The server of one listen address. `bind`, then `run` until cancelled.

    With `tls: auto` it speaks TLS with the certificate in `data`/tls, except on a
    loopback address, where it speaks plain HTTP.
    """

    def __init__(self, app: FastAPI, hub: LiveHub, settings: WebSettings, data: Path) -> None:
        self._app = app
        self._hub = hub
        self._settings = settings
        self._data = data
        self._socket: socket.socket | None = None

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self._settings.tls == "auto" and not is_loopback(self._settings.host)

    def bind(self) -> str:
        """Takes the address and returns the server's URL; OSError when it cannot be had."""
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        taken: int = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.secure else 'http'}://{shown}:{taken}"

    async def run(self) -> None:
        """Serves until cancelled, then ends the streams and lets requests finish. Raises
        NoCertificate, OSError."""
        if self._socket is None:
            self.bind()
        certificate = None
        if self.secure:
            certificate = await asyncio.to_thread(own_certificate, self._data / "tls", self._settings.host)
        server = _Uvicorn(_config(self._app, certificate))
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._hub.run(), name="web-live")
            assert self._socket is not None  # noqa: S101  # bound above
            serving = group.create_task(server.serve([self._socket]), name="web-server")
            try:
                await asyncio.shield(serving)
            finally:
                self._hub.close()
                server.stop()
                # Cancelled once already: the server still ends its requests in good order.
                await serving
                beating.cancel()
                self._socket = None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _config(app: FastAPI, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
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
