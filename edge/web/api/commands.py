"""Writing to the field, in two steps: prepare gives a token, confirm carries the command out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from edge.store.commands import CommandRecord, CommandRefused, Requester
from edge.web.api.context import Context, Cursor, Here, Limit, number_cursor
from edge.web.auth import VIEWER, Operator, Principal, caller_of
from edge.web.problems import Problem
from edge.web.views.base import Page
from edge.web.views.commands import CommandView, PreparedView

router = APIRouter(tags=["commands"])

Word = Annotated[str, Field(max_length=200)]
Number = Annotated[StrictInt, Field(ge=-(2**63), le=2**63)]
AnyValue = StrictBool | Number | StrictFloat | Annotated[StrictStr, Field(max_length=256)]

_STATUS = {
    "unknown_device": 404,
    "unknown_point": 404,
    "forbidden": 403,
    "other_user": 403,
    "invalid_token": 403,
    "rate_limited": 429,
    "not_writable": 422,
    "wrong_type": 422,
    "out_of_range": 422,
    "resolution": 422,
    "reason_missing": 422,
}
"""All other refusals are conflicts with how things stand: offline, used, expired, changed."""


class Wish(BaseModel):
    """What is to be done, and why."""

    model_config = ConfigDict(extra="forbid")

    device: Word
    point: Word
    value: AnyValue
    reason: Annotated[str, Field(max_length=500)] = ""


class Confirmation(BaseModel):
    """The token, and what the person saw beside it: where given it must be the token's own."""

    model_config = ConfigDict(extra="forbid")

    token: Word = ""
    device: Word | None = None
    point: Word | None = None
    value: AnyValue | None = None


@router.get("/commands", dependencies=[VIEWER])
async def commands(here: Here, limit: Limit = 100, cursor: Cursor = None) -> Page[CommandView]:
    """All commands, refused ones too, newest first."""
    before = number_cursor(cursor) or None
    records = await here.services.commands.newest(limit + 1, before)
    following = str(records[limit - 1].id) if len(records) > limit else None
    return Page(items=[_view(record, here) for record in records[:limit]], next=following)


@router.post("/commands", status_code=201)
async def prepare(wish: Wish, who: Operator, request: Request, here: Here) -> PreparedView:
    """Checks a command; nothing is sent before the token is confirmed, within 30 s, by the same user."""
    try:
        made = await here.services.commands.prepare(
            wish.device, wish.point, wish.value, wish.reason, requester(who, request)
        )
    except CommandRefused as refused:
        raise _problem(refused) from refused
    command = made.command
    return PreparedView(
        id=made.id,
        token=made.token,
        device=command.device,
        point=command.point,
        value=command.value,
        unit=here.services.commands.unit(command.device, command.point),
        before=made.before,
        expires_at=command.expires_at,
    )


@router.post("/commands/confirm")
async def confirm(confirmation: Confirmation, who: Operator, request: Request, here: Here) -> CommandView:
    """Carries a prepared command out, once; answers when the device has, with the state it led to."""
    try:
        record = await here.services.commands.confirm(
            confirmation.token,
            requester(who, request),
            confirmation.device,
            confirmation.point,
            confirmation.value,
        )
    except CommandRefused as refused:
        raise _problem(refused) from refused
    return _view(record, here)


def requester(who: Principal, request: Request) -> Requester:
    """Who asks, for the door and the books."""
    return Requester(who.name, who.role, f"{who.kind}:{who.name}", caller_of(request).source)


def _problem(refused: CommandRefused) -> Problem:
    return Problem(_STATUS.get(refused.code, 409), refused.code, str(refused))


def _view(record: CommandRecord, here: Context) -> CommandView:
    command = record.command
    return CommandView(
        id=record.id,
        device=command.device,
        point=command.point,
        value=command.value,
        unit=here.services.commands.unit(command.device, command.point),
        reason=command.reason,
        who=command.who,
        state=record.state,
        detail=record.detail,
        found=record.found,
        created_at=command.created_at,
        expires_at=command.expires_at,
        updated_at=record.updated_at,
    )
