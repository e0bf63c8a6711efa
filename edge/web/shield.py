"""What every request passes before any route: limits, origin, identity, headers.

Order matters: the rate limit stands before the first query, the origin check before
the body is read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.web.auth import Authority, Caller, Principal
from edge.web.headers import NEVER_STORED, OVER_TLS, SECURITY
from edge.web.limits import Buckets
from edge.web.problems import Problem

BODY_LIMIT = 1_000_000
BODY_WAIT_S = 10.0
"""A client that takes longer to send its request is turned away."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGN_IN = frozenset({("POST", "/api/v1/session"), ("POST", "/api/v1/setup")})
_HASHED_NAME = re.compile(r"-(?=[^.]*[0-9A-Z])[A-Za-z0-9]{8,}\.(?:js|css|svg)$")
"""File names of the build that change with their content, such as app-5XQ2MZKB.js."""


@dataclass(slots=True)
class Limits:
    """The rates: requests of one client, and attempts to sign in from one address."""

    requests: Buckets
    sign_ins: Buckets


def default_limits() -> Limits:
    """10 requests a second and 50 at once for each client; 5 attempts to sign in a minute."""
    return Limits(Buckets(10, 50), Buckets(5 / 60, 5))


class Shield:
    """ASGI middleware in front of the whole application."""

    def __init__(self, app: ASGIApp, authority: Authority, limits: Limits) -> None:
        self._app = app
        self._authority = authority
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or hands the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        guarded = path.startswith("/api/") or path == "/metrics"
        send = _with_headers(send, scope, guarded)
        try:
            if "\0" in path or "\\" in path or ".." in path.split("/"):
                raise Problem(404, "not_found", "there is no such page")
            if guarded:
                scope["campus_caller"] = await self._admit(scope)
            if scope["method"] not in _SAFE:
                receive = _replay(await _body(receive, Headers(scope=scope)), receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> Caller:
        headers = Headers(scope=scope)
        source = scope["client"][0] if scope.get("client") else ""
        key = self._authority.remembers(headers) or f"address {source}"
        _spend(self._limits.requests, key)
        if (scope["method"], scope["path"]) in _SIGN_IN:
            _spend(self._limits.sign_ins, source)
        principal = await self._authority.identify(headers)
        _check_origin(scope["method"], headers, principal)
        return Caller(principal, source, principal is not None or await self._authority.is_set_up())


def _spend(buckets: Buckets, key: str) -> None:
    wait = buckets.take(key)
    if wait:
        seconds = str(max(1, round(wait)))
        raise Problem(
            429, "rate_limited", f"too many requests; wait {seconds} s", headers={"Retry-After": seconds}
        )


def _check_origin(method: str, headers: Headers, principal: Principal | None) -> None:
    """Refuses what another site's page may have sent.

    A token cannot be sent by a foreign page, a cookie can: with it a change needs the
    page's own origin and a header that a form cannot carry.
    """
    if principal is not None and principal.kind == "token":
        return
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    # Following a link from another page is harmless: it reads nothing and changes nothing there.
    hidden = headers.get("sec-fetch-mode") != "navigate"
    if foreign or (headers.get("sec-fetch-site") == "cross-site" and hidden):
        raise Problem(403, "foreign_origin", "this page belongs to another site")
    if method in _SAFE or principal is None:
        return
    if origin is None or headers.get("x-campus-edge") != "1":
        raise Problem(403, "foreign_origin", "a change needs the headers Origin and X-Campus-Edge: 1")


async def _body(receive: Receive, headers: Headers) -> bytes:
    """The request's whole body; raises a 408 or 413 problem."""
    too_large = Problem(413, "too_large", f"a request body holds at most {BODY_LIMIT} bytes")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_LIMIT:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > BODY_LIMIT:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise Problem(408, "too_slow", f"the request did not arrive within {BODY_WAIT_S:.0f} s") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send, scope: Scope, guarded: bool) -> Send:
    """A `send` that adds the security headers, and how long the answer may be kept."""
    extra: list[Iterable[tuple[str, str]]] = [SECURITY.items()]
    if scope["scheme"] == "https":
        extra.append(OVER_TLS.items())
    if guarded:
        extra.append(NEVER_STORED.items())

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Date"] = formatdate(usegmt=True)
            for pairs in extra:
                for name, value in pairs:
                    headers.setdefault(name, value)
            if not guarded:
                kept = message["status"] == 200 and _HASHED_NAME.search(scope["path"])
                headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        await send(message)

    return sending
