"""Serves the web application with uvicorn, as one task among the agent's others."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config.models import WebSettings
from edge.web.certificate import own_certificate
from edge.web.live import LiveHub

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from edge.web.serving import Uvicorn


class WebServer:
    """The server of one listen address. `bind`, then `run` until cancelled.

    With `tls: auto` it speaks TLS with the certificate in `data`/tls, except on a
    loopback address, where it speaks plain HTTP. `make` gives the application; it is called in a
    thread, `pause_s` after the start: what the web needs takes half a second to load, in which
    the field is read already. Who connects meanwhile is served then.
    """

    def __init__(
        self, make: Callable[[], ASGIApp], hub: LiveHub, settings: WebSettings, data: Path,
        *, pause_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._make = make
        self._hub = hub
        self._settings = settings
        self._data = data
        self._pause_s = pause_s
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
        assert self._socket is not None  # noqa: S101  # bound above
        try:
            await asyncio.sleep(self._pause_s)
            await self._serve(await asyncio.to_thread(self._load), self._socket)
        finally:
            self._socket.close()
            self._socket = None

    def _load(self) -> Uvicorn:
        """The server on its application; blocks."""
        from edge.web.serving import uvicorn_of

        host = self._settings.host
        certificate = own_certificate(self._data / "tls", host) if self.secure else None
        return uvicorn_of(self._make(), certificate)

    async def _serve(self, server: Uvicorn, bound: socket.socket) -> None:
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(self._hub.run(), name="web-live")
            serving = group.create_task(server.serve([bound]), name="web-server")
            try:
                await asyncio.shield(serving)
            finally:
                self._hub.close()
                server.stop()
                # Cancelled once already: the server still ends its requests in good order.
                await serving
                beating.cancel()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
