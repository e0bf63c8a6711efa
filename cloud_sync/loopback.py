"""A small HTTP/1.1 server for stand-ins on 127.0.0.1: whole requests in, whole answers out.

It serves the demo and the tests, not the network: no TLS of its own, no chunked bodies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, urlsplit

_HEADER_BYTES = 16_384
_MISSING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names in lower case, the query's last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; Content-Length and Connection are added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, content: object, headers: Mapping[str, str] = _MISSING) -> Answer:
        """An answer in JSON."""
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})


Handler = Callable[[Request], Awaitable[Answer | None]]
"""Answers a request; None closes the connection without an answer."""


class BadRequest(Exception):
    """A request that this server does not take."""


class LoopbackServer:
    """Listens on 127.0.0.1 while its context is open; `port` 0 takes a free one.

    `max_body` bounds what is read, in bytes; a longer body is answered with 413 unread.
    """

    def __init__(
        self, handler: Handler, port: int = 0, max_body: int = 32_000_000, tls: ssl.SSLContext | None = None
    ) -> None:
        self._handler = handler
        self._max_body = max_body
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_HEADER_BYTES, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                answer = await self._one(reader)
                if answer is None:
                    return
                writer.write(_encode(answer))
                await writer.drain()
                if answer.headers.get("Connection") == "close":
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client went away, or talks no HTTP
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader) -> Answer | None:
        head = await reader.readuntil(b"\r\n\r\n")
        try:
            method, target, headers = _parse_head(head)
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return Answer(400, b"bad request", {"Connection": "close"})
        if "transfer-encoding" in headers or not 0 <= length <= self._max_body:
            return Answer(413, b"request entity too large", {"Connection": "close"})
        body = await reader.readexactly(length)
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return await self._handler(Request(method, parts.path, query, headers, body))


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in rest:
        name, value = line.split(":", 1)
        headers[name.strip().lower()] = value.strip()
    return method, target, headers


def _encode(answer: Answer) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status != 204:
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + answer.body


def unpack(request: Request, limit: int) -> bytes:
    """The body, decompressed if it says so; BadRequest when it is no gzip or exceeds `limit` bytes."""
    if request.headers.get("content-encoding", "identity") == "identity":
        return request.body
    if request.headers["content-encoding"] != "gzip":
        raise BadRequest(f"unknown content encoding {request.headers['content-encoding']}")
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        body = stream.decompress(request.body, limit + 1)
    except zlib.error as error:
        raise BadRequest("body is no gzip") from error
    if len(body) > limit:
        raise BadRequest("body is too large when decompressed")
    if not stream.eof:
        raise BadRequest("gzip ends early")
    return body
