"""What rules do: decisions and proposals, the points they hold, and which rules may act by themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from edge.store.actions import ActionRecord, Arming, NoProposal, NotArmed
from edge.web.api.commands import requester
from edge.web.api.context import Context, Cursor, Here, Limit, number_cursor
from edge.web.auth import VIEWER, Engineer, Operator
from edge.web.problems import Problem, unknown
from edge.web.views.actions import ActionView, ArmingView, LeverView
from edge.web.views.base import Page

router = APIRouter(tags=["actions"])

_STATUS = {"reason_missing": 422, "no_auto": 422}


class Word(BaseModel):
    """What a person adds."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(max_length=500)] = ""


class Reason(BaseModel):
    """Why a rule is armed or disarmed."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


@router.get("/actions", dependencies=[VIEWER])
async def actions(
    here: Here, limit: Limit = 100, cursor: Cursor = None, waiting: bool = False
) -> Page[ActionView]:
    """All decisions of rules, newest first: sent, proposed, advised, in shadow, forbidden. `waiting` leaves
    those that have not ended."""
    before = number_cursor(cursor) or None
    records = await here.services.actions.newest(limit + 1, before, waiting=waiting)
    following = str(records[limit - 1].id) if len(records) > limit else None
    return Page(items=[_view(record, here) for record in records[:limit]], next=following)


@router.get("/actions/levers", dependencies=[VIEWER])
async def levers(here: Here) -> Page[LeverView]:
    """The points that rules want something of, or that a person holds against them."""
    now = here.services.clock()
    return Page(
        items=[
            LeverView(
                device=one.device,
                point=one.point,
                shadow=one.shadow,
                wanted=one.wanted,
                found=one.found,
                prio=None if one.top is None else one.top.prio,
                rules=[intent.rule for intent in one.standing],
                held_until=one.held_until if one.held_until > now else None,
                lease_until=one.lease_until if one.lease_until > now else None,
                lease_by=one.lease_by,
            )
            for one in here.services.actions.levers()
        ]
    )


@router.post("/actions/{number}/confirm")
async def confirm(number: int, who: Operator, request: Request, here: Here) -> ActionView:
    """Lets a proposal out: it is sent at once, unless something stronger holds the point."""
    try:
        return _view(await here.services.actions.confirm(number, requester(who, request)), here)
    except NoProposal as error:
        raise Problem(409, "no_proposal", str(error)) from error


@router.post("/actions/{number}/reject")
async def reject(number: int, word: Word, who: Operator, request: Request, here: Here) -> ActionView:
    """Says no to a proposal."""
    try:
        return _view(await here.services.actions.reject(number, requester(who, request), word.note), here)
    except NoProposal as error:
        raise Problem(409, "no_proposal", str(error)) from error


@router.get("/arming", dependencies=[VIEWER])
async def arming(here: Here) -> Page[ArmingView]:
    """How the rules of mode auto stand."""
    return Page(items=[_arming(one, here) for one, _ in here.services.actions.armings()])


@router.post("/rules/{rule}/arm")
async def arm(rule: str, reason: Reason, who: Engineer, request: Request, here: Here) -> ArmingView:
    """Asks for a rule to act by itself after its time in shadow, or agrees where another person asked."""
    _known(rule, here)
    try:
        return _arming(await here.services.actions.arm(rule, requester(who, request), reason.reason), here)
    except NotArmed as error:
        raise Problem(_STATUS.get(error.code, 409), error.code, str(error)) from error


@router.post("/rules/{rule}/disarm")
async def disarm(rule: str, reason: Reason, who: Engineer, request: Request, here: Here) -> ArmingView:
    """Takes a rule the right to act, at once; what it did is taken back."""
    _known(rule, here)
    try:
        return _arming(await here.services.actions.disarm(rule, requester(who, request), reason.reason), here)
    except NotArmed as error:
        raise Problem(_STATUS.get(error.code, 409), error.code, str(error)) from error


def _known(rule: str, here: Context) -> None:
    known = [one.id for one in here.services.configuration().rules]
    if rule not in known:
        raise unknown("rule", rule, known)


def _arming(one: Arming, here: Context) -> ArmingView:
    actions = here.services.actions
    ripe_at = next(ripe for other, ripe in actions.armings() if other.rule == one.rule)
    return ArmingView(
        rule=one.rule,
        armed=actions.acts_at_once or one.armed_at is not None,
        shadow_since=one.shadow_since,
        ripe_at=ripe_at,
        asked_by=one.asked_by,
        asked_at=one.asked_at,
        armed_by=one.armed_by,
        armed_at=one.armed_at,
        reason=one.reason,
    )


def _view(record: ActionRecord, here: Context) -> ActionView:
    act, intent = record.act, record.act.intent
    return ActionView(
        id=record.id,
        kind=act.kind,
        state=record.state,
        rule=intent.rule,
        scope=intent.scope,
        occurrence=intent.occurrence,
        cmd=intent.cmd,
        device=intent.device,
        point=intent.point,
        value=act.value,
        unit=here.services.commands.unit(intent.device, intent.point),
        prio=intent.prio,
        restores=act.restores,
        at=act.at,
        expires_at=act.expires_at,
        detail=record.detail,
        person=record.person,
        command=record.command,
        updated_at=record.updated_at,
    )
