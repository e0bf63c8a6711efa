"""The alarm list, and what people do with an alarm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from edge.web.api.context import Context, Cursor, Here, Limit, Name, number_cursor
from edge.web.auth import VIEWER, Operator, Principal, caller_of
from edge.web.problems import Problem
from edge.web.services.alarms import AlarmRecord, NotAllowed, UnknownAlarm
from edge.web.views.alarms import AlarmReportView, AlarmView
from edge.web.views.base import Page

router = APIRouter(tags=["alarms"])

State = Literal[
    "open",
    "all",
    "normal",
    "unacknowledged",
    "acknowledged",
    "returned_unacknowledged",
    "latched_unacknowledged",
    "latched_acknowledged",
    "shelved",
    "suppressed",
    "out_of_service",
]
LONGEST_REPORT_D = 400


class Note(BaseModel):
    """What the person who acts has to say."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(max_length=1000)] = ""


class Shelf(BaseModel):
    """For how long an alarm is put aside, and why."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(min_length=1, max_length=1000)]
    until: AwareDatetime


@router.get("/alarms/report", dependencies=[VIEWER])
async def report(here: Here, days: Annotated[int, Query(ge=1, le=LONGEST_REPORT_D)] = 30) -> AlarmReportView:
    """How the alarms of the last days served the desk: load, floods, bad actors, priorities."""
    until = here.services.clock()
    found = await here.services.alarms.report(until - days * 86_400_000, until)
    return AlarmReportView.model_validate(found)


@router.get("/alarms", dependencies=[VIEWER])
async def alarms(
    here: Here,
    state: State = "open",
    priority: Annotated[int | None, Query(ge=1, le=4)] = None,
    space: Name = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Page[AlarmView]:
    """Occurrences, newest first. `open` leaves out those back to normal; a space stands for
    all inside it."""
    school = here.schools.now()
    scopes = None if space is None else school.scopes_below(space)
    start = number_cursor(cursor)
    records = await here.services.alarms.list(state, priority, scopes, limit + 1, start)
    following = str(start + limit) if len(records) > limit else None
    return Page(items=[school.alarm_view(record) for record in records[:limit]], next=following)


@router.post("/alarms/{occurrence}/ack")
async def acknowledge(occurrence: str, note: Note, who: Operator, request: Request, here: Here) -> AlarmView:
    """Says that someone takes care of it."""
    act = here.services.alarms.acknowledge
    return await _act(here, who, caller_of(request).source, "alarm.ack", occurrence, note.note, act)


@router.post("/alarms/{occurrence}/reset")
async def reset(occurrence: str, note: Note, who: Operator, request: Request, here: Here) -> AlarmView:
    """Lets go of a latched alarm whose cause is gone."""
    act = here.services.alarms.reset
    return await _act(here, who, caller_of(request).source, "alarm.reset", occurrence, note.note, act)


@router.post("/alarms/{occurrence}/shelve")
async def shelve(occurrence: str, shelf: Shelf, who: Operator, request: Request, here: Here) -> AlarmView:
    """Puts an alarm aside until a time, for a reason: it goes on without being heard."""
    until = round(shelf.until.timestamp() * 1000)

    async def act(occurrence: str, user: str, note: str) -> AlarmRecord:
        return await here.services.alarms.shelve(occurrence, user, note, until)

    return await _act(here, who, caller_of(request).source, "alarm.shelve", occurrence, shelf.note, act)


@router.post("/alarms/{occurrence}/unshelve")
async def unshelve(occurrence: str, note: Note, who: Operator, request: Request, here: Here) -> AlarmView:
    """Takes a shelved alarm back; one that is still there is heard again."""
    act = here.services.alarms.unshelve
    return await _act(here, who, caller_of(request).source, "alarm.unshelve", occurrence, note.note, act)


async def _act(
    here: Context,
    who: Principal,
    source: str,
    action: str,
    occurrence: str,
    note: str,
    act: Callable[[str, str, str], Awaitable[AlarmRecord]],
) -> AlarmView:
    """Acts and writes it down; what was refused is written down too."""
    accounts, database = here.services.accounts, here.services.database

    async def write_down(result: str) -> None:
        target = f"alarm:{occurrence[:80]}"
        await database.run(lambda c: accounts.audit(c, who.name, source, action, target, "", note, result))

    try:
        record = await act(occurrence, who.name, note)
    except UnknownAlarm as error:
        await write_down("refused")
        raise Problem(404, "not_found", f"there is no alarm {occurrence[:80]!r}") from error
    except NotAllowed as error:
        await write_down("refused")
        raise Problem(409, "conflict", str(error)) from error
    await write_down("ok")
    return here.schools.now().alarm_view(record)
