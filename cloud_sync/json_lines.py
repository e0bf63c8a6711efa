"""Entries as JSON lines, sent by HTTP POST to services that speak no line protocol.

    {"at":"2026-09-01T08:00:00.000Z","school":"shangde",...,"kind":"electricity_meter","values":{"kwh":1.5}}

A line holds the entry's tags, its measurement as `kind`, and its fields under the service's own
names. Success is any 2xx that is no web page; 400 and 422 refuse a write, which is then halved.
The service must take the same line twice without harm, by school, device and time.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Self

import httpx
import msgspec

from cloud_sync.answers import explain, retry_after
from cloud_sync.errors import (
    Blocked,
    Failed,
    NoConnection,
    NotALine,
    Rejected,
    Throttled,
    TooLarge,
    Unreachable,
)
from cloud_sync.outbox import Entry
from cloud_sync.settings import JsonLinesDestination
from drivers.reading import Millis, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Naming:
    """Puts entries under a destination's own names."""

    def __init__(self, destination: JsonLinesDestination) -> None:
        self._names = destination.names
        self._only_named = destination.only_named

    def line_of(self, entry: Entry) -> bytes:
        """One line; empty where nothing of the entry is wanted. Raises NotALine for a number that
        JSON does not have."""
        values: dict[str, Value] = {}
        for point, value in entry.fields.items():
            name = self._names.get(f"{entry.measurement}.{point}")
            if name is None and self._only_named:
                continue
            if isinstance(value, float) and not math.isfinite(value):
                raise NotALine(f"{point} is {value}, not a finite number")
            values[name or point] = value
        if not values:
            return b""
        tags = {key: value for key, value in sorted(entry.tags.items()) if value}
        return _encode({"at": _told(entry.at), **tags, "kind": entry.measurement, "values": values})


def _told(at: Millis) -> str:
    try:
        when = _EPOCH + timedelta(milliseconds=at)
    except OverflowError as error:
        raise NotALine(f"time {at} is outside the calendar") from error
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLinesWriter:
    """The connection to one service; an async context manager."""

    def __init__(self, destination: JsonLinesDestination, token: str | None) -> None:
        if token is not None and (not token or not token.isascii() or not token.isprintable()):
            raise ValueError("the token must be printable ASCII on one line")
        self._url = destination.url
        read, connect = destination.read_timeout.total_seconds(), destination.connect_timeout.total_seconds()
        self._limit = connect + 3 * read
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(
            headers=headers, timeout=httpx.Timeout(read, connect=connect), trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._client.aclose()

    async def write(self, lines: bytes) -> None:
        """See `Writer`."""
        body = await asyncio.to_thread(gzip.compress, lines, 1, mtime=0)
        try:
            async with asyncio.timeout(self._limit):
                answer = await self._client.post(self._url, content=body)
        except httpx.ConnectTimeout as error:
            raise NoConnection("no connection in time") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unreachable("no complete answer in time", timed_out=True) from error
        except httpx.HTTPError as error:
            kind = NoConnection if _never_came(error) else Unreachable
            raise kind(f"{type(error).__name__}: {error}"[:300]) from error
        _judge(answer.status_code, answer.headers, answer.text)


def _never_came(error: BaseException) -> bool:
    """Whether there was no connection; one that TLS refused is told by the same class of httpx."""
    causes: BaseException | None = error
    while causes is not None:
        if isinstance(causes, ssl.SSLError):
            return False
        causes = causes.__cause__ or causes.__context__
    return isinstance(error, httpx.ConnectError)


def _judge(status: int, headers: Mapping[str, str], body: str) -> None:
    """Raises what an answer means; 2xx is success unless a captive portal shows its page."""
    if 200 <= status < 300:
        if "html" in headers.get("content-type", ""):
            raise Unreachable("answered with a web page: uplink intercepted", status)
        return
    reason = explain(headers, body)
    if status in (429, 503):
        now = round((datetime.now(UTC) - _EPOCH) / timedelta(milliseconds=1))
        raise Throttled(reason or "asked to wait", status, retry_after(headers.get("Retry-After"), now))
    if status < 400:
        raise Unreachable("redirected: uplink intercepted", status)
    if status in (400, 422):
        raise Rejected(reason or "refused", status)
    if status == 413:
        raise TooLarge(reason or "request entity too large", status)
    if status >= 500 or status == 408:
        raise Failed(reason or "server error", status)
    raise Blocked(reason or "refused", status)
