"""Who is asking, and what they may do.

A route declares its minimal role as a dependency (`VIEWER`, `OPERATOR`, ... or `OPEN`);
`app.py` refuses to start with a route that declares none. The shield puts a `Caller`
on every request before the route is reached.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from drivers.reading import Millis
from edge.store.accounts import (
    TOUCH_EVERY,
    Accounts,
    BadSetupToken,
    NameTaken,
    Role,
    Session,
    digest,
)
from edge.store.database import Database
from edge.store.passwords import hash_password, matches, weakness
from edge.web.problems import Problem
from edge.web.services.gateway import Services

COOKIE = "campus_session"
RECHECK = 5_000
"""A session or token is looked up again after this long: so fast does a revocation take effect."""
MOST_KNOWN = 1024

_RANK = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ENGINEER: 3, Role.ADMIN: 4}


def permits(role: Role, needed: Role) -> bool:
    """Whether `role` includes `needed`; the auditor reads as a viewer does and audits alone."""
    if Role.AUDITOR in (role, needed):
        return role is Role.AUDITOR and needed in (Role.AUDITOR, Role.VIEWER)
    return _RANK[role] >= _RANK[needed]


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever proved who they are. `key` is the hash of their secret; `expires_at` is
    `None` for what does not expire."""

    name: str
    role: Role
    kind: Literal["session", "token", "loopback"]
    key: str
    expires_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """What the shield found out about a request: `source` is the peer's IP address."""

    principal: Principal | None
    source: str
    set_up: bool


class Needs:
    """The dependency that lets only `role` and those above pass; `None` lets everyone."""

    def __init__(self, role: Role | None, *, loopback: bool = False) -> None:
        self.role = role
        self.loopback = loopback

    async def __call__(self, request: Request) -> Principal | None:
        """The principal; raises a 401 or 403 problem."""
        caller = caller_of(request)
        if self.role is None:
            return caller.principal
        if caller.principal is None:
            if self.loopback and _is_local(request):
                return Principal("local", self.role, "loopback", "")
            if not caller.set_up:
                raise Problem(403, "setup_needed", "create the first account with the setup token")
            raise Problem(
                401, "unauthorized", "sign in or send a token", headers={"WWW-Authenticate": "Bearer"}
            )
        if not permits(caller.principal.role, self.role):
            raise Problem(403, "forbidden", f"this needs the role {self.role}")
        return caller.principal


OPEN = Depends(Needs(None))
VIEWER = Depends(Needs(Role.VIEWER))
OPERATOR = Depends(Needs(Role.OPERATOR))
ENGINEER = Depends(Needs(Role.ENGINEER))
VIEWER_OR_LOCAL = Depends(Needs(Role.VIEWER, loopback=True))

Viewer = Annotated[Principal, VIEWER]
Operator = Annotated[Principal, OPERATOR]
Engineer = Annotated[Principal, ENGINEER]


def caller_of(request: Request) -> Caller:
    """What the shield found out about this request."""
    caller: Caller = request.scope["campus_caller"]
    return caller


def _is_local(request: Request) -> bool:
    """Asked on this machine itself, and not through a reverse proxy on it."""
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    return not forwarded and request.client is not None and request.client.host in ("127.0.0.1", "::1")


@dataclass(slots=True)
class _Known:
    """A session or token as last looked up, and when; `seen_at` runs ahead of the store."""

    principal: Principal
    session: Session | None
    checked_at: Millis
    saved_at: Millis


class Authority:
    """Tells callers apart; keeps those it knows in memory so that a request costs no query."""

    def __init__(self, services: Services) -> None:
        self._accounts: Accounts = services.accounts
        self._database: Database = services.database
        self._clock = services.clock
        self._known: dict[str, _Known] = {}
        self._set_up = False
        # One hash at a time: each takes 19 MiB.
        self._hashing = asyncio.Lock()

    async def is_set_up(self) -> bool:
        """Whether the first account exists."""
        if not self._set_up:
            self._set_up = await self._database.read(self._accounts.has_users)
        return self._set_up

    def remembers(self, headers: Headers) -> str | None:
        """The key of a caller that was let in moments ago; costs no query and proves nothing."""
        secret, _ = _secret(headers)
        key = digest(secret) if secret else ""
        return key if key in self._known else None

    async def identify(self, headers: Headers) -> Principal | None:
        """Who sent these headers; counts as a use of their session."""
        secret, kind = _secret(headers)
        if not secret:
            return None
        key = digest(secret)
        known = await self._recall(key, kind)
        if known is None or known.session is None:
            return known.principal if known else None
        now = self._clock()
        known.session = known.session._replace(seen_at=max(now, known.session.seen_at))
        known.principal = replace(known.principal, expires_at=known.session.expires_at)
        if now - known.saved_at >= TOUCH_EVERY:
            known.saved_at = now
            await self._database.run(lambda c: self._accounts.touch(c, key, now))
        return known.principal

    async def still(self, principal: Principal) -> bool:
        """Whether a principal let in earlier would be let in now; not a use of their session."""
        if principal.kind == "loopback":
            return True
        return await self._recall(principal.key, principal.kind) is not None

    async def sign_in(self, user: str, password: str, source: str) -> str:
        """The secret of a new session; raises a 401 or 429 problem."""
        attempt = await self._database.run(lambda c: self._accounts.begin_login(c, user, source))
        if attempt.wait_ms:
            wait = str(-(-attempt.wait_ms // 1000))
            raise Problem(
                429, "locked", f"too many failures; try again in {wait} s", headers={"Retry-After": wait}
            )
        async with self._hashing:
            proven = await asyncio.to_thread(matches, attempt.hashed, password)
        secret = await self._database.run(
            lambda c: self._accounts.finish_login(c, user, source, proven=proven)
        )
        if secret is None:
            raise Problem(401, "invalid_credentials", "user or password is wrong")
        return secret

    async def set_up(self, token: str, user: str, password: str, source: str) -> str:
        """Creates the first admin; the secret of their session. Raises a 403, 409 or 422 problem."""
        if await self.is_set_up():
            raise Problem(409, "already_set_up", "the first account exists; sign in")
        refused = Problem(403, "invalid_token", "the setup token is wrong or used up")
        if not await self._database.read(lambda c: self._accounts.accepts_setup(c, token)):
            raise refused
        fault = weakness(password, user)
        if fault is not None:
            raise Problem(422, "weak_password", f"the password does not meet the rule: {fault}", fault=fault)
        async with self._hashing:
            hashed = await asyncio.to_thread(hash_password, password)
        try:
            return await self._database.run(lambda c: self._accounts.set_up(c, token, user, hashed, source))
        except (BadSetupToken, NameTaken) as error:
            raise refused from error

    async def sign_out(self, principal: Principal, source: str) -> None:
        """Ends the principal's session for good."""
        self._known.pop(principal.key, None)
        await self._database.run(lambda c: self._accounts.close_session(c, principal.key, source))

    async def principal(self, secret: str) -> Principal:
        """Who a session just opened belongs to."""
        known = await self._recall(digest(secret), "session")
        if known is None:
            raise Problem(401, "unauthorized", "the session ended at once")
        return known.principal

    async def _recall(self, key: str, kind: Literal["session", "token"]) -> _Known | None:
        now = self._clock()
        known = self._known.get(key)
        if known is not None and known.principal.kind != kind:
            return None  # a session's secret is no token, nor the other way round
        if known is None or not 0 <= now - known.checked_at < RECHECK:
            known = await self._look_up(key, kind, now)
        if known is not None and known.session is not None and now >= known.session.expires_at:
            known = None
        if known is None:
            self._known.pop(key, None)
        return known

    async def _look_up(self, key: str, kind: Literal["session", "token"], now: Millis) -> _Known | None:
        if kind == "token":
            token = await self._database.read(lambda c: self._accounts.token(c, key))
            if token is None:
                return None
            known = _Known(Principal(token.name, token.role, "token", key), None, now, now)
        else:
            session = await self._database.read(lambda c: self._accounts.session(c, key))
            if session is None:
                return None
            saved_at = session.seen_at
            before = self._known.get(key)
            if before is not None and before.session is not None:
                session = session._replace(seen_at=max(saved_at, before.session.seen_at))
            principal = Principal(session.user, session.role, "session", key, session.expires_at)
            known = _Known(principal, session, now, saved_at)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = known
        return known


def _secret(headers: Headers) -> tuple[str, Literal["session", "token"]]:
    """The secret sent, and what kind it claims to be; empty when none was."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip(), "token"
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, ""), "session"
