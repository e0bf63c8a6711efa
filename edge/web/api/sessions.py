"""First-run setup, signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from edge.store.accounts import ABSOLUTE
from edge.web.api.context import Context, Here
from edge.web.auth import COOKIE, OPEN, Viewer, caller_of
from edge.web.problems import Problem
from edge.web.views.sessions import SessionView, SetupView

router = APIRouter(tags=["session"])

# Not {1,64}: all letters of the world, 64 times, are 2 MB in each check that is built of it.
UserName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")]
Password = Annotated[str, Field(max_length=1000)]


class Credentials(BaseModel):
    """Who signs in."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=200)]
    password: Password


class FirstAccount(BaseModel):
    """The first admin, and the token that the gateway printed at its start."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(max_length=200)]
    user: UserName
    password: Password


@router.get("/setup", dependencies=[OPEN])
async def setup_needed(request: Request, here: Here) -> SetupView:
    """Whether the first account is still to be made, and whether the asker is signed in."""
    return SetupView(
        needed=not await here.authority.is_set_up(), signed_in=caller_of(request).principal is not None
    )


@router.post("/setup", dependencies=[OPEN])
async def set_up(first: FirstAccount, request: Request, response: Response, here: Here) -> SessionView:
    """Makes the first admin and signs them in."""
    secret = await here.authority.set_up(first.token, first.user, first.password, caller_of(request).source)
    return await _signed_in(secret, request, response, here)


@router.post("/session", dependencies=[OPEN])
async def sign_in(who: Credentials, request: Request, response: Response, here: Here) -> SessionView:
    """Opens a session; its secret is in the cookie only."""
    secret = await here.authority.sign_in(who.user, who.password, caller_of(request).source)
    return await _signed_in(secret, request, response, here)


@router.get("/session")
async def session(who: Viewer) -> SessionView:
    """Who is asking."""
    return SessionView(user=who.name, role=who.role, expires_at=who.expires_at)


@router.delete("/session", status_code=204)
async def sign_out(who: Viewer, request: Request, response: Response, here: Here) -> None:
    """Ends the session."""
    if who.kind != "session":
        raise Problem(409, "conflict", "a token has no session; revoke it on the gateway")
    await here.authority.sign_out(who, caller_of(request).source)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


async def _signed_in(secret: str, request: Request, response: Response, here: Context) -> SessionView:
    principal = await here.authority.principal(secret)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=ABSOLUTE // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return SessionView(user=principal.name, role=principal.role, expires_at=principal.expires_at)
